"""What came of a demo with a chain, for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from dvtfast.networks import HOODI


@dataclass(frozen=True)
class WaySummary:
    """Figures of one way to register.

    Attributes:
        seconds: from the start of the operator until the last batch is confirmed.
        gas: of all batches.
        fee_ether: what that cost, which is little where blocks are empty.
    """

    name: str
    validators: int
    batches: int
    seconds: float
    gas: int
    fee_ether: float


@dataclass(frozen=True)
class ChainSummary:
    """Figures of one demo.

    Attributes:
        deposits: on chain in the end, with those of other people.
        harvested_ether: the vault's rewards, without which it had too little.
        shares_proven: decrypted and verified.
        oracle_sets: of `oracle_threshold` oracles each, who recovered every exit.
        seconds: by part of the demo, one after the other.
    """

    validators: int
    nodes: int
    threshold: int
    oracles: int
    oracle_threshold: int
    deposits: int
    harvested_ether: int
    shares_proven: int
    oracle_sets: int
    ways: Sequence[WaySummary]
    seconds: Mapping[str, float]

    def to_json(self) -> dict[str, object]:
        """As one JSON object."""
        return asdict(self)

    def show(self, console: Console) -> None:
        """As tables."""
        console.print(
            f"\n[bold]{self.validators} validators registered on chain[/bold], each by one of"
            f" {self.deposits} deposits; {self.harvested_ether} {HOODI.stake_symbol} of rewards"
            " were harvested for them\n"
            f"proven: {self.shares_proven} shares that the oracles approved, decrypted and verified;"
            f" {self.oracle_sets} sets of {self.oracle_threshold} of {self.oracles} oracles recover the exit"
            " of every validator at the index that its deposit made, one oracle fewer none"
        )
        ways = Table("", "validators", "batches", "seconds", "gas", "gas of each")
        for column in ways.columns[1:]:
            column.justify = "right"
        for way in self.ways:
            each = way.gas // way.validators
            figures = (way.validators, way.batches, f"{way.seconds:.1f}", f"{way.gas:,}", f"{each:,}")
            ways.add_row(way.name, *map(str, figures))
        console.print(ways)
        parts = Table(title="where the time went", title_justify="left", show_header=False)
        parts.add_column()
        parts.add_column(justify="right")
        for name, seconds in self.seconds.items():
            parts.add_row(name, f"{seconds:.2f} s")
        console.print(parts)
