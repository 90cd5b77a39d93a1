"""However a rule is written, its digits add up to the Lagrange coefficients."""

import sys
from dataclasses import replace
from fractions import Fraction
from math import prod
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from dvtfast import _lagrange
from dvtfast.constants import CURVE_ORDER, CURVE_PARAMETER

share_indices = st.integers(1, 9) | st.integers(900, 1100) | st.integers(1, 2**64 - 1)
index_sets = st.lists(share_indices, min_size=1, max_size=9, unique=True).map(tuple)


def factors(way):
    """What a way multiplies each share by, modulo r."""
    totals = [0] * way.shares
    for (share, power, _), digits in zip(way.terms, way.digits, strict=True):
        value = sum(digit << position for position, digit in enumerate(digits))
        totals[share] += value * CURVE_PARAMETER**power
    scale = factors(way.scale)[0] if way.scale else 1
    return [total * scale % CURVE_ORDER for total in totals]


@given(index_sets, st.just(0) | share_indices, st.booleans())
def test_the_cheapest_way_is_right(xs, at, few):
    expected = [
        prod((Fraction(at - other, x - other) for other in xs if other != x), start=Fraction(1)) for x in xs
    ]
    assert factors(_lagrange.cheapest_way(xs, at, few=few)) == _lagrange.coefficients(xs, at)
    assert _lagrange.coefficients(xs, at) == [
        value.numerator * pow(value.denominator, -1, CURVE_ORDER) % CURVE_ORDER for value in expected
    ]


@given(index_sets)
def test_digits_are_odd_and_small(xs):
    way = _lagrange.cheapest_way(xs)
    for part in (way, way.scale) if way.scale else (way,):
        for digit in (digit for row in part.digits for digit in row if digit):
            assert digit % 2 == 1
            assert abs(digit) < 2 * part.multiples


@given(index_sets, st.data())
def test_the_cheapest_subset_is_one(xs, data):
    size = data.draw(st.integers(1, len(xs)))
    subset = _lagrange.cheapest_subset(xs, size)
    assert sorted(set(subset)) == list(subset)
    assert len(subset) == size
    assert 0 <= subset[0] <= subset[-1] < len(xs)


def test_known_costs():
    """1, 2, 3 need no division; 1, 2, 4 do, so they are taken last."""
    assert _lagrange.cheapest_way((1, 2, 3)).scale is None
    assert _lagrange.cheapest_way((1, 2, 4)).scale is not None
    assert _lagrange.cheapest_subset((1, 2, 4, 3), 3) == (0, 1, 3)


def test_indices_that_are_far_apart_make_no_large_integers(monkeypatch):
    """171 of 256 indices, and any that there may be: products of all differences have a million bits."""
    monkeypatch.delattr(_lagrange, "rational_coefficients")
    random = Random(9)
    xs = tuple(random.randrange(1, 2**64) for _ in range(171))
    for few in (False, True):
        assert factors(_lagrange.cheapest_way(xs, few=few)) == _lagrange.coefficients(xs, 0)
    assert _lagrange.cheapest_subset(xs, 90) == tuple(range(90))


def test_the_first_guess_finds_the_cheapest_way():
    """Ways are compared by what they are expected to cost; a look at all of them finds nothing better."""
    random = Random(7)
    for threshold, highest in ((2, 3), (3, 4), (5, 7), (9, 13), (21, 31), (3, 2**20)):
        for _ in range(10):
            xs = tuple(sorted(random.sample(range(1, highest + 1), threshold)))
            chosen = _lagrange.cheapest_way(xs)
            others = [replace(chosen, window=window) for window in _lagrange.WINDOWS]
            assert chosen.cost == min(way.cost for way in others)


def test_rules_are_kept_within_bounds():
    """Of 256 nodes 171 sign: thousands of sets of them are nothing to remember."""
    rules = _lagrange._Rules(1 << 20)
    random = Random(8)
    kept = 0
    for _ in range(30):
        rules.get(tuple(sorted(random.sample(range(1, 257), 171))), 0, few=False)
        assert rules._bytes <= 1 << 20
        kept = max(kept, len(rules._rules))
    assert 1 <= len(rules._rules) == kept < 30
    assert rules._bytes == sum(size for _, size in rules._rules.values())
    assert all(
        size >= sys.getsizeof(rule) + sum(map(len, digits_of(xs)))
        for (xs, *_), (rule, size) in rules._rules.items()
    )


def digits_of(xs):
    return _lagrange.cheapest_way(xs).digits
