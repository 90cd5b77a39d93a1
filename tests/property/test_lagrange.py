"""However a rule is written, its digits add up to the Lagrange coefficients."""

from fractions import Fraction
from math import prod

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


@given(index_sets, st.just(0) | share_indices)
def test_the_cheapest_way_is_right(xs, at):
    expected = [
        prod((Fraction(at - other, x - other) for other in xs if other != x), start=Fraction(1)) for x in xs
    ]
    assert factors(_lagrange.cheapest_way(xs, at)) == [
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
