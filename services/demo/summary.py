"""What came of a demo, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from rich.console import Console
from rich.table import Table

from .processes import Service
from .proof import Proof

# Stages that the relayer times in each of its batches, and the sidecars in each of their posts.
RELAYER_STAGES = ("recover", "split", "encrypt", "database")
SIDECAR_STAGES = ("sign", "post")


class Shown(Protocol):
    """What came of either form of the demo."""

    def to_json(self) -> dict[str, object]:
        """As one JSON object."""

    def show(self, console: Console) -> None:
        """As a table."""


@dataclass(frozen=True)
class Summary:
    """Figures of one demo.

    Attributes:
        round_seconds: from the start of the operator to its end.
        seconds: by part of the demo, one after the other.
        relayer_seconds, sidecar_seconds: by stage of the round, the sidecars' added up.
    """

    validators: int
    ready: int
    nodes: int
    threshold: int
    oracles: int
    oracle_threshold: int
    network: str
    round_seconds: float
    validators_per_second: float
    shares_proven: int
    seconds: Mapping[str, float]
    relayer_seconds: Mapping[str, float]
    sidecar_seconds: Mapping[str, float]
    proof: Proof

    def to_json(self) -> dict[str, object]:
        """As one JSON object."""
        return asdict(self)

    def show(self, console: Console) -> None:
        """As a table."""
        console.print(
            f"\n[bold]{self.ready} of {self.validators} validators ready[/bold]"
            f" in {self.round_seconds:.2f} s,"
            f" [bold]{self.validators_per_second:.0f} validators per second[/bold]\n"
            f"proven: {self.shares_proven} shares decrypted and verified; {self.proof.subsets} sets of"
            f" {self.oracle_threshold} of {self.oracles} oracles recover every exit, one oracle fewer none"
        )
        table = Table(title="where the time went", title_justify="left", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for name, seconds in self.seconds.items():
            table.add_row(name, f"{seconds:.2f} s")
        table.add_section()
        for name, seconds in self.relayer_seconds.items():
            table.add_row(f"relayer: {name}", f"{seconds:.2f} s")
        for name, seconds in self.sidecar_seconds.items():
            table.add_row(f"{self.nodes} sidecars: {name}", f"{seconds:.2f} s")
        console.print(table)


def stage_seconds(services: Iterable[Service], event: str, stages: Sequence[str]) -> dict[str, float]:
    """Sum of `{stage}_seconds` over all lines of an event."""
    lines = [line for service in services for line in service.events(event)]
    return {stage: round(sum(line.get(f"{stage}_seconds", 0.0) for line in lines), 3) for stage in stages}
