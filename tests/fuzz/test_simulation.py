"""Four whole nodes on virtual time, for long: in all weathers, and their memory stays flat.

DVTFAST_FUZZ_SLOTS is how many slots there are in all, 50,000 in `make fuzz`; besides, twice 10,000 in which
memory is looked at. What `make test` has of it is in tests/simulation.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from zlib import crc32

import pytest

from dvtfast.services.node import scheduler
from dvtfast.services.node.consensus import consensus
from dvtfast.services.node.signing.record import SigningRecord
from tests.fuzz import batches
from tests.simulation import disks
from tests.simulation.chain import SECONDS_PER_SLOT, SLOTS_PER_EPOCH
from tests.simulation.network import Weather
from tests.simulation.running import Simulation
from tests.simulation.storms import Kind, Trouble

SLOTS = int(os.environ.get("DVTFAST_FUZZ_SLOTS", "80"))
PARTS = 8
SLOTS_OF_A_RUN = 500
LONG = 10_000  # slots of one run
EPOCHS_AROUND = 150  # what is forgotten many at once has been at its most in them
MEMORY_FACTOR, FEW = 1.1, 8


@pytest.mark.parametrize("part", range(PARTS))
def test_nodes_do_their_duties_in_all_weathers(part):
    seen: Counter[str] = Counter()
    left, number = SLOTS // PARTS, 0
    while left > 0:
        slots = min(left, SLOTS_OF_A_RUN)
        seed = crc32(f"{batches.SEED} {part} {number}".encode())
        seen += Simulation(seed, slots, validators=1 + seed % 3).run()
        left, number = left - slots, number + 1
    print(f"{SLOTS // PARTS} slots in {number} runs, seed {batches.SEED}, part {part}:")
    print(", ".join(f"{count} {what}" for what, count in sorted(seen.items())))
    assert SLOTS < PARTS * SLOTS_OF_A_RUN or all(seen[kind] for kind in Kind)


@pytest.mark.parametrize("weather", ["fair", "foul"])
def test_memory_stays_flat(monkeypatch, weather):
    """Nodes that are never started again, so that nothing is forgotten with them; and what each store has.

    What has a bound is to be at its bound at the first look: there it is for less long than in life.
    """
    monkeypatch.setattr(consensus, "MOST_KNOWN", 512)
    monkeypatch.setattr(scheduler, "MOST_BEGUN", 512)
    monkeypatch.setattr(disks, "SigningRecord", partial(SigningRecord, kept_slots=128))
    slots, end = (LONG if SLOTS >= LONG else SLOTS), LONG * SECONDS_PER_SLOT
    foul = [
        Trouble(Kind.WEATHER, 0.0, end, weather=Weather(loss=0.05, doubles=0.2, delay=0.5)),
        Trouble(Kind.LIAR, 0.0, end, 2),
    ]
    run = Simulation(batches.SEED, slots, troubles=foul if weather == "foul" else [])
    run.run()
    early, late = (_around(run.sizes, slot // SLOTS_PER_EPOCH) for slot in (slots // 5, slots))
    for what in sorted(early | late):
        print(f"{what}: {early[what]} at slot {slots // 5:,}, {late[what]} at slot {slots:,}")
    if slots == LONG:  # or little is forgotten yet
        grown = {what for what in late if late[what] > MEMORY_FACTOR * early[what] + FEW}
        assert not grown


def _around(sizes, epoch):
    """The most that there was in some epochs up to that one, of each size."""
    some = sizes[max(0, epoch - EPOCHS_AROUND) : epoch]
    most = Counter()
    for each in some:
        most |= Counter(each)
    return most
