"""Any t shares recover the same, t - 1 do not, and order does not matter."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import dvtfast
from tests import reference, samples
from tests.backends import ON_EACH_BACKEND

pytestmark = ON_EACH_BACKEND

secrets = st.integers(1, reference.CURVE_ORDER - 1)
# Obol's small ones, SSV's operator ids, and the whole range of the type.
share_index = st.one_of(st.integers(1, 13), st.integers(1, 100_000), st.integers(1, 2**64 - 1))
few = settings(max_examples=settings().max_examples // 5)


@st.composite
def splits(draw, max_total=7):
    """(secret keys, threshold, share indices)."""
    indices = draw(st.lists(share_index, min_size=1, max_size=max_total, unique=True))
    threshold = draw(st.integers(1, len(indices)))
    return draw(st.lists(secrets, min_size=1, max_size=4)), threshold, indices


def draw_subset(draw, indices, size):
    """Positions of `size` of the indices, in any order."""
    return draw(st.permutations(range(len(indices))))[:size]


def key_rows(keys):
    return samples.rows([samples.key_bytes(key) for key in keys], 32)


def integers(rows):
    return [int.from_bytes(row.tobytes(), "big") for row in rows]


@given(splits(), st.data())
def test_split_then_recover_is_identity(split, data):
    keys, t, indices = split
    secret_keys, x = key_rows(keys), np.array(indices, np.uint64)
    shares = dvtfast.split_secret_keys(secret_keys, threshold=t, share_indices=x)
    assert shares.shape == (len(keys), len(indices), 32)
    chosen = draw_subset(data.draw, indices, t)
    assert np.array_equal(dvtfast.recover_secret_keys(shares[:, chosen], x[chosen], threshold=t), secret_keys)
    some = [indices[i] for i in chosen]
    for i, key in enumerate(keys):
        assert reference.recover_secret_key(integers(shares[i, chosen]), some) == key
        if t > 1:
            assert reference.recover_secret_key(integers(shares[i, chosen[1:]]), some[1:]) != key
    publics = dvtfast.derive_public_keys(shares.reshape(-1, 32)).reshape(len(keys), len(indices), 48)
    public_keys = dvtfast.derive_public_keys(secret_keys)
    assert dvtfast.check_public_key_shares(public_keys, publics, x, threshold=t).all()
    if t > 1:
        assert not dvtfast.check_public_key_shares(public_keys, publics, x, threshold=t - 1).any()


@given(splits())
def test_splits_are_fresh(split):
    keys, t, indices = split
    secret_keys = key_rows(keys)
    one, other = (
        dvtfast.split_secret_keys(secret_keys, threshold=t, share_indices=indices) for _ in range(2)
    )
    assert np.array_equal(one, other) == (t == 1)


@given(st.lists(share_index, min_size=1, max_size=9, unique=True), st.integers(0, 2**64 - 1))
def test_lagrange_coefficients(indices, at):
    assert dvtfast.lagrange_coefficients(indices, at=at) == reference.lagrange_coefficients(indices, at)


@given(splits(), st.integers(0, 2**32), st.data())
def test_recover_equals_the_group(split, seed, data):
    """Secrets, public keys and signatures of any t shares in any order are those of the group."""
    keys, t, indices = split
    cluster = samples.make_cluster(len(keys), threshold=t, share_indices=tuple(indices), seed=seed)
    chosen = draw_subset(data.draw, indices, t)
    x = cluster.share_indices[chosen]
    secret_keys = dvtfast.recover_secret_keys(cluster.key_shares[:, chosen], x, threshold=t)
    public_keys = dvtfast.recover_public_keys(cluster.public_key_shares[:, chosen], x, threshold=t)
    signatures = dvtfast.recover_signatures(cluster.partial_signatures[:, chosen], x, threshold=t)
    assert np.array_equal(secret_keys, cluster.secret_keys)
    assert np.array_equal(public_keys, cluster.public_keys)
    assert np.array_equal(signatures, cluster.signatures)
    if t > 1:
        few_shares = cluster.partial_signatures[:, chosen[1:]]
        wrong = dvtfast.recover_signatures(few_shares, x[1:], threshold=t - 1)
        assert not (wrong == cluster.signatures).all(axis=1).any()
        checked = dvtfast.check_signatures(cluster.public_keys, cluster.signing_roots, wrong)
        assert not checked.any()


@few
@given(st.lists(share_index, min_size=2, max_size=3, unique=True), st.integers(0, 2**32))
def test_recover_equals_py_ecc(indices, seed):
    """Also for shares of no common polynomial: the formula itself agrees."""
    t = len(indices)
    cluster = samples.make_cluster(t, threshold=1, share_indices=(1,), seed=seed)
    signatures, public_keys = cluster.signatures, cluster.public_keys
    [signature] = dvtfast.recover_signatures(signatures[np.newaxis], indices, threshold=t)
    [public_key] = dvtfast.recover_public_keys(public_keys[np.newaxis], indices, threshold=t)
    assert signature.tobytes() == reference.recover_signature([s.tobytes() for s in signatures], indices)
    assert public_key.tobytes() == reference.recover_public_key([k.tobytes() for k in public_keys], indices)


@given(st.data())
def test_batch_equals_row_by_row(data):
    """Every validator of a batch may have its own share indices."""
    cluster = samples.make_cluster(20, threshold=3, share_indices=(1, 2, 3, 4, 2**64 - 1))
    chosen = np.array([draw_subset(data.draw, range(5), 3) for _ in range(20)])
    x = cluster.share_indices[chosen]
    rows = np.arange(20)[:, np.newaxis]
    for recover, shares, expected in [
        (dvtfast.recover_secret_keys, cluster.key_shares, cluster.secret_keys),
        (dvtfast.recover_public_keys, cluster.public_key_shares, cluster.public_keys),
        (dvtfast.recover_signatures, cluster.partial_signatures, cluster.signatures),
    ]:
        batch = recover(shares[rows, chosen], x, threshold=3, threads=1)
        assert np.array_equal(batch, expected)
        assert np.array_equal(recover(shares[rows, chosen], x, threshold=3, threads=2), batch)
        for i in range(3):
            [single] = recover(shares[i : i + 1, chosen[i]], x[i], threshold=3)
            assert np.array_equal(single, batch[i])


@given(st.sets(st.integers(0, 5)), st.data())
def test_public_key_shares_off_the_polynomial_are_found(bad, data):
    cluster = samples.make_cluster(6, threshold=3, share_indices=(5, 17, 242, 1093))
    publics = cluster.public_key_shares.copy()
    for i in bad:
        publics[i, data.draw(st.integers(0, 3))] = samples.row(samples.public_key(i + 1))
    good = dvtfast.check_public_key_shares(cluster.public_keys, publics, cluster.share_indices, threshold=3)
    assert good.tolist() == [i not in bad for i in range(6)]
