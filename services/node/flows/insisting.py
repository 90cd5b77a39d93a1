"""What a node insists on before it votes for a proposal, and for how long: it may be the one that is wrong.

One of f + 1 leaders is honest. What there is to be said against as many of them, and hangs on what our beacon
node knows, is therefore said, but keeps this node from voting no more: else one node that is away and one
beacon node that is stuck would stop a cluster of four.
"""

from __future__ import annotations

from collections.abc import Collection

from dvtfast.qbft.quorums import faulty


class HeadDoubts:
    """In which rounds there was a head or a parent that, for all our beacon node knows, is not the right one.

    Rounds count, not leaders: where some vote for a proposal and some do not, they wait twice as long, and
    the next round for all may be the same leader's again and again. No liar has two of them in a row.

    Args:
        nodes: how many there are.
    """

    def __init__(self, nodes: int) -> None:
        self._rounds: set[int] = set()
        self._bearable = max(1, faulty(nodes))

    def insists(self, round: int) -> bool:
        """Whether what is proposed in a round, of which there is such a doubt, is not voted for."""
        self._rounds.add(round)
        return len(self._rounds) <= self._bearable


class ExpectedValidators:
    """Validators with a duty, as far as this node knows: without them it does not vote for a proposal.

    Nodes may know of different ones, and agree all the same, some rounds later. One of f + 1 leaders is
    honest: about whom that many leave out it is this node that may be wrong. And where each knows of others
    no proposal has all: who has seen as many leaders leave out somebody as there are honest ones beside it
    insists no more.

    Args:
        validators: their positions.
        nodes: how many there are.
    """

    def __init__(self, validators: Collection[int], nodes: int) -> None:
        self._left_out_by = {each: set[int]() for each in validators}
        self._leaders: set[int] = set()
        self._bearable = max(1, faulty(nodes))
        self._others = nodes - 1 - faulty(nodes)

    def missing(self, values: Collection[int], proposer: int) -> list[int]:
        """Those without whom what a leader proposes is not voted for."""
        missing = sorted(self._left_out_by.keys() - set(values))
        if missing:
            self._leaders.add(proposer)
        for each in missing:
            self._left_out_by[each].add(proposer)
        if len(self._leaders) >= self._others:
            return []
        return [each for each in missing if len(self._left_out_by[each]) <= self._bearable]
