"""What a dealer may not send, and who is named for it."""

import numpy as np
import pytest
from py_ecc.optimized_bls12_381 import add, neg

from dvtfast import EncodingError, InputError, PublicKeys, ThresholdError
from dvtfast.dkg import polynomials
from dvtfast.dkg.coefficients import scalars_of
from dvtfast.dkg.proof_of_knowledge import find_bad, prove
from dvtfast.errors import BadDealerError
from tests import reference, samples
from tests.backends import ON_EACH_BACKEND
from tests.vector_files import load, suite, unhex

pytestmark = ON_EACH_BACKEND

M, T = 5, 3
COEFFICIENTS = [polynomials.Coefficients.derive(bytes([dealer] * 32), M, T) for dealer in range(3)]
PARTS = [polynomials.commit(coefficients).encoded for coefficients in COEFFICIENTS]
EXTRA = load("bls_extra.json")
# Of order 3 with x = 0, which blst takes for no point.
NO_POINTS = {
    "not in the curve": unhex(suite("deserialization_G1")[0].values[0]["pubkey"]),
    "zeros": bytes(48),
    "infinity": reference.G1_INFINITY,
    "x of the field's order": bytes([0x9A])
    + unhex("0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab"),
    "of order 3, x = 0": b"\x80" + bytes(47),
}


def changed(part, v, k, encoded):
    rows = part.copy()
    rows[v, k] = samples.row(encoded)
    return rows


def plus(encoded, point):
    return reference.g1_bytes(add(reference.g1(bytes(encoded)), point))


@pytest.mark.parametrize("encoded", NO_POINTS.values(), ids=NO_POINTS)
@pytest.mark.parametrize(("dealer", "v", "k"), [(0, 0, 0), (1, 4, 2), (2, 2, 1)])
def test_entries_that_are_no_points(encoded, dealer, v, k):
    parts = [*PARTS]
    parts[dealer] = changed(parts[dealer], v, k, encoded)
    with pytest.raises(BadDealerError) as caught:
        polynomials.sum_commitments(parts)
    assert (caught.value.dealer, caught.value.validator, caught.value.coefficient) == (dealer, v, k)
    with pytest.raises(EncodingError) as of_one:
        polynomials.Commitments(parts[dealer])
    assert of_one.value.indices == (v * T + k,)
    assert polynomials.check_subgroup(parts[dealer]).tolist() == [
        [(a, b) != (v, k) for b in range(T)] for a in range(M)
    ]


def test_the_first_dealer_at_fault_is_named():
    parts = [PARTS[0], changed(PARTS[1], 4, 2, bytes(48)), changed(PARTS[2], 0, 0, bytes(48))]
    with pytest.raises(BadDealerError, match="dealer 1: commitment 2 of validator 4: bad encoding"):
        polynomials.sum_commitments(parts)


@pytest.mark.parametrize("order", [3, 11, 10177])
@pytest.mark.parametrize("dealer", [0, 2])
def test_parts_outside_the_subgroup(order, dealer):
    point = reference.small_order_point_g1(order)
    parts = [*PARTS]
    parts[dealer] = changed(parts[dealer], 3, 1, plus(parts[dealer][3, 1], point))
    with pytest.raises(BadDealerError) as caught:
        polynomials.sum_commitments(parts)
    assert (caught.value.dealer, caught.value.validator, caught.value.coefficient) == (dealer, 3, 1)
    assert np.argwhere(~polynomials.check_subgroup(parts[dealer])).tolist() == [[3, 1]]
    decoded = polynomials.Commitments(parts[dealer])
    assert np.argwhere(~polynomials.check_subgroup(decoded)).tolist() == [[3, 1]]
    shares = polynomials.evaluate(COEFFICIENTS[dealer], 7)
    assert polynomials.find_bad_shares(shares, decoded, 7).tolist() == [3]


@pytest.mark.parametrize("order", [3, 11, 10177])
def test_what_cancels_among_dealers_has_no_effect(order):
    """Two dealers add a point of small order and its negative: the sums are what they would be without."""
    point = reference.small_order_point_g1(order)
    parts = [*PARTS]
    parts[0] = changed(parts[0], 1, 2, plus(parts[0][1, 2], point))
    parts[1] = changed(parts[1], 1, 2, plus(parts[1][1, 2], neg(point)))
    honest = polynomials.sum_commitments(PARTS)
    assert np.array_equal(polynomials.sum_commitments(parts).encoded, honest.encoded)


def test_a_point_outside_that_others_did_not_make_whole():
    encoded = unhex(EXTRA["off_subgroup_g1"][0])
    with pytest.raises(BadDealerError, match="dealer 1: commitment 0 of validator 0: not in the subgroup"):
        polynomials.sum_commitments([PARTS[0], changed(PARTS[1], 0, 0, encoded), PARTS[2]])


@pytest.mark.parametrize("k", range(T))
def test_sums_that_are_infinite(k):
    other = PARTS[1].copy()
    other[2, k] = samples.row(reference.g1_bytes(neg(reference.g1(bytes(PARTS[0][2, k])))))
    with pytest.raises(BadDealerError) as caught:
        polynomials.sum_commitments([PARTS[0], other])
    assert (caught.value.dealer, caught.value.validator, caught.value.coefficient) == (None, 2, k)
    # With a third dealer it is no more than a strange choice.
    polynomials.sum_commitments([PARTS[0], other, PARTS[2]])


def test_equal_parts_are_sums_like_others():
    twice = polynomials.sum_commitments([PARTS[0], PARTS[0]])
    rows = scalars_of(COEFFICIENTS[0])
    doubled = [[2 * int.from_bytes(a.tobytes(), "big") % reference.CURVE_ORDER for a in row] for row in rows]
    wanted = samples.grid([[samples.key_bytes(a) for a in row] for row in doubled], T, 32)
    assert np.array_equal(
        twice.encoded, polynomials.commit(polynomials.Coefficients.from_bytes(wanted)).encoded
    )


