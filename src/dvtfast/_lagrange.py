"""Lagrange coefficients, and the cheapest way to apply them to points.

    value at a = sum_i lambda_i * value at x_i,    lambda_i = prod_{j != i} (a - x_j) / (x_i - x_j)

The lambda_i are rational: lambda_i = c_i / D with small integers c_i when the indices are small
(1, 2, 3 give 3, -3, 1). A kernel then needs a few additions and, when D is not 1, one
multiplication by 1/D modulo r.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast._native.threshold import Rule
from dvtfast.constants import CURVE_ORDER

# Microseconds of blst 0.3.16 on G2: doubling, complete addition, multiplication by a 255-bit scalar.
DOUBLE_COST, ADD_COST, MULTIPLY_COST = 0.5, 1.4, 125.0
# The kernel's limit for joint doubling and adding; above it multiplies share by share.
JOINT_BITS = 96
CACHED_RULES = 4096


def rational_coefficients(xs: Sequence[int], at: int) -> tuple[list[int], int]:
    """Integers c_i and D with lambda_i = c_i / D."""
    fractions = [
        Fraction(
            math.prod(at - other for other in xs if other != x),
            math.prod(x - other for other in xs if other != x),
        )
        for x in xs
    ]
    denominator = math.lcm(*(fraction.denominator for fraction in fractions))
    return [int(fraction * denominator) for fraction in fractions], denominator


def coefficients(xs: Sequence[int], at: int) -> list[int]:
    """The lambda_i modulo r."""
    numerators, denominator = rational_coefficients(xs, at)
    inverse = pow(denominator, -1, CURVE_ORDER)
    return [numerator * inverse % CURVE_ORDER for numerator in numerators]


def coefficient_rows(xs: Sequence[int], at: int) -> Bytes:
    """The lambda_i modulo r as uint8[t, 32], big-endian."""
    joined = b"".join(value.to_bytes(32, "big") for value in coefficients(xs, at))
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(xs), 32)


@lru_cache(maxsize=CACHED_RULES)
def rule(xs: tuple[int, ...], at: int = 0) -> Rule:
    """How kernels interpolate from `xs` at `at`, by the cheaper of the two ways."""
    numerators, denominator = rational_coefficients(xs, at)
    bits = max(1, *(abs(numerator).bit_length() for numerator in numerators))
    joint_cost = (
        bits * DOUBLE_COST
        + sum(abs(numerator).bit_count() for numerator in numerators) * ADD_COST
        + (MULTIPLY_COST if denominator != 1 else 0.0)
    )
    if bits <= JOINT_BITS and joint_cost < len(xs) * MULTIPLY_COST:
        scale = b"" if denominator == 1 else pow(denominator, -1, CURVE_ORDER).to_bytes(32, "little")
        factors = [abs(numerator) for numerator in numerators]
        negative = bytes(numerator < 0 for numerator in numerators)
    else:
        bits, scale = CURVE_ORDER.bit_length(), b""
        factors, negative = coefficients(xs, at), bytes(len(xs))
    return Rule(b"".join(factor.to_bytes(32, "little") for factor in factors), negative, scale, bits)
