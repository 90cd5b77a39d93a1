"""Recover and check against a model: whatever is sent, good shares win and nobody is accused wrongly."""

from itertools import combinations, pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dvtfast
from dvtfast import RecoveryStatus, ShareStatus, _lagrange, recovery
from tests import reference, samples
from tests.backends import ON_EACH_BACKEND, ON_FAST_BACKENDS
from tests.recovery_model import assert_sound, expected_statuses, recover
from tests.vector_files import load, unhex

pytestmark = ON_EACH_BACKEND

OFF_SUBGROUP = samples.row(unhex(load("bls_extra.json")["off_subgroup_g2"][0]))
INFINITY = samples.row(reference.G2_INFINITY)

clusters = st.sampled_from(
    [
        (1, (7,)),
        (2, (1, 2, 3)),
        (3, (1, 2, 3, 4)),
        (3, (5, 17, 242, 1093)),
        (3, (1, 2**32, 2**63, 2**64 - 2, 2**64 - 1)),
        (4, (3, 1, 4, 15, 9, 2, 6)),
    ]
)


def corruptions(cluster, i, j, random):
    """Wrong shares for validator i at place j, each by what is wrong with it."""
    n, k = cluster.partial_signatures.shape[:2]
    right = cluster.partial_signatures[i, j]
    other = samples.sign(samples.scalar(random), cluster.signing_roots[i].tobytes())
    yield "wrong key", samples.row(other)
    yield "junk", samples.row(random.randbytes(96))
    yield "zeros", np.zeros(96, np.uint8)
    yield "infinity", INFINITY
    yield "off subgroup", OFF_SUBGROUP
    yield "negated", right ^ np.array([0x20] + [0] * 95, np.uint8)
    yield "another validator", cluster.partial_signatures[(i + 1) % n, j]
    if k > 1 and cluster.threshold > 1:
        yield "another index", cluster.partial_signatures[i, (j + 1) % k]


@st.composite
def rounds(draw):
    """(cluster, shares as sent, which are present, which are bad)."""
    threshold, indices = draw(clusters)
    cluster = samples.make_cluster(5, threshold=threshold, share_indices=indices)
    n, k = cluster.partial_signatures.shape[:2]
    present = np.array(draw(st.lists(st.booleans(), min_size=n * k, max_size=n * k))).reshape(n, k)
    present |= draw(st.booleans())
    bad = np.zeros((n, k), np.bool_)
    shares = cluster.partial_signatures.copy()
    random = Random(draw(st.integers(0, 2**32)))
    for place in draw(st.sets(st.integers(0, n * k - 1), max_size=8)):
        i, j = divmod(place, k)
        options = dict(corruptions(cluster, i, j, random))
        shares[i, j] = options[draw(st.sampled_from(sorted(options)))]
        bad[i, j] = (
            shares[i, j] != cluster.partial_signatures[i, j]
        ).any()  # a drawn key may be the right one
    shares[~present] = 0xFF
    return cluster, shares, present, bad


@settings(max_examples=4 * settings().max_examples)
@given(rounds())
def test_with_public_key_shares(sent):
    cluster, shares, present, bad = sent
    recovered = recover(cluster, shares, present, public_key_shares=cluster.public_key_shares)
    assert_sound(recovered, cluster, present, bad)
    assert recovered.statuses.tolist() == [*expected_statuses(cluster, present, bad, keys_known=True)]
    # A validator that had to be looked at closely has every share judged.
    failed = (recovered.share_statuses != ShareStatus.NOT_CHECKED).any(axis=1)
    assert (recovered.share_statuses[present & bad & failed[:, np.newaxis]] == ShareStatus.BAD).all()
    short = recovered.statuses == RecoveryStatus.TOO_FEW_SHARES
    enough = present.sum(axis=1) >= cluster.threshold
    assert (failed | ~short | ~enough).all()


@settings(max_examples=4 * settings().max_examples)
@given(rounds())
def test_without_public_key_shares(sent):
    cluster, shares, present, bad = sent
    recovered = recover(cluster, shares, present)
    assert_sound(recovered, cluster, present, bad)
    for expected, got in zip(
        expected_statuses(cluster, present, bad, keys_known=False), recovered.statuses.tolist(), strict=True
    ):
        if expected is None:
            assert got in (RecoveryStatus.INCONSISTENT, RecoveryStatus.TOO_FEW_SHARES)
        else:
            assert got == expected