@pytest.mark.parametrize("scalar", [reference.CURVE_ORDER, reference.CURVE_ORDER + 1, 2**256 - 1])
def test_shares_that_are_no_scalars(scalar):
    shares = [polynomials.evaluate(coefficients, 1) for coefficients in COEFFICIENTS]
    shares[1][4] = samples.row(samples.key_bytes(scalar))
    with pytest.raises(BadDealerError, match="dealer 1: share of validator 4") as caught:
        polynomials.add_shares(shares)
    assert caught.value.coefficient is None
    assert polynomials.find_bad_shares(shares[1], PARTS[1], 1).tolist() == [4]


def test_shares_that_add_up_to_nothing():
    one = polynomials.evaluate(COEFFICIENTS[0], 1)
    value = reference.CURVE_ORDER - int.from_bytes(one[3].tobytes(), "big")
    other = polynomials.evaluate(COEFFICIENTS[1], 1)
    other[3] = samples.row(samples.key_bytes(value))
    with pytest.raises(BadDealerError, match="all dealers together: share of validator 3"):
        polynomials.add_shares([one, other])


def test_a_key_share_of_nothing():
    """The polynomial x - 2 is 0 at 2: a public key share would be infinite, and the share 0 fits it."""
    rows = samples.grid([[samples.key_bytes(reference.CURVE_ORDER - 2), samples.key_bytes(1)]], 2, 32)
    coefficients = polynomials.Coefficients.from_bytes(rows)
    commitments = polynomials.commit(coefficients)
    assert not polynomials.evaluate(coefficients, 2).any()
    for indices in ([1, 2, 3], [2], [5, 2]):
        with pytest.raises(EncodingError, match="infinity"):
            polynomials.public_shares(commitments, indices)
    assert polynomials.public_shares(commitments, [1, 3]).shape == (2, 1)
    assert polynomials.find_bad_shares(np.zeros((1, 32), np.uint8), commitments, 2).size == 0
    assert polynomials.find_bad_shares(np.zeros((1, 32), np.uint8), commitments, 3).tolist() == [0]


@pytest.mark.parametrize("scalar", [0, reference.CURVE_ORDER, 2**256 - 1])
def test_coefficients_that_are_none(scalar):
    rows = scalars_of(COEFFICIENTS[0]).copy()
    rows[1, 2] = samples.row(samples.key_bytes(scalar))
    with pytest.raises(EncodingError) as caught:
        polynomials.Coefficients.from_bytes(rows)
    assert caught.value.indices == (1 * T + 2,)


def test_coefficients_are_wiped():
    coefficients = polynomials.Coefficients.derive(bytes(32), 2, 2)
    rows = scalars_of(coefficients)
    with coefficients:
        assert rows.any()
    assert not rows.any()
    for call in (polynomials.commit, lambda c: polynomials.evaluate(c, 1), lambda c: prove(c, b"")):
        with pytest.raises(InputError, match="wiped"):
            call(coefficients)


BAD_CALLS = {
    "seed too short": lambda: polynomials.Coefficients.derive(bytes(31), 1, 1),
    "two seeds": lambda: polynomials.Coefficients.derive(np.zeros((2, 32), np.uint8), 1, 1),
    "no validators": lambda: polynomials.Coefficients.derive(bytes(32), 0, 1),
    "no threshold": lambda: polynomials.Coefficients.derive(bytes(32), 1, 0),
    "negative": lambda: polynomials.Coefficients.generate(-1, 2),
    "scalars of no axes": lambda: polynomials.Coefficients.from_bytes(np.zeros((2, 32), np.uint8)),
    "scalars of 31 bytes": lambda: polynomials.Coefficients.from_bytes(np.zeros((2, 2, 31), np.uint8)),
    "no coefficients": lambda: polynomials.Coefficients.from_bytes(np.zeros((2, 0, 32), np.uint8)),
    "no parts": lambda: polynomials.sum_commitments([]),
    "parts of other shapes": lambda: polynomials.sum_commitments([PARTS[0], PARTS[1][:4]]),
    "parts of other thresholds": lambda: polynomials.sum_commitments([PARTS[0], PARTS[1][:, :2].copy()]),
    "flat part": lambda: polynomials.sum_commitments([PARTS[0].reshape(-1, 48)]),
    "keys of one axis": lambda: polynomials.sum_commitments([PublicKeys(PARTS[0][:, 0])]),
    "no shares": lambda: polynomials.add_shares([]),
    "shares of other lengths": lambda: polynomials.add_shares(
        [np.zeros((2, 32), np.uint8), np.zeros((3, 32), np.uint8)]
    ),
    "fewer shares than validators": lambda: polynomials.find_bad_shares(
        np.zeros((2, 32), np.uint8), PARTS[0], 1
    ),
    "scalars of 33 bytes": lambda: polynomials.multiply_base(np.zeros((1, 33), np.uint8)),
    "fewer proofs": lambda: find_bad(PARTS, [bytes(80)], [b""] * 3),
}


@pytest.mark.parametrize("call", BAD_CALLS.values(), ids=BAD_CALLS)
def test_arguments(call):
    with pytest.raises(InputError):
        call()


@pytest.mark.parametrize("indices", [[0], [1, 1], [2**64], [-1]])
def test_share_indices(indices):
    with pytest.raises(ThresholdError):
        polynomials.public_shares(PublicKeys(PARTS[0]), indices)


def test_scalars_of_the_order():
    with pytest.raises(EncodingError):
        polynomials.multiply_base(samples.row(samples.key_bytes(reference.CURVE_ORDER)))
