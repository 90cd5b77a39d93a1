"""Who sent what, and what the specification says of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

ENTRIES_KEPT: Final = 20_000  # of what was refused, and of accepted blocks; the rest is counted


class Ruling(Enum):
    """What becomes of something that is sent."""

    ACCEPTED = "accepted"
    KNOWN = "known"  # the same was there before, or makes no difference any more
    REFUSED = "refused"


@dataclass(frozen=True)
class Origin:
    """Through which node something came, and what the program calls itself."""

    node: str
    program: str


@dataclass(frozen=True)
class LedgerEntry:
    """One verdict.

    Attributes:
        kind: such as "attestation".
        slot: that it is for; `at_slot` is when it came.
        validator: whose signature it has; None where nobody can tell.
        reason: in the specification's words, where it was not accepted.
    """

    kind: str
    slot: int
    at_slot: int
    validator: int | None
    sender: Origin
    verdict: Ruling
    reason: str = ""

    def shown(self) -> dict[str, Any]:
        """What the JSON of it is made from."""
        return {
            "kind": self.kind,
            "slot": self.slot,
            "at_slot": self.at_slot,
            "validator": self.validator,
            "node": self.sender.node,
            "program": self.sender.program,
            "verdict": self.verdict.value,
            "reason": self.reason,
        }


class RulingLedger:
    """All verdicts: those that anybody asks for one by one, the others in numbers."""

    def __init__(self) -> None:
        self.entries: list[LedgerEntry] = []
        self.slashable: list[str] = []
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, entry: LedgerEntry) -> None:
        """Take note of a verdict."""
        self._counts[entry.kind, entry.verdict.value] += 1
        if entry.verdict is Ruling.REFUSED or (entry.kind == "block" and entry.verdict is Ruling.ACCEPTED):
            self.entries.append(entry)
            del self.entries[:-ENTRIES_KEPT]

    def add_slashable(self, what: str) -> None:
        """Take note of two signatures that the protocol punishes."""
        if what not in self.slashable:
            self.slashable.append(what)

    def refused(self) -> list[LedgerEntry]:
        """What was refused."""
        return [entry for entry in self.entries if entry.verdict is Ruling.REFUSED]

    def counts(self) -> dict[str, dict[str, int]]:
        """How many of each kind had which verdict."""
        found: dict[str, dict[str, int]] = {}
        for (kind, verdict), number in sorted(self._counts.items()):
            found.setdefault(kind, {})[verdict] = number
        return found
