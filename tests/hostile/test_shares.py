"""Share indices that are none, and partial signatures by senders who mean harm."""

from itertools import product

import numpy as np
import pytest
from py_ecc.optimized_bls12_381 import add, multiply, neg

import dvtfast
from dvtfast import InputError, RecoveryStatus, ShareStatus, ThresholdError
from tests import reference, samples
from tests.backends import ON_EACH_BACKEND, ON_FAST_BACKENDS
from tests.recovery_model import assert_sound, recover
from tests.vector_files import load, unhex

pytestmark = ON_EACH_BACKEND

CLUSTER = samples.make_cluster(20, threshold=3, share_indices=(1, 2, 3, 4))
EVERY = np.ones((20, 4), np.bool_)
VICTIM = 5

BAD_INDICES = {
    "zero": [1, 0, 3, 4],
    "negative": [1, -2, 3, 4],
    "2^64": [1, 2**64, 3, 4],
    "2^64 + 1, which is 1 again": [1, 2**64 + 1, 3, 4],
    "repeated": [1, 2, 3, 2],
    "fraction": [1, 2.5, 3, 4],
    "text": [1, "2", 3, 4],
    "None among them": [1, None, 3, 4],
    "booleans": [True, 2, 3, 4],
    "negative array": np.array([1, -2, 3, 4]),
    "float array": np.array([1.0, 2.0, 3.0, 4.0]),
}
INDEXED = {
    "checked_share_indices": lambda x: dvtfast.checked_share_indices(x),
    "lagrange_coefficients": lambda x: dvtfast.lagrange_coefficients(x),
    "split_secret_keys": lambda x: dvtfast.split_secret_keys(
        CLUSTER.secret_keys, threshold=3, share_indices=x
    ),
    "recover_secret_keys": lambda x: dvtfast.recover_secret_keys(CLUSTER.key_shares, x, threshold=3),
    "recover_public_keys": lambda x: dvtfast.recover_public_keys(CLUSTER.public_key_shares, x, threshold=3),
    "recover_signatures": lambda x: dvtfast.recover_signatures(CLUSTER.partial_signatures, x, threshold=3),
    "check_public_key_shares": lambda x: dvtfast.check_public_key_shares(
        CLUSTER.public_keys, CLUSTER.public_key_shares, x, threshold=3
    ),
    "recover_and_check": lambda x: dvtfast.recover_and_check(
        CLUSTER.public_keys, CLUSTER.signing_roots, CLUSTER.partial_signatures, x, threshold=3
    ),
}


# Share indices.


@pytest.mark.parametrize("indices", BAD_INDICES.values(), ids=BAD_INDICES.keys())
@pytest.mark.parametrize("function", INDEXED.values(), ids=INDEXED.keys())
def test_indices_that_are_none(function, indices):
    with pytest.raises(ThresholdError, match="share_indices"):
        function(indices)


def test_the_position_of_a_bad_index_is_named():
    for indices, positions in [([1, 0, 3], (1,)), ([7, 8, 7, 9, 8], (2, 4)), ([0, 0], (0, 1))]:
        with pytest.raises(ThresholdError) as caught:
            dvtfast.checked_share_indices(indices)
        assert caught.value.indices == positions


def test_of_many_index_rows_the_bad_one_is_named():
    for bad_row in ([1, 2, 3, 2], [0, 1, 2, 3]):
        x = np.tile(CLUSTER.share_indices, (20, 1))
        x[VICTIM] = bad_row
        for function in ("recover_secret_keys", "recover_signatures", "recover_and_check"):
            with pytest.raises(ThresholdError) as caught:
                INDEXED[function](x)
            assert caught.value.indices == (VICTIM,)


@pytest.mark.parametrize("function", ["recover_secret_keys", "recover_signatures", "recover_and_check"])
@pytest.mark.parametrize("shape", [(3,), (5,), (20, 3), (19, 4), (20, 4, 1), ()])
def test_indices_of_another_shape(function, shape):
    with pytest.raises((InputError, ThresholdError)):
        INDEXED[function](np.arange(1, np.prod(shape, dtype=int) + 1, dtype=np.uint64).reshape(shape))


