"""A cluster that agrees on a duty, on virtual time: loss, delay, partitions, late nodes, silent ones, liars.

Everything follows from a seed.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from itertools import count
from random import Random

from dvtfast.duties.duty_types import DutyType
from dvtfast.qbft.machine import Machine
from dvtfast.qbft.messages import Broadcast, Decided, Duty, Kind, Message, Reply, SetTimer
from dvtfast.qbft.quorums import faulty
from dvtfast.qbft.timing import present_round, round_end
from tests.qbft_laws import Laws
from tests.qbft_liar import Liar
from tests.qbft_messages import value

DUTY = Duty(7, DutyType.INFO_SYNC)  # which begins with its slot
SECONDS_PER_SLOT = 12.0
# A leader that lies just before a round ends makes some nodes wait for as long again as they did until then.
MOST_SECONDS = 600.0
CALM_SECONDS = 0.1  # that a message takes once the network is well
HATED = [(), (), (Kind.COMMIT,), *[(Kind.COMMIT, Kind.DECIDED)] * 2, (Kind.PRE_PREPARE,), (Kind.PREPARE,)]
MOST_OF_THEM = 0.7
PART_LOOKED_AT = 0.03  # of the moments in which memory is


@dataclass(frozen=True)
class Weather:
    """The network until it heals.

    Attributes:
        heals: when, in seconds.
        loss, doubles: part of the messages that is lost, or comes twice.
        delay: what a message takes at most.
        hates: kinds of which most are lost.
        sides: nodes of different sides do not hear each other.
    """

    heals: float
    loss: float
    doubles: float
    delay: float
    hates: tuple[Kind, ...]
    sides: tuple[int, ...]

    @classmethod
    def draw(cls, random: Random, nodes: int) -> Weather:
        parts = random.choice([1, 1, 2, 3])
        return cls(
            heals=random.choice([0.0, random.uniform(0, 3), random.uniform(2, 10), random.uniform(2, 10)]),
            loss=random.choice([0.0, 0.0, 0.05, 0.3, 0.7]),
            doubles=random.choice([0.0, 0.2]),
            delay=random.choice([0.05, 0.5, 4.0]),
            hates=random.choice(HATED),
            sides=tuple(random.randrange(parts) for _ in range(nodes)),
        )


class Schedule:
    """One run of one duty, from a seed.

    Attributes:
        nodes: how many.
        liars, silent: who is not honest.
        mortal: who dies as soon as it has decided.
        values: what each honest node would propose, if it has something.
        laws: what is checked.
        seconds: that it took, of virtual time.
        seen: what happened in it, by name.
    """

    def __init__(self, seed: int, nodes: int | None = None) -> None:
        self.seed, self.random = seed, Random(seed)
        random = self.random
        self.nodes = nodes or random.choice([*range(1, 14), 4, 4, 4, 7, 7, 10])
        self.weather = Weather.draw(random, self.nodes)
        bad = random.sample(range(self.nodes), random.choice([0, faulty(self.nodes), faulty(self.nodes)]))
        self.silent = {peer for peer in bad if random.random() < 0.3}
        self.liars = {peer: Liar(random, DUTY, peer, self.nodes) for peer in bad if peer not in self.silent}
        self.honest = [peer for peer in range(self.nodes) if peer not in bad]
        dying = faulty(self.nodes) - len(bad) if random.random() < 0.7 else 0
        self.mortal = set(random.sample(self.honest, dying))
        self.machines = {peer: Machine(DUTY, self.nodes, peer) for peer in self.honest}
        having = [peer for peer in self.honest if random.random() < 0.8] or self.honest[:1]
        self.values = {peer: value(random.choice([peer, peer, "same"])) for peer in having}
        self.laws = Laws(DUTY, self.nodes, self.honest)
        self.seen = self.laws.seen
        self.seconds = 0.0
        self._timers: dict[int, int] = {}
        # Some nodes go to the present round at once when they are late, others through each.
        self.jumps = [random.random() < 0.5 for _ in range(self.nodes)]
        self._events: list[tuple[float, int, str, int, object]] = []
        self._number = count()

    def run(self) -> Counter[str]:
        """Let it happen; what happened, counted. Fails where a law of consensus is broken."""
        random = self.random
        late = random.choice([0.0, 0.3, 5.0])
        for peer in self.honest:
            begin = random.uniform(0, late) if random.random() < 0.5 else 0.0
            self._at(begin, "start", peer, None)
        for peer in self.liars:
            self._at(random.uniform(0, 1), "lie", peer, None)
        while not self.laws.all_have_decided:
            assert self._events, "nothing will happen any more, and not all have decided"
            at, _, what, peer, content = heapq.heappop(self._events)
            self.seconds = at
            assert at < MOST_SECONDS, f"no decision after {MOST_SECONDS:.0f} seconds"
            self._happen(what, peer, content)
        self.laws.ends([*self.values.values(), *(lie for liar in self.liars.values() for lie in liar.values)])
        self.seen["liars"] += bool(self.liars)
        self.seen["silent nodes"] += bool(self.silent)
        self.seen["longer than a minute"] += self.seconds > 60
        self.seen["decided and died"] += bool(self.mortal)
        self.seen["one node"] += self.nodes == 1
        return self.seen

    def _at(self, moment: float, what: str, peer: int, content: object) -> None:
        heapq.heappush(self._events, (moment, next(self._number), what, peer, content))

    def _happen(self, what: str, peer: int, content: object) -> None:
        if what == "lie":
            for target, lie in self.liars[peer].lie():
                self._send(peer, target, lie)
            self._at(self.seconds + self.random.expovariate(3), "lie", peer, None)
            return
        if peer in self.liars:
            assert isinstance(content, Message)
            self.liars[peer].hear(content)
            return
        if peer in self.mortal and peer in self.laws.decisions:
            return
        machine = self.machines[peer]
        match what:
            case "start":
                own = self.values.get(peer)
                if self.random.random() < 0.5 and own is not None:
                    self._at(self.seconds + self.random.uniform(0, 3), "provide", peer, own)
                    own = None
                out = machine.start(own)
            case "provide":
                assert isinstance(content, bytes)
                out = machine.provide(content)
            case "timer":
                round, number = content  # type: ignore[misc]
                present = present_round(DUTY.type, self.seconds, SECONDS_PER_SLOT) if self.jumps[peer] else 1
                out = machine.timer(round, present=present) if number == self._timers[peer] else []
            case _:
                assert isinstance(content, Message)
                out = machine.receive(content)
        for each in out:
            self._do(peer, each)
        if self.random.random() < PART_LOOKED_AT:
            self.laws.holds(machine)

    def _do(self, peer: int, output: Broadcast | Reply | SetTimer | Decided) -> None:
        match output:
            case Broadcast(message):
                self.laws.says(peer, message)
                for target in range(self.nodes):
                    self._send(peer, target, message)
            case Reply(target, message):
                self.seen["told what was decided"] += 1
                self._send(peer, target, message)
            case SetTimer(round, extended):
                self._timers[peer] = number = next(self._number)
                end = round_end(DUTY.type, round, SECONDS_PER_SLOT, extended=extended)
                self._at(max(end, self.seconds), "timer", peer, (round, number))
            case Decided() as decision:
                self.laws.decides(peer, decision)

    def _send(self, origin: int, target: int, message: Message) -> None:
        if origin == target or target in self.silent:
            if origin == target and target in self.machines:
                self._at(self.seconds, "receive", target, message)
            return
        weather, random = self.weather, self.random
        if self.seconds >= weather.heals:
            delays = [random.uniform(0, CALM_SECONDS)]
        elif (
            weather.sides[origin] != weather.sides[target]
            or random.random() < weather.loss
            or (message.kind in weather.hates and random.random() < MOST_OF_THEM)
        ):
            self.seen["lost"] += 1
            return
        else:
            times = 2 if random.random() < weather.doubles else 1
            delays = [random.uniform(0, weather.delay) for _ in range(times)]
        for delay in delays:
            self._at(self.seconds + delay, "receive", target, message)
