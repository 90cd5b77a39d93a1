"""What other nodes said and may still count: bounded for each of them, whatever it sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dvtfast.qbft.messages import Kind, Message

MOST_HELD: Final = 100  # of a node, as charon has it; an honest one says four things a round
# A quorum of COMMITs decides at any time; whatever else is of a round that is over is of no use.
LASTING: Final = (Kind.COMMIT, Kind.DECIDED)


class Held:
    """Messages by their node. Of each kind and round its first counts: to say two things gains nothing.

    When a node has said too much, what is of its lowest round is forgotten: of its own words, and never newer
    ones for older ones, which anybody may send again.
    """

    def __init__(self, nodes: int) -> None:
        self._of: list[dict[tuple[Kind, int], Message]] = [{} for _ in range(nodes)]

    def __iter__(self) -> Iterator[Message]:
        return (message for said in self._of for message in said.values())

    def __len__(self) -> int:
        return sum(map(len, self._of))

    def add(self, message: Message) -> bool:
        """Hold it, unless its node has said something of this kind and round; whether it is held now."""
        said, place = self._of[message.peer], (message.kind, message.round)
        if place in said:
            return False
        said[place] = message
        if len(said) > MOST_HELD:
            del said[min(said, key=lambda each: each[1])]
        return place in said

    def of_round(self, kind: Kind, round: int) -> list[Message]:
        """What all nodes said, one message of each at most."""
        return [said[kind, round] for said in self._of if (kind, round) in said]

    def highest_rounds(self) -> list[int]:
        """The round that each node changes to, its highest; highest first."""
        rounds = ([round for kind, round in said if kind == Kind.ROUND_CHANGE] for said in self._of)
        return sorted((max(of_node) for of_node in rounds if of_node), reverse=True)

    def forget_before(self, round: int) -> None:
        """A round begins: what is of earlier ones does not count any more."""
        for said in self._of:
            for place in [each for each in said if each[1] < round and each[0] not in LASTING]:
                del said[place]
