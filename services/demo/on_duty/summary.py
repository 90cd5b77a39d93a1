"""What came of a demo on duty: what the chain says, and what the nodes say of each other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Self

from rich.console import Console
from rich.table import Table

from ...settings import DemoSettings

FIRST_EPOCH = 1  # whose duties all are held to: in the one of the genesis nodes may still look for each other
BEHIND = 3  # epochs that finality is behind the end when all is well


@dataclass(frozen=True)
class StepSeconds:
    """How a kind of duty went, over all honest nodes.

    Attributes:
        performed, missed: of how many validators, by the node that saw most.
        seconds: medians after the duty began, by step.
    """

    type: str
    performed: int
    missed: int
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class DutiesSummary:
    """Figures of one demo.

    Attributes:
        blocks, votes, sync_votes: how many of how many are in the chain.
        distances: votes by the slots after which they were in the chain.
        refused: what the chain has not accepted.
        slashable: what it would have punished.
        blamed: how often honest nodes said of the one that lies that it does.
        duties: as the nodes say.
        seconds: by part of the demo.
        problems: why this is not as it should be.
    """

    validators: int
    nodes: int
    threshold: int
    epochs: int
    blocks: tuple[int, int]
    votes: tuple[int, int]
    sync_votes: tuple[int, int]
    distances: Mapping[str, int]
    justified_epoch: int
    finalized_epoch: int
    refused: int
    slashable: int
    blamed: int
    duties: Sequence[StepSeconds]
    seconds: Mapping[str, float]
    problems: Sequence[str]

    @classmethod
    def of(
        cls,
        settings: DemoSettings,
        report: Mapping[str, Any],
        statuses: Sequence[Mapping[str, Any]],
        seconds: Mapping[str, float],
        *,
        liar: int,
    ) -> Self:
        """From what the chain and the nodes tell."""
        blocks, sync = report["blocks"], report["sync_participation"]
        distances: Counter[str] = Counter()
        for epoch in report["epochs"]:
            distances.update(epoch["distances"])
        honest = [status for position, status in enumerate(statuses) if position != liar]
        found = cls(
            validators=settings.validators,
            nodes=settings.nodes,
            threshold=settings.threshold,
            epochs=report["epoch"],
            blocks=(blocks["proposed"], blocks["proposed"] + len(blocks["missed"])),
            votes=(
                sum(epoch["included"] for epoch in report["epochs"]),
                sum(epoch["expected"] for epoch in report["epochs"]),
            ),
            sync_votes=(sync["included"], sync["possible"]),
            distances=dict(sorted(distances.items(), key=lambda each: int(each[0]))),
            justified_epoch=report["justified_epoch"],
            finalized_epoch=report["finalized_epoch"],
            refused=len(report["refused"]),
            slashable=len(report["slashable"]),
            blamed=sum(_faults_of(status, liar) for status in honest),
            duties=_steps(honest),
            seconds={name: round(value, 3) for name, value in seconds.items()},
            problems=(),
        )
        return cls(**{**found.__dict__, "problems": tuple(_problems(found, report))})

    def to_json(self) -> dict[str, object]:
        """As one JSON object."""
        return asdict(self)

    def show(self, console: Console) -> None:
        """As tables."""
        near = self.distances.get("1", 0)
        console.print(
            f"\n[bold]{self.votes[0]} of {self.votes[1]} votes, {self.blocks[0]} of {self.blocks[1]} blocks"
            f"[/bold] of {self.validators} validators are in the chain, {near} votes in the very next slot;"
            f" {self.sync_votes[0]} of {self.sync_votes[1]} seats of the sync committee voted\n"
            f"the chain's verdict: epoch {self.justified_epoch} justified, [bold]epoch {self.finalized_epoch}"
            f" final[/bold]; {self.refused} messages refused, {self.slashable} that would be slashed\n"
            f"one node was killed and came back; one lied, which the others said {self.blamed} times"
        )
        names = list(dict.fromkeys(name for duty in self.duties for name in duty.seconds))
        table = Table("duty", "performed", "missed", *names, title="seconds after it began, medians")
        for column in table.columns[1:]:
            column.justify = "right"
        for duty in self.duties:
            moments = [f"{duty.seconds[name]:.3f}" if name in duty.seconds else "" for name in names]
            table.add_row(duty.type, str(duty.performed), str(duty.missed), *moments)
        console.print(table)


def _problems(summary: DutiesSummary, report: Mapping[str, Any]) -> list[str]:
    """What is not as a cluster with at most one bad node has to do it."""
    found = []
    if summary.slashable:
        found.append(f"what would be slashed was signed: {'; '.join(report['slashable'])}")
    if summary.refused:
        reasons = sorted({f"{each['kind']}: {each['reason']}" for each in report["refused"]})
        found.append(f"the chain refused {summary.refused} messages: {'; '.join(reasons)}")
    if report["blocks"]["missed"]:
        found.append(
            f"no block in slots {', '.join(str(each['slot']) for each in report['blocks']['missed'])}"
        )
    for epoch in report["epochs"][FIRST_EPOCH:]:
        if epoch["absent"]:
            found.append(f"epoch {epoch['epoch']}: {len(epoch['absent'])} votes are not in the chain")
    if summary.finalized_epoch < summary.epochs - BEHIND:
        found.append(f"epoch {summary.finalized_epoch} is final, {summary.epochs - BEHIND} should be")
    if not summary.blamed:
        found.append("nobody noticed the node that lied")
    return found


def _faults_of(status: Mapping[str, Any], position: int) -> int:
    return sum(fault["node"] == position for duty in status["duties"] for fault in duty["faults"])


def _steps(statuses: Sequence[Mapping[str, Any]]) -> list[StepSeconds]:
    moments: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    done: dict[str, Counter[str]] = defaultdict(Counter)
    for place, status in enumerate(statuses):
        for duty in status["duties"]:
            done[duty["type"]][f"done{place}"] += duty["done"]
            done[duty["type"]][f"missed{place}"] += duty["missed"]
            for name, seconds in duty["steps"].items():
                moments[duty["type"]][name].append(seconds)
    found = []
    for type, counts in sorted(done.items()):
        most = max(range(len(statuses)), key=lambda place: counts[f"done{place}"])
        medians = {name: round(median(values), 3) for name, values in moments[type].items()}
        found.append(StepSeconds(type, counts[f"done{most}"], counts[f"missed{most}"], medians))
    return found
