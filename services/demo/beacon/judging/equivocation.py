"""Signatures that the protocol punishes: two blocks for one slot, two votes where one is allowed.

Source: consensus-specs, phase0/beacon-chain.md, `is_slashable_attestation_data`, `process_proposer_slashing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class _Vote:
    source: int
    target: int
    root: bytes


class Equivocation:
    """What each validator has signed, as far as it was sent here; signatures are checked before."""

    def __init__(self) -> None:
        self._votes: dict[int, set[_Vote]] = {}
        self._blocks: dict[tuple[int, int], set[bytes]] = {}

    def knows_vote(self, validator: int, data: Any) -> bool:
        """Whether that very vote was there before."""
        return _vote(data) in self._votes.get(validator, ())

    def vote(self, validator: int, data: Any) -> str | None:
        """Take note of a vote; what is punished about it."""
        new = _vote(data)
        votes = self._votes.setdefault(validator, set())
        found = None
        for old in votes - {new}:
            if old.target == new.target:
                found = f"validator {validator} votes twice for target epoch {new.target}"
            elif _surrounds(old, new) or _surrounds(new, old):
                found = (
                    f"validator {validator} votes for {new.source} to {new.target}, and around or within it"
                    f" for {old.source} to {old.target}"
                )
        votes.add(new)
        return found

    def knows_block(self, proposer: int, slot: int, root: bytes) -> bool:
        """Whether that very block was there before."""
        return root in self._blocks.get((proposer, slot), ())

    def block(self, proposer: int, slot: int, root: bytes) -> str | None:
        """Take note of a block; what is punished about it."""
        roots = self._blocks.setdefault((proposer, slot), set())
        roots.add(root)
        return (
            f"validator {proposer} proposes {len(roots)} blocks for slot {slot}" if len(roots) > 1 else None
        )


def _vote(data: Any) -> _Vote:
    return _Vote(int(data.source.epoch), int(data.target.epoch), bytes(data.hash_tree_root()))


def _surrounds(outer: _Vote, inner: _Vote) -> bool:
    return outer.source < inner.source and inner.target < outer.target
