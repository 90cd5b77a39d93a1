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
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations, islice
from typing import Final

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast._native.interpolation import Rule
from dvtfast.constants import CURVE_ORDER, CURVE_PARAMETER

# What the kernel does with affine points of G2, in additions: twice the same, -psi, psi twice.
DOUBLE_COST, PSI_COST = 1.1, 0.3
WINDOWS = (1, 2, 3, 4, 5)  # 1 is plain bits
DIGITS = 4  # base |x| of a scalar
CACHED_BYTES: Final = 16 << 20  # of rules
CACHED_SUBSETS: Final = 1024
# A way is looked at closely when it is expected to cost at most so much more than the best one.
SLACK, FEW_ADDITIONS = 1.1, 8.0
# Bits of a product of differences; above this no integers c_i are small, and they are not looked for.
RATIONAL_BITS: Final = 2048
# Subsets of the share indices that are looked at for the cheapest one: as many as take these multiplications.
SUBSET_PRODUCTS: Final = 20_000


def rational_coefficients(xs: Sequence[int], at: int) -> tuple[list[int], int]:
    """Integers c_i and D with lambda_i = c_i / D, D > 0 and as small as can be."""
    above = [math.prod([at - other for other in xs if other != x]) for x in xs]
    below = [math.prod([x - other for other in xs if other != x]) for x in xs]
    common = [math.gcd(*parts) for parts in zip(above, below, strict=True)]
    denominator = math.lcm(*(part // divisor for part, divisor in zip(below, common, strict=True)))
    numerators = [
        n // divisor * (denominator // (part // divisor))
        for n, part, divisor in zip(above, below, common, strict=True)
    ]
    return numerators, denominator


def coefficients(xs: Sequence[int], at: int) -> list[int]:
    """The lambda_i modulo r. The work grows with the square of their number, whatever the indices are."""
    return [
        _product_modulo_r(at - other for other in xs if other != x)
        * pow(_product_modulo_r(x - other for other in xs if other != x), -1, CURVE_ORDER)
        % CURVE_ORDER
        for x in xs
    ]


def _product_modulo_r(factors: Iterable[int]) -> int:
    product = 1
    for factor in factors:
        product = product * factor % CURVE_ORDER
    return product


def coefficient_rows(xs: Sequence[int], at: int) -> Bytes:
    """The lambda_i modulo r as uint8[t, 32], big-endian."""
    joined = b"".join(value.to_bytes(32, "big") for value in coefficients(xs, at))
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(xs), 32)


@dataclass(frozen=True)
class WindowedSum:
    """A sum over terms (share, power of |x|, integer), in windows of some width, and then a scale."""

    shares: int
    terms: tuple[tuple[int, int, int], ...]
    window: int
    scale: WindowedSum | None = None

    @cached_property
    def digits(self) -> list[list[int]]:
        """Of each term, equally long."""
        rows = [_signed_windows(factor, self.window) for _, _, factor in self.terms]
        length = max(map(len, rows))
        return [row + [0] * (length - len(row)) for row in rows]

    @cached_property
    def multiples(self) -> int:
        """How many odd multiples of each share the windows need: 1, 3, 5, ..."""
        return max(max(max(row), -min(row)) for row in self.digits) // 2 + 1

    @cached_property
    def cost(self) -> float:
        """In additions."""
        additions = sum(len(row) - row.count(0) for row in self.digits)
        own = self._total(additions, len(self.digits[0]) - 1, self.multiples)
        return own + (self.scale.cost if self.scale else 0.0)

    @cached_property
    def expected_cost(self) -> float:
        """About what it costs, before any digit is known: one in window + 1 bits begins a digit."""
        bits = [factor.bit_length() for _, _, factor in self.terms]
        additions = sum(bits) / (self.window + 1)
        own = self._total(additions, max(bits) - 1, 1 << max(self.window - 2, 0))
        return own + (self.scale.expected_cost if self.scale else 0.0)

    def _total(self, additions: float, doublings: int, multiples: int) -> float:
        if multiples > 1:
            additions += self.shares * (multiples - 1)
            doublings += self.shares
        powers = max(power for _, power, _ in self.terms)
        return additions + doublings * DOUBLE_COST + powers * self.shares * multiples * PSI_COST

    def rule(self) -> Rule:
        """As kernels take it."""
        signed = np.array(self.digits, dtype=np.int8)
        terms = [
            (share, power, row.tobytes()) for (share, power, _), row in zip(self.terms, signed, strict=True)
        ]
        return Rule(self.shares, self.multiples, terms, self.scale.rule() if self.scale else None)


class _Rules:
    """The rules that were used last, as many as fit into some memory."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._rules: OrderedDict[tuple[tuple[int, ...], int, bool], tuple[Rule, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, xs: tuple[int, ...], at: int, few: bool) -> Rule:
        """A rule, perhaps a new one."""
        key = xs, at, few
        with self._lock:
            if (known := self._rules.get(key)) is not None:
                self._rules.move_to_end(key)
                return known[0]
        made, size = self._make(xs, at, few)
        with self._lock:
            _, before = self._rules.pop(key, (made, 0))  # another thread's, made meanwhile
            self._rules[key] = made, size
            self._bytes += size - before
            while self._bytes > self._most_bytes:
                _, (_, gone) = self._rules.popitem(last=False)
                self._bytes -= gone
        return made

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self._rules.clear()
            self._bytes = 0

    @staticmethod
    def _make(xs: tuple[int, ...], at: int, few: bool) -> tuple[Rule, int]:
        way = cheapest_way(xs, at, few=few)
        return way.rule(), RULE_BYTES + len(way.terms) * (TERM_BYTES + len(way.digits[0]))


# Of memory, at least; a term is a struct, its digits, and two objects that keep them.
RULE_BYTES, TERM_BYTES = 2048, 128
_RULES = _Rules(CACHED_BYTES)


def rule(xs: tuple[int, ...], at: int = 0, *, few: bool = False) -> Rule:
    """How kernels interpolate from `xs` at `at`; rules are kept, up to `CACHED_BYTES`.

    Args:
        few: whether it is for so few rows that it had better be made fast.
    """
    return _RULES.get(xs, at, few)


def forget() -> None:
    """Let go of all that is kept; what comes next is made anew, as benchmarks want it."""
    _RULES.clear()
    cheapest_subset.cache_clear()


def cheapest_way(xs: tuple[int, ...], at: int = 0, *, few: bool = False) -> WindowedSum:
    """About the cheapest of all ways and widths; with `few` the one that is expected to be."""
    ways: list[WindowedSum] = []
    if _differences_bits(xs, at) <= RATIONAL_BITS:
        numerators, denominator = rational_coefficients(xs, at)
        inverse = pow(denominator, -1, CURVE_ORDER)
        scale = None
        if denominator != 1:
            scale = _cheapest([WindowedSum(1, _in_base_x(0, inverse), window) for window in WINDOWS], few)
        small = tuple((i, 0, numerator) for i, numerator in enumerate(numerators))
        ways += [WindowedSum(len(xs), small, window, scale) for window in WINDOWS]
        values = [numerator * inverse % CURVE_ORDER for numerator in numerators]
    else:
        values = coefficients(xs, at)
    split = tuple(term for i, value in enumerate(values) for term in _in_base_x(i, value))
    return _cheapest(ways + [WindowedSum(len(xs), split, window) for window in WINDOWS], few)


def _differences_bits(xs: Sequence[int], at: int) -> int:
    """At most so many bits has a product of the differences of an index from all others."""
    return len(xs) * (max(*xs, at) - min(*xs, at)).bit_length()


def _cheapest(ways: Sequence[WindowedSum], few: bool) -> WindowedSum:
    if few:
        return min(ways, key=lambda way: way.expected_cost)
    most = min(way.expected_cost for way in ways) * SLACK + FEW_ADDITIONS
    return min((way for way in ways if way.expected_cost <= most), key=lambda way: way.cost)


@lru_cache(maxsize=CACHED_SUBSETS)
def cheapest_subset(xs: tuple[int, ...], size: int, products: int = SUBSET_PRODUCTS) -> tuple[int, ...]:
    """Positions, ascending, of the `size` indices that are about the cheapest to interpolate from at 0.

    Args:
        products: about how many multiplications the search may take; fewer where little is to be saved.
    """

    def bits(subset: tuple[int, ...]) -> int:
        numerators, denominator = rational_coefficients([xs[i] for i in subset], 0)
        of_scale = DIGITS * CURVE_PARAMETER.bit_length() if denominator != 1 else 0
        return of_scale + sum(numerator.bit_length() for numerator in numerators)

    looked_at = products // size**2
    if looked_at < 2 or _differences_bits(xs, 0) > RATIONAL_BITS:  # nothing is small there
        return tuple(range(size))
    return min(islice(combinations(range(len(xs)), size), looked_at), key=bits)


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
    digits: list[int] = []
    full, half = 1 << width, 1 << (width - 1)
    while value:
        zeros = (value & -value).bit_length() - 1
        value >>= zeros
        digit = value & (full - 1)
        if digit >= half:
            digit -= full
        digits += [0] * zeros
        digits.append(digit)
        value = (value - digit) >> 1
    return digits or [0]
