"""A node that does what it likes, in a cluster that agrees on a duty."""

from __future__ import annotations

from random import Random
from typing import Any

from dvtfast.qbft.held import MOST_HELD
from dvtfast.qbft.leaders import leader
from dvtfast.qbft.messages import Duty, Kind, Message
from tests.qbft_messages import value

MOST_REMEMBERED = 400
MOST_ROUND = 1000  # that a liar takes up from another one
PART_SPLIT = 0.3


class Liar:
    """Says anything in its own name, and again what others said; it cannot sign for them.

    Attributes:
        values: that it may propose, other nodes' values aside.
    """

    def __init__(self, random: Random, duty: Duty, peer: int, nodes: int) -> None:
        self._random, self._duty, self._peer, self._nodes = random, duty, peer, nodes
        self._heard: list[Message] = []
        # Liars know each other: they lie for the same values.
        self.values = [value(word) for word in ("lie", "another lie", "flood")]

    def hear(self, message: Message) -> None:
        self._heard.extend((message.bare(), *message.justification))
        if len(self._heard) > MOST_REMEMBERED:
            del self._heard[: MOST_REMEMBERED // 4]

    def lie(self) -> list[tuple[int, Message]]:
        """To whom, what."""
        random = self._random
        if random.random() < PART_SPLIT:
            return self._split()
        tell = random.choice(
            [
                self._propose,
                self._usurp,
                self._vote,
                self._vote,
                self._change,
                self._decided,
                self._again,
                self._flood,
            ]
        )
        lies: list[tuple[int, Message]] = []
        for _ in range(random.choice([1, 2])):  # two different stories, often
            told = [peer for peer in range(self._nodes) if random.random() < 0.6]
            lies += [(peer, message) for message in tell() for peer in told]
        return lies

    def _split(self) -> list[tuple[int, Message]]:
        """One value for the nodes of one side, another one for the others."""
        round, lies = self._round(), []
        for peer in range(self._nodes):
            value_hash = self.values[peer % 2]
            if leader(self._duty, round, self._nodes) == self._peer:
                lies.append((peer, self._proposal(round, value_hash)))
            lies += [
                (peer, self._message(kind, round, value_hash=value_hash))
                for kind in (Kind.PREPARE, Kind.COMMIT)
            ]
        return lies

    def _usurp(self) -> list[Message]:
        """Another value than what is prepared, with the best there is to justify it."""
        turn = max((each.round for each in self._heard if each.kind == Kind.ROUND_CHANGE), default=1)
        while leader(self._duty, turn, self._nodes) != self._peer:
            turn += 1
        return [self._proposal(turn, self._value()), *self._change_to(turn)]

    def _proposal(self, round: int, value_hash: bytes) -> Message:
        changes = [each for each in self._heard if (each.kind, each.round) == (Kind.ROUND_CHANGE, round)]
        changes += [each.bare() for each in self._change_to(round)]
        changes.sort(key=lambda each: (each.prepared_value_hash != value_hash, each.prepared_round))
        votes = [each for each in self._heard if each.kind == Kind.PREPARE]
        votes.sort(key=lambda each: (each.value_hash != value_hash, -each.round))
        least = {each.peer: each for each in reversed(changes)}.values()
        because = [*least, *list(dict.fromkeys(votes))[: self._nodes]]
        return self._message(
            Kind.PRE_PREPARE,
            round,
            value_hash=value_hash,
            justification=tuple(each.bare() for each in because),
        )

    def _message(self, kind: Kind, round: int, **fields: Any) -> Message:
        return Message(kind, self._duty, self._peer, round, **fields)

    def _round(self) -> int:
        highest = max((each.round for each in self._heard), default=1)
        return max(1, min(highest, MOST_ROUND) + self._random.randint(-2, 2))

    def _value(self) -> bytes:
        known = [each.value_hash for each in self._heard if each.value_hash]
        return self._random.choice(
            [*self._random.choices(known, k=3), *self.values] if known else self.values
        )

    def _propose(self) -> list[Message]:
        round = self._round()
        while leader(self._duty, round, self._nodes) != self._peer:
            round += 1
        said = [
            each
            for each in self._heard
            if each.kind == Kind.PREPARE or (each.kind == Kind.ROUND_CHANGE and each.round == round)
        ]
        said += self._change_to(round) if self._random.random() < 0.5 else []
        unique = list(dict.fromkeys(said))
        self._random.shuffle(unique)
        just = tuple(each.bare() for each in unique[: 2 * self._nodes])
        return [self._message(Kind.PRE_PREPARE, round, value_hash=self._value(), justification=just)]

    def _vote(self) -> list[Message]:
        kinds = self._random.choice([[Kind.PREPARE], [Kind.COMMIT], [Kind.PREPARE, Kind.COMMIT]])
        round, value_hash = self._round(), self._value()
        return [self._message(kind, round, value_hash=value_hash) for kind in kinds]

    def _change(self) -> list[Message]:
        return self._change_to(self._round() + self._random.choice([0, 1, 1, 2, 50]))

    def _change_to(self, round: int) -> list[Message]:
        prepares = [each for each in self._heard if each.kind == Kind.PREPARE and each.round < round]
        if not prepares or self._random.random() < 0.5:
            return [self._message(Kind.ROUND_CHANGE, round)]
        chosen = self._random.choice(prepares)
        own = self._message(Kind.PREPARE, chosen.round, value_hash=chosen.value_hash)
        alike = {each.peer: each for each in [*prepares, own]
                 if (each.round, each.value_hash) == (chosen.round, chosen.value_hash)}  # fmt: skip
        return [
            self._message(
                Kind.ROUND_CHANGE,
                round,
                prepared_round=chosen.round,
                prepared_value_hash=chosen.value_hash,
                justification=tuple(alike.values()),
            )
        ]

    def _decided(self) -> list[Message]:
        commits = [each for each in self._heard if each.kind == Kind.COMMIT]
        value_hash, round = self._value(), self._round()
        own = self._message(Kind.COMMIT, round, value_hash=value_hash)
        some = tuple(dict.fromkeys([*commits[-2 * self._nodes + 1 :], own]))
        return [self._message(Kind.DECIDED, round, value_hash=value_hash, justification=some)]

    def _again(self) -> list[Message]:
        return self._random.sample(self._heard, min(3, len(self._heard)))

    def _flood(self) -> list[Message]:
        if self._random.random() < 0.95:
            return []
        return [
            self._message(kind, round, value_hash=None if kind == Kind.ROUND_CHANGE else self.values[-1])
            for round in range(1, MOST_HELD)
            for kind in (Kind.PREPARE, Kind.COMMIT, Kind.ROUND_CHANGE)
        ]
