"""The operations of the lanes, next to blst: what is well is right, to the last bit; what is plain is well.

An encoding that is none must be left to blst.
"""

import ctypes

import numpy as np
import pytest

from tests import reference
from tests.fuzz import batches
from tests.fuzz.arkworks import encode, scalar
from tests.fuzz.hostile_encodings import COMPRESSED, HOSTILE, hostile, small_points
from tests.fuzz.lanes_points import G1, G2, IN_GROUP, pool
from tests.fuzz.lanes_rows import BUILDS, OPERANDS, P, call, library, pieces

R = reference.CURVE_ORDER
CURVES = pytest.mark.parametrize("curve", [G1, G2], ids=lambda curve: curve.name)
ON_BUILDS = pytest.mark.parametrize("build", BUILDS)
# The checked build needs a millisecond for most rows.
CHECKED_LESS, CHECKED_SUMS_LESS = 200, 10
MOST_OF_GROUP, IN_BUCKETS = 16, 1000  # rows of a sum
FEW_IN_BUCKETS = 400  # in a sum of fewer a bucket may be empty that has to have something
PAIRS = 32
ZERO_WEIGHT = 0x8888888888888888
PREPARED = 64  # encodings of each hostile kind


def operation(build, name):
    function = getattr(library(build), f"test_{name}")
    if build == "blst":
        return function
    function.restype = ctypes.POINTER(ctypes.c_void_p)
    return ctypes.CFUNCTYPE(ctypes.c_int)(function().contents.value)


def scratch(build):
    size = operation(build, "scratch_bytes")
    size = ctypes.CFUNCTYPE(ctypes.c_size_t)(ctypes.cast(size, ctypes.c_void_p).value)
    memory = np.zeros(call(size, None, 0) + 64, np.uint8)
    return memory[-memory.ctypes.data % 64 :]


def each(build, name, ran, draw, less=CHECKED_LESS):
    """Calls draw(random, size), which tests so many and says which were hostile."""
    operands = hostile = 0
    for random, size in pieces(name, OPERANDS // (less if build == "checked" else 1)):
        operands, hostile = operands + size, hostile + int(draw(random, size).sum())
    ran(name, build, operands, hostile)


def assert_same(build, name, outs, hostile, *arguments, room=()):
    """Rows of lanes and of blst, both of which say which are well."""
    wells = np.zeros((2, len(hostile)), np.uint8)
    for library_name, out, well in zip((build, "blst"), outs, wells, strict=True):
        more = room if library_name != "blst" else ()
        call(operation(library_name, name), out, well, *arguments, *more)
    by_lanes, by_blst = wells == 1
    assert by_lanes[~hostile].all(), "a plain row was left to blst"
    assert by_blst[by_lanes].all(), "blst finds nothing there"
    assert np.array_equal(outs[0][by_lanes], outs[1][by_lanes])
    return by_lanes, by_blst


# Encodings.


def prepared(curve):
    """Encodings of every hostile kind."""
    random = np.random.default_rng([batches.SEED, 1])
    group = curve.group
    points = [group.generator * scalar(batches.scalar(random)) for _ in range(PREPARED)]
    rows = [hostile(kind, group, point, random) for kind in HOSTILE for point in points]
    rows += [encode(point) for point in small_points(group)]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, group.width)


