"""The field functions of the lanes, next to Python integers: operands are not reduced, limbs at their ends.

Each function is run on each build; the checked one checks the bounds of results, too. Results are elements
in Montgomery form, and stand in an equation modulo p that no other element fulfils. Roots fulfil theirs up to
the sign: of one row in POWERS they are computed.
"""

import ctypes

import numpy as np
import pytest

from tests.fuzz import batches
from tests.fuzz.lanes_rows import BUILDS, LANES, LIMBS, OPERANDS, P, call, library, of_limbs, pieces, to_limbs

R = 1 << 416
R_INVERSE = pow(R, -1, P)
R_ONE = (R, 0)
POWERS = 128


def inverse_or_zero(a, z):
    """z a = R^2, or z = 0."""
    return np.where(a % P == 0, z, z * a - R**2)


def root_up_to_sign(a, z):
    """z^2 a = +-R^3, as (z / R)^2 (a / R) = +-1; or z = 0."""
    return np.where(a % P == 0, z, (z * z % P * a) ** 2 - R**6)


def times(a, b):
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def product(z, a, b):
    """R z = a b"""
    return [R * z_part - part for z_part, part in zip(z, times(a, b), strict=True)]


def sums(z, *products):
    """R z = the sum of the products"""
    return [R * z_part - sum(parts) for z_part, *parts in zip(z, *products, strict=True)]


def fp2_inverse(z, a):
    none = (a[0] % P == 0) & (a[1] % P == 0)
    real, imaginary = times(z, a)
    return np.where(none, z[0], real - R**2), np.where(none, z[1], imaginary)


