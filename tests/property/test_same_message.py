"""Many signatures over one root, judged by two pairings: beside py_ecc and checks of each, and rogue keys."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.bls import G2ProofOfPossession
from py_ecc.optimized_bls12_381 import G1, Z2, add, multiply, neg

import dvtfast
from dvtfast import InputError, SignatureError
from dvtfast._native import signatures as kernel
from dvtfast.keys import points_of
from dvtfast.signing_roots import hashes_of
from tests import reference, samples
from tests.backends import BACKENDS, ON_EACH_BACKEND, ON_FAST_BACKENDS, lanes_named

ROOT = bytes(range(32))
OTHER_ROOT = bytes(32)
# Groups of equations, and what lanes sum by buckets, begin and end at these.
SIZES = (1, 2, 3, 7, 8, 9, 55, 56, 57, 64, 65, 257)
LARGEST = 300
SECRETS = [samples.scalar(Random(seed)) for seed in range(LARGEST)]
KEYS = samples.rows([samples.public_key(secret) for secret in SECRETS], 48)
SIGNATURES = samples.rows([samples.sign(secret, ROOT) for secret in SECRETS], 96)
WORD = 0x0123_4567_89AB_CDEF


def wrong(rows, bad):
    """The same with signatures over another root at `bad`."""
    changed = rows.copy()
    for i in bad:
        changed[i] = samples.row(samples.sign(SECRETS[i], OTHER_ROOT))
    return changed


def expected(n, bad):
    return [i not in bad for i in range(n)]


@ON_EACH_BACKEND
def test_equals_py_ecc():
    signatures = wrong(SIGNATURES[:4], [2])
    pairs = zip(KEYS[:4].tolist(), signatures.tolist(), strict=True)
    theirs = [G2ProofOfPossession.Verify(bytes(key), ROOT, bytes(signature)) for key, signature in pairs]
    assert theirs == expected(4, [2])
    assert dvtfast.check_same_message(KEYS[:4], ROOT, signatures).tolist() == theirs


@ON_FAST_BACKENDS
@pytest.mark.parametrize("n", SIZES)
def test_good_ones_and_any_single_bad_one(n):
    keys = dvtfast.PublicKeys(KEYS[:n])
    assert dvtfast.check_same_message(keys, ROOT, SIGNATURES[:n]).all()
    for bad in {0, n // 2, n - 1}:
        assert dvtfast.check_same_message(keys, ROOT, wrong(SIGNATURES[:n], [bad])).tolist() == expected(
            n, [bad]
        )


@ON_FAST_BACKENDS
@settings(max_examples=settings().max_examples // 3)
@given(st.integers(1, LARGEST), st.sets(st.integers(0, LARGEST - 1)), st.integers(1, 3))
def test_equals_the_check_of_each_alone(n, bad, threads):
    bad = {i for i in bad if i < n}
    keys, signatures = dvtfast.PublicKeys(KEYS[:n]), wrong(SIGNATURES[:n], bad)
    got = dvtfast.check_same_message(keys, ROOT, signatures, threads=threads)
    assert got.tolist() == expected(n, bad)
    assert np.array_equal(dvtfast.check_signatures(keys, [ROOT] * n, signatures), got)
    alone = [dvtfast.check_signatures(keys[[i]], [ROOT], signatures[[i]])[0] for i in range(0, n, 17)]
    assert alone == got[::17].tolist()


@ON_EACH_BACKEND
def test_equals_the_check_of_roots_that_differ():
    """With one more root in the batch no keys are summed."""
    signatures = wrong(SIGNATURES[:40], [0, 13, 14, 39])
    keys, roots = np.concatenate([KEYS[:40], KEYS[:1]]), [ROOT] * 40 + [OTHER_ROOT]
    last = samples.rows([samples.sign(SECRETS[0], OTHER_ROOT)], 96)
    general = dvtfast.check_signatures(keys, roots, np.concatenate([signatures, last]))
    assert general[40]
    assert np.array_equal(dvtfast.check_same_message(KEYS[:40], ROOT, signatures), general[:40])


@ON_EACH_BACKEND
@pytest.mark.parametrize("n", [2, 20, 70])
def test_signatures_that_are_wrong_but_cancel(n):
    """Plain sums would agree."""
    error = reference.g2(samples.sign(7, OTHER_ROOT))
    signatures = SIGNATURES[:n].copy()
    for place, by in ((0, error), (n - 1, neg(error))):
        signatures[place] = samples.row(
            reference.g2_bytes(add(reference.g2(SIGNATURES[place].tobytes()), by))
        )
    dvtfast.fast_aggregate_verify(KEYS[:n], ROOT, dvtfast.aggregate(signatures))
    assert dvtfast.check_same_message(KEYS[:n], ROOT, signatures).tolist() == expected(n, [0, n - 1])


@ON_EACH_BACKEND
@pytest.mark.parametrize("honest", [1, 30])
def test_rogue_keys(honest):
    """A key that takes away all others' keys: by plain sums its owner alone signs for everybody."""
    own_secret = 1234567
    others = reference.add_all([reference.g1(key.tobytes()) for key in KEYS[:honest]], multiply(G1, 0))
    rogue = reference.g1_bytes(add(multiply(G1, own_secret), neg(others)))
    keys = np.concatenate([KEYS[:honest], samples.rows([rogue], 48)])
    # Nobody honest signed this root; all that is sent is of the rogue's making.
    forged = [reference.g2(samples.sign(secret, OTHER_ROOT)) for secret in range(1, honest + 1)]
    rest = add(reference.g2(samples.sign(own_secret, ROOT)), neg(reference.add_all(forged, Z2)))
    signatures = samples.rows([reference.g2_bytes(point) for point in [*forged, rest]], 96)
    dvtfast.fast_aggregate_verify(keys, ROOT, dvtfast.aggregate(signatures))
    assert not dvtfast.check_same_message(keys, ROOT, signatures).any()
    assert not dvtfast.check_signatures(keys, [ROOT] * len(keys), signatures).any()