@given(rounds(), st.data())
def test_order_threads_and_suspects_do_not_change_the_outcome(sent, data):
    cluster, shares, present, _ = sent
    k = shares.shape[1]
    first = recover(cluster, shares, present, threads=1)
    order = data.draw(st.permutations(range(k)))
    shuffled = dvtfast.recover_and_check(
        cluster.public_keys,
        cluster.signing_roots,
        shares[:, order],
        cluster.share_indices[order],
        threshold=cluster.threshold,
        present=present[:, order],
    )
    suspects = data.draw(st.sets(st.sampled_from(cluster.share_indices.tolist())))
    suspected = recover(cluster, shares, present, suspects=suspects, threads=2)
    for other in (shuffled, suspected):
        assert np.array_equal(other.signatures, first.signatures)
        assert np.array_equal(other.statuses, first.statuses)


@given(rounds(), st.booleans())
def test_batch_equals_row_by_row(sent, keys_known):
    """Row by row each has its own share indices, too."""
    cluster, shares, present, _ = sent
    keys = cluster.public_key_shares if keys_known else None
    batch = recover(cluster, shares, present, public_key_shares=keys)
    for i in range(len(shares)):
        row = slice(i, i + 1)
        single = dvtfast.recover_and_check(
            cluster.public_keys[row],
            cluster.signing_roots[row],
            shares[row],
            cluster.share_indices[np.newaxis],
            threshold=cluster.threshold,
            present=present[row],
            public_key_shares=None if keys is None else keys[row],
        )
        assert np.array_equal(single.signatures, batch.signatures[row])
        assert np.array_equal(single.statuses, batch.statuses[row])


@ON_FAST_BACKENDS
@given(st.integers(0, 100), st.integers(0, 2**32))
def test_a_large_batch_with_bad_shares_anywhere(rate, seed):
    """Many validators: slices over threads, groups and bisection in the kernels."""
    cluster = samples.make_cluster(90, threshold=3, share_indices=(1, 2, 3, 4))
    random = np.random.default_rng(seed)
    bad = random.random((90, 4)) * 100 < rate / 4
    shares = cluster.partial_signatures.copy()
    shares[bad] = np.roll(cluster.partial_signatures, 1, axis=0)[bad]
    recovered = recover(cluster, shares, None, public_key_shares=cluster.public_key_shares)
    assert_sound(recovered, cluster, np.ones((90, 4), np.bool_), bad)
    assert np.array_equal(recovered.ok, bad.sum(axis=1) <= 1)


def test_batches_of_every_size_around_the_kernels_groups():
    cluster = samples.make_cluster(90, threshold=3, share_indices=(1, 2, 3, 4))
    for start, stop in pairwise([0, 1, 3, 10, 25, 41, 58, 90]):
        row = slice(start, stop)
        shares = cluster.partial_signatures[row].copy()
        shares[-1, 0] = INFINITY
        recovered = dvtfast.recover_and_check(
            cluster.public_keys[row], cluster.signing_roots[row], shares, cluster.share_indices, threshold=3
        )
        assert np.array_equal(recovered.signatures, cluster.signatures[row])
        assert recovered.bad_share_indices(stop - start - 1).tolist() == [1]


@pytest.fixture
def rules(monkeypatch):
    """The sets of share indices that are recovered from."""
    asked = set()
    made = _lagrange.rule
    monkeypatch.setattr(_lagrange, "rule", lambda xs, **kind: asked.add(xs) or made(xs, **kind))
    return asked


def recover_repeated(cluster, present):
    """The cluster's validators over and over, as many as `present` has rows; all are recovered."""
    rows = np.arange(len(present)) % len(cluster.public_keys)
    found = dvtfast.recover_and_check(
        cluster.public_keys[rows], cluster.signing_roots[rows], cluster.partial_signatures[rows],
        cluster.share_indices, threshold=cluster.threshold, present=present,
    )  # fmt: skip
    assert found.ok.all()
    assert np.array_equal(found.signatures, cluster.signatures[rows])


