"""The reference for volume: points of arkworks (Rust), from a PyPI package, and Python integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pytest

from tests import reference

arkworks = pytest.importorskip("py_arkworks_bls12381", reason="pip install py-arkworks-bls12381")

Point = Any


class Verdict(Enum):
    """What some bytes are, to who wants a point of the subgroup."""

    GOOD = "good"
    INFINITY = "infinity"
    OUTSIDE = "not in the subgroup"
    MALFORMED = "malformed"


@dataclass(frozen=True)
class Group:
    """G1 or G2."""

    point: type[Any]
    width: int
    cofactor: int
    small_orders: tuple[int, ...]  # prime factors of the cofactor

    @property
    def generator(self) -> Point:
        return self.point()

    @property
    def infinity(self) -> Point:
        return self.point.identity()

    def decode(self, encoded: bytes) -> Point | None:
        """The curve point of a canonical encoding, of any order; arkworks alone takes more for infinity."""
        try:
            point = self.point.from_compressed_bytes_unchecked(encoded)
        except ValueError:
            return None
        return point if encode(point) == encoded else None

    def judge(self, encoded: bytes) -> Verdict:
        point = self.decode(encoded)
        if point is None:
            return Verdict.MALFORMED
        if point == self.infinity:
            return Verdict.INFINITY
        return Verdict.GOOD if point.is_in_subgroup() else Verdict.OUTSIDE

    def interpolate(self, encoded: Sequence[bytes], share_indices: Sequence[int]) -> bytes | None:
        """The encoded value at 0; None when a share or the value is no point of the group, or infinity."""
        if any(self.judge(share) is not Verdict.GOOD for share in encoded):
            return None
        terms = zip(encoded, reference.lagrange_coefficients(share_indices), strict=True)
        value = self.infinity
        for share, coefficient in terms:
            value = value + self.decode(share) * scalar(coefficient)
        return None if value == self.infinity else encode(value)


G1 = Group(arkworks.G1Point, 48, reference.G1_COFACTOR, (3, 11))
G2 = Group(arkworks.G2Point, 96, reference.G2_COFACTOR, (13, 23))


def scalar(value: int) -> Any:
    return arkworks.Scalar.from_be_bytes((value % reference.CURVE_ORDER).to_bytes(32, "big"))


def encode(point: Point) -> bytes:
    return bytes(point.to_compressed_bytes())


def public_key(secret_key: int) -> bytes:
    return encode(G1.generator * scalar(secret_key))


def hash_to_g2(signing_root: bytes) -> Point:
    return arkworks.G2Point.hash_to_curve(signing_root, reference.DST_SIGNATURE)


def verifies(public_key: bytes, signing_root: bytes, signature: bytes) -> bool:
    """e(P, H) == e(G1, S) for points of the groups that are not infinity."""
    if G1.judge(public_key) is not Verdict.GOOD or G2.judge(signature) is not Verdict.GOOD:
        return False
    keys = [G1.decode(public_key), -G1.generator]
    return bool(arkworks.GT.pairing_check(keys, [hash_to_g2(signing_root), G2.decode(signature)]))


def multiply(point: Point, factor: int) -> Point:
    """By an integer that is not reduced, for points of any order; arkworks' scalars are modulo r."""
    total = point - point
    for bit in f"{factor:b}":
        total = total + total
        if bit == "1":
            total = total + point
    return total


def random_point(group: Group, random: np.random.Generator) -> Point:
    """A point of the whole curve, as good as never in the subgroup."""
    while True:
        encoded = bytearray(random.bytes(group.width))
        encoded[0] = encoded[0] & 0x3F | 0x80
        if (point := group.decode(bytes(encoded))) is not None:
            return point


def small_order_point(group: Group, order: int, random: np.random.Generator) -> Point:
    """A point of this prime order."""
    rest = group.cofactor * reference.CURVE_ORDER
    while rest % order == 0:
        rest //= order
    while (point := multiply(random_point(group, random), rest)) == group.infinity:
        pass
    while (next_point := multiply(point, order)) != group.infinity:
        point = next_point
    return point
