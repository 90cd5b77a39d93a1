"""The functions of points of the lanes, next to blst: any Z, unreduced, and every exception.

A result is right, or has Z = 0 where the formulas have an exception, and only there.
"""

import numpy as np
import pytest

from tests.fuzz.lanes_points import G1, G2, draw_jacobian, draw_z, pool
from tests.fuzz.lanes_rows import BUILDS, OPERANDS, call, pieces

CURVES = pytest.mark.parametrize("curve", [G1, G2], ids=lambda curve: curve.name)
ON_BUILDS = pytest.mark.parametrize("build", BUILDS)
# The checked build is a hundred times slower.
CHECKED_LESS = dict.fromkeys(("double", "add", "add_affine", "to_affine", "psi"), 4)
CHECKED_LESS |= {"multiply_by_x": 100, "in_group": 100}


def each(curve, build, name, ran, draw):
    """Calls draw(random, size), which tests so many and says which were hostile."""
    operands = hostile = 0
    for random, size in pieces(
        f"{curve.name} {name}", OPERANDS // (CHECKED_LESS[name] if build == "checked" else 1)
    ):
        operands, hostile = operands + size, hostile + int(draw(random, size).sum())
    ran(f"{curve.name}_{name}", build, operands, hostile)


def results(curve, build, name, *operands):
    """By lanes and by blst."""
    outs = []
    for library in (build, "blst"):
        outs.append(curve.jacobian(len(operands[0])))
        call(curve.function(library, name), outs[-1], *operands, len(operands[0]))
    return outs


@CURVES
@ON_BUILDS
def test_double(build, curve, ran):
    def double(random, size):
        p, hostile = draw_jacobian(random, curve, size)
        got, expected = results(curve, build, "double", p)
        assert curve.equal(got, expected).all()
        return hostile

    each(curve, build, "double", ran, double)


def draw_pairs(random, curve, size):
    """Of any points; a tenth are equal, a tenth opposite."""
    p, hostile = draw_jacobian(random, curve, size)
    q, hostile_q = draw_jacobian(random, curve, size)
    affine, _ = pool(curve).draw(random, size)
    kind = random.integers(0, 20, size)
    same = kind < 4
    affine, z = affine[same], [draw_z(random, curve, np.count_nonzero(same)) for _ in "pq"]
    p[same], q[same] = (curve.with_z(affine, one) for one in z)
    q[kind < 2] = curve.negated(q[kind < 2])
    return p, q, hostile | hostile_q | same


def assert_sums(curve, got, expected, p, q):
    exceptional = np.zeros(len(p), np.uint8)
    call(curve.function("blst", "exceptional"), exceptional, p, q, len(p))
    assert np.array_equal(curve.is_infinity(got), exceptional != 0)
    assert (curve.equal(got, expected) | (exceptional != 0)).all()


@CURVES
@ON_BUILDS
def test_add(build, curve, ran):
    def add(random, size):
        p, q, hostile = draw_pairs(random, curve, size)
        assert_sums(curve, *results(curve, build, "add", p, q), p, q)
        return hostile

    each(curve, build, "add", ran, add)


@CURVES
@ON_BUILDS
def test_add_affine(build, curve, ran):
    def add(random, size):
        p, hostile = draw_jacobian(random, curve, size)
        q, outside = pool(curve).draw(random, size)
        same = random.random(size) < 0.2
        p[same] = curve.with_z(q[same], draw_z(random, curve, np.count_nonzero(same)))
        opposite = same & (random.random(size) < 0.5)
        p[opposite] = curve.negated(p[opposite])
        assert_sums(curve, *results(curve, build, "add_affine", p, q), p, curve.with_one(q))
        return hostile | outside | same

    each(curve, build, "add_affine", ran, add)


@ON_BUILDS
def test_psi(build, ran):
    def psi(random, size):
        p, hostile = draw_jacobian(random, G2, size)
        got, expected = results(G2, build, "psi", p)
        in_group = ~hostile | G2.is_infinity(p)
        assert G2.equal(got, expected)[in_group].all()
        return hostile

    each(G2, build, "psi", ran, psi)


@CURVES
@ON_BUILDS
def test_multiply_by_x(build, curve, ran):
    """Multiples of a point of small order meet infinity on the way."""

    def multiply(random, size):
        p, hostile = draw_jacobian(random, curve, size)
        got, expected = results(curve, build, "multiply_by_x", p)
        exceptional = curve.is_infinity(got)
        assert not (exceptional & ~hostile).any()
        assert (curve.equal(got, expected) | exceptional).all()
        return hostile

    each(curve, build, "multiply_by_x", ran, multiply)


@CURVES
@ON_BUILDS
def test_in_group(build, curve, ran):
    def in_group(random, size):
        q, outside = pool(curve).draw(random, size)
        verdicts = np.zeros((2, size), np.uint8)
        for library, verdict in zip((build, "blst"), verdicts, strict=True):
            call(curve.function(library, "in_group"), verdict, q, size)
        assert np.array_equal(verdicts[0], verdicts[1])
        assert np.array_equal(verdicts[0] == 0, outside)
        return outside

    each(curve, build, "in_group", ran, in_group)


@CURVES
@ON_BUILDS
def test_to_affine(build, curve, ran):
    """Infinity among those that share an inversion spoils no other."""

    def to_affine(random, size):
        p, hostile = draw_jacobian(random, curve, size)
        outs, finite = [curve.affine(size) for _ in "12"], np.zeros((2, size), np.uint8)
        for library, out, well in zip((build, "blst"), outs, finite, strict=True):
            call(curve.function(library, "to_affine"), out, well, p, size)
        assert np.array_equal(finite[0], finite[1])
        assert np.array_equal(outs[0][finite[0] == 1], outs[1][finite[0] == 1])
        return hostile

    each(curve, build, "to_affine", ran, to_affine)
