"""Asking for messages that did not come, and answering: what is lost, or a restart forgot, is sent again.

A WANT is its kind, then kind, sender and receiver of each message that is asked for, a byte each. It is not
signed: it changes nothing at who gets it. Every node passes on what others have signed. Only a DEAL is for
one receiver: whoever hears that one is missing asks the dealer for it, and passes it on. So nobody can be
silent to one node alone: who does not hand out a DEAL for another is silent to all, and all see it. A WANT
for nothing says that its sender is at work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dvtfast.dkg.dvtfast_dkg.messages.envelopes import Kind
from dvtfast.dkg.dvtfast_dkg.messages.sizes import MOST_WANTS, WANT_BYTES

# How often one message goes to one peer; a peer that was restarted more often is not served.
MOST_ANSWERS = 100
# So many reminders make a silence: what was asked for had time to come.
REMINDERS_IN_VAIN = 2

# Whom a node asks beside the signers, the first time; then so many times more.
FIRST_HELPERS, GROWTH = 2, 4
MOST_GROWTHS = 4  # which are all of 255

SIGN_OF_LIFE = bytes([Kind.WANT])

Place = tuple[Kind, int]
"""A kind of message, and the position of its sender."""


def encode_want(places: Sequence[Place], receiver: int, operators: int) -> bytes:
    """The payload that asks for these messages, or for the first of them, for one receiver."""
    asked = places[: MOST_WANTS * operators]
    return SIGN_OF_LIFE + b"".join(bytes([*place, receiver]) for place in asked)


def decode_want(payload: bytes, operators: int) -> list[tuple[Kind, int, int]]:
    """Kind, sender and receiver of what a payload asks for; what no message has is left out."""
    places = zip(*(payload[1 + part :: WANT_BYTES] for part in range(WANT_BYTES)), strict=False)
    return [
        (Kind(kind), sender, receiver)
        for kind, sender, receiver in dict.fromkeys(places)
        if Kind.HELLO <= kind <= Kind.CLOSE and sender < operators and receiver < operators
    ]


def helpers(position: int, operators: int, reminders: int) -> list[int]:
    """Whom a node asks for what others sign, after so many reminders in vain: more each time, at last all."""
    count = FIRST_HELPERS * GROWTH ** min(reminders - 1, MOST_GROWTHS)
    return [(position + 1 + each) % operators for each in range(min(count, operators - 1))]


class Wanted:
    """What this node has given to others, and asked of dealers for them."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[int, Kind, int]] = Counter()
        # Of dealer and receiver: how often this node was reminded since it asked.
        self._asked: dict[tuple[int, int], int] = {}
        # What was handed out once: no claim of the receiver makes that a refusal any more.
        self._given: set[tuple[int, int]] = set()

    def may_answer(self, peer: int, kind: Kind, number: int) -> bool:
        """Count one more answer; whether it is not one too many."""
        self._answers[peer, kind, number] += 1
        return self._answers[peer, kind, number] <= MOST_ANSWERS

    def ask_for(self, dealer: int, receiver: int) -> None:
        """This node asks a dealer for what a receiver misses."""
        self._asked.setdefault((dealer, receiver), 0)

    def give(self, dealer: int, receiver: int) -> bool:
        """The dealer has handed it out; whether it was asked to."""
        asked = self._asked.pop((dealer, receiver), None) is not None
        if asked:
            self._given.add((dealer, receiver))
        return asked

    def remind(self) -> None:
        """Time has passed."""
        for each in self._asked:
            self._asked[each] += 1

    def refusing(self, receiver: int) -> int | None:
        """The first dealer that did not hand out what a receiver misses, though there was time to."""
        late = {d for (d, r), times in self._asked.items() if r == receiver and times >= REMINDERS_IN_VAIN}
        return min((d for d in late if (d, receiver) not in self._given), default=None)
