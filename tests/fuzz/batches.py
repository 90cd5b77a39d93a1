"""How many cases are drawn, from which seed, and that no kind is missing.

DVTFAST_FUZZ_CASES is the number of cases of each test, DVTFAST_FUZZ_SEED the seed of all of them. A failure
names both and the number of the batch; what is drawn depends on nothing else.
"""

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable
from zlib import crc32

import numpy as np

from tests import reference

CASES = int(os.environ.get("DVTFAST_FUZZ_CASES", "1000"))
SEED = int(os.environ.get("DVTFAST_FUZZ_SEED", "1"))
# Several groups of the pairing check and several chunks of the oracle split.
LARGEST_BATCH = 140
# Each kind is drawn far more often; a kind that never comes up is a mistake of the test.
LEAST_OF_A_THOUSAND = 2

Batch = Callable[[np.random.Generator, int], Iterable[str]]


def run(batch: Batch, kinds: Iterable[str], *, cases: int = CASES, least: int | None = None) -> None:
    """Call `batch` with a generator and a size until all cases are drawn; count the kinds it answers.

    Each of `kinds` must come up `least` times, by default LEAST_OF_A_THOUSAND of a thousand.
    """
    seen: Counter[str] = Counter()
    drawn = number = 0
    while drawn < cases:
        random = np.random.default_rng([SEED, crc32(batch.__name__.encode()), number])
        size = min(cases - drawn, 1 + math.floor(random.integers(LARGEST_BATCH) * random.random()))
        try:
            seen.update(batch(random, size))
        except Exception as error:
            error.add_note(
                f"batch {number} of {batch.__name__}; repeat with "
                f"DVTFAST_FUZZ_SEED={SEED} DVTFAST_FUZZ_CASES={CASES}"
            )
            raise
        drawn += size
        number += 1
    print(f"{batch.__name__}: {drawn} cases in {number} batches, seed {SEED}:")
    print(", ".join(f"{count} {kind}" for kind, count in sorted(seen.items())))
    least = cases * LEAST_OF_A_THOUSAND // 1000 if least is None else least
    rare = {kind: seen[kind] for kind in kinds if seen[kind] < least}
    assert not rare, f"of {drawn} cases these kinds had too few: {rare}"


# Draws that several tests share.


def scalar(random: np.random.Generator) -> int:
    """Uniform of 1..r-1."""
    return 1 + int.from_bytes(random.bytes(48), "big") % (reference.CURVE_ORDER - 1)


def edge_scalar(random: np.random.Generator) -> int:
    """Of 1..r-1, with digits, windows or endomorphism parts at an edge."""
    x = abs(reference.CURVE_PARAMETER)
    edges = [1, 2, x, x * x, x * x - 1, x**3, 1 << int(random.integers(255)), int(random.integers(1, 2**32))]
    edge = edges[random.integers(len(edges))] + int(random.integers(-2, 3))
    return (edge * int(random.choice([1, -1])) % reference.CURVE_ORDER) or 1


def share_indices(random: np.random.Generator, k: int) -> list[int]:
    """k different ones: from 1 on, small, as operators have them, any, the highest, or of all these."""
    if random.random() < 0.2:
        return list(range(1, k + 1))
    ranges = [(1, 13), (1, 100_000), (1, 2**64 - 1), (2**64 - 13, 2**64 - 1)]
    if random.random() < 0.8:
        ranges = [ranges[random.integers(len(ranges))]]
    found: dict[int, None] = {}
    while len(found) < k:
        low, high = ranges[random.integers(len(ranges))]
        found[int(random.integers(low, high, endpoint=True, dtype=np.uint64))] = None
    return list(found)


def threads(random: np.random.Generator) -> int:
    return int(random.integers(1, 3))
