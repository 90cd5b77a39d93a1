"""An exit split for oracles is a split of its key, whatever the numbers."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dvtfast
from dvtfast.oracles import _split_with_masks
from tests import reference, samples
from tests.backends import ON_EACH_BACKEND

pytestmark = ON_EACH_BACKEND


@st.composite
def sizes(draw, most=12):
    """(threshold, total)."""
    total = draw(st.integers(1, most))
    return draw(st.integers(1, total)), total


@given(sizes(), st.integers(1, 3), st.integers(0, 2**32), st.data())
def test_any_threshold_of_the_oracles_recover(size, n, seed, data):
    m, total = size
    cluster = samples.make_cluster(n, threshold=1, share_indices=(1,), seed=seed)
    split = dvtfast.split_exit_signatures(
        cluster.signatures, cluster.public_keys, cluster.signing_roots, total=total, threshold=m
    )
    assert split.signature_shares.shape == (n, total, 96)
    assert split.public_key_shares.shape == (n, total, 48)
    roots = np.repeat(cluster.signing_roots, total, axis=0)
    keys, signatures = split.public_key_shares.reshape(-1, 48), split.signature_shares.reshape(-1, 96)
    assert dvtfast.check_signatures(keys, roots, signatures).all()
    chosen = data.draw(st.permutations(range(total)))[:m]
    x = np.array(chosen, np.uint64) + np.uint64(1)
    recovered = dvtfast.recover_signatures(split.signature_shares[:, chosen], x, threshold=m)
    public_keys = dvtfast.recover_public_keys(split.public_key_shares[:, chosen], x, threshold=m)
    assert np.array_equal(recovered, cluster.signatures)
    assert np.array_equal(public_keys, cluster.public_keys)
    if m > 1:
        few = dvtfast.recover_signatures(split.signature_shares[:, chosen[1:]], x[1:], threshold=m - 1)
        assert not dvtfast.check_signatures(cluster.public_keys, cluster.signing_roots, few).any()


@settings(max_examples=settings().max_examples // 5)
@given(sizes(most=5), st.data())
def test_equals_py_ecc(size, data):
    m, total = size
    scalars = st.integers(0, reference.CURVE_ORDER - 1)
    coefficients = data.draw(st.lists(scalars, min_size=m - 1, max_size=m - 1), label="coefficients")
    cluster = samples.make_cluster(1, threshold=1, share_indices=(1,))
    masks = [samples.key_bytes(reference.evaluate([0, *coefficients], x)) for x in range(1, m)]
    split = _split_with_masks(
        cluster.signatures,
        cluster.public_keys,
        cluster.signing_roots,
        samples.rows(masks, 32).reshape(1, m - 1, 32),
        total,
    )
    got = zip(split.public_key_shares[0], split.signature_shares[0], strict=True)
    assert [(key.tobytes(), signature.tobytes()) for key, signature in got] == reference.split_for_oracles(
        cluster.public_keys[0].tobytes(),
        cluster.signatures[0].tobytes(),
        cluster.signing_roots[0].tobytes(),
        coefficients,
        total,
    )


@pytest.mark.parametrize(("n", "m", "total"), [(35, 8, 11), (33, 1, 2), (2, 30, 30), (1, 2, 30)])
def test_equals_a_split_of_the_key(n, m, total):
    """Sizes that fill the kernel's chunks and tables; the polynomials have edges of the field among them."""
    cluster = samples.make_cluster(n, threshold=1, share_indices=(1,))
    edges = [0, 1, reference.CURVE_ORDER - 1, 2**255 % reference.CURVE_ORDER, 0xD201000000010000]
    random = Random(n)
    masks = [
        [*random.sample(edges, min(2, m - 1)), *(samples.scalar(random) for _ in range(m))] for _ in range(n)
    ]
    masks = [row[: m - 1] for row in masks]
    split = _split_with_masks(
        cluster.signatures,
        cluster.public_keys,
        cluster.signing_roots,
        samples.grid([[samples.key_bytes(mask) for mask in row] for row in masks], m - 1, 32),
        total,
    )
    for i in (0, n // 2, n - 1):
        secret, root = int.from_bytes(cluster.secret_keys[i].tobytes(), "big"), cluster.signing_roots[i]
        for x in range(1, total + 1):
            mask = reference.recover_secret_key([0, *masks[i]], range(m), at=x)
            share = (secret + mask) % reference.CURVE_ORDER
            assert split.public_key_shares[i, x - 1].tobytes() == samples.public_key(share)
            assert split.signature_shares[i, x - 1].tobytes() == samples.sign(share, root.tobytes())


@given(sizes())
def test_splits_are_fresh(size):
    m, total = size
    cluster = samples.make_cluster(1, threshold=1, share_indices=(1,))
    one, other = (
        dvtfast.split_exit_signatures(
            cluster.signatures, cluster.public_keys, cluster.signing_roots, total=total, threshold=m
        )
        for _ in range(2)
    )
    assert np.array_equal(one.signature_shares, other.signature_shares) == (m == 1)


def test_threads_do_not_matter():
    cluster = samples.make_cluster(20, threshold=1, share_indices=(1,))
    masks = dvtfast.generate_secret_keys(20 * 7).reshape(20, 7, 32)
    one, other = (
        _split_with_masks(
            cluster.signatures, cluster.public_keys, cluster.signing_roots, masks, 11, threads=threads
        )
        for threads in (1, 2)
    )
    assert np.array_equal(one.signature_shares, other.signature_shares)
    assert np.array_equal(one.public_key_shares, other.public_key_shares)
