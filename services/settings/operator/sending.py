"""What commands can be told that send transactions: nodes, contracts, the account, the fees, the record."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from pathlib import Path

from dvtfast.networks import NETWORKS, Network

from .. import parsing, shared
from ..relayer_client import RelayerClientSettings
from ..sources import Settings, setting

ROOM_TO_CANCEL = 1.125 + 1e-6  # what a tip must be able to rise by: a replacement offers an eighth more


def default_tip_cap_gwei(network: Network) -> float:
    """The most that is offered as a tip: half of the network's cap above the least that nodes want."""
    return network.max_fee_gwei / 2 + network.min_priority_fee_gwei


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