# Of each function: the largest operands in units of p, and what is 0 modulo p.
FP = {
    "mul": (2**14, lambda z, a, b: R * z - a * b),
    "mul2": (2**14, lambda z, a, b: R * z - a * b - b * b),
    "mul_twice": (2**14, lambda z, a, b: R * z - 2 * a * b),
    "sqr": (2**14, lambda z, a, b: R * z - a * a),
    "sqr_9_sub_8": (2**12, lambda z, a, b: R * z - 9 * a * a + 8 * b * b),
    "add": (2**14, lambda z, a, b: z - a - b),
    "scale": (2**10, lambda z, a, b: z - 8 * a),
    "sub": (512, lambda z, a, b: z - a + b),
    "sub2": (256, lambda z, a, b: z - a + 2 * b),
    "12a_3b": (4, lambda z, a, b: z - 12 * a + 24 * b),
    "sub_b_2c": (128, lambda z, a, b: z + a + b),
    "triple": (2**12, lambda z, a, b: z - 3 * a),
    "negate": (512, lambda z, a, b: z + a),
    "halve": (2**12, lambda z, a, b: 2 * z - a),
    "canonical": (2**14, lambda z, a, b: R * z - a),
    "is_zero": (2**14, lambda z, a, b: z - (a % P == 0)),
    "equal": (512, lambda z, a, b: z - (a % P == b % P)),
    "is_larger": (2**14, lambda z, a, b: z - (a * R_INVERSE % P > P // 2)),
    "swap": (2**14, lambda z, a, b: z - a.reshape(-1, LANES)[:, ::-1].ravel()),
    "invert": (2**10, lambda z, a, b: inverse_or_zero(a, z)),
    "reciprocal_root": (2**10, lambda z, a, b: root_up_to_sign(a, z)),
}
# The same for Fp2, of pairs.
FP2 = {
    "mul": (2**14, product),
    "mul_conjugate": (512, lambda z, a, b: product(z, a, (b[0], -b[1]))),
    "mul2": (2**14, lambda z, a, b: product(z, (a[0] + b[0], a[1] + b[1]), b)),
    "mul_twice": (2**14, lambda z, a, b: sums(z, times(a, b), times(a, b))),
    "sqr": (2**12, lambda z, a, b: product(z, a, a)),
    "sqr_9_sub_8": (
        2**12,
        lambda z, a, b: sums(z, times((9 * a[0], 9 * a[1]), a), times((-8 * b[0], -8 * b[1]), b)),
    ),
    "mul_fp": (2**14, lambda z, a, b: product(z, a, (b[0], 0))),
    "norm": (2**14, lambda z, a, b: (R * z[0] - a[0] ** 2 - a[1] ** 2, z[1] - a[0])),
    "sub2_reduced": (15, lambda z, a, b: (z[0] - a[0] + 2 * b[0], z[1] - a[1] + 2 * b[1])),
    "add_mul2": (2**14, lambda z, a, b: sums(z, times(a, b), times(b, b), times(R_ONE, a))),
    "mul3": (2**14, lambda z, a, b: sums(z, times(a, b), times(b, b), times(a, a))),
    "add": (2**14, lambda z, a, b: (z[0] - a[0] - b[0], z[1] - a[1] - b[1])),
    "sub": (512, lambda z, a, b: (z[0] - a[0] + b[0], z[1] - a[1] + b[1])),
    "negate_scaled": (128, lambda z, a, b: (z[0] + 4 * a[0], z[1] + 4 * a[1])),
    "conjugate": (512, lambda z, a, b: (z[0] - a[0], z[1] + a[1])),
    "invert": (2**10, lambda z, a, b: fp2_inverse(z, a)),
    # z = root of a^2: a or -a
    "root": (64, lambda z, a, b: [R * (x - y) for x, y in zip(times(z, z), times(a, a), strict=True)]),
}
SLOW = ("invert", "reciprocal_root", "root")


def draw(random, count, bound):
    """Integers below bound * p; which are hostile: near multiples of p, limbs of 0s, 1s, small, largest."""
    top = bound * P - 1
    kinds = random.integers(0, 6, count)
    multiples = random.integers(0, bound + 1, count)
    near = random.integers(0, 5, count)
    limbs = random.choice(np.array([0, 1, 1 << 51, (1 << 52) - 1], np.uint64), (count, LIMBS))
    uniform = random.bytes(56 * count)
    values = np.empty(count, object)
    values[:] = [
        int.from_bytes(uniform[at : at + 56], "little") % (top + 1) for at in range(0, len(uniform), 56)
    ]
    draws = [
        values,
        values % P,
        multiples.astype(object) * P + near - 2,
        of_limbs(limbs),
        near.astype(object),
        top - near.astype(object),
    ]
    return np.clip(np.choose(kinds, draws), 0, top), kinds > 1


def run(function, a, b, parts, bound):
    limbs = [to_limbs(values.tolist()).reshape(-1, parts, LIMBS) for values in (a, b)]
    out = np.zeros_like(limbs[0])
    call(function, out, *limbs, len(out), ctypes.c_double(bound))
    return of_limbs(out.reshape(-1, LIMBS))


def operands_of(name, build):
    """Powers and the checked build are slower."""
    return OPERANDS // ((40 if name in SLOW else 2) if build == "checked" else 1)


def assert_all(zero, a, b, z):
    wrong = np.flatnonzero(zero % P != 0)
    assert not len(wrong), [hex(values[wrong[0]]) for values in (a, b, z)]


@pytest.mark.parametrize("name", FP)
@pytest.mark.parametrize("build", BUILDS)
def test_fp(build, name, ran):
    bound, zero = FP[name]
    function = getattr(library(build), f"test_fp_{name}")
    operands = hostile = 0
    for random, size in pieces(name, operands_of(name, build)):
        (a, hostile_a), (b, hostile_b) = draw(random, size, bound), draw(random, size, bound)
        if name == "equal":
            b[::2] = a[::2] % P + P * random.integers(0, bound, len(a[::2])).astype(object)
        z = run(function, a, b, 1, bound)
        assert_all(zero(z, a, b), a, b, z)
        assert name != "canonical" or (z < P).all()
        if name == "reciprocal_root":
            for x, y in zip(a[::POWERS], z[::POWERS], strict=True):
                assert (y - pow(x * R_INVERSE, (P - 3) // 4, P) * R) % P == 0, hex(x)
        operands, hostile = operands + size, hostile + int((hostile_a | hostile_b).sum())
    ran(f"fp_{name}", build, operands, hostile)


@pytest.mark.parametrize("name", FP2)
@pytest.mark.parametrize("build", BUILDS)
def test_fp2(build, name, ran):
    bound, zero = FP2[name]
    function = getattr(library(build), f"test_fp2_{name}")
    operands = hostile = 0
    for random, size in pieces(name, operands_of(name, build)):
        (a, hostile_a), (b, hostile_b) = draw(random, 2 * size, bound), draw(random, 2 * size, bound)
        z = run(function, a, b, 2, bound)
        pairs = [(values[::2], values[1::2]) for values in (z, a, b)]
        for part, equation in enumerate(zero(*pairs)):
            assert_all(equation, *(values[part::2] for values in (a, b, z)))
        operands, hostile = (
            operands + size,
            hostile + int((hostile_a | hostile_b).reshape(-1, 2).any(1).sum()),
        )
    ran(f"fp2_{name}", build, operands, hostile)


@pytest.mark.parametrize("build", BUILDS)
def test_zeros_in_any_lanes_have_no_inverse_and_spoil_no_other(build, ran):
    """The lanes share an inversion: each set of lanes is 0 once, written as 0 or as a multiple of p."""
    lane_sets = 1 << LANES
    a, _ = draw(np.random.default_rng(batches.SEED), lane_sets * LANES, 2**10)
    for i in range(len(a)):
        if i // LANES >> i % LANES & 1:
            a[i] = i % 5 * P
    z = run(library(build).test_fp_invert, a, a, 1, 2**10)
    assert_all(np.where(a % P == 0, z, z * a - R**2), a, a, z)
    ran("fp_invert of zeros", build, len(a), len(a))
