"""What the operator's commands can be told."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvtfast.constants import GWEI_PER_VALIDATOR, MAX_GWEI_PER_VALIDATOR
from dvtfast.networks import NETWORKS, Network

from ..chain import units
from ..chain.contracts.manager_messages import COMPOUNDING, ETH1_ADDRESS
from ..files import paths
from . import orders, parsing, shared
from .relayer_client import RelayerClientSettings
from .sources import Settings, setting

ROOM_TO_CANCEL = 1.125 + 1e-6  # what a tip must be able to rise by: a replacement offers an eighth more
THEIR_METRICS_PORT = "9100"  # of StakeWise's operator
SUCH_AS = "such as 0x8f...=1.5eth, 0x8f...=0.5gno, or 0x8f...=1500000000gwei as the beacon chain counts"


def default_tip_cap_gwei(network: Network) -> float:
    """The most that is offered as a tip: half of the network's cap above the least that nodes want."""
    return network.max_fee_gwei / 2 + network.min_priority_fee_gwei


def _validators_file(columns: str) -> Any:
    return setting(
        "--validators-file",
        parsing.file,
        f"The same in a CSV or JSON file, with public_key and {columns}.",
        optional=True,
    )


def _max_balance() -> Any:
    return setting(
        "--max-validator-balance-gwei",
        parsing.count,
        "How much a validator of type 0x02 gets at most, in gwei as the beacon chain counts; when not set, "
        + units.stake_on_each((each, each.max_validator_balance_gwei) for each in NETWORKS.values())
        + ".",
        optional=True,
        also=["MAX_VALIDATOR_BALANCE_GWEI"],
        metavar="GWEI",
    )


def _again() -> Any:
    return setting(
        "--again",
        parsing.switch,
        "Do what the journal says was done during the last day, once more.",
        default="false",
    )


def _collect_seconds(default: str) -> Any:
    return setting(
        "--collect-seconds",
        parsing.seconds,
        "How long a rotation of exits waits for the relayer's nodes to sign those that it does not have.",
        default=default,
    )


def _oracle_timeout(*variables: str) -> Any:
    return setting(
        "--oracle-timeout",
        parsing.seconds,
        "How long one replica of an oracle may take.",
        default="10",
        also=variables,
    )


def _vault_min_balance() -> Any:
    return setting(
        "--vault-min-balance-gwei",
        parsing.integer,
        "Leave so much in the vault, in gwei of what it holds: 10^9 to one, whatever the beacon chain"
        " counts.",
        default="0",
        also=["VAULT_MIN_BALANCE_GWEI"],
        metavar="GWEI",
    )


