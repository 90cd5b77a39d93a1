"""The field functions of the lanes, next to Python integers: operands are not reduced, limbs at their ends.

Each function is run on each build; the checked one checks the bounds of results, too.
"""

import ctypes
from pathlib import Path

import numpy as np
import pytest

import dvtfast._native as native
from tests.backends import lanes_named
from tests.fuzz import batches

P = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
LIMBS, LIMB_BITS = 8, 52
R = 1 << (LIMBS * LIMB_BITS)
R_INVERSE = pow(R, -1, P)
LANES = 8

# Of each function: the largest operands in units of p, the result below them, what it is.
FP = {
    "mul": (2**14, lambda a, b: a * b * R_INVERSE),
    "sqr": (2**14, lambda a, b: a * a * R_INVERSE),
    "add": (2**14, lambda a, b: a + b),
    "sub": (512, lambda a, b: a - b),
    "sub2": (256, lambda a, b: a - 2 * b),
    "twice_sub2": (128, lambda a, b: -2 * b),
    "sub_b_2c": (128, lambda a, b: -a - b),
    "triple": (2**12, lambda a, b: 3 * a),
    "negate": (512, lambda a, b: -a),
    "halve": (2**12, lambda a, b: a * pow(2, -1, P)),
    "canonical": (2**14, lambda a, b: a * R_INVERSE),
    "invert": (2**10, lambda a, b: pow(a * R_INVERSE, -1, P) * R if a % P else 0),
    "reciprocal_root": (2**10, lambda a, b: pow(a * R_INVERSE, (P - 3) // 4, P) * R),
}
# The same for Fp2, of pairs.
FP2 = {
    "mul": (2**14, lambda a, b: times(a, b, R_INVERSE)),
    "sqr": (2**14, lambda a, b: times(a, a, R_INVERSE)),
    "mul_fp": (2**14, lambda a, b: times(a, (b[0], 0), R_INVERSE)),
    "wide_mul": (2**10, lambda a, b: times(a, b, R_INVERSE)),
    "invert": (2**10, lambda a, b: inverse(a)),
}
SLOW = ("invert", "reciprocal_root")


def times(a, b, factor):
    return (a[0] * b[0] - a[1] * b[1]) * factor, (a[0] * b[1] + a[1] * b[0]) * factor


def inverse(a):
    norm = (a[0] ** 2 + a[1] ** 2) % P
    factor = pow(norm, -1, P) * R * R if norm else 0
    return a[0] * factor, -a[1] * factor


def draw(random, count, bound):
    """Integers below bound * p: uniform, near multiples of p, limbs of zeros and ones, small, the largest."""
    out = []
    top = bound * P - 1
    for kind in random.integers(0, 6, count):
        uniform = int.from_bytes(random.bytes(53), "big") % (top + 1)
        if kind == 0:
            value = uniform
        elif kind == 1:
            value = uniform % P
        elif kind == 2:
            value = int(random.integers(0, bound + 1)) * P + int(random.integers(-2, 3))
        elif kind == 3:
            value = sum(int(random.choice([0, 1, 2**52 - 1, 2**51])) << (LIMB_BITS * i) for i in range(LIMBS))
        elif kind == 4:
            value = int(random.integers(0, 3))
        else:
            value = top - int(random.integers(0, 3))
        out.append(min(max(value, 0), top))
    return out


def to_limbs(values):
    mask = (1 << LIMB_BITS) - 1
    return np.array(
        [[value >> (LIMB_BITS * i) & mask for i in range(LIMBS)] for value in values], dtype=np.uint64
    )


def of_limbs(rows):
    return [sum(int(limb) << (LIMB_BITS * i) for i, limb in enumerate(row)) for row in rows.tolist()]


def library(build):
    lanes_named(build)
    (folder,) = [Path(path) for path in native.__path__ if list(Path(path).glob("lanes_*_primitives*"))]
    return ctypes.CDLL(str(next(folder.glob(f"lanes_{build}_primitives*"))))


def run(function, a, b, rows, bound):
    out = np.zeros_like(a)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (out, a, b)]
    function(*pointers, ctypes.c_size_t(rows), ctypes.c_double(bound))
    assert (out < 1 << LIMB_BITS).all(), "a limb is not normalised"
    return of_limbs(out)


@pytest.mark.parametrize("name", FP)
@pytest.mark.parametrize("build", ["ifma", "checked"])
def test_fp(build, name):
    bound, expected = FP[name]
    function = getattr(library(build), f"test_fp_{name}")
    random = np.random.default_rng([batches.SEED, len(name)])
    for size in pieces(name, build):
        a, b = draw(random, size, bound), draw(random, size, bound)
        got = run(function, to_limbs(a), to_limbs(b), size, bound)
        for x, y, z in zip(a, b, got, strict=True):
            assert (z - expected(x, y)) % P == 0, (x, y, z)
            assert name != "canonical" or z < P


@pytest.mark.parametrize("name", FP2)
@pytest.mark.parametrize("build", ["ifma", "checked"])
def test_fp2(build, name):
    bound, expected = FP2[name]
    function = getattr(library(build), f"test_fp2_{name}")
    random = np.random.default_rng([batches.SEED, 100 + len(name)])
    for size in pieces(name, build):
        a, b = draw(random, 2 * size, bound), draw(random, 2 * size, bound)
        got = run(function, to_limbs(a), to_limbs(b), size, bound)
        for i in range(0, 2 * size, 2):
            pair = expected((a[i], a[i + 1]), (b[i], b[i + 1]))
            assert [(z - e) % P for z, e in zip(got[i : i + 2], pair, strict=True)] == [0, 0], (
                a[i : i + 2],
                b[i],
            )


def pieces(name, build):
    """Sizes that add up to the cases of a function; powers and the checked build are slower."""
    cases = batches.CASES // (20 if name in SLOW else 1) // (4 if build == "checked" else 1)
    cases = max(cases, 64) // LANES * LANES
    print(f"{build} {name}: {cases} cases, seed {batches.SEED}")
    for first in range(0, cases, 4096):
        yield min(4096, cases - first)
