"""What is wrong with one of the nodes: it is slow, behind, gone, or lies."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import msgspec

from ...chain.encoding import read_data, write_data

LIES: Final = ("attestation data", "block", "duties", "genesis", "head")
MOST_SECONDS: Final = 60.0


class Adversity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is wrong with a node; nothing, as it begins.

    Attributes:
        delay_seconds: that each answer takes longer.
        lag_slots: its head is that many slots old.
        is_down: it answers nothing but 503.
        lies: whatever of `LIES` it tells is made up.
    """

    delay_seconds: float = 0.0
    lag_slots: int = 0
    is_down: bool = False
    lies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.delay_seconds <= MOST_SECONDS:
            raise ValueError(f"delay_seconds: expected 0 to {MOST_SECONDS:.0f}")
        if self.lag_slots < 0:
            raise ValueError("lag_slots: expected at least 0")
        if unknown := set(self.lies) - set(LIES):
            raise ValueError(f"lies: expected some of {', '.join(LIES)}, got {', '.join(sorted(unknown))}")

    def about(self, root: bytes, what: str) -> bytes:
        """A root, or one that there is not where the node lies."""
        return sha256(b"a lie" + root).digest() if what in self.lies else root

    def about_event(self, name: str, facts: dict[str, Any]) -> dict[str, Any]:
        """What is told of an event."""
        if name != "head" or "head" not in self.lies:
            return facts
        return facts | {"block": write_data(self.about(read_data(facts["block"]), "head"))}
