"""Bytes that look like a point: every way we know to get one wrong, made from the right point."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from py_ecc.optimized_bls12_381 import field_modulus

from tests.fuzz.arkworks import Group, Point, Verdict, encode, random_point, small_order_point

COORDINATE_BYTES = 48
COORDINATE_BITS = 381
FLAGS = 0xE0
COMPRESSED, INFINITE, LARGER_Y = 0x80, 0x40, 0x20

Make = Callable[[Group, Point, np.random.Generator], bytes]


def infinity(group, _point, _random):
    return encode(group.infinity)


def infinity_with_a_sign(group, _point, _random):
    return bytes([COMPRESSED | INFINITE | LARGER_Y]) + bytes(group.width - 1)


def infinity_with_another_bit(group, _point, random):
    """Below the flags."""
    return flip(encode(group.infinity), int(random.integers(3, 8 * group.width)))


def not_compressed(_group, point, _random):
    return flip(encode(point), 0)


def said_to_be_infinity(_group, point, _random):
    return flip(encode(point), 1)


def same_x_above_p(group, point, random):
    """x + p for x: a second encoding, if it were accepted. G1 may have no room: another x then."""
    encoded = encode(point)
    flags = encoded[0] & FLAGS
    body = bytes([encoded[0] ^ flags]) + encoded[1:]
    coordinates = [
        int.from_bytes(body[start : start + COORDINATE_BYTES], "big")
        for start in range(0, group.width, COORDINATE_BYTES)
    ]
    limits = [1 << COORDINATE_BITS, 1 << 8 * COORDINATE_BYTES][: len(coordinates)]
    room = [i for i, x in enumerate(coordinates) if x + field_modulus < limits[i]]
    if room:
        place = room[random.integers(len(room))]
        most = (limits[place] - 1 - coordinates[place]) // field_modulus
        coordinates[place] += field_modulus * int(random.integers(1, most, endpoint=True))
    else:
        coordinates[0] = int(field_modulus + int(random.integers(2**62)))
    body = b"".join(x.to_bytes(COORDINATE_BYTES, "big") for x in coordinates)
    return bytes([body[0] | flags]) + body[1:]


def off_the_curve(group, _point, random):
    while True:
        encoded = random_x(group, random)
        if group.decode(encoded) is None:
            return encoded


def outside_the_subgroup(group, _point, random):
    return encode(random_point(group, random))


def of_small_order(group, _point, random):
    return encode(small(group, random))


def plus_small_order(group, point, random):
    return encode(point + small(group, random))


def one_bit_flipped(group, point, random):
    return flip(encode(point), int(random.integers(8 * group.width)))


def random_bytes(group, _point, random):
    return random.bytes(group.width)


def zeros(group, _point, _random):
    return bytes(group.width)


def ones(group, _point, _random):
    return b"\xff" * group.width


# With what they must be found to be; None where it depends on the draw.
HOSTILE: dict[str, tuple[Make, Verdict | None]] = {
    "infinity": (infinity, Verdict.INFINITY),
    "infinity with a sign": (infinity_with_a_sign, Verdict.MALFORMED),
    "infinity with another bit": (infinity_with_another_bit, Verdict.MALFORMED),
    "not compressed": (not_compressed, Verdict.MALFORMED),
    "said to be infinity": (said_to_be_infinity, Verdict.MALFORMED),
    "same x above p": (same_x_above_p, Verdict.MALFORMED),
    "off the curve": (off_the_curve, Verdict.MALFORMED),
    "outside the subgroup": (outside_the_subgroup, Verdict.OUTSIDE),
    "of small order": (of_small_order, Verdict.OUTSIDE),
    "plus small order": (plus_small_order, Verdict.OUTSIDE),
    "one bit flipped": (one_bit_flipped, None),
    "random bytes": (random_bytes, None),
    "zeros": (zeros, Verdict.MALFORMED),
    "ones": (ones, Verdict.MALFORMED),
}


def hostile(kind: str, group: Group, point: Point, random: np.random.Generator) -> bytes:
    return HOSTILE[kind][0](group, point, random)


def flip(encoded: bytes, bit: int) -> bytes:
    """With one bit changed; bit 0 is the first flag."""
    changed = bytearray(encoded)
    changed[bit // 8] ^= 0x80 >> bit % 8
    return bytes(changed)


def random_x(group: Group, random: np.random.Generator) -> bytes:
    """Flags of a finite point, and coordinates below p."""
    coordinates = [
        (int.from_bytes(random.bytes(64), "big") % field_modulus).to_bytes(COORDINATE_BYTES, "big")
        for _ in range(group.width // COORDINATE_BYTES)
    ]
    body = b"".join(coordinates)
    return bytes([body[0] | COMPRESSED | random.choice([0, LARGER_Y])]) + body[1:]


def small(group: Group, random: np.random.Generator) -> Point:
    """A point of a small prime order, one of all of its multiples but infinity."""
    return random.choice(np.array(small_points(group), object))


@cache
def small_points(group: Group) -> list[Point]:
    random = np.random.default_rng(1)
    found = []
    for order in group.small_orders:
        point = multiple = small_order_point(group, order, random)
        while multiple != group.infinity:
            found.append(multiple)
            multiple = multiple + point
    return found
