"""What a sidecar can be told."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from .. import wire
from ..files import paths
from . import orders, parsing, shared
from .relayer_client import RelayerClientSettings
from .sources import Settings, setting

OPERATOR_ID = "{operator_id}"  # in the name of a file
SIGNER, DIRECTORY, TEMPLATE = "REMOTE_SIGNER_URL", "OBOL_KEYSTORES_DIR", "OBOL_KEYSTORES_DIR_TEMPLATE"

# What says nothing to the other kind of cluster.
OBOL_FIELDS = frozenset(
    {
        "cluster_lock",
        "no_verify",
        "keystores",
        "keystores_template",
        "node_indices",
        "remote_signer",
        "remote_signer_timeout",
        "key_cache",
        "no_key_cache",
    }
)
SSV_FIELDS = frozenset(
    {
        "ssv_operator_ids",
        "ssv_operator_key",
        "ssv_operator_password",
        "ssv_keyshares",
        "ssv_owners",
        "ssv_database",
        "ssv_contract",
        "ssv_from_block",
    }
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SidecarSettings(RelayerClientSettings):
    """What a sidecar can be told."""

    command = "sidecar"

    relayers: tuple[str, ...] = setting(
        "--relayer",
        parsing.url,
        "The address of a relayer; repeatable, each is served by itself.",
        default="http://127.0.0.1:8000",
        also=["RELAYER_ENDPOINT"],
        metavar="URL",
        many=True,
    )
    cluster_type: str | None = setting(
        "--cluster-type",
        parsing.cluster_type,
        "The kind of cluster that is served; the options of the other one do not count. When not set, SSV is"
        " served with --ssv-operator-id, Obol with --cluster-lock, or both.",
        optional=True,
        also=["CLUSTER_TYPE"],
        metavar="obol|ssv",
    )
    cluster_lock: Path | None = setting(
        "--cluster-lock",
        parsing.file,
        "The cluster-lock.json of the node's Obol cluster.",
        optional=True,
        also=["OBOL_CLUSTER_LOCK_FILE"],
    )
    no_verify: bool = shared.no_verify()
    keystores: Path | None = setting(
        "--keystores",
        parsing.directory,
        "The node's validator_keys: keystore-*.json, each with its keystore-*.txt.",
        optional=True,
        also=["OBOL_KEYSTORES_DIR"],
    )
    keystores_template: str | None = setting(
        "--keystores-template",
        parsing.text,
        "The same with {node_index} in place of the node's index, which must then be set.",
        optional=True,
        also=["OBOL_KEYSTORES_DIR_TEMPLATE"],
        metavar="DIRECTORY",
    )
    node_indices: tuple[int, ...] = setting(
        "--node-index",
        parsing.integers,
        "The 0-based place of the node in the lock; found from the keystores when not"
        " set, checked against them when set. Several, such as 0,1,2,3, need --keystores-template.",
        default="",
        also=["OBOL_NODE_INDEX", "OBOL_NODE_INDEXES"],
        metavar="INDEX,...",
    )
    remote_signer: str | None = setting(
        "--remote-signer",
        parsing.url,
        "A web3signer that has the node's key shares, instead of keystores.",
        optional=True,
        also=["REMOTE_SIGNER_URL"],
        metavar="URL",
    )
    remote_signer_timeout: float = setting(
        "--remote-signer-timeout",
        parsing.seconds,
        "How long one request to the remote signer may take.",
        default="10",
        also=["REMOTE_SIGNER_TIMEOUT"],
    )
    allow_vaults: tuple[parsing.AllowedVault, ...] = setting(
        "--allow-vault",
        parsing.allowed_vault,
        "Sign deposits for this vault, too, when the relayer of this name asks (its host, with its port), or"
        " whichever when none is named; repeatable. Without it only exits are signed.",
        many=True,
        metavar="[RELAYER=]ADDRESS",
    )
    allow_vaults_file: tuple[parsing.AllowedVault, ...] | None = setting(
        "--allow-vault-file",
        parsing.allowed_vaults,
        "The same, one a line; a # begins a comment.",
        optional=True,
        metavar="FILE",
    )
    allow_types: tuple[int, ...] = setting(
        "--allow-type",
        parsing.credentials_type,
        "The types of withdrawal credentials that are deposited with; repeatable, both when not set.",
        many=True,
        metavar="0x01|0x02",
    )
    deposits_per_day: int = setting(
        "--deposits-per-day",
        parsing.integer,
        "How many different deposits each relayer gets in one day (UTC), for all its vaults together.",
        default="1000",
        metavar="N",
    )
    deposits_per_validator: int = setting(
        "--deposits-per-validator",
        parsing.integer,
        "How many of these may be of one validator: of other amounts, which change with the vault's assets.",
        default="100",
        metavar="N",
    )
    exits_per_day: int = setting(
        "--exits-per-day",
        parsing.integer,
        "How many exits each relayer gets in one day (UTC); they are repeated whenever indices move.",
        default="1000000",
        metavar="N",
    )
    exits_per_validator: int = setting(
        "--exits-per-validator",
        parsing.integer,
        "How many of these may be of one validator: of other indices.",
        default="20000",
        metavar="N",
    )
    consensus_endpoints: tuple[str, ...] = shared.consensus_endpoints(
        "which validators are live: no deposit of them is signed, and no exit without --allow-rotation"
    )
    consensus_timeout: float = shared.consensus_timeout()
    allow_rotation: bool = setting(
        "--allow-rotation",
        parsing.switch,
        "With a beacon node: sign exits of live validators, too, at their indices, as it takes when the"
        " oracles change.",
        default="false",
    )
    journal: Path = setting(
        "--journal",
        parsing.place,
        "Where it goes on record what is signed, and for whom (SQLite); made when it is missing.",
        default="sidecar-journal.db",
        metavar="FILE",
    )
    metrics_port: int | None = shared.metrics_port()
    metrics_host: str = shared.metrics_host()
    ssv_operator_ids: tuple[int, ...] = setting(
        "--ssv-operator-id",
        parsing.integers,
        "The operator's id in SSV's contract, which is its share index. Several need {operator_id} in the"
        " names of their files.",
        default="",
        also=["SSV_OPERATOR_ID", "SSV_OPERATOR_IDS"],
        metavar="ID,...",
    )
    ssv_operator_key: str | None = setting(
        "--ssv-operator-key",
        parsing.text,
        "The operator's RSA key: PEM, base64 of it, or the node's encrypted_private_key.json; {operator_id}"
        " in its name is replaced by the id.",
        optional=True,
        also=["SSV_OPERATOR_KEY_FILE", "SSV_OPERATOR_KEY_FILE_TEMPLATE"],
        metavar="FILE",
    )
    ssv_operator_password: str | None = setting(
        "--ssv-operator-password-file",
        parsing.text,
        "The file with the password of an encrypted key; {operator_id} as above.",
        optional=True,
        also=["SSV_OPERATOR_PASSWORD_FILE", "SSV_OPERATOR_PASSWORD_FILE_TEMPLATE"],
        metavar="FILE",
    )
    ssv_keyshares: tuple[Path, ...] = setting(
        "--ssv-keyshares",
        parsing.file,
        "A keyshares.json with the operator's key shares; repeatable. The chain is not read then.",
        many=True,
    )
    execution_endpoints: tuple[str, ...] = shared.execution_endpoints(
        "which validators are registered with the SSV operator"
    )
    execution_timeout: float = shared.execution_timeout()
    logs_span_blocks: int | None = shared.logs_span_blocks()
    ssv_owners: tuple[bytes, ...] = setting(
        "--ssv-owner",
        parsing.address,
        "Sign only for validators that this account registered; repeatable. Anybody may register validators"
        " with a public operator.",
        many=True,
        metavar="ADDRESS",
    )
    ssv_database: Path = setting(
        "--ssv-database",
        parsing.place,
        "Where it is kept what the chain says of SSV validators (SQLite); made when it is missing.",
        default="ssv.db",
        metavar="FILE",
    )
    ssv_contract: bytes | None = setting(
        "--ssv-contract",
        parsing.address,
        "SSV's network contract; the network's when not set.",
        optional=True,
        metavar="ADDRESS",
    )
    ssv_from_block: int | None = setting(
        "--ssv-from-block",
        parsing.integer,
        "The first block with its events; the network's when not set. It must be the contract's own, since"
        " all events count for the owners' nonces.",
        optional=True,
        metavar="BLOCK",
    )
    threads: int | None = shared.threads()

    key_cache: Path | None = shared.key_cache()
    no_key_cache: bool = setting(
        "--no-key-cache", parsing.switch, "Decrypt all keystores at every start.", default="false"
    )

    @property
    def extras(self) -> tuple[str, ...]:
        """What reads SSV validators from the chain."""
        return ("chain",) if self.serves_ssv and not self.ssv_keyshares else ()

    @classmethod
    def translated(cls, flags: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
        """With what StakeWise's sidecar makes of several variables that say the same.

        It serves Obol unless it is told otherwise, a remote signer goes before keystores, and of the
        keystores' directory and its template the one that fits the number of nodes is meant. What is told
        by our own names goes before all of that.
        """
        translated = super().translated(flags, environment)
        fields = cls.sources()

        def has_ours(field: str) -> bool:
            return bool(flags.get(field) or translated.get(fields[field].variables[0], "").strip())

        def has_theirs(variable: str) -> bool:
            return bool(translated.get(variable, "").strip())

        if has_ours("remote_signer") or (
            has_theirs(SIGNER) and not (has_ours("keystores") or has_ours("keystores_template"))
        ):
            dropped = {DIRECTORY, TEMPLATE}
        elif has_ours("keystores"):
            dropped = {SIGNER, TEMPLATE}
        elif has_ours("keystores_template"):
            dropped = {SIGNER, DIRECTORY}
        elif has_theirs(DIRECTORY) and has_theirs(TEMPLATE):
            try:
                nodes = parsing.parts(fields["node_indices"].text(flags.get("node_indices"), translated))
            except ValueError:  # none, or one that the setting itself tells of
                nodes = []
            dropped = {DIRECTORY if len(nodes) > 1 else TEMPLATE}
        else:
            dropped = set()
        is_told = has_ours("cluster_type") or has_theirs("CLUSTER_TYPE") or has_ours("ssv_operator_ids")
        if not is_told and (has_ours("cluster_lock") or has_theirs("OBOL_CLUSTER_LOCK_FILE")):
            translated["CLUSTER_TYPE"] = "obol"
        return {name: text for name, text in translated.items() if name not in dropped}

    def of_no_account(self) -> Collection[str]:
        """The options of the other kind of cluster."""
        if self.cluster_type is None:
            return ()
        return SSV_FIELDS if self.cluster_type == "obol" else OBOL_FIELDS

    @property
    def addresses(self) -> tuple[str, ...]:
        """The relayers, in the order in which they were named."""
        return self.relayers

    @property
    def relayer_names(self) -> list[str]:
        """What logs and records call each relayer: without its path and password, which can be secret."""
        hosts = [parsing.host_of(relayer) for relayer in self.relayers]
        return [
            host if hosts.count(host) == 1 else f"{host}#{hosts[:place].count(host) + 1}"
            for place, host in enumerate(hosts)
        ]

    @property
    def vaults_by_relayer(self) -> dict[str | None, frozenset[bytes]]:
        """What may be deposited for, by the relayer that may ask for it; None is any of them."""
        vaults = (*self.allow_vaults, *(self.allow_vaults_file or ()))
        names = dict.fromkeys(vault.relayer for vault in vaults)
        return {name: frozenset(v.address for v in vaults if v.relayer == name) for name in names}

    @property
    def keystores_directories(self) -> list[tuple[int | None, Path]]:
        """Where the keystores of each node are; None is a node to be found from them."""
        if self.keystores is not None:
            return [(self.node_indices[0] if self.node_indices else None, self.keystores)]
        template = self.keystores_template or ""
        return [
            (index, parsing.path(template.replace("{node_index}", str(index)))) for index in self.node_indices
        ]

    @property
    def serves_ssv(self) -> bool:
        """Whether there are SSV operators to serve."""
        return self.cluster_type == "ssv" or (self.cluster_type is None and bool(self.ssv_operator_ids))

    @property
    def serves_obol(self) -> bool:
        """Whether there are Obol nodes to serve."""
        if self.cluster_type is not None:
            return self.cluster_type == "obol"
        return self.cluster_lock is not None or not self.ssv_operator_ids

    def ssv_key_files(self, operator_id: int) -> tuple[Path, Path | None]:
        """Where an operator's key is, and its password, if it has one."""
        key, password = self.ssv_operator_key or "", self.ssv_operator_password
        return _file_of(key, operator_id), _file_of(password, operator_id) if password else None

    def problems(self) -> list[str]:
        """Keys there must be, and where to use them."""
        names = {field: source.name for field, source in self.sources().items()}
        problems = super().problems()
        problems += self._vaults_problems(names)
        if self.allow_rotation and not self.consensus_endpoints:
            # It would change nothing: without a beacon node nobody knows which validators are live.
            problems.append(f"{names['allow_rotation']}: needs {names['consensus_endpoints']}")
        if self.serves_obol:
            problems += self._keystores_problems(names)
        if self.serves_ssv:
            problems += self._ssv_problems(names)
        return problems

    def _vaults_problems(self, names: Mapping[str, str]) -> list[str]:
        known = self.relayer_names
        return [
            f"{names[field]}: no relayer is called {vault.relayer}; there are {', '.join(known)}"
            for field in ("allow_vaults", "allow_vaults_file")
            for vault in getattr(self, field) or ()
            if known and vault.relayer is not None and vault.relayer not in known
        ]

    def _ssv_problems(self, names: Mapping[str, str]) -> list[str]:
        problems = [
            f"{names[field]}: not set, but an SSV operator needs it"
            for field in ("ssv_operator_ids", "ssv_operator_key")
            if not getattr(self, field)
        ]
        if not self.ssv_keyshares:
            if not self.execution_endpoints:
                sources = f"{names['ssv_keyshares']} or {names['execution_endpoints']}"
                problems.append(f"no SSV validators; set {sources}")
            if self.network and self.network.ssv_contract is None and self.ssv_contract is None:
                name = self.network.name
                problems.append(f"{names['ssv_contract']}: not set, and there is no SSV on {name}")
        if problems:
            return problems
        if len(self.ssv_operator_ids) > 1 and OPERATOR_ID not in (self.ssv_operator_key or ""):
            return [f"{names['ssv_operator_key']}: several operators need {OPERATOR_ID} in its name"]
        files = {
            field: [pair[place] for pair in map(self.ssv_key_files, self.ssv_operator_ids)]
            for place, field in enumerate(("ssv_operator_key", "ssv_operator_password"))
        }
        return [
            f"{names[field]}: {problem}"
            for field, of_operators in files.items()
            for path in of_operators
            if path is not None and (problem := paths.no_file(path))
        ]

    def _keystores_problems(self, names: Mapping[str, str]) -> list[str]:
        if self.cluster_lock is None:
            source = self.sources()["cluster_lock"]
            problem = f"{source.name}: not set. {source.help}"
            is_told = self.cluster_type is not None
            return [problem if is_told else f"{problem} For SSV, set {names['ssv_operator_ids']}."]
        if self.key_cache is not None and len(self.node_indices) > 1:
            return [f"{names['key_cache']}: several nodes have a key cache each, beside their keystores"]
        if self.remote_signer is not None:
            others = [field for field in ("keystores", "keystores_template") if getattr(self, field)]
            return [f"{names['remote_signer']}: not together with {names[field]}" for field in others]
        if self.keystores is not None and self.keystores_template is not None:
            return [f"{names['keystores']}: not together with {names['keystores_template']}"]
        if self.keystores is not None:
            if len(self.node_indices) > 1:
                return [f"{names['node_indices']}: several need {names['keystores_template']}"]
            return []
        if self.keystores_template is None:
            places = ", ".join(names[field] for field in ("keystores", "keystores_template", "remote_signer"))
            return [f"no keystores; set one of {places}"]
        if not self.node_indices:
            return [f"{names['node_indices']}: not set, but {names['keystores_template']} needs it"]
        return [
            f"{names['keystores_template']}: {problem}"
            for _, directory in self.keystores_directories
            if (problem := paths.no_directory(directory))
        ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanSettings(SidecarSettings):
    """What `dvtfast sidecar plan` can be told."""

    json: bool = setting("--json", parsing.switch, "Print the plan as JSON.", default="false")


_of_release = functools.partial(setting, prefix="DVTFAST_RELEASE_")  # so that nothing is meant by accident


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReleaseSettings(Settings):
    """What `dvtfast sidecar release` can be told."""

    journal: Path = setting(
        "--journal", parsing.file, "The sidecar's journal; the sidecar may run meanwhile.", metavar="FILE"
    )
    from_vault: bytes = _of_release(
        "--from-vault",
        parsing.address,
        "The vault that the validators are bound to, wrongly.",
        metavar="ADDRESS",
    )
    to_vault: bytes = _of_release(
        "--to-vault",
        parsing.address,
        "The vault that they are to be bound to instead: deposits are signed for no other one then.",
        metavar="ADDRESS",
    )
    validators: tuple[wire.PublicKey, ...] = _of_release(
        "--validator", orders.public_key, "A validator; repeatable.", many=True, metavar="KEY"
    )
    all: bool = _of_release(
        "--all", parsing.switch, "All validators that are bound to that vault.", default="false"
    )
    consensus_endpoints: tuple[str, ...] = shared.consensus_endpoints(
        "which validators have a deposit already: these are not released"
    )
    consensus_timeout: float = shared.consensus_timeout()
    yes: bool = _of_release("--yes", parsing.switch, "Do not ask whether that is meant.", default="false")

    def problems(self) -> list[str]:
        """Which validators, and that something changes."""
        names = {field: source.name for field, source in self.sources().items()}
        problems = super().problems()
        if self.all and self.validators:
            problems.append(f"{names['all']}: not together with {names['validators']}")
        if self.to_vault is not None and self.from_vault == self.to_vault:
            problems.append(f"{names['to_vault']}: expected another vault than {names['from_vault']}")
        return problems


def _file_of(template: str, operator_id: int) -> Path:
    return parsing.path(template.replace(OPERATOR_ID, str(operator_id)))
