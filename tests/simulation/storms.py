"""What goes wrong when, by seed: storms in which anything may, and calms in which at most one node is bad.

One node lies in some of them, always the same: a cluster of four can bear no more liars in one duty, and some
duties take an epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from tests.simulation.chain import SECONDS_PER_SLOT
from tests.simulation.members import NODES
from tests.simulation.network import CALM, Weather

STORM_SLOTS: Final = 4, 20
CALM_SLOTS: Final = 8, 24
MOST_STEPS: Final = 400  # of a program, before it is killed in the middle of something
MOST_DOWN_SECONDS: Final = 60.0


class Kind(StrEnum):
    """Of trouble."""

    WEATHER = "bad weather"
    KILLED = "killed"
    STOPPED = "stopped"
    ASLEEP = "asleep"
    CLOCK = "its clock jumps"
    LAGS = "its beacon node lags"
    LIES = "its beacon node lies"
    SLOW = "its beacon node takes five seconds"
    DOWN = "its beacon node is down"
    LIAR = "it lies"


OF_NODE: Final = [kind for kind in Kind if kind not in (Kind.WEATHER, Kind.LIAR)]


@dataclass(frozen=True)
class Trouble:
    """Something that is wrong for some time.

    Attributes:
        begin, end: seconds since the genesis.
        node: whose; None: of the network.
        weather: of the network.
        steps: after so many more a program is killed; 0: at once.
        seconds: of a stop; by which a clock is wrong; by which a beacon node lags.
    """

    kind: Kind
    begin: float
    end: float
    node: int | None = None
    weather: Weather = CALM
    steps: int = 0
    seconds: float = 0.0


def draw(random: Random, slots: int) -> list[Trouble]:
    """The troubles of so many slots, by when they begin."""
    troubles: list[Trouble] = []
    liar = random.randrange(NODES)
    slot = random.randint(2, 6)
    while slot < slots:
        storm = random.randint(*STORM_SLOTS)
        begin, end = slot * SECONDS_PER_SLOT, (slot + storm) * SECONDS_PER_SLOT
        troubles += _storm(random, liar, begin, end)
        slot += storm
        calm = random.randint(*CALM_SLOTS)
        if random.random() < 0.7:
            later = slot * SECONDS_PER_SLOT, (slot + calm) * SECONDS_PER_SLOT
            kind = random.choice([*OF_NODE, *[Kind.LIAR] * 3])
            node = liar if kind == Kind.LIAR else random.randrange(NODES)
            troubles.append(_of_node(random, kind, node, *later))
        slot += calm
    return sorted(troubles, key=lambda trouble: trouble.begin)


def _storm(random: Random, liar: int, begin: float, end: float) -> list[Trouble]:
    found = []
    if random.random() < 0.6:
        found.append(Trouble(Kind.WEATHER, begin, end, weather=_weather(random)))
    if random.random() < 0.3:
        found.append(Trouble(Kind.LIAR, begin, end, liar))
    for kind in random.choices([*OF_NODE, Kind.KILLED, Kind.KILLED], k=random.randint(1, 4)):
        first = random.uniform(begin, end)
        found.append(_of_node(random, kind, random.randrange(NODES), first, random.uniform(first, end)))
    return found


def _of_node(random: Random, kind: Kind, node: int, begin: float, end: float) -> Trouble:
    steps, seconds = 0, 0.0
    if kind in (Kind.KILLED, Kind.STOPPED, Kind.ASLEEP):
        begin = random.uniform(begin, max(begin, end - 1))
        end = min(end, begin + random.uniform(0.5, MOST_DOWN_SECONDS))
        steps = random.choice([0, random.randint(1, MOST_STEPS)])
    elif kind == Kind.CLOCK:
        seconds = random.choice([-1, 1]) * random.choice([0.5, 2.0, random.uniform(2, 40)])
    elif kind == Kind.LAGS:
        seconds = SECONDS_PER_SLOT * random.choice([0.5, 2, 5, 20])
    return Trouble(kind, begin, end, node, steps=steps, seconds=seconds)


def _weather(random: Random) -> Weather:
    sides: tuple[int, ...] = ()
    if random.random() < 0.5:
        sides = tuple(random.randrange(random.choice([2, 2, 3])) for _ in range(NODES))
    return Weather(
        loss=random.choice([0.0, 0.05, 0.3, 0.7]),
        doubles=random.choice([0.0, 0.2]),
        delay=random.choice([0.05, 0.5, 4.0]),
        sides=sides,
    )