def draw_encodings(random, curve, size, bad):
    """Half are good; the others are prepared, of random bits below p, or good with bits or flags changed."""
    rows = curve.encode(pool(curve).draw_in_group(random, size))
    kind = random.integers(0, 10, size)
    chosen = np.flatnonzero(kind == 5)
    rows[chosen] = bad[random.integers(len(bad), size=len(chosen))]
    chosen = np.flatnonzero(kind == 6)  # half of them are on the curve
    rows[chosen] = random.integers(0, 256, (len(chosen), curve.group.width), dtype=np.uint8)
    rows[chosen, 0] = rows[chosen, 0] % 0x1A | COMPRESSED
    if curve is G2:
        rows[chosen, 48] %= 0x1A
    chosen = np.flatnonzero(kind == 7)
    flips = random.integers(0, 8 * curve.group.width, len(chosen))
    rows[chosen, flips // 8] ^= (1 << flips % 8).astype(np.uint8)
    chosen = np.flatnonzero(kind == 8)
    rows[chosen, 0] = rows[chosen, 0] & 0x1F | random.integers(0, 8, len(chosen), dtype=np.uint8) << 5
    chosen = np.flatnonzero(kind == 9)  # one coordinate at an edge
    edges = [value.to_bytes(48, "big") for value in (0, 1, P - 1, P, P + 1, 2**381 - 1)]
    edges = np.frombuffer(b"".join(edges), np.uint8).reshape(-1, 48)[random.integers(0, 6, len(chosen))]
    first = 48 * random.integers(0, curve.group.width // 48, len(chosen))
    flags = np.where(first == 0, rows[chosen, 0] & 0xE0, 0).astype(np.uint8)
    rows[chosen[:, None], first[:, None] + np.arange(48)] = edges
    rows[chosen, first] |= flags
    return rows, kind > 4


@CURVES
@ON_BUILDS
@pytest.mark.parametrize("in_group", [0, 1])
def test_decode(in_group, build, curve, ran):
    bad = prepared(curve)
    name = f"decode_{curve.name}"

    def decode(random, size):
        rows, hostile_rows = draw_encodings(random, curve, size, bad)
        outs = [curve.affine(size) for _ in "12"]
        by_lanes, by_blst = assert_same(build, name, outs, hostile_rows, rows, size, in_group)
        assert np.array_equal(by_lanes, by_blst)
        return hostile_rows

    def both(_, *counts):
        ran(f"{name}, in the group" if in_group else name, *counts)

    each(build, name, both, decode)


# Hashing.


def draw_uniform(random, size):
    """A sixteenth has equal or opposite halves, a sixteenth parts of zeros, ones or multiples of p."""
    uniform = random.integers(0, 256, (size, 256), dtype=np.uint8)
    kind = random.integers(0, 32, size)
    uniform[kind == 0, 128:] = uniform[kind == 0, :128]
    uniform[kind == 1] = opposite_halves(uniform[kind == 1])
    edges = [0, 1, P, P - 1, 2**512 - 1, (2**512 // P) * P, P << 128]
    edges = np.frombuffer(b"".join(edge.to_bytes(64, "big") for edge in edges), np.uint8).reshape(-1, 64)
    for part in range(4):
        chosen = np.flatnonzero((kind >= 2) & (kind < 4) & (random.random(size) < 0.6))
        uniform[chosen, 64 * part : 64 * part + 64] = edges[random.integers(0, len(edges), len(chosen))]
    return uniform, kind < 4


def opposite_halves(uniform):
    rows = uniform.copy()
    for row in rows:
        parts = [int.from_bytes(row[at : at + 64].tobytes(), "big") for at in (0, 64)]
        row[128:] = np.frombuffer(b"".join((-part % P).to_bytes(64, "big") for part in parts), np.uint8)
    return rows


@ON_BUILDS
def test_hash(build, ran):
    memory = scratch(build)

    def to_g2(random, size):
        uniform, hostile_rows = draw_uniform(random, size)
        outs = [G2.affine(size) for _ in "12"]
        assert_same(build, "hash_to_g2", outs, hostile_rows, uniform, size, room=(memory,))
        return hostile_rows

    each(build, "hash_to_g2", ran, to_g2)


# Multiplications.


def draw_weights(random, size):
    """Words; an eighth weigh little: few bits of them are not those of the word that weighs 0."""
    words = random.integers(0, 1 << 64, size, dtype=np.uint64)
    shift = random.integers(0, 64, size).astype(np.uint64)
    edges = np.uint64(ZERO_WEIGHT) ^ random.integers(1, 20, size).astype(np.uint64) << shift
    edges[random.random(size) < 0.1] = np.uint64(ZERO_WEIGHT ^ 2**64 - 1)
    at_edge = (random.random(size) < 0.125) & (edges != ZERO_WEIGHT)
    return np.where(at_edge, edges, words), at_edge


@ON_BUILDS
def test_weight(build, ran):
    memory = scratch(build)

    def weight(random, size):
        points = pool(G1).draw_in_group(random, size)
        weights, at_edge = draw_weights(random, size)
        outs = [G1.affine(size) for _ in "12"]
        assert_same(build, "weight_g1", outs, at_edge, points, weights, size, room=(memory,))
        return at_edge

    each(build, "weight_g1", ran, weight)


def draw_scalars(random, size):
    """Of 1..r-1, lowest word first; an eighth at an edge."""
    words = random.integers(0, 1 << 64, (size, 4), dtype=np.uint64)
    words[:, 3] %= np.uint64(R >> 192)
    at_edge = random.random(size) < 0.125
    edges = [batches.edge_scalar(random) for _ in range(np.count_nonzero(at_edge))]
    words[at_edge] = [[edge >> 64 * k & (1 << 64) - 1 for k in range(4)] for edge in edges]
    return words, at_edge


@ON_BUILDS
def test_multiply(build, ran):
    memory = scratch(build)

    def multiply(random, size):
        points = pool(G2).draw_in_group(random, size)
        scalars, at_edge = draw_scalars(random, size)
        outs = [G2.affine(size) for _ in "12"]
        assert_same(build, "multiply_g2", outs, at_edge, points, scalars, size, room=(memory,))
        return at_edge

    each(build, "multiply_g2", ran, multiply)


# Sums.


def draw_terms(random, size):
    """Points and weights of a sum; in a quarter of the sums some are equal or opposite."""
    weights, _ = draw_weights(random, size)
    again = random.random() < 0.25
    points = pool(G2).in_group[random.choice(IN_GROUP, size, replace=again)]
    if again and size > 1:
        weights[1::2] = weights[: size - size % 2 : 2]
        points[1::2] = points[: size - size % 2 : 2]
        if random.random() < 0.5:
            points[1::2] = opposite(points[1::2])
    return points, weights, again


def opposite(points):
    return G2.negated(G2.with_one(points))[:, :24]


@ON_BUILDS
def test_sums(build, ran):
    memory = scratch(build)
    sums, well, expected = np.zeros((8, 36), np.uint64), np.zeros(8, np.uint8), np.zeros((8, 36), np.uint64)

    def add_up(random, size):
        hostile_rows = np.zeros(size, bool)
        while size:
            group = int(random.integers(1, MOST_OF_GROUP, endpoint=True))
            n = int(min(size, random.integers(1, 8 * group, endpoint=True)))
            points, weights, again = draw_terms(random, n)
            call(operation(build, "weighted_sums"), sums, well, points, weights, n, group, memory)
            call(operation("blst", "weighted_sums"), expected, points, weights, n, group)
            there = -(-n // group)
            assert again or well[:there].all(), "a plain sum was left to blst"
            assert (G2.equal(sums, expected)[:there] | (well[:there] == 0)).all()
            size -= n
            hostile_rows[size : size + n] = again
        return hostile_rows

    each(build, "weighted_sums", ran, add_up, CHECKED_SUMS_LESS)


@ON_BUILDS
def test_sums_by_buckets(build, ran):
    """Half of the sums have points outside G2, alone or two that cancel in the sum of all points."""
    memory = scratch(build)
    sums, total, expected = (np.zeros((n, 36), np.uint64) for n in (8, 1, 1))
    in_group = np.zeros(1, np.int32)

    def add_up(random, size):
        hostile_rows = np.zeros(size, bool)
        while size:
            n = int(min(size, random.integers(1, IN_BUCKETS, endpoint=True)))
            points, weights, again = draw_terms(random, n)
            bad = random.random() < 0.5
            if bad:
                add_outsiders(random, points, weights)
            if call(operation(build, "sum_by_buckets"), sums, in_group, points, weights, n, memory):
                assert bool(in_group[0]) != bad
                if not bad:
                    call(G2.function("blst", "sum"), total, sums, len(sums))
                    call(operation("blst", "weighted_sums"), expected, points, weights, n, n)
                    assert G2.equal(total, expected).all()
            else:
                assert again, "a plain sum was left to blst"
            size -= n
            hostile_rows[size : size + n] = again or bad
        return hostile_rows

    each(build, "sum_by_buckets", ran, add_up, CHECKED_SUMS_LESS)


def add_outsiders(random, points, weights):
    """A point of the curve, mostly of small order, is added to one; half of the time another loses it."""
    others = pool(G2).small if random.random() < 0.75 else pool(G2).on_curve
    outsider = others[random.integers(len(others), size=1)]
    one, *rest = random.choice(len(points), min(2, len(points)), replace=False)
    points[[one]] = G2.sums(points[[one]], outsider)
    if rest and random.random() < 0.5:
        points[rest] = G2.sums(points[rest], opposite(outsider))
    weights[[one, *rest]] = random.integers(0, 1 << 64, 1 + len(rest), dtype=np.uint64)


# Sums, multiples and values in G1's curve, for key generation.


def plain_and_exceptional(random, size):
    """Pairs of points; an eighth are equal or opposite."""
    points, terms = (pool(G1).draw(random, size)[0] for _ in "12")
    kind = random.integers(0, 16, size)
    terms[kind == 0] = points[kind == 0]
    chosen = np.flatnonzero(kind == 1)
    terms[chosen] = G1.negated(G1.with_one(points[chosen]))[:, :12]
    return points, terms, kind < 2


@ON_BUILDS
def test_add_g1(build, ran):
    memory = scratch(build)

    def add(random, size):
        points, terms, exceptional = plain_and_exceptional(random, size)
        exceptional |= (points[:, :6] == terms[:, :6]).all(axis=1)  # the pool is small
        outs = [points.copy() for _ in "12"]
        by_lanes, _ = assert_same(build, "add_g1", outs, exceptional, terms, size, room=(memory,))
        assert np.array_equal(outs[0][~by_lanes], points[~by_lanes])
        return exceptional

    each(build, "add_g1", ran, add)


@ON_BUILDS
def test_in_g1(build, ran):
    def judge(random, size):
        points, outside = pool(G1).draw(random, size)
        wells = np.zeros((2, size), np.uint8)
        for name, well in zip((build, "blst"), wells, strict=True):
            call(operation(name, "in_g1"), well, points, size)
        assert wells[1][wells[0] == 1].all()
        assert wells[0][~outside].all()
        return outside

    each(build, "in_g1", ran, judge)


@ON_BUILDS
def test_values_g1(build, ran):
    """Polynomials of all degrees below 9, and some coefficients that are equal or opposite."""
    memory = scratch(build)

    def values(random, size):
        exceptional = np.zeros(size, bool)
        for first in range(0, size, 256):
            n, t, count = min(256, size - first), int(random.integers(1, 10)), int(random.integers(1, 14))
            points = pool(G1).draw_in_group(random, n * t).reshape(n, t, 12)
            again = random.random(n) < 0.1
            if t > 1:
                points[again, -1] = points[again, 0]
            for i in range(1, t):  # equal ones can be exceptions of the differences
                again |= (points[:, :i, :6] == points[:, i : i + 1, :6]).all(axis=2).any(axis=1)
            outs = [np.zeros((n, count, 12), np.uint64) for _ in "12"]
            assert_same(build, "values_g1", outs, again, points, n, t, count, room=(memory,))
            exceptional[first : first + n] = again
        return exceptional

    each(build, "values_g1", ran, values)


def generator_table(build):
    """As comb.h says: a limb of all multiples of a window side by side."""
    points, rows = np.zeros((32, 128, 12), np.uint64), np.zeros((32, 128, 16), np.uint64)
    call(library("blst").test_generator_table, points, 32)
    call(operation(build, "make_table"), rows, points, 32 * 128)
    return np.ascontiguousarray(rows.transpose(0, 2, 1))


@ON_BUILDS
def test_multiply_base(build, ran):
    memory, table = scratch(build), generator_table(build)

    def multiply(random, size):
        scalars, at_edge = draw_scalars(random, size)
        scalars[random.random(size) < 0.01] = 0
        at_edge |= ~scalars.any(axis=1)
        outs = [G1.affine(size) for _ in "12"]
        assert_same(build, "multiply_base", outs, at_edge, scalars, table, size, room=(memory,))
        return at_edge

    each(build, "multiply_base", ran, multiply)


@ON_BUILDS
def test_sum_g1(build, ran):
    """Of points in and outside G1; in a quarter of the sums some are equal or opposite."""
    memory = scratch(build)
    sums, expected = np.zeros((8, 18), np.uint64), np.zeros((8, 18), np.uint64)

    def add_up(random, size):
        hostile_rows = np.zeros(size, bool)
        while size:
            n = int(min(size, random.integers(1, IN_BUCKETS, endpoint=True)))
            again = random.random() < 0.25
            points = pool(G1).in_group[random.choice(IN_GROUP, n, replace=again)]
            words = random.integers(0, 1 << 64, n, dtype=np.uint64)
            if call(operation(build, "sum_g1"), sums, points, words, n, memory):
                call(operation("blst", "sum_g1"), expected, points, words, n)
                assert G1.equal(sums, expected).all()
            else:
                assert again or n < FEW_IN_BUCKETS, "a plain sum was left to blst"
            size -= n
            hostile_rows[size : size + n] = again
        return hostile_rows

    each(build, "sum_g1", ran, add_up, CHECKED_SUMS_LESS)


# Pairings.


@ON_BUILDS
def test_miller(build, ran):
    memory = scratch(build)

    def pairs(random, size):
        hostile_rows = np.zeros(size, bool)
        for first in range(0, size, 512):
            n = min(512, size - first)
            group = int(random.integers(1, PAIRS, endpoint=True))
            (p, outside_p), (q, outside_q) = pool(G1).draw(random, n), pool(G2).draw(random, n)
            sides = -(-n // group)
            values, well = np.zeros((sides, 72), np.uint64), np.zeros(sides, np.uint8)
            call(operation(build, "miller"), values, well, p, q, n, group, memory)
            agrees = np.zeros(sides, np.uint8)
            call(library("blst").test_miller_agrees, agrees, values, p, q, n, group)
            outside = np.zeros(sides * group, bool)
            outside[:n] = hostile_rows[first : first + n] = outside_p | outside_q
            assert (agrees[well == 1] == 1).all()
            assert (well[~outside.reshape(sides, group).any(axis=1)] == 1).all()
        return hostile_rows

    each(build, "miller", ran, pairs)
