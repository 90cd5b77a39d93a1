"""What each service can be told, and where it is told: flag, environment, --env-file, default.

One frozen dataclass per service. A field says its flag, its variables, how its text is read and its
default; `options` makes the command line from that, and `load` reads all sources and reports *all*
problems at once. Every setting has a variable of ours, `DVTFAST_...`; the names that the first
makers' `.env` files use are understood too.
"""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import click

from dvtfast.keystores import MAX_PBKDF2_COUNT, MAX_SCRYPT_WORK, SCRYPT_DEFAULT, Kdf, Pbkdf2, Scrypt
from dvtfast.networks import NETWORKS, Network
from dvtfast.ssv import CLUSTER_SIZES, threshold_of

from . import parsing

EXIT_CODE = 2  # as click's usage errors
LONGEST_WAIT_SECONDS = 20.0  # for a change at the relayer; proxies end what is silent for longer
LARGEST_INDEX_WINDOW = 256  # each index is a signature of every node
OPERATOR_ID = "{operator_id}"  # in the name of a file
SHORTEST_PASSWORD = 8  # staking-deposit-cli takes no shorter one
LARGEST_SCRYPT = MAX_SCRYPT_WORK // SCRYPT_DEFAULT.r  # what keystores are read with
LARGEST_PBKDF2 = MAX_PBKDF2_COUNT
UNKNOWN_SHARES_LIMIT = 32  # share indices of a validator whose cluster is not named to the relayer

S = TypeVar("S", bound="Settings")
Parse = parsing.Parse


