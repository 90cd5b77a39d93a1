"""Four whole nodes on virtual time, for long: in all weathers, and their memory stays flat.

DVTFAST_FUZZ_SLOTS is how many slots there are in all, 50,000 in `make fuzz`; besides, 10,000 in which memory
is looked at. What `make test` has of it is in tests/simulation.
"""

from __future__ import annotations

import os
from collections import Counter
from statistics import median
from zlib import crc32

import pytest

from tests.fuzz import batches
from tests.simulation.running import Simulation
from tests.simulation.storms import Kind

SLOTS = int(os.environ.get("DVTFAST_FUZZ_SLOTS", "80"))
PARTS = 8
SLOTS_OF_A_RUN = 500
LONG = 10_000  # slots of one run
MEMORY_FACTOR = 1.1


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


def test_memory_stays_flat():
    run = Simulation(batches.SEED, LONG if SLOTS >= LONG else SLOTS)
    run.run()
    fifth = len(run.sizes) // 5
    for what in run.sizes[0]:
        early = median(sizes[what] for sizes in run.sizes[2 * fifth : 3 * fifth])
        late = median(sizes[what] for sizes in run.sizes[-fifth:])
        print(f"{what}: {early} in the middle of {run.slots} slots, {late} in the end")
        assert late <= MEMORY_FACTOR * early or run.slots < LONG  # of which little is forgotten yet
