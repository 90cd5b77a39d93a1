"""The variables of StakeWise's own programs, so that nothing of an `.env` of theirs passes in silence.

One table for each program, with a decision for each name: it is read; or it says nothing here, which the
start of the program tells in one line; or it asks for what is not done, and the program does not start.
The same tables are printed in docs/, which a test compares.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

OFF: Final = frozenset({"0", "false", "no", "off"})
ON: Final = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True)
class Decision:
    """What becomes of a variable.

    Attributes:
        flag: the setting that it is read for, or "".
        why: it is not read.
        refuses: the commands that do not start with it; "" are all.
        harmless: values with which it asks for nothing that is not done.
    """

    flag: str = ""
    why: str = ""
    refuses: tuple[str, ...] = ()
    harmless: frozenset[str] = field(default=frozenset())

    def is_refused(self, command: str, value: str) -> bool:
        """Whether a command must not start."""
        if not self.refuses or value.strip().lower() in self.harmless:
            return False
        return "" in self.refuses or command in self.refuses

    @property
    def text(self) -> str:
        """For the table."""
        if self.flag:
            return f"read: `{self.flag}`"
        if not self.refuses:
            return f"ignored: {self.why}"
        by = ", ".join(f"`{command}`" for command in self.refuses if command)
        only = f" by {by}" if by else ""
        unless = {OFF: ", unless it is off", ON: ", unless it is on"}.get(self.harmless, "")
        return f"refused{only}{unless}: {self.why}"


def _read(flag: str) -> Decision:
    return Decision(flag=flag)


def _ignored(why: str) -> Decision:
    return Decision(why=why)


def _refused(why: str, *commands: str, unless: frozenset[str] = frozenset()) -> Decision:
    return Decision(why=why, refuses=commands or ("",), harmless=unless)


Decisions = Mapping[str, Decision]  # a name that ends with * is for all that begin so

_SENTRY: Final = _ignored("nothing is reported to Sentry; see the log and `/metrics`")
_RETRIES: Final = _ignored("how long something is tried again is a rule of each action, not a setting")
_KEYS_OF_ITS_OWN: Final = _ignored(
    "the operator has no validator keys; those of a cluster are at its sidecars"
)
_BY_ITSELF: Final = _ignored("nothing is topped up by itself; `dvtfast operator fund` does it when told")
_NO_FEE_SPLITTER: Final = _ignored("it says something only with `CLAIM_FEE_SPLITTER`")
_NODES: Final = {
    "EXECUTION_ENDPOINT": _read("--execution-endpoint"),
    "EXECUTION_ENDPOINTS": _read("--execution-endpoint"),
    "EXECUTION_TIMEOUT": _read("--execution-timeout"),
    "EXECUTION_RETRY_TIMEOUT": _RETRIES,
    "EVENTS_BLOCKS_RANGE_INTERVAL": _read("--logs-span-blocks"),
    "CONSENSUS_ENDPOINT": _read("--consensus-endpoint"),
    "CONSENSUS_ENDPOINTS": _read("--consensus-endpoint"),
    "CONSENSUS_TIMEOUT": _read("--consensus-timeout"),
    "CONSENSUS_RETRY_TIMEOUT": _RETRIES,
}
_COMMON: Final = {
    "NETWORK": _read("--network"),
    "LOG_LEVEL": _read("--log-level"),
    "LOG_FORMAT": _read("--log-format"),
    "VERBOSE": _read("--log-level debug"),
    "SENTRY_*": _SENTRY,
}
_IPFS: Final = {
    "IPFS_FETCH_ENDPOINTS": _read("--ipfs-gateway"),
    "IPFS_TIMEOUT": _read("--ipfs-timeout"),
    "IPFS_RETRY_TIMEOUT": _RETRIES,
}

RELAYER: Final[Decisions] = MappingProxyType(
    {
        **_COMMON,
        "RELAYER_HOST": _read("--host"),
        "RELAYER_PORT": _read("--port"),
        "SIGNATURE_THRESHOLD": _read("--signature-threshold"),
        "DATABASE": _read("--database"),
        "VALIDATOR_LIFETIME": _read("--validator-lifetime"),
        "VALIDATORS_MANAGER_KEY_FILE": _read("--manager-keystore"),
        "VALIDATORS_MANAGER_PASSWORD_FILE": _read("--manager-password-file"),
        "PUBLIC_KEYS_FILE": _refused(
            "`/register` gives validators of the clusters that are named, whose key shares are known; name"
            " them with --cluster-lock or --ssv-keyshares (--registered-keys leaves some out), and unset it"
        ),
        **_NODES,
        **_IPFS,
        "GENESIS_VALIDATORS_IPFS_*": _ignored("the dump is a file that --genesis-validators names"),
    }
)

SIDECAR: Final[Decisions] = MappingProxyType(
    {
        **_COMMON,
        "RELAYER_ENDPOINT": _read("--relayer"),
        "RELAYER_TIMEOUT": _read("--relayer-timeout"),
        "POLL_INTERVAL": _read("--poll-interval"),
        "CLUSTER_TYPE": _read("--cluster-type"),
        "OBOL_CLUSTER_LOCK_FILE": _read("--cluster-lock"),
        "OBOL_KEYSTORES_DIR": _read("--keystores"),
        "OBOL_KEYSTORES_DIR_TEMPLATE": _read("--keystores-template"),
        "OBOL_NODE_INDEX": _read("--node-index"),
        "OBOL_NODE_INDEXES": _read("--node-index"),
        "REMOTE_SIGNER_URL": _read("--remote-signer"),
        "REMOTE_SIGNER_TIMEOUT": _read("--remote-signer-timeout"),
        "SSV_OPERATOR_ID": _read("--ssv-operator-id"),
        "SSV_OPERATOR_IDS": _read("--ssv-operator-id"),
        "SSV_OPERATOR_KEY_FILE": _read("--ssv-operator-key"),
        "SSV_OPERATOR_KEY_FILE_TEMPLATE": _read("--ssv-operator-key"),
        "SSV_OPERATOR_PASSWORD_FILE": _read("--ssv-operator-password-file"),
        "SSV_OPERATOR_PASSWORD_FILE_TEMPLATE": _read("--ssv-operator-password-file"),
        "DATABASE": _ignored("its files are those of --journal and --ssv-database"),
        **_NODES,
    }
)

OPERATOR: Final[Decisions] = MappingProxyType(
    {
        **_COMMON,
        "VAULT": _read("--vault"),
        "DATA_DIR": _ignored("files are where their flags say, such as --journal and --deposits-database"),
        "DATABASE_DIR": _ignored(
            "files are where their flags say, such as --journal and --deposits-database"
        ),
        **_NODES,
        "EXECUTION_JWT_SECRET": _refused(
            "nodes are asked without a JWT; name the node's JSON-RPC port, often 8545, which wants none, with"
            " --execution-endpoint"
        ),
        "RELAYER_ENDPOINT": _read("--relayer"),
        "RELAYER_TIMEOUT": _read("--relayer-timeout"),
        "POLL_INTERVAL": _read("--poll-interval"),
        "WALLET_FILE": _read("--wallet-keystore"),
        "HOT_WALLET_FILE": _read("--wallet-keystore"),
        "WALLET_PASSWORD_FILE": _read("--wallet-password-file"),
        "HOT_WALLET_PASSWORD_FILE": _read("--wallet-password-file"),
        "WALLET_PRIVATE_KEY": _refused(
            "a key in the environment can be read by others; put it into a keystore for --wallet-keystore, or"
            " into a signer for --signer-url"
        ),
        "VALIDATOR_TYPE": _read("--validator-type"),
        "MAX_VALIDATOR_BALANCE_GWEI": _read("--max-validator-balance-gwei"),
        "VAULT_MIN_BALANCE_GWEI": _read("--vault-min-balance-gwei"),
        "MIN_DEPOSIT_AMOUNT_GWEI": _BY_ITSELF,
        "MIN_DEPOSIT_DELAY": _BY_ITSELF,
        "VALIDATORS_FUNDING_BATCH_SIZE": _BY_ITSELF,
        "VAULT_FIRST_BLOCK": _ignored("events are read from the network's own blocks on"),
        "MAX_FEE_PER_GAS_GWEI": _read("--max-fee-gwei"),
        "PRIORITY_FEE_NUM_BLOCKS": _read("--priority-fee-blocks"),
        "PRIORITY_FEE_PERCENTILE": _read("--priority-fee-percentile"),
        "ATTEMPTS_WITH_DEFAULT_GAS": _ignored("offers rise by rules of their own up to --max-fee-gwei"),
        "MAX_WITHDRAWAL_REQUEST_FEE_GWEI": _read("--max-request-fee-gwei"),
        "MAX_CONSOLIDATION_REQUEST_FEE_GWEI": _read("--max-request-fee-gwei"),
        "HARVEST_VAULT": _refused(
            "rewards are taken only with what is registered or funded; have another program harvest, and"
            " unset it",
            "operator run",
            unless=OFF,
        ),
        "CLAIM_FEE_SPLITTER": _refused(
            "nothing is claimed; have another program do it, and unset it", "operator run", unless=OFF
        ),
        "FEE_SPLITTER_INTERVAL": _NO_FEE_SPLITTER,
        "FEE_SPLITTER_MIN_ASSETS": _NO_FEE_SPLITTER,
        "WITHDRAWALS_INTERVAL": _refused(
            "nothing is withdrawn for the exit queue by itself; do it with `dvtfast operator withdraw`, and"
            " unset it",
            "operator run",
        ),
        "DISABLE_WITHDRAWALS": _refused(
            "nothing is withdrawn for the exit queue by itself; do it with `dvtfast operator withdraw`, and"
            " set it to true",
            "operator run",
            unless=ON,
        ),
        "DISABLE_FULL_WITHDRAWALS": _refused(
            "no validator is exited by itself; do it with `dvtfast operator withdraw --exit`, and set it to"
            " true",
            "operator run",
            unless=ON,
        ),
        "DISABLE_VALIDATORS_REGISTRATION": _refused(
            "to register is what this command is for; do not start it, or unset the variable",
            "operator register",
            "operator run",
            unless=OFF,
        ),
        "DISABLE_VALIDATORS_FUNDING": _refused(
            "nothing is topped up by itself; do it with `dvtfast operator fund`, and set it to true",
            "operator run",
            unless=ON,
        ),
        "DISABLE_AVAILABLE_VALIDATORS_WARNINGS": _ignored("there is no such warning"),
        "ENABLE_METRICS": _read("--metrics-port"),
        "METRICS_HOST": _read("--metrics-host"),
        "METRICS_PORT": _read("--metrics-port"),
        "METRICS_PREFIX": _ignored("the metrics have names of their own"),
        "CONCURRENCY": _ignored("--threads says how many cores are used"),
        "KEYSTORES_DIR": _KEYS_OF_ITS_OWN,
        "KEYSTORES_PASSWORD_FILE": _KEYS_OF_ITS_OWN,
        "KEYSTORES_PASSWORD_DIR": _KEYS_OF_ITS_OWN,
        "REMOTE_SIGNER_URL": _KEYS_OF_ITS_OWN,
        "REMOTE_SIGNER_TIMEOUT": _KEYS_OF_ITS_OWN,
        "HASHI_VAULT_*": _KEYS_OF_ITS_OWN,
        "GRAPH_ENDPOINT": _ignored("no subgraph is asked"),
        **_IPFS,
        "SKIP_STARTUP_CHECKS": _ignored("what is needed is checked before each action"),
        "RUN_NODES": _refused(
            "no nodes are run; name some with --execution-endpoint and --consensus-endpoint", unless=OFF
        ),
        "ORACLES_VALIDATORS_TIMEOUT": _read("--oracle-timeout"),
        "ORACLES_CONSOLIDATION_TIMEOUT": _read("--oracle-timeout"),
        "ORACLES_EXITS_TIMEOUT": _read("--oracle-timeout"),
    }
)

TABLES: Final[Mapping[str, Decisions]] = MappingProxyType(
    {"relayer": RELAYER, "sidecar": SIDECAR, "operator": OPERATOR}
)


def decision_of(name: str, decisions: Decisions) -> Decision | None:
    """What becomes of a variable; None for one that is not StakeWise's."""
    if (found := decisions.get(name)) is not None:
        return found
    for pattern, decision in decisions.items():
        if pattern.endswith("*") and name.startswith(pattern[:-1]):
            return decision
    return None


def refused(command: str, environment: Mapping[str, str]) -> list[str]:
    """A line for each variable with which a command must not start; its value is not shown."""
    decisions = TABLES.get(command.partition(" ")[0], {})
    return [
        f"{name}: {decision.why.replace('`', '')}"
        for name, value in sorted(environment.items())
        if value.strip()
        and (decision := decision_of(name, decisions)) is not None
        and decision.is_refused(command, value)
    ]


def ignored(command: str, environment: Mapping[str, str], read: Collection[str]) -> set[str]:
    """The variables of StakeWise that are set and say nothing to a command, which reads those that are named.

    What another command of the same program reads is among them.
    """
    decisions = TABLES.get(command.partition(" ")[0], {})
    return {
        name
        for name, value in environment.items()
        if value.strip()
        and (decision := decision_of(name, decisions)) is not None
        and name not in read
        and not decision.is_refused(command, value)
    }


def as_markdown(program: str) -> str:
    """The table of a program, as its page in docs/ has it."""
    rows = (f"| `{name}` | {decision.text} |" for name, decision in TABLES[program].items())
    return "\n".join(["| StakeWise's variable | what becomes of it |", "|---|---|", *rows])