class SettingsError(Exception):
    """Settings that a service cannot start with.

    Attributes:
        problems: one line each, with the flag and the variables that mend it.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the value of one setting comes from, and how its text is read.

    `default` is a text too; without one the setting is required, unless it is `optional` (then None).
    `many` settings are tuples; their flag is repeatable, their variable a list with commas.
    """

    flag: str
    variables: tuple[str, ...]
    parse: parsing.Parse
    help: str
    metavar: str
    default: str | None
    optional: bool
    many: bool

    @property
    def name(self) -> str:
        """How a message calls the setting."""
        return f"{self.flag} ({' or '.join(self.variables)})"

    def read(self, given: Any, environment: Mapping[str, str]) -> Any:
        """The value, from what click was given or the strongest other source; raises ValueError."""
        texts = self._texts(given, environment)
        if self.many:
            return tuple(self.parse(text) for text in texts)
        if texts:
            return self.parse(texts[0])
        if self.optional:
            return None
        raise ValueError(f"not set. {self.help}")

    def option(self, field: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """The click option; it takes plain text, so that `load` can report every problem."""
        notes = [f"env {', '.join(self.variables)}"]
        if self.default:
            notes.append(f"default {self.default}")
        elif self.default is None and not self.optional and not self.many:
            notes.append("required")
        text = f"{self.help} [{'; '.join(notes)}]"
        if self.parse is parsing.switch:
            return click.option(self.flag, field, flag_value="true", help=text)
        return click.option(self.flag, field, multiple=self.many, metavar=self.metavar, help=text)

    def _texts(self, given: Any, environment: Mapping[str, str]) -> Sequence[str]:
        if given:
            return [given] if isinstance(given, str) else given
        for variable in self.variables:
            if text := environment.get(variable, "").strip():
                return [part.strip() for part in text.split(",")] if self.many else [text]
        return [self.default] if self.default is not None else []


def setting(
    flag: str,
    parse: parsing.Parse,
    help: str,
    *,
    metavar: str = "",
    default: str | None = None,
    also: Sequence[str] = (),
    optional: bool = False,
    many: bool = False,
) -> Any:
    """A dataclass field that is a setting; `also` are the first makers' variables for it."""
    variables = ("DVTFAST_" + flag.removeprefix("--").replace("-", "_").upper(), *also)
    metavar = metavar or parse.__name__.upper()
    source = Source(flag, variables, parse, help, metavar, default, optional, many)
    return dataclasses.field(metadata={"source": source})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What every service can be told."""

    log_format: str = setting(
        "--log-format",
        parsing.log_format,
        "Log lines for people or for machines.",
        default="plain",
        also=["LOG_FORMAT"],
        metavar="plain|json",
    )
    log_level: str = setting(
        "--log-level",
        parsing.log_level,
        "The least severe line to log.",
        default="info",
        also=["LOG_LEVEL"],
        metavar="debug|info|warning|error",
    )

    unsupported: ClassVar[Mapping[str, str]] = {}
    """Variables of the first makers that must not be set, and what to do instead."""

    def problems(self) -> list[str]:
        """What is wrong with the settings taken together."""
        return []

    @classmethod
    def sources(cls) -> dict[str, Source]:
        """Where each field comes from; those of all services last."""
        common = {field.name for field in dataclasses.fields(Settings)}
        fields = sorted(dataclasses.fields(cls), key=lambda field: field.name in common)
        return {field.name: field.metadata["source"] for field in fields}

    @classmethod
    def load(cls, flags: Mapping[str, Any], environment: Mapping[str, str]) -> Self:
        """Read all sources.

        Raises:
            SettingsError: with every problem there is, not only the first.
        """
        values: dict[str, Any] = {}
        problems = [f"{name}: {why}" for name, why in cls.unsupported.items() if environment.get(name)]
        for field, source in cls.sources().items():
            try:
                values[field] = source.read(flags.get(field), environment)
            except ValueError as error:
                problems.append(f"{source.name}: {error}")
        if not problems:
            settings = cls(**values)
            problems = settings.problems()
        if problems:
            raise SettingsError(problems)
        return settings


def _database() -> Any:
    return setting(
        "--database",
        parsing.database,
        "Where the state is kept.",
        default="sqlite:///relayer.db",
        also=["DATABASE"],
        metavar="URL",
    )


def _key_cache() -> Any:
    return setting(
        "--key-cache",
        parsing.path,
        "The sealed file in which decrypted keystores are kept for the next start;"
        " .dvtfast-key-cache beside them when not set.",
        optional=True,
        metavar="FILE",
    )


def _storage_key_file(*, optional: bool) -> Any:
    return setting(
        "--storage-key-file",
        parsing.file,
        "Seal the signatures in the database under the key in this file; make one with"
        " `dvtfast relayer storage-key FILE`. Without it, whoever has the database can exit the validators.",
        optional=optional,
    )


def _validator_lifetime() -> Any:
    return setting(
        "--validator-lifetime",
        parsing.seconds,
        "Forget validators that nobody asked for during this time, unless their shares were handed out.",
        default="604800",
        also=["VALIDATOR_LIFETIME"],
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelayerSettings(Settings):
    """What the relayer can be told."""

    network: Network = setting(
        "--network",
        parsing.network,
        "The network whose validators register.",
        also=["NETWORK"],
        metavar="|".join(NETWORKS),
    )
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
        parsing.integer,
        "The validator index of the first new validator, where the operator does not say one.",
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
    registered_keys: Path | None = setting(
        "--registered-keys",
        parsing.file,
        "Validators that are registered already, one public key a line; /register gives none of them.",
        optional=True,
    )
    execution_endpoints: tuple[str, ...] = setting(
        "--execution-endpoint",
        parsing.url,
        "An execution node (JSON-RPC); repeatable, the next one is asked when one fails. It tells which"
        " validators are registered, what the validators manager signs over, and the oracle config.",
        many=True,
        also=["EXECUTION_ENDPOINT"],
        metavar="URL",
    )
    execution_timeout: float = setting(
        "--execution-timeout",
        parsing.seconds,
        "How long one request to an execution node may take.",
        default="10",
        also=["EXECUTION_TIMEOUT"],
    )
    consensus_endpoints: tuple[str, ...] = setting(
        "--consensus-endpoint",
        parsing.url,
        "A beacon node; repeatable. It tells which validators are registered, and which have exited: the"
        " relayer forgets those.",
        many=True,
        also=["CONSENSUS_ENDPOINT"],
        metavar="URL",
    )
    consensus_timeout: float = setting(
        "--consensus-timeout",
        parsing.seconds,
        "How long one request to a beacon node may take.",
        default="30",
        also=["CONSENSUS_TIMEOUT"],
    )
    deposits_from_block: int | None = setting(
        "--deposits-from-block",
        parsing.integer,
        "The first block with deposits of the clusters' validators; the deposit contract's when not set.",
        optional=True,
        metavar="BLOCK",
    )
    ipfs_gateways: tuple[str, ...] = setting(
        "--ipfs-gateway",
        parsing.url,
        "A gateway to IPFS; repeatable. What it serves is verified.",
        many=True,
        also=["IPFS_FETCH_ENDPOINTS"],
        metavar="URL",
    )
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
    daily_limits: tuple[parsing.DailyLimit, ...] = setting(
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
    validator_lifetime: float = _validator_lifetime()
    database: str = _database()
    storage_key_file: Path | None = _storage_key_file(optional=True)
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
    threads: int | None = setting(
        "--threads",
        parsing.count,
        "Threads for cryptography; all cores this process may use when not set.",
        optional=True,
        metavar="N",
    )
    no_gzip: bool = setting(
        "--no-gzip", parsing.switch, "Never compress an answer, also for those who take it.", default="false"
    )
    timings_file: Path | None = setting(
        "--timings-file",
        parsing.path,
        "Write how late the event loop woke up, and the slowest request, to FILE at the end.",
        optional=True,
        metavar="FILE",
    )

    def problems(self) -> list[str]:
        """Something to serve there must be."""
        names = {field: source.name for field, source in self.sources().items()}
        if self.index_window > LARGEST_INDEX_WINDOW:
            return [
                f"{names['index_window']}: expected at most {LARGEST_INDEX_WINDOW}, got {self.index_window}"
            ]
        if problems := self._chain_problems(names):
            return problems
        threshold = self.signature_threshold or 0
        if threshold > UNKNOWN_SHARES_LIMIT:
            return [
                f"{names['signature_threshold']}: expected at most {UNKNOWN_SHARES_LIMIT}, got {threshold}"
            ]
        if threshold or self.cluster_locks or self.ssv_keyshares:
            return []
        wanted = [names[field] for field in ("cluster_locks", "ssv_keyshares", "signature_threshold")]
        return [f"nothing to serve; set at least one of {', '.join(wanted)}"]

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatabaseSettings(Settings):
    """What every command on a relayer's database can be told."""

    database: str = _database()


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncryptSettings(DatabaseSettings):
    """What `dvtfast relayer encrypt-storage` can be told."""

    storage_key_file: Path = _storage_key_file(optional=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RotateSettings(EncryptSettings):
    """What `dvtfast relayer rotate-storage-key` can be told."""

    new_storage_key_file: Path = setting(
        "--new-storage-key-file", parsing.file, "The key that takes the place of --storage-key-file."
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForgetSettings(DatabaseSettings):
    """What `dvtfast relayer forget` can be told."""

    file: Path | None = setting(
        "--file", parsing.file, "Forget the public keys in this file, one a line.", optional=True
    )
    all_expired: bool = setting(
        "--all-expired",
        parsing.switch,
        "Forget all validators that nobody asked for during --validator-lifetime.",
        default="false",
    )
    with_handed_out: bool = setting(
        "--with-handed-out",
        parsing.switch,
        "With --all-expired: also those whose shares were handed out, which the relayer never forgets by"
        " itself.",
        default="false",
    )
    validator_lifetime: float = _validator_lifetime()
    yes: bool = setting("--yes", parsing.switch, "Do not ask whether that is meant.", default="false")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelayerClientSettings(Settings):
    """What every client of a relayer can be told."""

    network: Network = setting(
        "--network",
        parsing.network,
        "The network of the validators; the relayer must serve the same.",
        also=["NETWORK"],
        metavar="|".join(NETWORKS),
    )
    relayer_timeout: float = setting(
        "--relayer-timeout",
        parsing.seconds,
        "How long one request to the relayer may take.",
        default="10",
        also=["RELAYER_TIMEOUT"],
    )
    poll_interval: float = setting(
        "--poll-interval",
        parsing.seconds,
        "The pause between two looks at a relayer that cannot tell when something changes.",
        default="1",
        also=["POLL_INTERVAL"],
    )

    @property
    def wait_seconds(self) -> float:
        """How long a relayer is asked to wait for a change; a part of what a request may take."""
        return min(self.relayer_timeout / 2, LONGEST_WAIT_SECONDS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SidecarSettings(RelayerClientSettings):
    """What a sidecar can be told."""

    relayers: tuple[str, ...] = setting(
        "--relayer",
        parsing.url,
        "The address of a relayer; repeatable, each is served by itself.",
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
    allow_vaults: tuple[bytes, ...] = setting(
        "--allow-vault",
        parsing.address,
        "Sign deposits for this vault, too; repeatable. Without it only exits are signed.",
        many=True,
        metavar="ADDRESS",
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
        "How many different deposits are signed in one day (UTC), for all vaults together.",
        default="1000",
        metavar="N",
    )
    exits_per_day: int = setting(
        "--exits-per-day",
        parsing.integer,
        "How many exits each relayer gets in one day (UTC); they are repeated whenever indices move.",
        default="1000000",
        metavar="N",
    )
    journal: Path = setting(
        "--journal",
        parsing.path,
        "Where it goes on record what is signed, and for whom (SQLite); made when it is missing.",
        default="sidecar-journal.db",
        metavar="FILE",
    )
    metrics_port: int | None = setting(
        "--metrics-port",
        parsing.port,
        "Serve /metrics (Prometheus) and /healthz on this port; 0 takes any free one and logs it.",
        optional=True,
    )
    metrics_host: str = setting(
        "--metrics-host",
        parsing.text,
        "The address to serve them on.",
        default="127.0.0.1",
        metavar="ADDRESS",
    )
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
    execution_endpoints: tuple[str, ...] = setting(
        "--execution-endpoint",
        parsing.url,
        "An execution node (JSON-RPC); repeatable, the next one is asked when one fails. It tells which"
        " validators are registered with the SSV operator.",
        many=True,
        also=["EXECUTION_ENDPOINT"],
        metavar="URL",
    )
    execution_timeout: float = setting(
        "--execution-timeout",
        parsing.seconds,
        "How long one request to an execution node may take.",
        default="10",
        also=["EXECUTION_TIMEOUT"],
    )
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
        parsing.path,
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
    threads: int | None = setting(
        "--threads",
        parsing.count,
        "Threads for cryptography; all cores this process may use when not set.",
        optional=True,
        metavar="N",
    )

    key_cache: Path | None = _key_cache()
    no_key_cache: bool = setting(
        "--no-key-cache", parsing.switch, "Decrypt all keystores at every start.", default="false"
    )

    @property
    def relayer_names(self) -> list[str]:
        """What logs and records call each relayer: without its path and password, which can be secret."""
        hosts = [parsing.host_of(relayer) for relayer in self.relayers]
        return [
            host if hosts.count(host) == 1 else f"{host}#{hosts[:place].count(host) + 1}"
            for place, host in enumerate(hosts)
        ]

    @property
    def keystores_directories(self) -> list[tuple[int | None, Path]]:
        """Where the keystores of each node are; None is a node to be found from them."""
        if self.keystores is not None:
            return [(self.node_indices[0] if self.node_indices else None, self.keystores)]
        template = self.keystores_template or ""
        return [(index, Path(template.replace("{node_index}", str(index)))) for index in self.node_indices]

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
        problems = [] if self.relayers else [f"{names['relayers']}: not set"]
        if self.serves_obol:
            problems += self._keystores_problems(names)
        if self.serves_ssv:
            problems += self._ssv_problems(names)
        return problems

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
            if self.network.ssv_contract is None and self.ssv_contract is None:
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
            f"{names[field]}: no such file: {path}"
            for field, paths in files.items()
            for path in paths
            if path is not None and not path.is_file()
        ]

    def _keystores_problems(self, names: Mapping[str, str]) -> list[str]:
        if self.cluster_lock is None:
            source = self.sources()["cluster_lock"]
            return [f"{source.name}: not set. {source.help}"]
        if self.key_cache is not None and len(self.node_indices) > 1:
            return [f"{names['key_cache']}: several nodes have a key cache each, beside their keystores"]
        if self.remote_signer is not None:
            others = [field for field in ("keystores", "keystores_template") if getattr(self, field)]
            return [f"{names['remote_signer']}: not together with {names[field]}" for field in others]
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
            f"{names['keystores_template']}: no such directory: {directory}"
            for _, directory in self.keystores_directories
            if not directory.is_dir()
        ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanSettings(SidecarSettings):
    """What `dvtfast sidecar plan` can be told."""

    json: bool = setting("--json", parsing.switch, "Print the plan as JSON.", default="false")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OperatorSettings(RelayerClientSettings):
    """What `dvtfast operator register` can be told."""

    relayer: str = setting("--relayer", parsing.url, "The address of the relayer.", also=["RELAYER_ENDPOINT"])
    deposit_data: Path = setting(
        "--deposit-data", parsing.file, "The launchpad deposit data of the validators."
    )
    oracles: Path | None = setting(
        "--oracles",
        parsing.file,
        "The protocol config; with it the number of oracle shares is checked.",
        optional=True,
    )
    start_index: int | None = setting(
        "--start-index",
        parsing.integer,
        "The validator index that the first validator of the file will get.",
        optional=True,
        metavar="INDEX",
    )
    output: Path = setting(
        "--output",
        parsing.path,
        "Where the registration bundle is written.",
        default="registration.json",
        metavar="FILE",
    )
    chunk_size: int = setting(
        "--chunk-size", parsing.count, "Validators per request to the relayer.", default="250", metavar="N"
    )
    skip_invalid: bool = setting(
        "--skip-invalid",
        parsing.switch,
        "Leave out records of the deposit data that are wrong, instead of stopping.",
        default="false",
    )
    timeout_seconds: float = setting(
        "--timeout-seconds", parsing.seconds, "Give up when it takes longer than this.", default="3600"
    )

    def problems(self) -> list[str]:
        """The output must have a place, which is better known before the round than after it."""
        if self.output.resolve().parent.is_dir():
            return []
        return [f"{self.sources()['output'].name}: no such directory: {self.output.parent}"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoSettings(Settings):
    """What `dvtfast demo` can be told."""

    validators: int = setting(
        "--validators", parsing.count, "Validators in the cluster.", default="1000", metavar="N"
    )
    nodes: int = setting("--nodes", parsing.count, "Nodes in the cluster.", default="4", metavar="N")
    threshold: int = setting(
        "--threshold", parsing.count, "Nodes that a signature needs.", default="3", metavar="T"
    )
    ssv: bool = setting(
        "--ssv",
        parsing.switch,
        "A cluster of SSV operators instead of Obol nodes; 4, 7, 10 or 13, of whom 2f+1 of 3f+1 must sign.",
        default="false",
    )
    oracles: int = setting("--oracles", parsing.count, "Oracles in the config.", default="11", metavar="K")
    oracle_threshold: int = setting(
        "--oracle-threshold", parsing.count, "Oracles that an exit needs.", default="8", metavar="M"
    )
    network: Network = setting(
        "--network",
        parsing.network,
        "The network whose constants are used; nothing is contacted.",
        default="hoodi",
        metavar="|".join(NETWORKS),
    )
    workdir: Path | None = setting(
        "--workdir",
        parsing.path,
        "Where files, databases and logs go, and stay; a temporary directory when not set.",
        optional=True,
        metavar="DIR",
    )
    json: bool = setting("--json", parsing.switch, "Print the summary as JSON.", default="false")
    timeout_seconds: float = setting(
        "--timeout-seconds", parsing.seconds, "Give up when it takes longer than this.", default="600"
    )

    def problems(self) -> list[str]:
        """A threshold must not exceed its total."""
        pairs = [("nodes", "threshold"), ("oracles", "oracle_threshold")]
        flags = {field: source.flag for field, source in self.sources().items()}
        if self.ssv and self.nodes not in CLUSTER_SIZES:
            sizes = ", ".join(map(str, CLUSTER_SIZES))
            return [f"{flags['nodes']}: expected {sizes} with {flags['ssv']}, got {self.nodes}"]
        if self.ssv and self.threshold != (wanted := threshold_of(self.nodes)):
            return [f"{flags['threshold']}: expected {wanted} with {flags['ssv']}, got {self.threshold}"]
        return [
            f"{flags[threshold]}: expected at most {flags[total]} {getattr(self, total)},"
            f" got {getattr(self, threshold)}"
            for total, threshold in pairs
            if getattr(self, threshold) > getattr(self, total)
        ]


def _threads() -> Any:
    return setting(
        "--threads",
        parsing.count,
        "Threads for cryptography; all cores this process may use when not set.",
        optional=True,
        metavar="N",
    )


def _json() -> Any:
    return setting("--json", parsing.switch, "Print JSON.", default="false")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterVerifySettings(Settings):
    """What `dvtfast cluster verify` can be told."""

    threads: int | None = _threads()
    json: bool = _json()


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeysSettings(Settings):
    """What every `dvtfast keys` command can be told."""

    cluster_lock: Path | None = setting(
        "--cluster-lock",
        parsing.file,
        "The cluster-lock.json of the node: whose key shares the keystores are.",
        optional=True,
        also=["OBOL_CLUSTER_LOCK_FILE"],
    )
    threads: int | None = _threads()


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeyCacheSettings(KeysSettings):
    """What `dvtfast keys import` can be told."""

    key_cache: Path | None = _key_cache()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListSettings(KeyCacheSettings):
    """What `dvtfast keys list` can be told."""

    json: bool = _json()


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifySettings(KeysSettings):
    """What `dvtfast keys verify` can be told."""

    json: bool = _json()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportSettings(KeyCacheSettings):
    """What `dvtfast keys export` can be told."""

    function: str = setting(
        "--kdf",
        parsing.kdf,
        "How keys are derived from passwords.",
        default="pbkdf2",
        metavar="pbkdf2|scrypt",
    )
    cost: int = setting(
        "--cost",
        parsing.integer,
        "Rounds of pbkdf2 or n of scrypt; others refuse keystores with less than the default.",
        default="262144",
        metavar="N",
    )
    password_file: Path | None = setting(
        "--password-file",
        parsing.file,
        "One password for all keystores, its line ends left out; it is not copied. Without it each keystore"
        " gets a password of its own, in a file next to it.",
        optional=True,
    )

    def kdf(self) -> Kdf:
        """As the keystores will have it."""
        return Scrypt(n=self.cost) if self.function == Scrypt.function else Pbkdf2(count=self.cost)

    def password(self) -> str | None:
        """The one given.

        Raises:
            SettingsError: the file is unreadable, or the password shorter than any should be.
        """
        if self.password_file is None:
            return None
        try:
            password = self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            password = ""
        if len(password) < SHORTEST_PASSWORD:
            name = self.sources()["password_file"].name
            raise SettingsError([f"{name}: expected at least {SHORTEST_PASSWORD} characters in UTF-8"])
        return password

    def problems(self) -> list[str]:
        """A cost that is no less than what others take."""
        name = self.sources()["cost"].name
        if self.cost < SCRYPT_DEFAULT.n:
            return [f"{name}: expected at least {SCRYPT_DEFAULT.n}, got {self.cost}"]
        if self.function == Scrypt.function and (self.cost & (self.cost - 1) or self.cost > LARGEST_SCRYPT):
            return [f"{name}: expected a power of two of at most {LARGEST_SCRYPT}, got {self.cost}"]
        if self.cost > LARGEST_PBKDF2:
            return [f"{name}: expected at most {LARGEST_PBKDF2}, got {self.cost}"]
        return []


def options(cls: type[S]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a click command that takes its settings: adds the options, --env-file, and loads them.

    A group of commands that is one itself loads them only when none of its commands is called. What
    else the command has, such as click arguments, it gets after its settings.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(env_file: str | None, **flags: Any) -> Any:
            if (name := click.get_current_context().invoked_subcommand) is not None:
                if given := [source.flag for field, source in cls.sources().items() if flags.get(field)]:
                    raise click.UsageError(f"{', '.join(given)}: expected after the command {name!r}")
                return None
            arguments = {field: flags.pop(field) for field in flags.keys() - cls.sources().keys()}
            try:
                from_file = read_env_file(Path(env_file)) if env_file else {}
                settings = cls.load(flags, {**from_file, **os.environ})
            except SettingsError as error:
                for problem in error.problems:
                    click.echo(f"error: {problem}", err=True)
                raise SystemExit(EXIT_CODE) from None
            return command(settings, **arguments)

        help_text = "Read variables from FILE (NAME=value lines); the environment goes before it."
        wrapped: Callable[..., Any] = click.option("--env-file", metavar="FILE", help=help_text)(run)
        for field, source in reversed(cls.sources().items()):
            wrapped = source.option(field)(wrapped)
        return wrapped

    return decorate


def read_env_file(path: Path) -> dict[str, str]:
    """Read NAME=value lines; comments, quotes and a leading `export` are understood.

    Raises:
        SettingsError: the file is unreadable, or some of its lines are no such thing.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"--env-file: cannot read {path}: {error}"]) from None
    variables: dict[str, str] = {}
    problems = []
    for number, line in enumerate(lines, 1):
        line = line.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name.isidentifier():
            problems.append(f"--env-file: {path}:{number}: expected NAME=value")
        elif value[:1] in ("'", '"'):
            variables[name] = value[1:].partition(value[0])[0]
        else:
            variables[name] = value.partition(" #")[0].rstrip()
    if problems:
        raise SettingsError(problems)
    return variables


def _file_of(template: str, operator_id: int) -> Path:
    return Path(template.replace(OPERATOR_ID, str(operator_id)))
