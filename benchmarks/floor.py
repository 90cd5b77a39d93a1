"""The floor: what blst's primitives cost that no batch can do without, measured in the same run.

Each primitive runs over n different inputs. A floor is a sum of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from dvtfast_baselines.primitives import Inputs

from dvtfast._lagrange import cheapest_subset, rational_coefficients
from dvtfast.keys import points_of

from .cases import Cluster, Exits
from .measure import Way

# Once for a batch, all others for each item.
PER_BATCH = "miller_loop_and_final_exponentiation"
PRIMITIVES = (
    "decompress_g2", "in_g2", "hash_to_g2", "sign_hash", "double_g2", "add_affine_g2", "multiply_g2",
    "multiply_g1_64", "sum_64", "miller_loops", "affine_g2", "affine_g1", "compress_g2", PER_BATCH,
)  # fmt: skip


def primitives(exits: Exits, names: tuple[str, ...] = PRIMITIVES) -> dict[str, Way]:
    """A way for each primitive."""
    n = len(exits)
    inputs = Inputs(
        exits.signatures,
        exits.signing_roots,
        np.ascontiguousarray(exits.secret_keys[:, ::-1]),  # little-endian
        points_of(exits.public_keys),
    )
    return {name: Way(getattr(inputs, name), 1 if name == PER_BATCH else n) for name in names}


def of_recover_and_check(cost: Callable[[str], float], cluster: Cluster, n: int) -> float:
    """Microseconds for a validator in a batch of n: decode the shares, interpolate, check the result.

    The interpolation is by the smallest integers, bit by bit: doublings for all shares together, an
    addition for each bit; and one multiplication when these integers have a common denominator.
    """
    subset = cheapest_subset(cluster.share_indices, cluster.threshold)
    xs = [cluster.share_indices[position] for position in subset]
    numerators, denominator = rational_coefficients(xs, 0)
    doublings = max(numerator.bit_length() for numerator in numerators) - 1
    additions = sum(abs(numerator).bit_count() for numerator in numerators) - 1
    return (
        cluster.threshold * cost("decompress_g2")
        + doublings * cost("double_g2")
        + additions * cost("add_affine_g2")
        + (cost("multiply_g2") if denominator != 1 else 0.0)
        + cost("in_g2")
        + cost("hash_to_g2")
        + cost("multiply_g1_64")
        + cost("sum_64")
        + cost("miller_loops")
        + cost(PER_BATCH) / n
        + 2 * cost("affine_g2")  # of the result and of the hash
        + cost("affine_g1")
        + cost("compress_g2")
    )


def of_sign(cost: Callable[[str], float]) -> float:
    """Microseconds for a signature: hash, and multiply in constant time."""
    return cost("hash_to_g2") + cost("sign_hash")


def costs(ways: Mapping[str, Way]) -> Callable[[str], float]:
    """Microseconds of a primitive, by name."""
    return lambda name: ways[name].microseconds
