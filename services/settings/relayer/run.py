"""What the relayer can be told."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from dvtfast.networks import Network

from .. import parsing, shared
from ..sources import Settings, setting

LARGEST_INDEX_WINDOW = 256  # each index is a signature of every node
UNKNOWN_SHARES_LIMIT = 32  # share indices of a validator whose cluster is not named to the relayer


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelayerSettings(Settings):
    """What the relayer can be told."""

    command = "relayer"

    network: Network = shared.network("The network whose validators register.")
    oracles: Path | None = setting(
        "--oracles",
        parsing.file,
        "The protocol config (JSON) that names the oracles and their threshold; read again when it changes."
        " Without it, the config is the one that the Keeper announces on chain.",
        optional=True,
    )
    cluster_locks: tuple[parsing.NamedFile, ...] = setting(
        "--cluster-lock",
        parsing.named_file,
        "An Obol cluster-lock.json to serve; repeatable. The cluster is called by"
        " the name in the lock unless NAME= says otherwise.",
        many=True,
        metavar="[NAME=]FILE",
    )
    no_verify: bool = shared.no_verify()
    ssv_keyshares: tuple[parsing.NamedFile, ...] = setting(
        "--ssv-keyshares",
        parsing.named_file,
        "An SSV keyshares.json to serve; repeatable, also beside cluster locks."
        " Its threshold is 2f+1 of its 3f+1 operators.",
        many=True,
        metavar="[NAME=]FILE",
    )
    signature_threshold: int | None = setting(
        "--signature-threshold",
        parsing.count,
        "Also serve keys of no cluster named here, with this threshold. Their"
        " public key shares are unknown, so a bad share is only found when more than T shares are there.",
        optional=True,
        also=["SIGNATURE_THRESHOLD"],
        metavar="T",
    )
    start_index: int | None = setting(
        "--start-index",
        parsing.validator_index,
        "The validator index of the first new validator, where the operator does not say one; without it the"
        " deposits or the beacon node tell it.",
        optional=True,
        metavar="INDEX",
    )
    index_window: int = setting(
        "--index-window",
        parsing.integer,
        "Let our sidecars also sign the exits of each validator at the next W indices, so that deposits"
        " of others, which shift the indices, need no new round.",
        default="0",
        metavar="W",
    )
    vaults: tuple[bytes, ...] = setting(
        "--vault",
        parsing.address,
        "A vault that may register the validators of the clusters named here; repeatable.",
        many=True,
        metavar="ADDRESS",
    )
    vault_clusters: tuple[parsing.VaultCluster, ...] = setting(
        "--vault-cluster",
        parsing.vault_cluster,
        "A cluster, by name or lock hash, whose validators are for this vault, and not for vaults that are"
        " not bound to it; repeatable. A vault that is bound to none has the clusters that no vault is bound"
        " to.",
        many=True,
        metavar="ADDRESS=CLUSTER",
    )
    vault_quota: int = setting(
        "--vault-quota",
        parsing.count,
        "Validators that may be reserved for one vault, and not be registered yet.",
        default="10000",
        metavar="N",
    )
    registered_keys: Path | None = setting(
        "--registered-keys",
        parsing.file,
        "Validators that are registered already, one public key a line; /register gives none of them.",
        optional=True,
    )
    execution_endpoints: tuple[str, ...] = shared.execution_endpoints(
        "which validators are registered, what the validators manager signs over, and the oracle config"
    )
    execution_timeout: float = shared.execution_timeout()
    logs_span_blocks: int | None = shared.logs_span_blocks()
    consensus_endpoints: tuple[str, ...] = shared.consensus_endpoints(
        "which validators are registered, the next validator index, and which have exited: the relayer"
        " forgets those"
    )
    consensus_timeout: float = shared.consensus_timeout()
    deposits_database: Path | None = shared.deposits_database(
        "which tells the next validator index to operators that say none, and which validators are registered"
    )
    genesis_validators: Path | None = shared.genesis_validators()
    deposits_from_block: int | None = setting(
        "--deposits-from-block",
        parsing.integer,
        "The first block with deposits of the clusters' validators; the deposit contract's when not set.",
        optional=True,
        metavar="BLOCK",
    )
    deposit_contract: bytes | None = shared.deposit_contract()
    keeper: bytes | None = shared.keeper()
    ipfs_gateways: tuple[str, ...] = shared.ipfs_gateways("")
    ipfs_timeout: float = shared.ipfs_timeout()
    allow_plain_http: bool = shared.allow_plain_http()
    manager_keystore: Path | None = setting(
        "--manager-keystore",
        parsing.file,
        "The keystore (version 3) of the validators manager of the vaults; without it nothing is signed.",
        optional=True,
        also=["VALIDATORS_MANAGER_KEY_FILE"],
    )
    manager_password: Path | None = setting(
        "--manager-password-file",
        parsing.file,
        "The file with the password of that keystore.",
        optional=True,
        also=["VALIDATORS_MANAGER_PASSWORD_FILE"],
    )
    allow: tuple[str, ...] = setting(
        "--allow",
        parsing.manager_action,
        "What the validators manager signs beside registrations; repeatable. To withdraw can be to exit.",
        many=True,
        metavar="fund|withdraw|consolidate",
    )
    daily_limits: tuple[parsing.DailyLimitSetting, ...] = setting(
        "--daily-limit",
        parsing.daily_limit,
        "How much of an action is signed in one day (UTC), for all vaults together; repeatable."
        " UNIT is items, gwei or exits; N a number or none.",
        many=True,
        metavar="ACTION.UNIT=N",
    )
    show_exit_signatures: bool = setting(
        "--show-exit-signatures",
        parsing.switch,
        "Answer /register with whole exit signatures, too; whoever has one can exit the validator.",
        default="false",
    )
    validator_lifetime: float = shared.validator_lifetime()
    database: str = shared.database()
    storage_key_file: Path | None = shared.storage_key_file(optional=True)
    host: str = setting(
        "--host",
        parsing.text,
        "The address to listen on.",
        default="127.0.0.1",
        also=["RELAYER_HOST"],
        metavar="ADDRESS",
    )
    port: int = setting(
        "--port",
        parsing.port,
        "The port to listen on; 0 takes any free one and logs it.",
        default="8000",
        also=["RELAYER_PORT"],
    )
    allow_anonymous: bool = setting(
        "--allow-anonymous",
        parsing.switch,
        "Serve everybody who has no token. Without tokens the relayer listens on this machine only; with"
        " tokens, who has none is refused.",
        default="false",
    )
    tls_certificate: Path | None = setting(
        "--tls-certificate",
        parsing.file,
        "Serve HTTPS with this certificate (PEM, with its chain); loaded again when it is renewed.",
        optional=True,
    )
    tls_key: Path | None = setting(
        "--tls-key", parsing.file, "The key (PEM) of that certificate, without a password.", optional=True
    )
    tls_client_ca: Path | None = setting(
        "--tls-client-ca",
        parsing.file,
        "Serve only clients with a certificate of this CA (PEM), beside their tokens.",
        optional=True,
    )
    requests_at_once: int = setting(
        "--requests-at-once",
        parsing.count,
        "Requests that one token may have under way, those that wait among them.",
        default="64",
        metavar="N",
    )
    requests_per_second: float = setting(
        "--requests-per-second",
        parsing.rate,
        "Requests of one token, over ten seconds; one more counts for each 64 KiB of their bodies.",
        default="50",
        metavar="N",
    )
    pending_validators: int = setting(
        "--pending-validators",
        parsing.count,
        "Validators that one token may have asked for, and not have got yet.",
        default="50000",
        metavar="N",
    )
    moves_per_day: int = setting(
        "--moves-per-day",
        parsing.count,
        "Validators that one token may move to other indices or amounts in a day; each move is a signature of"
        " every node.",
        default="100000",
        metavar="N",
    )
    threads: int | None = shared.threads()
    no_gzip: bool = setting(
        "--no-gzip", parsing.switch, "Never compress an answer, also for those who take it.", default="false"
    )
    timings_file: Path | None = setting(
        "--timings-file",
        parsing.place,
        "Write how late the event loop woke up, and the slowest request, to FILE at the end.",
        optional=True,
        metavar="FILE",
    )

    @property
    def extras(self) -> tuple[str, ...]:
        """What reads the chain, and what signs for vaults."""
        chain = ("chain",) if self.execution_endpoints else ()
        return (*chain, "manager") if self.manager_keystore is not None else chain

    @classmethod
    def load(cls, flags: Mapping[str, Any], environment: Mapping[str, str]) -> Self:
        """With the contracts of a chain for tests in the network."""
        settings = super().load(flags, environment)
        network = shared.on_test_chain(
            settings.network, deposit_contract=settings.deposit_contract, keeper=settings.keeper
        )
        return dataclasses.replace(settings, network=network)

    def problems(self) -> list[str]:
        """Something to serve there must be."""
        names = {field: source.name for field, source in self.sources().items()}
        threshold = self.signature_threshold or 0
        problems = [
            f"{names[field]}: expected at most {most}, got {value}"
            for field, value, most in (
                ("index_window", self.index_window, LARGEST_INDEX_WINDOW),
                ("signature_threshold", threshold, UNKNOWN_SHARES_LIMIT),
            )
            if value > most
        ]
        problems += self._chain_problems(names)
        problems += [
            f"{names[field]}: needs {names[other]}, which is not set"
            for field, other in (
                ("tls_certificate", "tls_key"),
                ("tls_key", "tls_certificate"),
                ("tls_client_ca", "tls_certificate"),
            )
            if getattr(self, field) is not None and getattr(self, other) is None
        ]
        if not (threshold or self.cluster_locks or self.ssv_keyshares):
            wanted = [names[field] for field in ("cluster_locks", "ssv_keyshares", "signature_threshold")]
            problems.append(f"nothing to serve; set at least one of {', '.join(wanted)}")
        return problems + shared.in_the_clear(self)

    def _chain_problems(self, names: Mapping[str, str]) -> list[str]:
        """What needs what else."""
        needs: list[tuple[str, bool, str]] = [
            ("manager_keystore", self.manager_keystore is not None, "manager_password"),
            ("manager_keystore", self.manager_keystore is not None, "execution_endpoints"),
            ("manager_keystore", self.manager_keystore is not None, "vaults"),
            ("manager_password", self.manager_password is not None, "manager_keystore"),
            ("allow", bool(self.allow), "manager_keystore"),
            ("daily_limits", bool(self.daily_limits), "manager_keystore"),
            ("ipfs_gateways", bool(self.ipfs_gateways), "execution_endpoints"),
            ("deposit_contract", self.deposit_contract is not None, "execution_endpoints"),
            ("keeper", self.keeper is not None, "execution_endpoints"),
            ("deposits_database", self.deposits_database is not None, "execution_endpoints"),
            ("genesis_validators", self.genesis_validators is not None, "deposits_database"),
        ]
        problems = [
            f"{names[field]}: needs {names[other]}, which is not set"
            for field, is_set, other in needs
            if is_set and not getattr(self, other)
        ]
        if self.oracles is None and not (self.execution_endpoints and self.ipfs_gateways):
            sources = f"{names['execution_endpoints']} and {names['ipfs_gateways']}"
            problems.append(f"no oracle config; set {names['oracles']}, or {sources}")
        return problems
