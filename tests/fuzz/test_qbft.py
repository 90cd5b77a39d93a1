"""Clusters of every size agree under whatever a seed makes of network, late nodes, silent ones and liars.

DVTFAST_FUZZ_SCHEDULES is how many schedules are drawn in all, 100,000 in `make fuzz`.
"""

from __future__ import annotations

import os

import pytest

from tests.fuzz import batches
from tests.qbft_network import Schedule

SCHEDULES = int(os.environ.get("DVTFAST_FUZZ_SCHEDULES", "400"))
SIZES = [(1, 3), (4, 4), (5, 6), (7, 7), (8, 9), (10, 10), (11, 12), (13, 13)]
KINDS = ["decided in round 1", "decided later", "proposed later"]
WITH_LIARS = [*KINDS, "liars", "proposed again", "changed with something prepared", "decided and died"]


@pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: f"{sizes[0]}-{sizes[1]}")
def test_clusters_agree(sizes):
    def schedules(random, size):
        seen = []
        for _ in range(size):
            seed, nodes = int(random.integers(2**62)), int(random.integers(*sizes, endpoint=True))
            try:
                seen += +Schedule(seed, nodes).run()
            except AssertionError as error:
                error.add_note(f"Schedule({seed}, {nodes})")
                raise
        return seen

    schedules.__name__ = f"clusters of {sizes[0]} to {sizes[1]}"
    batches.run(schedules, KINDS if sizes[0] == 1 else WITH_LIARS, cases=SCHEDULES // len(SIZES))
