"""Secret polynomials, commitments and shares are what Python's integers and py_ecc make of them."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.optimized_bls12_381 import G1, multiply

from dvtfast import PublicKeys
from dvtfast.dkg import polynomials
from dvtfast.dkg.coefficients import scalars_of
from tests import reference, samples
from tests.backends import ON_EACH_BACKEND

pytestmark = ON_EACH_BACKEND

ORDER = reference.CURVE_ORDER
few = settings(max_examples=max(1, settings().max_examples // 3))
edges = st.sampled_from([1, 2, 3, ORDER - 1, ORDER - 2, 2**128 - 1, 2**254, 0x88888888])
scalars = st.one_of(edges, st.integers(1, ORDER - 1))
share_index = st.one_of(st.integers(1, 13), st.integers(1, 2**64 - 1))


@st.composite
def polynomials_of_dealers(draw, dealers=3):
    """Integers [dealer][validator][coefficient]."""
    m, t = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    return [[[draw(scalars) for _ in range(t)] for _ in range(m)] for _ in range(dealers)]


def coefficients_of(rows):
    return polynomials.Coefficients.from_bytes(scalar_grid(rows))


def scalar_grid(rows):
    return samples.grid([[samples.key_bytes(a) for a in row] for row in rows], len(rows[0]), 32)


def integers(rows):
    return [int.from_bytes(row.tobytes(), "big") for row in rows]


def public(value):
    return reference.g1_bytes(multiply(G1, value))


@given(st.binary(min_size=32, max_size=32), st.integers(1, 5), st.integers(1, 5))
def test_a_seed_gives_the_same_polynomials(seed, m, t):
    """They are 48 bytes of HKDF-Expand each, modulo r."""
    values = scalars_of(polynomials.Coefficients.derive(seed, m, t))
    for v in range(m):
        for k in range(t):
            info = b"dvtfast-dkg/1" + v.to_bytes(4, "big") + k.to_bytes(4, "big")
            wide = HKDFExpand(SHA256(), 48, info).derive(seed)
            assert integers(values[v])[k] == int.from_bytes(wide, "big") % ORDER
    again = polynomials.Coefficients.derive(bytearray(seed), m + 1, t)
    assert np.array_equal(scalars_of(again)[:m], values)


def test_generated_polynomials_are_fresh():
    drawn = [scalars_of(polynomials.Coefficients.generate(3, 2)) for _ in range(2)]
    assert len({row.tobytes() for rows in drawn for row in rows.reshape(-1, 32)}) == 12


@few
@given(st.lists(st.one_of(st.just(0), scalars), max_size=20))
def test_multiples_of_the_generator(values):
    rows = samples.rows([samples.key_bytes(value) for value in values], 32)
    wanted = [public(value) if value else reference.G1_INFINITY for value in values]
    assert np.array_equal(polynomials.multiply_base(rows), samples.rows(wanted, 48))


@given(polynomials_of_dealers(), share_index)
def test_shares_fit_the_commitments_and_add_up(dealers, index):
    given_ = [coefficients_of(rows) for rows in dealers]
    parts, shares = [], []
    for rows, coefficients in zip(dealers, given_, strict=True):
        commitments = polynomials.commit(coefficients)
        assert commitments.encoded.tolist() == [[list(public(a)) for a in row] for row in rows]
        dealt = polynomials.evaluate(coefficients, index)
        assert integers(dealt) == [reference.evaluate(row, index) for row in rows]
        parts.append(commitments.encoded)
        shares.append(dealt)
    sums = [[sum(a) % ORDER for a in zip(*rows, strict=True)] for rows in zip(*dealers, strict=True)]
    if not all(value for row in sums for value in row):
        return
    commitments = polynomials.sum_commitments(parts)
    assert commitments.encoded.tolist() == [[list(public(a)) for a in row] for row in sums]
    values = [reference.evaluate(row, index) for row in sums]
    if not all(values):
        return
    assert integers(polynomials.add_shares(shares)) == values
    assert polynomials.public_shares(commitments, [index]).encoded.tolist() == [
        [list(public(y)) for y in values]
    ]


@few
@given(st.integers(1, 12), st.integers(1, 8), st.integers(1, 3), st.randoms(use_true_random=False))
def test_public_shares_of_consecutive_indices(n, t, m, random):
    """Those of 1 .. n, in order, are those of each index alone, and those of the shares."""
    rows = [[random.randrange(1, ORDER) for _ in range(t)] for _ in range(m)]
    coefficients = coefficients_of(rows)
    commitments = polynomials.commit(coefficients)
    all_ = polynomials.public_shares(commitments, range(1, n + 1)).encoded
    assert all_.shape == (n, m, 48)
    order = random.sample(range(1, n + 1), n)
    mixed = polynomials.public_shares(commitments, order).encoded
    for place, index in enumerate(order):
        shares = polynomials.evaluate(coefficients, index)
        assert np.array_equal(polynomials.multiply_base(shares), all_[index - 1])
        assert np.array_equal(mixed[place], all_[index - 1])


@pytest.mark.parametrize("m", [1, 7, 40])
def test_wrong_shares_are_found(m):
    coefficients = polynomials.Coefficients.derive(bytes(range(32)), m, 3)
    commitments = polynomials.commit(coefficients)
    shares = polynomials.evaluate(coefficients, 5)
    assert polynomials.find_bad_shares(shares, commitments, 5).size == 0
    assert polynomials.find_bad_shares(shares, commitments.encoded, 5).size == 0
    assert polynomials.find_bad_shares(shares, commitments, 6).tolist() == list(range(m))
    for wrong in ([0], [m - 1], sorted({0, m // 2, m - 1})):
        changed = shares.copy()
        changed[wrong, 31] ^= 1
        assert polynomials.find_bad_shares(changed, commitments, 5).tolist() == wrong
        assert (
            polynomials.find_mismatches(changed, PublicKeys(polynomials.multiply_base(shares))).tolist()
            == wrong
        )


@few
@given(polynomials_of_dealers(dealers=4))
def test_order_of_dealers_does_not_matter(dealers):
    sums = [[sum(a) % ORDER for a in zip(*rows, strict=True)] for rows in zip(*dealers, strict=True)]
    if not all(value for row in sums for value in row):
        return
    parts = [polynomials.commit(coefficients_of(rows)) for rows in dealers]
    one = polynomials.sum_commitments(parts)
    other = polynomials.sum_commitments([part.encoded for part in reversed(parts)])
    assert np.array_equal(one.encoded, other.encoded)
