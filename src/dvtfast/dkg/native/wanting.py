"""Asking for messages that did not come, and answering: what is lost, or a restart forgot, is sent again.

A WANT is its kind, then pairs of kind and sender, a byte each. It is not signed: it changes nothing at who
gets it. Who has signed a small message need not send it to everybody himself: others pass it on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dvtfast.dkg.native.envelopes import Kind
from dvtfast.dkg.native.sizes import MOST_WANTS

# What others may pass on: it has no attachment.
PASSED_ON = (Kind.HELLO, Kind.COMMIT, Kind.ECHO, Kind.LOCKSIG, Kind.DONE, Kind.CLOSE)
# How often one message goes to one peer; a peer that was restarted more often is not served.
MOST_ANSWERS = 100

Place = tuple[Kind, int]
"""A kind of message, and the position of its sender."""


def encode_want(places: Sequence[Place], operators: int) -> bytes:
    """The payload that asks for these messages, or for the first of them."""
    asked = places[: MOST_WANTS * operators]
    return bytes([Kind.WANT]) + b"".join(bytes(place) for place in asked)


def decode_want(payload: bytes, operators: int) -> list[Place]:
    """What a payload asks for; what no message has is left out."""
    places = zip(payload[1::2], payload[2::2], strict=False)
    return [
        (Kind(kind), sender)
        for kind, sender in places
        if Kind.HELLO <= kind <= Kind.CLOSE and sender < operators
    ]


class Wanted:
    """What each peer waits for, as far as it said so, and how often it was answered."""

    def __init__(self) -> None:
        self._last: dict[int, list[Place]] = {}
        self._answers: Counter[tuple[int, Kind, int]] = Counter()

    def hear(self, peer: int, places: list[Place]) -> None:
        """A peer has asked for these."""
        self._last[peer] = places

    def may_answer(self, peer: int, kind: Kind, sender: int) -> bool:
        """Count one more answer; whether it is not one too many."""
        self._answers[peer, kind, sender] += 1
        return self._answers[peer, kind, sender] <= MOST_ANSWERS

    def blame(self, silent: int, kind: Kind, this: int) -> tuple[int, Kind]:
        """Whom a silent operator waits for itself, by its own word, in an earlier step; and so on."""
        seen = {this, silent}
        while earlier := sorted(place for place in self._last.get(silent, ()) if place[0] < kind):
            if earlier[0][1] in seen:
                break
            kind, silent = earlier[0]
            seen.add(silent)
        return silent, kind
