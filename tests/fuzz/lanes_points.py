"""Points of both groups in blst's form, words of 64 bits, drawn for the functions of the lanes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tests.fuzz import arkworks, batches
from tests.fuzz.arkworks import Group, encode
from tests.fuzz.hostile_encodings import small_points
from tests.fuzz.lanes_rows import P, Words, call, library

FORM = 1 << 384
IN_GROUP, ON_CURVE = 1024, 128


def words_of(value: int) -> list[int]:
    """Of a field element in blst's form."""
    return [value * FORM % P >> 64 * k & (1 << 64) - 1 for k in range(6)]


@dataclass(frozen=True)
class Curve:
    """G1's or G2's, as the libraries name it."""

    name: str
    group: Group
    words: int  # of a field element

    def function(self, build: str, name: str):
        return getattr(library(build), f"test_{self.name}_{name}")

    def decode(self, encodings: list[bytes]) -> Words:
        """Affine points, whether in the group or not."""
        rows = np.frombuffer(b"".join(encodings), np.uint8)
        points, well = self.affine(len(encodings)), np.zeros(len(encodings), np.uint8)
        call(getattr(library("blst"), f"test_decode_{self.name}"), points, well, rows, len(encodings), 0)
        assert well.all()
        return points

    def affine(self, n: int) -> Words:
        return np.zeros((n, 2 * self.words), np.uint64)

    def jacobian(self, n: int) -> Words:
        return np.zeros((n, 3 * self.words), np.uint64)

    def sums(self, p: Words, q: Words) -> Words:
        """Of affine points, which are not opposite."""
        out = np.zeros_like(p)
        assert call(self.function("blst", "sums"), out, *map(np.ascontiguousarray, (p, q)), len(p))
        return out

    def encode(self, points: Words) -> NDArray[np.uint8]:
        """uint8[n, 48] or uint8[n, 96] of affine points."""
        out = np.zeros((len(points), self.group.width), np.uint8)
        call(self.function("blst", "compress"), out, points, len(points))
        return out

    def with_z(self, points: Words, z: Words) -> Words:
        """Jacobian points."""
        out = self.jacobian(len(points))
        call(self.function("blst", "rescale"), out, np.ascontiguousarray(points), z, len(points))
        return out

    def with_one(self, points: Words) -> Words:
        """The same with a Z of 1."""
        one = words_of(1) + [0] * (self.words - 6)
        return self.with_z(points, np.tile(np.array(one, np.uint64), (len(points), 1)))

    def negated(self, p: Words) -> Words:
        out = np.ascontiguousarray(p)
        call(self.function("blst", "negate"), out, len(p))
        return out

    def equal(self, p: Words, q: Words) -> NDArray[np.bool_]:
        out = np.zeros(len(p), np.uint8)
        call(self.function("blst", "equal"), out, p, q, len(p))
        return out.astype(bool)

    def is_infinity(self, p: Words) -> NDArray[np.bool_]:
        return ~p[:, 2 * self.words :].any(axis=1)


G1, G2 = Curve("g1", arkworks.G1, 6), Curve("g2", arkworks.G2, 12)


@dataclass(frozen=True)
class Pool:
    """Affine points to draw from: of the group, different ones; of the curve; of small order."""

    curve: Curve
    in_group: Words
    on_curve: Words
    small: Words

    def draw_in_group(self, random: np.random.Generator, n: int) -> Words:
        """Sums of two."""
        i = random.integers(IN_GROUP, size=n)
        j = (i + random.integers(1, IN_GROUP, size=n)) % IN_GROUP
        return self.curve.sums(self.in_group[i], self.in_group[j])

    def draw(self, random: np.random.Generator, n: int) -> tuple[Words, NDArray[np.bool_]]:
        """Points, and which are outside the group: a tenth, also of small order."""
        points = self.draw_in_group(random, n)
        outside = random.random(n) < 0.1
        others = np.concatenate([self.on_curve, self.small])
        others = others[random.integers(len(others), size=np.count_nonzero(outside))]
        mixed = random.random(len(others)) < 0.5
        others[mixed] = self.curve.sums(others[mixed], points[outside][mixed])
        points[outside] = others
        return points, outside


@cache
def pool(curve: Curve) -> Pool:
    random = np.random.default_rng([batches.SEED, curve.words])
    group = curve.group
    scalars = [batches.scalar(random) for _ in range(IN_GROUP)]
    in_group = [encode(group.generator * arkworks.scalar(scalar)) for scalar in scalars]
    on_curve = [encode(arkworks.random_point(group, random)) for _ in range(ON_CURVE)]
    small = [encode(point) for point in small_points(group)]
    # blst takes the two of order 3, x = 0 on E1, for no points.
    decoded = curve.decode([row for row in small if row[0] & 0x1F or any(row[1:])])
    if group is arkworks.G1:
        of_order_3 = [words_of(0) + words_of(y) for y in (2, P - 2)]
        decoded = np.concatenate([decoded, np.array(of_order_3, np.uint64)])
    return Pool(curve, curve.decode(in_group), curve.decode(on_curve), decoded)


def draw_z(random: np.random.Generator, curve: Curve, n: int) -> Words:
    """Z of some points: below 2^380, a quarter 1, some parts 0 but not all of them."""
    z = random.integers(0, 1 << 64, (n, curve.words), dtype=np.uint64)
    z[:, 5::6] >>= np.uint64(4)
    kind = random.integers(0, 8, n)
    z[kind < 2] = words_of(1) + [0] * (curve.words - 6)
    if curve.words > 6:
        z[kind == 2, :6] = 0
        z[kind == 3, 6:] = 0
    return z


def draw_jacobian(random: np.random.Generator, curve: Curve, n: int) -> tuple[Words, NDArray[np.bool_]]:
    """Jacobian points, and which are hostile: infinity, 1 of 20, or outside the group."""
    points, hostile = pool(curve).draw(random, n)
    z = draw_z(random, curve, n)
    infinite = random.random(n) < 0.05
    z[infinite] = 0
    jacobian = curve.with_z(points, z)
    # What exceptions leave: any X and Y.
    jacobian[infinite, : 2 * curve.words] = points[infinite]
    return jacobian, hostile | infinite