def test_validators_that_lack_other_shares_share_their_rules(rules):
    """21 of 31, and each of 64 validators lacks two others: a few subsets serve them all."""
    present = np.ones((64, 31), np.bool_)
    pairs = Random(5).sample(list(combinations(range(31), 2)), 63)
    for row, pair in zip(present, pairs, strict=False):
        row[list(pair)] = False
    recover_repeated(samples.make_cluster(2, threshold=21, share_indices=tuple(range(1, 32))), present)
    assert len(rules) <= 16


def test_the_search_for_a_subset_costs_less_than_few_validators_save(monkeypatch):
    """21 of 31, and each of 64 validators lacks eight others: almost none can share a subset."""
    looked_at = []
    made = _lagrange.rational_coefficients
    monkeypatch.setattr(
        _lagrange, "rational_coefficients", lambda xs, at: looked_at.append(xs) or made(xs, at)
    )
    present = np.ones((64, 31), np.bool_)
    random = Random(5)
    for row in present:
        row[random.sample(range(31), 8)] = False
    _lagrange.forget()
    recover_repeated(samples.make_cluster(2, threshold=21, share_indices=tuple(range(1, 32))), present)
    assert len(looked_at) < 4 * len(present)


def test_most_validators_have_the_best_subset_whoever_lacks_a_share(rules):
    """1, 2, 3 is cheap; one validator without share 3 makes it no dearer for the others."""
    present = np.ones((40, 4), np.bool_)
    present[7, 2] = False
    recover_repeated(samples.make_cluster(2), present)
    assert rules == {(1, 2, 3), (1, 2, 4)}


@pytest.mark.parametrize("knows_keys", [False, True])
def test_in_steps_the_same_is_found_out(monkeypatch, knows_keys):
    """And no step does more than a step may."""
    monkeypatch.setattr(recovery, "STEP_SHARES", 14)
    monkeypatch.setattr(recovery, "STEP_VERIFIED", 3)
    cluster = samples.make_cluster(9, threshold=3, share_indices=(1, 2, 3, 4, 5))
    random = Random(11)
    shares = cluster.partial_signatures.copy()
    for i, j in [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (4, 4), (8, 2)]:
        shares[i, j] = samples.row(samples.sign(samples.scalar(random), b"\7" * 32))
    shares[5] = samples.row(random.randbytes(96))
    shares[6, 0] = OFF_SUBGROUP
    present = np.ones(shares.shape[:2], np.bool_)
    present[3, :2], present[7, 1:4] = False, False
    arguments = (cluster.public_keys, cluster.signing_roots, shares, cluster.share_indices)
    options = {
        "threshold": 3,
        "present": present,
        "public_key_shares": cluster.public_key_shares if knows_keys else None,
    }
    at_once = dvtfast.recover_and_check(*arguments, **options)
    attempted, verified = [], []
    attempt, check = recovery._Chunk.attempt_some, recovery.check_decoded
    monkeypatch.setattr(
        recovery._Chunk,
        "attempt_some",
        lambda self, *args: attempted.append(len(args[0])) or attempt(self, *args),
    )
    monkeypatch.setattr(
        recovery, "check_decoded", lambda *args, **kind: verified.append(len(args[2])) or check(*args, **kind)
    )
    count, in_steps = run(dvtfast.recover_in_steps(*arguments, **options))
    assert count >= max(10, len(attempted) + len(verified))
    assert max(attempted) == 14 // (3 + recovery.VALIDATOR_SHARES)
    assert bool(verified) == knows_keys
    assert max(verified, default=0) <= 3
    for name in ("signatures", "statuses", "share_statuses", "share_indices"):
        assert np.array_equal(getattr(in_steps, name), getattr(at_once, name)), name
    _, without = run(dvtfast.recover_in_steps(*arguments, **options, closer_look=False))
    assert not without.share_statuses.any()
    assert np.array_equal(without.ok, at_once.ok & (without.statuses == RecoveryStatus.OK))
    assert without.statuses[[2, 5, 7]].tolist() == [
        RecoveryStatus.INCONSISTENT,
        RecoveryStatus.INCONSISTENT,
        RecoveryStatus.TOO_FEW_SHARES,
    ]


def run(steps):
    """How many steps there are, and what comes of them."""
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return count, end.value
        count += 1