@ON_EACH_BACKEND
@pytest.mark.parametrize("n", [2, 60])
def test_one_key_many_times(n):
    keys, signatures = np.repeat(KEYS[:1], n, axis=0), np.repeat(SIGNATURES[:1], n, axis=0)
    assert dvtfast.check_same_message(keys, ROOT, signatures).all()
    signatures[1] = SIGNATURES[1]
    assert dvtfast.check_same_message(keys, ROOT, signatures).tolist() == expected(n, [1])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bad", [set(), {1}, {0, 1}, {2}])
def test_sums_of_keys_that_are_infinity(backend, bad):
    """Only with weights that are known beforehand: a key and its opposite."""
    lanes = None if backend == "blst" else lanes_named(backend)
    opposite = reference.CURVE_ORDER - SECRETS[0]
    secrets = [SECRETS[0], opposite, SECRETS[0], opposite]
    keys = dvtfast.PublicKeys([samples.public_key(secret) for secret in secrets])
    roots = [OTHER_ROOT if i in bad else ROOT for i in range(4)]
    signatures = samples.rows([samples.sign(*pair) for pair in zip(secrets, roots, strict=True)], 96)
    hashes = hashes_of(samples.rows([ROOT] * 4, 32), slice(0, 4))
    status, weights = np.zeros(4, np.uint8), np.full(4, WORD, np.uint64)
    kernel.check(points_of(keys), hashes, signatures, weights, status, lanes)
    accepted = (status == 1).tolist()
    if bad == {0, 1}:  # which cancel, too: why weights are random
        assert all(accepted)
    else:
        assert accepted == expected(4, bad)


@ON_FAST_BACKENDS
def test_more_than_a_kernel_takes_at_once():
    n, bad = 2500, [0, 1023, 1024, 2499]
    rows = np.arange(n) % LARGEST
    keys, signatures = dvtfast.PublicKeys(KEYS)[rows], SIGNATURES[rows]
    signatures[bad] = SIGNATURES[(rows[bad] + 1) % LARGEST]
    assert np.flatnonzero(~dvtfast.check_same_message(keys, ROOT, signatures)).tolist() == bad


def test_a_hashed_root_and_lone_rows():
    hashed = dvtfast.HashedRoots([ROOT])
    assert dvtfast.check_same_message(KEYS[:3], hashed, SIGNATURES[:3]).tolist() == [True] * 3
    assert dvtfast.check_same_message(KEYS[0].tobytes(), ROOT, SIGNATURES[0].tobytes()) is np.True_
    assert dvtfast.check_same_message(KEYS[:0], ROOT, SIGNATURES[:0]).shape == (0,)


@pytest.mark.parametrize("roots", [[], [ROOT, ROOT], [ROOT, OTHER_ROOT]])
def test_it_is_one_root(roots):
    rows = samples.rows(roots, 32)
    for given_roots in (rows, dvtfast.HashedRoots(rows)):
        with pytest.raises(InputError, match=f"signing_root: expected one, got {len(roots)}"):
            dvtfast.check_same_message(KEYS[: len(roots)], given_roots, SIGNATURES[: len(roots)])


def test_who_verifies_names_them():
    with pytest.raises(SignatureError) as caught:
        dvtfast.verify_signatures(KEYS[:20], [ROOT] * 20, wrong(SIGNATURES[:20], [3, 17]))
    assert caught.value.indices == (3, 17)
