"""Lagrange coefficients, and the cheapest way to apply them to points.

    value at a = sum_i lambda_i * value at x_i,    lambda_i = prod_{j != i} (a - x_j) / (x_i - x_j)

Two ways compete for each set of share indices:

* The lambda_i are rational: lambda_i = c_i / D with small integers c_i when the indices are small
  (1, 2, 3 give 3, -3, 1). That is a few additions, and a multiplication by 1/D when D is not 1.
* Modulo r each lambda_i has four digits of 64 bits in base |x|, the curve parameter, by which the
  endomorphism psi of G2 multiplies at no cost. No division is left, but four times as many terms.

In both all terms share their doublings, and signed windows of some width save additions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import combinations, islice

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast._native.interpolation import Rule
from dvtfast.constants import CURVE_ORDER, CURVE_PARAMETER

# What the kernel does with affine points of G2, in additions: twice the same, -psi, psi twice.
DOUBLE_COST, PSI_COST = 1.1, 0.3
WINDOWS = (1, 2, 3, 4, 5)  # 1 is plain bits
DIGITS = 4  # base |x| of a scalar
CACHED_RULES = 4096
# Subsets of the share indices that are looked at for the cheapest one.
MAX_SUBSETS = 1000


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


@dataclass(frozen=True)
class Way:
    """A sum over terms (share, power of |x|, integer), in windows of some width, and then a scale."""

    shares: int
    terms: tuple[tuple[int, int, int], ...]
    window: int
    scale: Way | None = None

    @cached_property
    def digits(self) -> list[list[int]]:
        """Of each term, equally long."""
        rows = [_signed_windows(factor, self.window) for _, _, factor in self.terms]
        length = max(map(len, rows))
        return [row + [0] * (length - len(row)) for row in rows]

    @property
    def multiples(self) -> int:
        """How many odd multiples of each share the windows need: 1, 3, 5, ..."""
        return max(abs(digit) for row in self.digits for digit in row) // 2 + 1

    @cached_property
    def cost(self) -> float:
        """In additions."""
        additions = sum(digit != 0 for row in self.digits for digit in row)
        doublings = len(self.digits[0]) - 1
        if self.multiples > 1:
            additions += self.shares * (self.multiples - 1)
            doublings += self.shares
        powers = max(power for _, power, _ in self.terms)
        own = additions + doublings * DOUBLE_COST + powers * self.shares * self.multiples * PSI_COST
        return own + (self.scale.cost if self.scale else 0.0)

    def rule(self) -> Rule:
        """As kernels take it."""
        signed = [np.array(row, dtype=np.int8).tobytes() for row in self.digits]
        terms = [(share, power, row) for (share, power, _), row in zip(self.terms, signed, strict=True)]
        return Rule(self.shares, self.multiples, terms, self.scale.rule() if self.scale else None)


@lru_cache(maxsize=CACHED_RULES)
def rule(xs: tuple[int, ...], at: int = 0) -> Rule:
    """How kernels interpolate from `xs` at `at`."""
    return cheapest_way(xs, at).rule()


@lru_cache(maxsize=CACHED_RULES)
def cheapest_way(xs: tuple[int, ...], at: int = 0) -> Way:
    """The cheapest of all ways and widths."""
    numerators, denominator = rational_coefficients(xs, at)
    scale = None
    if denominator != 1:
        inverse = pow(denominator, -1, CURVE_ORDER)
        scale = min((Way(1, _in_base_x(0, inverse), w) for w in WINDOWS), key=lambda way: way.cost)
    small = tuple((i, 0, numerator) for i, numerator in enumerate(numerators))
    split = tuple(term for i, value in enumerate(coefficients(xs, at)) for term in _in_base_x(i, value))

    def ways() -> Iterator[Way]:
        for window in WINDOWS:
            yield Way(len(xs), small, window, scale)
            yield Way(len(xs), split, window)

    return min(ways(), key=lambda way: way.cost)


@lru_cache(maxsize=CACHED_RULES)
def cheapest_subset(xs: tuple[int, ...], size: int) -> tuple[int, ...]:
    """Positions, ascending, of the `size` indices that are about the cheapest to interpolate from at 0."""

    def bits(subset: tuple[int, ...]) -> int:
        numerators, denominator = rational_coefficients([xs[i] for i in subset], 0)
        of_scale = DIGITS * CURVE_PARAMETER.bit_length() if denominator != 1 else 0
        return of_scale + sum(numerator.bit_length() for numerator in numerators)

    return min(islice(combinations(range(len(xs)), size), MAX_SUBSETS), key=bits)


def _in_base_x(share: int, value: int) -> tuple[tuple[int, int, int], ...]:
    """The terms (share, power, digit) of a scalar."""
    terms = []
    for power in range(DIGITS):
        value, digit = divmod(value, CURVE_PARAMETER)
        if digit:
            terms.append((share, power, digit))
    return tuple(terms)


def _signed_windows(value: int, width: int) -> list[int]:
    """Digits of an integer, lowest first: odd and below 2^(width-1) in size, or 0, which most are."""
    if width == 1:
        return [int(bit) * (-1 if value < 0 else 1) for bit in reversed(f"{abs(value):b}")]
    digits = []
    while value:
        digit = value % (1 << width) if value % 2 else 0
        if digit >= 1 << (width - 1):
            digit -= 1 << width
        digits.append(digit)
        value = (value - digit) >> 1
    return digits or [0]