@pytest.mark.parametrize("edge", [2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_indices_at_the_edges_of_the_type(edge):
    x = (1, edge, edge - 1)
    cluster = samples.make_cluster(2, threshold=3, share_indices=x)
    assert np.array_equal(
        dvtfast.recover_signatures(cluster.partial_signatures, list(x), threshold=3), cluster.signatures
    )
    recovered = recover(cluster, cluster.partial_signatures, None)
    assert np.array_equal(recovered.signatures, cluster.signatures)
    assert recovered.share_indices.tolist() == [list(x)] * 2


@pytest.mark.parametrize("threshold", [0, -1, 5])
@pytest.mark.parametrize(
    "function", ["split_secret_keys", "recover_secret_keys", "recover_public_keys", "recover_signatures"]
)
def test_impossible_thresholds(function, threshold):
    arguments = {
        "split_secret_keys": (CLUSTER.secret_keys,),
        "recover_secret_keys": (CLUSTER.key_shares,),
        "recover_public_keys": (CLUSTER.public_key_shares,),
        "recover_signatures": (CLUSTER.partial_signatures,),
    }[function]
    with pytest.raises(ThresholdError):
        getattr(dvtfast, function)(*arguments, share_indices=CLUSTER.share_indices, threshold=threshold)


@pytest.mark.parametrize("threshold", [0, -1])
def test_recover_and_check_needs_a_threshold(threshold):
    with pytest.raises(ThresholdError):
        dvtfast.recover_and_check(
            CLUSTER.public_keys,
            CLUSTER.signing_roots,
            CLUSTER.partial_signatures,
            CLUSTER.share_indices,
            threshold=threshold,
        )


def test_absent_shares_need_no_index():
    present = EVERY.copy()
    present[:, 3] = False
    shares = np.where(present[..., np.newaxis], CLUSTER.partial_signatures, 0).astype(np.uint8)
    for absent_index in (0, 1):
        recovered = dvtfast.recover_and_check(
            CLUSTER.public_keys,
            CLUSTER.signing_roots,
            shares,
            np.array([1, 2, 3, absent_index], np.uint64),
            threshold=3,
            present=present,
        )
        assert np.array_equal(recovered.signatures, CLUSTER.signatures)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_too_few_shares(k):
    recovered = dvtfast.recover_and_check(
        CLUSTER.public_keys,
        CLUSTER.signing_roots,
        CLUSTER.partial_signatures[:, :k],
        CLUSTER.share_indices[:k],
        threshold=3,
    )
    assert (recovered.statuses == RecoveryStatus.TOO_FEW_SHARES).all()
    assert not recovered.signatures.any()


# One bad share of four, threshold three: the victim succeeds, the culprit is named, the rest is untouched.


def small_order(order):
    return reference.small_order_point_g2(order)


def encoded(point):
    return samples.row(reference.g2_bytes(point))


def share(j, victim=VICTIM):
    return reference.g2(CLUSTER.partial_signatures[victim, j].tobytes())


BAD_SHARES = {
    "of another validator": lambda j: CLUSTER.partial_signatures[VICTIM + 1, j],
    "for another index": lambda j: CLUSTER.partial_signatures[VICTIM, (j + 1) % 4],
    "over another root": lambda j: samples.row(
        samples.sign(int.from_bytes(CLUSTER.key_shares[VICTIM, j].tobytes(), "big"), bytes(32))
    ),
    "by a random key": lambda _: samples.row(samples.sign(77, CLUSTER.signing_roots[VICTIM].tobytes())),
    "negated": lambda j: encoded(neg(share(j))),
    "doubled": lambda j: encoded(multiply(share(j), 2)),
    "infinity": lambda _: samples.row(reference.G2_INFINITY),
    "zeros": lambda _: np.zeros(96, np.uint8),
    "ones": lambda _: np.full(96, 0xFF, np.uint8),
    "not on the curve": lambda _: samples.row(
        unhex(
            load("bls12-381-tests/deserialization_G2/deserialization_fails_not_in_curve.json")["input"][
                "signature"
            ]
        )
    ),
    "outside the subgroup": lambda _: samples.row(unhex(load("bls_extra.json")["off_subgroup_g2"][0])),
    "of order 13": lambda _: encoded(small_order(13)),
    "of order 23": lambda _: encoded(small_order(23)),
    "right but for a point of order 13": lambda j: encoded(add(share(j), small_order(13))),
    "right but for a point of order 23": lambda j: encoded(add(share(j), small_order(23))),
    "the whole signature": lambda _: CLUSTER.signatures[VICTIM],
}


@pytest.mark.parametrize("bad", BAD_SHARES.values(), ids=BAD_SHARES.keys())
@pytest.mark.parametrize("keys_known", [True, False], ids=["keys known", "keys unknown"])
def test_one_bad_share_of_four(bad, keys_known):
    keys = CLUSTER.public_key_shares if keys_known else None
    for j in (0, 2):
        shares, is_bad = CLUSTER.partial_signatures.copy(), ~EVERY
        shares[VICTIM, j], is_bad[VICTIM, j] = bad(j), True
        recovered = recover(CLUSTER, shares, None, public_key_shares=keys)
        assert_sound(recovered, CLUSTER, EVERY, is_bad)
        assert recovered.ok.all()
        assert recovered.bad_share_indices(VICTIM).tolist() == [j + 1]
        assert not (np.delete(recovered.share_statuses, VICTIM, axis=0) == ShareStatus.BAD).any()
        if keys_known:
            others = np.delete(recovered.share_statuses[VICTIM], j)
            assert others.tolist() == [ShareStatus.GOOD] * 3


@pytest.mark.parametrize("bad", BAD_SHARES.values(), ids=BAD_SHARES.keys())
@pytest.mark.parametrize("keys_known", [True, False], ids=["keys known", "keys unknown"])
def test_one_bad_share_of_three(bad, keys_known):
    """With no share to spare nothing is recovered; only public key shares or the encoding give it away."""
    shares, present, is_bad = CLUSTER.partial_signatures.copy(), EVERY.copy(), ~EVERY
    shares[VICTIM, 1], is_bad[VICTIM, 1], present[VICTIM, 3] = bad(1), True, False
    keys = CLUSTER.public_key_shares if keys_known else None
    recovered = recover(CLUSTER, shares, present, public_key_shares=keys)
    assert_sound(recovered, CLUSTER, present, is_bad)
    assert np.flatnonzero(~recovered.ok).tolist() == [VICTIM]
    named = recovered.bad_share_indices(VICTIM).tolist() == [2]
    if keys_known or not dvtfast.check_signature_encodings(shares[VICTIM, 1]):
        assert named
        assert recovered.statuses[VICTIM] == RecoveryStatus.TOO_FEW_SHARES
    else:
        assert not named
        assert recovered.statuses[VICTIM] == RecoveryStatus.INCONSISTENT


@pytest.mark.parametrize("keys_known", [True, False], ids=["keys known", "keys unknown"])
def test_a_share_that_comes_later_decides(keys_known):
    shares, present = CLUSTER.partial_signatures.copy(), EVERY.copy()
    shares[VICTIM, 1], present[VICTIM, 3] = samples.row(samples.sign(77, bytes(32))), False
    keys = CLUSTER.public_key_shares if keys_known else None
    assert not recover(CLUSTER, shares, present, public_key_shares=keys).ok[VICTIM]
    recovered = recover(CLUSTER, shares, EVERY, public_key_shares=keys)
    assert recovered.ok.all()
    assert recovered.bad_share_indices(VICTIM).tolist() == [2]


@pytest.mark.parametrize("keys_known", [True, False], ids=["keys known", "keys unknown"])
def test_swapped_shares(keys_known):
    """Two senders who hold each other's key: both wrong, and two good ones are not enough."""
    shares, is_bad = CLUSTER.partial_signatures.copy(), ~EVERY
    shares[VICTIM, [0, 1]] = shares[VICTIM, [1, 0]]
    is_bad[VICTIM, :2] = True
    keys = CLUSTER.public_key_shares if keys_known else None
    recovered = recover(CLUSTER, shares, None, public_key_shares=keys)
    assert_sound(recovered, CLUSTER, EVERY, is_bad)
    assert np.flatnonzero(~recovered.ok).tolist() == [VICTIM]
    if keys_known:
        assert recovered.statuses[VICTIM] == RecoveryStatus.TOO_FEW_SHARES
        assert recovered.bad_share_indices(VICTIM).tolist() == [1, 2]
    else:
        assert recovered.statuses[VICTIM] == RecoveryStatus.INCONSISTENT


@pytest.mark.parametrize("keys_known", [True, False], ids=["keys known", "keys unknown"])
def test_the_same_share_under_two_indices(keys_known):
    shares, is_bad = CLUSTER.partial_signatures.copy(), ~EVERY
    shares[VICTIM, 3], is_bad[VICTIM, 3] = shares[VICTIM, 0], True
    shares[VICTIM + 1, 0], is_bad[VICTIM + 1, 0] = shares[VICTIM + 1, 3], True
    keys = CLUSTER.public_key_shares if keys_known else None
    recovered = recover(CLUSTER, shares, None, public_key_shares=keys)
    assert_sound(recovered, CLUSTER, EVERY, is_bad)
    assert recovered.ok.all()
    assert recovered.bad_share_indices(VICTIM + 1).tolist() == [1]


def test_one_bad_sender_in_the_whole_batch():
    """The first failures give the sender away; later validators use its share last."""
    shares = CLUSTER.partial_signatures.copy()
    shares[:, 1] = np.roll(shares[:, 1], 1, axis=0)
    recovered = recover(CLUSTER, shares, None)
    assert recovered.ok.all()
    accused = {x for i in range(20) for x in recovered.bad_share_indices(i).tolist()}
    assert accused == {2}
    assert recover(CLUSTER, shares, None, suspects=[2]).ok.all()


# Points that meet: additions with equal, opposite and infinite operands, and parts that cancel.


@ON_FAST_BACKENDS
def test_every_mix_of_meeting_points():
    """All triples out of a pool of points that are equal, opposite, infinite or of small order."""
    one = samples.make_cluster(1, threshold=3, share_indices=(1, 2, 3, 4))
    right = [reference.g2(one.partial_signatures[0, j].tobytes()) for j in range(4)]
    low, other = small_order(13), small_order(23)
    pool = [encoded(point) for point in (*right, neg(right[0]), low, neg(low), other, add(right[1], low))] + [
        samples.row(reference.G2_INFINITY)
    ]
    triples = list(product(range(len(pool)), repeat=3))
    n = len(triples)
    shares = np.array([[pool[a], pool[b], pool[c], pool[3]] for a, b, c in triples])
    bad = np.array([[a != 0, b != 1, c != 2, False] for a, b, c in triples])
    batch = samples.Cluster(**{**vars(one), **{
        name: np.repeat(getattr(one, name), n, axis=0)
        for name in ("public_keys", "public_key_shares", "signing_roots", "signatures")
    }})  # fmt: skip
    enough = (~bad).sum(axis=1) >= 3
    for keys in (batch.public_key_shares, None):
        recovered = recover(batch, shares, None, public_key_shares=keys)
        assert_sound(recovered, batch, np.ones((n, 4), np.bool_), bad)
        assert recovered.ok[enough].all()


def cancelling(indices, order, coefficients):
    """Multiples (a, b) of a point of small order that vanish under the first two coefficients."""
    first, second = coefficients[0] % order, coefficients[1] % order
    for a, b in product(range(order), repeat=2):
        if (a, b) != (0, 0) and (first * a + second * b) % order == 0:
            return a, b
    raise AssertionError("two coefficients always have such multiples")


@pytest.mark.parametrize("order", [13, 23])
@pytest.mark.parametrize("indices", [(1, 2, 3, 4), (5, 242, 1093, 17), (1, 2**63, 2**64 - 1, 9)], ids=str)
def test_parts_outside_the_subgroup_that_cancel(indices, order):
    """The recovered signature may be right; then it counts, but proves nothing about these shares."""
    cluster = samples.make_cluster(1, threshold=3, share_indices=indices)
    coefficients = reference.lagrange_coefficients(indices[:3])
    a, b = cancelling(indices, order, coefficients)
    point = small_order(order)
    shares = cluster.partial_signatures.copy()
    for j, factor in enumerate((a, b)):
        if factor:
            right = reference.g2(shares[0, j].tobytes())
            shares[0, j] = encoded(add(right, multiply(point, factor)))
    bad = (shares != cluster.partial_signatures).any(axis=2)
    assert bad.any()
    cheat = reference.recover_signature([s.tobytes() for s in shares[0, :3]], indices[:3])
    assert cheat == cluster.signatures[0].tobytes()
    for keys in (cluster.public_key_shares, None):
        for present in ([1, 1, 1, 0], [1, 1, 1, 1], [0, 1, 1, 1], [1, 0, 1, 1]):
            here = np.array([present], np.bool_)
            recovered = recover(cluster, shares, here, public_key_shares=keys)
            assert_sound(recovered, cluster, here, bad)
            if (here & ~bad).sum() >= 3:
                assert recovered.ok.all()
    with pytest.raises(dvtfast.EncodingError):
        dvtfast.recover_signatures(shares, cluster.share_indices, threshold=3)


def test_two_colluding_senders_cannot_change_the_signature():
    """Their differences cancel: the result is right, they stay unproven, and nobody else is accused."""
    l1, l2, _ = reference.lagrange_coefficients([1, 2, 3])
    d = reference.g2(samples.sign(5, b"d" * 32))
    inverse = pow(l2, -1, reference.CURVE_ORDER)
    shares = CLUSTER.partial_signatures.copy()
    shares[VICTIM, 0] = encoded(add(share(0), d))
    shares[VICTIM, 1] = encoded(add(share(1), multiply(d, -l1 * inverse % reference.CURVE_ORDER)))
    is_bad = ~EVERY
    is_bad[VICTIM, :2] = True
    for keys in (CLUSTER.public_key_shares, None):
        recovered = recover(CLUSTER, shares, None, public_key_shares=keys)
        assert_sound(recovered, CLUSTER, EVERY, is_bad)
        assert recovered.ok.all()
        assert not (recovered.share_statuses[VICTIM] == ShareStatus.GOOD).any()


def test_senders_who_all_send_the_whole_signature():
    """A constant polynomial: the result is right, and proves no share."""
    shares = np.repeat(CLUSTER.signatures[:, np.newaxis], 4, axis=1)
    for keys in (CLUSTER.public_key_shares, None):
        recovered = recover(CLUSTER, shares, None, public_key_shares=keys)
        assert_sound(recovered, CLUSTER, EVERY, EVERY)
        assert recovered.ok.all()


# Bounds of the search.


@pytest.mark.parametrize("place", range(13))
def test_one_bad_share_is_left_out_soon(place):
    """Of 13 at threshold 9, whichever it is: four subsets leave out each of them."""
    cluster = samples.make_cluster(1, threshold=9, share_indices=tuple(range(1, 14)))
    shares, bad = cluster.partial_signatures.copy(), np.zeros((1, 13), np.bool_)
    bad[0, place] = True
    shares[bad] = samples.row(samples.sign(1, b"another message".ljust(32)))
    recovered = recover(cluster, shares, None, max_subsets=4)
    assert_sound(recovered, cluster, np.ones_like(bad), bad)
    assert recovered.ok.all()


@ON_FAST_BACKENDS
def test_the_search_for_a_good_subset_is_bounded():
    """Every other of twenty is bad, at threshold ten: C(20, 10) subsets are not tried, the rest goes on."""
    cluster = samples.make_cluster(3, threshold=10, share_indices=tuple(range(1, 21)))
    shares, bad = cluster.partial_signatures.copy(), np.zeros((3, 20), np.bool_)
    bad[1, ::2] = True
    shares[bad] = cluster.partial_signatures[0, ::2]
    everyone = np.ones_like(bad)
    recovered = recover(cluster, shares, None)
    assert_sound(recovered, cluster, everyone, bad)
    assert recovered.statuses.tolist() == [RecoveryStatus.OK, RecoveryStatus.INCONSISTENT, RecoveryStatus.OK]
    helped = recover(cluster, shares, None, suspects=range(1, 21, 2))
    assert_sound(helped, cluster, everyone, bad)
    assert helped.ok.all()
    known = recover(cluster, shares, None, public_key_shares=cluster.public_key_shares)
    assert known.bad_share_indices(1).tolist() == list(range(1, 21, 2))
    assert known.ok.all()


def test_public_key_shares_that_are_wrong_themselves():
    """They may accuse whom they like: what is recovered still verifies under the validator's key."""
    wrong = np.roll(CLUSTER.public_key_shares, 1, axis=1)
    shares = CLUSTER.partial_signatures.copy()
    shares[VICTIM, 0] = shares[VICTIM, 1]
    recovered = recover(CLUSTER, shares, None, public_key_shares=wrong)
    assert np.array_equal(recovered.signatures[recovered.ok], CLUSTER.signatures[recovered.ok])
    assert np.flatnonzero(~recovered.ok).tolist() == [VICTIM]


@pytest.mark.parametrize("shape", [(20, 3), (19, 4), (20,), (4,)])
def test_public_key_shares_of_another_shape(shape):
    keys = dvtfast.PublicKeys(np.resize(CLUSTER.public_keys, (*shape, 48)))
    with pytest.raises(InputError, match="public_key_shares"):
        recover(CLUSTER, CLUSTER.partial_signatures, None, public_key_shares=keys)


@pytest.mark.parametrize("shape", [(20, 3), (19, 4), (20,), (4,), (20, 4, 1)])
def test_a_mask_of_another_shape(shape):
    with pytest.raises(InputError, match="present"):
        recover(CLUSTER, CLUSTER.partial_signatures, np.ones(shape, np.bool_))


@pytest.mark.parametrize("suspects", [[0], [99], [-1], [2**64]])
def test_suspects_that_sent_nothing_are_ignored(suspects):
    assert recover(CLUSTER, CLUSTER.partial_signatures, None, suspects=suspects).ok.all()