def _max_request_fee(variable: str) -> Any:
    return setting(
        "--max-request-fee-gwei",
        parsing.gwei,
        "The most that is paid for one request to the beacon chain, beside gas; while it costs more nothing"
        " is sent.",
        default="1000",
        also=[variable],
        metavar="GWEI",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CollectSettings(RelayerClientSettings):
    """What `dvtfast operator collect` can be told."""

    command = "operator collect"

    relayer: str = setting("--relayer", parsing.url, "The address of the relayer.", also=["RELAYER_ENDPOINT"])
    deposit_data: Path = setting(
        "--deposit-data", parsing.file, "The launchpad deposit data of the validators."
    )
    vault: bytes | None = setting(
        "--vault",
        parsing.address,
        "The vault that the deposits are for; when not set, it is the first one's.",
        optional=True,
        also=["VAULT"],
        metavar="ADDRESS",
    )
    oracles: Path | None = setting(
        "--oracles",
        parsing.file,
        "The protocol config; with it the number of oracle shares is checked.",
        optional=True,
    )
    start_index: int | None = setting(
        "--start-index",
        parsing.validator_index,
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
        "Leave out records of the deposit data that are wrong, or for another vault, instead of stopping.",
        default="false",
    )
    timeout_seconds: float = setting(
        "--timeout-seconds", parsing.seconds, "Give up when it takes longer than this.", default="3600"
    )

    @property
    def addresses(self) -> tuple[str, ...]:
        """The one relayer."""
        return (self.relayer,) if self.relayer else ()

    def problems(self) -> list[str]:
        """The output must have a place, which is better known before the round than after it."""
        problems = super().problems()
        if problem := paths.no_place(self.output):
            problems.append(f"{self.sources()['output'].name}: {problem}")
        return problems


@dataclasses.dataclass(frozen=True, kw_only=True)
class JournalSettings(Settings):
    """Where the operator's record is."""

    journal: Path = setting(
        "--journal",
        parsing.place,
        "Where it goes on record what is sent, before it is (SQLite); made when it is missing.",
        default="operator-journal.db",
        metavar="FILE",
    )
    json: bool = shared.json()


@dataclasses.dataclass(frozen=True, kw_only=True)
class StatusSettings(JournalSettings):
    """What `dvtfast operator status` can be told."""

    last: int = setting("--last", parsing.count, "How many actions to show.", default="20", metavar="N")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SendingSettings(JournalSettings):
    """What every command that sends transactions can be told: nodes, contracts, the account, the fees."""

    execution_endpoints: tuple[str, ...] = shared.execution_endpoints(
        "what the vault has, and transactions are sent to all of them"
    )
    execution_timeout: float = shared.execution_timeout()
    logs_span_blocks: int | None = shared.logs_span_blocks()
    vault: bytes = setting("--vault", parsing.address, "The vault.", also=["VAULT"], metavar="ADDRESS")
    wallet_keystore: Path | None = setting(
        "--wallet-keystore",
        parsing.file,
        "The keystore (version 3) of the account that sends.",
        optional=True,
        also=["WALLET_FILE", "HOT_WALLET_FILE"],
    )
    wallet_password: Path | None = setting(
        "--wallet-password-file",
        parsing.file,
        "The file with the password of that keystore.",
        optional=True,
        also=["WALLET_PASSWORD_FILE", "HOT_WALLET_PASSWORD_FILE"],
    )
    signer: str | None = setting(
        "--signer-url",
        parsing.url,
        "Instead of a keystore: a signer that has the account's key, which is asked eth_signTransaction.",
        optional=True,
        metavar="URL",
    )
    signer_address: bytes | None = setting(
        "--signer-address",
        parsing.address,
        "The account that the signer signs for.",
        optional=True,
        metavar="ADDRESS",
    )
    signer_timeout: float = setting(
        "--signer-timeout",
        parsing.seconds,
        "How long the signer, or who confirms there, may take.",
        default="60",
    )
    max_fee_gwei: float | None = setting(
        "--max-fee-gwei",
        parsing.gwei,
        "The most that is offered for a unit of gas, the last ninth of it only to cancel; while it costs more"
        " nothing is sent. When not set, "
        + ", ".join(f"{each.max_fee_gwei} on {each.name}" for each in NETWORKS.values())
        + ".",
        optional=True,
        also=["MAX_FEE_PER_GAS_GWEI"],
        metavar="GWEI",
    )
    max_priority_fee_gwei: float | None = setting(
        "--max-priority-fee-gwei",
        parsing.gwei,
        "The most of it that is offered as a tip, whatever nodes say that others pay. When not set, "
        + ", ".join(f"{default_tip_cap_gwei(each):g} on {each.name}" for each in NETWORKS.values())
        + ".",
        optional=True,
        metavar="GWEI",
    )
    priority_fee_blocks: int = setting(
        "--priority-fee-blocks",
        parsing.fee_blocks,
        "Of how many of the latest blocks the tips are looked at.",
        default="10",
        also=["PRIORITY_FEE_NUM_BLOCKS"],
        metavar="N",
    )
    priority_fee_percentile: float = setting(
        "--priority-fee-percentile",
        parsing.percentile,
        "The tip that is offered is above those of so many percent of what was in these blocks.",
        default="80",
        also=["PRIORITY_FEE_PERCENTILE"],
        metavar="PERCENT",
    )
    confirmations: int = setting(
        "--confirmations",
        parsing.count,
        "A transaction counts when it is in a block with so many, this one included.",
        default="12",
        metavar="N",
    )
    replace_seconds: float = setting(
        "--replace-seconds",
        parsing.seconds,
        "A transaction that waits for longer is replaced by one that offers more.",
        default="180",
    )
    deposit_contract: bytes | None = shared.deposit_contract()
    keeper: bytes | None = shared.keeper()
    deposit_data_registry: bytes | None = setting(
        "--deposit-data-registry",
        parsing.address,
        "The DepositDataRegistry of a chain for tests; the network's when not set.",
        optional=True,
        metavar="ADDRESS",
    )
    shared_mev_escrow: bytes | None = setting(
        "--shared-mev-escrow",
        parsing.address,
        "The escrow of MEV that vaults share on a chain for tests; the network's when not set.",
        optional=True,
        metavar="ADDRESS",
    )

    @property
    def extras(self) -> tuple[str, ...]:
        """What reads the chain, and with a key here what signs."""
        return ("chain",) if self.wallet_keystore is None else ("operator",)

    def on_chain(self, network: Network) -> Network:
        """The network with the contracts that are named here."""
        return shared.on_test_chain(
            network,
            deposit_contract=self.deposit_contract,
            keeper=self.keeper,
            deposit_data_registry=self.deposit_data_registry,
            shared_mev_escrow=self.shared_mev_escrow,
        )

    def fee_cap_gwei(self, network: Network) -> float:
        """The most that is offered for a unit of gas."""
        return self.max_fee_gwei or network.max_fee_gwei

    def priority_fee_cap_gwei(self, network: Network) -> float:
        """The most of it that is a tip."""
        cap = self.max_priority_fee_gwei or default_tip_cap_gwei(network)
        return min(cap, self.fee_cap_gwei(network))

    def fee_problems(self, network: Network | None) -> list[str]:
        """Caps that no transaction of the network could be sent under, and be cancelled."""
        if network is None:  # another problem says so
            return []
        least = network.min_priority_fee_gwei * ROOM_TO_CANCEL
        names = {field: source.name for field, source in self.sources().items()}
        caps = {
            "max_fee_gwei": self.max_fee_gwei,
            "max_priority_fee_gwei": self.max_priority_fee_gwei,
        }
        return [
            f"{names[field]}: expected at least {least:.7g}, as {network.name} wants a tip of"
            f" {network.min_priority_fee_gwei} gwei and a replacement offers an eighth more, got {cap:g}"
            for field, cap in caps.items()
            if cap is not None and cap < least
        ]

    def problems(self) -> list[str]:
        """One account, and a node to send to."""
        names = {field: source.name for field, source in self.sources().items()}
        problems = []
        if not self.execution_endpoints:
            problems.append(f"{names['execution_endpoints']}: not set")
        if (self.wallet_keystore is None) == (self.signer is None):
            given = "neither" if self.signer is None else "both"
            problems.append(f"{names['wallet_keystore']} or {names['signer']}: expected one, got {given}")
        pairs = [("wallet_keystore", "wallet_password"), ("signer", "signer_address")]
        problems += [
            f"{names[a]}: needs {names[b]}, which is not set"
            for pair in pairs
            for a, b in (pair, pair[::-1])
            if getattr(self, a) is not None and getattr(self, b) is None
        ]
        return problems


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActionSettings(RelayerClientSettings, SendingSettings):
    """What every command that does something with a vault's validators can be told."""

    relayer: str = setting("--relayer", parsing.url, "The address of the relayer.", also=["RELAYER_ENDPOINT"])
    ipfs_gateways: tuple[str, ...] = shared.ipfs_gateways(
        ", where the vault's rewards are, and the oracle config"
    )
    ipfs_timeout: float = shared.ipfs_timeout()
    timeout_seconds: float = setting(
        "--timeout-seconds",
        parsing.seconds,
        "How long everything before the sending may take.",
        default="3600",
    )
    dry_run: bool = setting(
        "--dry-run",
        parsing.switch,
        "Show all that would be sent, with what it would cost; sign and send nothing.",
        default="false",
    )
    yes: bool = setting("--yes", parsing.switch, "Do not ask whether that is meant.", default="false")

    @property
    def addresses(self) -> tuple[str, ...]:
        """The one relayer."""
        return (self.relayer,) if self.relayer else ()

    def problems(self) -> list[str]:
        """Of the relayer, and of what is sent."""
        problems = RelayerClientSettings.problems(self) + SendingSettings.problems(self)
        return problems + self.fee_problems(self.network)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OracleSettings(ActionSettings):
    """What commands can be told that ask the oracles."""

    oracles: Path | None = setting(
        "--oracles",
        parsing.file,
        "The protocol config (JSON). Without it, the config is the one that the Keeper announces on chain.",
        optional=True,
    )
    oracle_timeout: float = _oracle_timeout()

    def problems(self) -> list[str]:
        """Who the oracles are."""
        problems = super().problems()
        if self.oracles is None and not self.ipfs_gateways:
            names = {field: source.name for field, source in self.sources().items()}
            problems.append(f"no oracle config; set {names['oracles']} or {names['ipfs_gateways']}")
        return problems


@dataclasses.dataclass(frozen=True, kw_only=True)
class IndexSettings(OracleSettings):
    """What commands can be told that must know the indices of validators."""

    consensus_endpoints: tuple[str, ...] = shared.consensus_endpoints("which validator has which index")
    consensus_timeout: float = shared.consensus_timeout()
    deposits_database: Path | None = shared.deposits_database("which give the indices of validators")
    genesis_validators: Path | None = shared.genesis_validators()
    threads: int | None = shared.threads()


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegisterSettings(IndexSettings):
    """What `dvtfast operator register` can be told."""

    command = "operator register"
    oracle_timeout: float = _oracle_timeout("ORACLES_VALIDATORS_TIMEOUT")

    deposit_data: Path | None = setting(
        "--deposit-data",
        parsing.file,
        "The vault's deposit data (v3): register its next validators. Without it the relayer picks them"
        " (v4).",
        optional=True,
    )
    validator_type: int | None = setting(
        "--validator-type",
        parsing.credentials_type,
        "The type of withdrawal credentials: with 0x01 each validator has"
        f" {units.stake_on_each((each, GWEI_PER_VALIDATOR) for each in NETWORKS.values())}; 0x02 compounds."
        " When not set, 0x02, and 0x01 with --deposit-data.",
        optional=True,
        also=["VALIDATOR_TYPE"],
        metavar="0x01|0x02",
    )
    max_validator_balance_gwei: int | None = _max_balance()
    vault_min_balance_gwei: int = _vault_min_balance()
    max_batch: int | None = setting(
        "--max-batch",
        parsing.count,
        "Validators in one batch at most; as many as the oracles approve of at once when not set.",
        optional=True,
        metavar="N",
    )
    start_index: int | None = setting(
        "--start-index",
        parsing.validator_index,
        "The validator index that the next validator will get, where it is known better than from the"
        " nodes; off by one, the exits are worthless.",
        optional=True,
        metavar="INDEX",
    )

    @property
    def credentials_type(self) -> int:
        """The first byte of the withdrawal credentials."""
        if self.validator_type is not None:
            return self.validator_type
        return COMPOUNDING if self.deposit_data is None else ETH1_ADDRESS

    def problems(self) -> list[str]:
        """What needs what else."""
        names = {field: source.name for field, source in self.sources().items()}
        problems = super().problems()
        sources = ("start_index", "deposits_database", "consensus_endpoints")
        if all(getattr(self, field) in (None, ()) for field in sources):
            wanted = ", ".join(names[field] for field in sources)
            problems.append(f"no next validator index; set at least one of {wanted}")
        if self.deposit_data is not None and self.validator_type not in (None, ETH1_ADDRESS):
            problems.append(f"{names['validator_type']}: expected 0x01 with {names['deposit_data']}")
        return problems + _wrong_balance(self, self.max_validator_balance_gwei)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings(RegisterSettings):
    """What `dvtfast operator run` can be told."""

    command = "operator run"
    also_read = RegisterSettings.also_read | {"ENABLE_METRICS"}
    oracle_timeout: float = _oracle_timeout("ORACLES_VALIDATORS_TIMEOUT", "ORACLES_EXITS_TIMEOUT")

    interval: float = setting(
        "--interval",
        parsing.seconds,
        "The pause between two looks at what the vault has.",
        default="60",
    )
    rotation_interval: float = setting(
        "--rotation-interval",
        parsing.seconds,
        "The pause between two looks whether the oracles of today hold the vault's exits.",
        default="600",
    )
    collect_seconds: float = _collect_seconds("30")
    metrics_port: int | None = shared.metrics_port("METRICS_PORT")
    metrics_host: str = shared.metrics_host("METRICS_HOST")

    @classmethod
    def translated(cls, flags: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
        """With metrics where StakeWise's operator has them, which serves them only with ENABLE_METRICS."""
        translated = super().translated(flags, environment)
        try:
            are_served = parsing.switch(translated.get("ENABLE_METRICS", "").strip() or "false")
        except ValueError as error:
            raise ValueError(f"ENABLE_METRICS: {error}") from None
        if not are_served:
            translated.pop("METRICS_PORT", None)
        elif not translated.get("METRICS_PORT", "").strip():
            translated["METRICS_PORT"] = THEIR_METRICS_PORT
        return translated

    def problems(self) -> list[str]:
        """An index that is given is right once."""
        problems = super().problems()
        if self.start_index is not None:
            name = self.sources()["start_index"].name
            problems.append(f"{name}: it changes with each deposit; leave it to the nodes")
        if self.dry_run:
            problems.append(f"{self.sources()['dry_run'].name}: expected with `dvtfast operator register`")
        return problems


@dataclasses.dataclass(frozen=True, kw_only=True)
class RequestSettings(ActionSettings):
    """What every command can be told that asks the beacon chain for something, which does not say no."""

    consensus_endpoints: tuple[str, ...] = shared.consensus_endpoints(
        "what the beacon chain would pass over in silence, which is refused, and whether it did the rest"
    )
    consensus_timeout: float = shared.consensus_timeout()
    again: bool = _again()

    def problems(self) -> list[str]:
        """Somebody who knows the beacon chain."""
        if self.consensus_endpoints:
            return super().problems()
        name = self.sources()["consensus_endpoints"].name
        why = "without a beacon node nobody can say whether the beacon chain would do it"
        return [*super().problems(), f"{name}: not set: {why}"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FundSettings(RequestSettings):
    """What `dvtfast operator fund` can be told."""

    command = "operator fund"

    validators: tuple[orders.AmountOrder, ...] = setting(
        "--validator",
        orders.amount,
        f"A validator to top up, and with how much, {SUCH_AS}; repeatable.",
        many=True,
        metavar="KEY=AMOUNT",
    )
    validators_file: Path | None = _validators_file("amount_gwei, amount_eth or amount_gno")
    vault_min_balance_gwei: int = _vault_min_balance()
    max_validator_balance_gwei: int | None = _max_balance()

    def problems(self) -> list[str]:
        """Somebody to top up."""
        problems = super().problems() + _one_of_two(self, "validators", "validators_file")
        return problems + _wrong_units(self) + _wrong_balance(self, self.max_validator_balance_gwei)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithdrawSettings(RequestSettings):
    """What `dvtfast operator withdraw` can be told."""

    command = "operator withdraw"

    validators: tuple[orders.AmountOrder, ...] = setting(
        "--validator",
        orders.amount_or_all,
        f"A validator to withdraw from, and how much, {SUCH_AS}; with --exit the key alone; repeatable.",
        many=True,
        metavar="KEY[=AMOUNT]",
    )
    validators_file: Path | None = _validators_file("amount_gwei, amount_eth or amount_gno, none with --exit")
    exit: bool = setting(
        "--exit",
        parsing.switch,
        "Exit the validators for good, with everything they have. It cannot be undone.",
        default="false",
    )
    max_request_fee_gwei: float = _max_request_fee("MAX_WITHDRAWAL_REQUEST_FEE_GWEI")

    def problems(self) -> list[str]:
        """Somebody to withdraw from, and whether they exit."""
        problems = super().problems() + _one_of_two(self, "validators", "validators_file")
        names = {field: source.name for field, source in self.sources().items()}
        for each in self.validators:
            if self.exit != (each.gwei is None):
                problems.append(f"{names['validators']}: {each.shown}: {orders.exit_or_amount(self.exit)}")
        return problems + _wrong_units(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConsolidateSettings(RequestSettings, OracleSettings):
    """What `dvtfast operator consolidate` can be told."""

    command = "operator consolidate"
    oracle_timeout: float = _oracle_timeout("ORACLES_CONSOLIDATION_TIMEOUT")

    pairs: tuple[orders.ConsolidationOrder, ...] = setting(
        "--pair",
        orders.pair,
        "A validator, and the one that gets all its stake; the same key twice makes a validator compound;"
        " repeatable.",
        many=True,
        metavar="SOURCE=TARGET",
    )
    pairs_file: Path | None = setting(
        "--pairs-file",
        parsing.file,
        "The same in a CSV or JSON file, with source_public_key and target_public_key.",
        optional=True,
    )
    max_request_fee_gwei: float = _max_request_fee("MAX_CONSOLIDATION_REQUEST_FEE_GWEI")
    max_validator_balance_gwei: int | None = _max_balance()
    consolidations_checker: bytes | None = setting(
        "--consolidations-checker",
        parsing.address,
        "The ConsolidationsChecker; the network's when not set.",
        optional=True,
        metavar="ADDRESS",
    )

    def problems(self) -> list[str]:
        """Something to consolidate."""
        problems = super().problems() + _one_of_two(self, "pairs", "pairs_file")
        return problems + _wrong_balance(self, self.max_validator_balance_gwei)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RotateExitsSettings(IndexSettings):
    """What `dvtfast operator rotate` can be told."""

    command = "operator rotate"
    oracle_timeout: float = _oracle_timeout("ORACLES_EXITS_TIMEOUT")

    validators_file: Path | None = setting(
        "--validators-file",
        parsing.file,
        "Which key has which index, where that is known better than from the nodes: a CSV or JSON file with"
        " validator_index and public_key.",
        optional=True,
    )
    collect_seconds: float = _collect_seconds("600")

    def problems(self) -> list[str]:
        """Who knows the indices."""
        problems = super().problems()
        sources = ("validators_file", "deposits_database", "consensus_endpoints")
        if all(getattr(self, field) in (None, ()) for field in sources):
            wanted = ", ".join(self.sources()[field].name for field in sources)
            problems.append(f"nobody tells which validator has which index; set at least one of {wanted}")
        return problems


def _wrong_units(settings: FundSettings | WithdrawSettings) -> list[str]:
    network, name = settings.network, settings.sources()["validators"].name
    return [
        f"{name}: {each.shown}: {orders.wrong_unit(each, network)}"
        for each in settings.validators
        if network is not None and not orders.fits(each, network)
    ]


def _wrong_balance(settings: Settings, most: int | None) -> list[str]:
    if most is None or GWEI_PER_VALIDATOR <= most <= MAX_GWEI_PER_VALIDATOR:
        return []
    name = settings.sources()["max_validator_balance_gwei"].name
    return [f"{name}: expected {GWEI_PER_VALIDATOR}..{MAX_GWEI_PER_VALIDATOR}, got {most}"]


def _one_of_two(settings: Settings, *fields: str) -> list[str]:
    names = [settings.sources()[field].name for field in fields]
    given = sum(bool(getattr(settings, field)) for field in fields)
    return [] if given == 1 else [f"expected one of {' and '.join(names)}, got {'both' if given else 'none'}"]
