"""Laws of keys and signatures, against py_ecc and milagro."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dvtfast
from tests import reference, samples
from tests.backends import ON_EACH_BACKEND, ON_FAST_BACKENDS

pytestmark = ON_EACH_BACKEND

secrets = st.integers(1, reference.CURVE_ORDER - 1)
roots = st.binary(min_size=32, max_size=32)
batches = st.lists(st.tuples(secrets, roots), min_size=1, max_size=20)
few = settings(max_examples=settings().max_examples // 5)


def as_arrays(batch):
    """secret_keys, public_keys, signing_roots and signatures of (secret, root) pairs, by milagro."""
    return (
        samples.rows([samples.key_bytes(secret) for secret, _ in batch], 32),
        samples.rows([samples.public_key(secret) for secret, _ in batch], 48),
        samples.rows([root for _, root in batch], 32),
        samples.rows([samples.sign(secret, root) for secret, root in batch], 96),
    )


@few
@given(secrets, roots)
def test_equals_py_ecc(secret, root):
    assert dvtfast.derive_public_keys(samples.key_bytes(secret)).tobytes() == reference.public_key(secret)
    assert dvtfast.sign(samples.key_bytes(secret), root).tobytes() == reference.sign(secret, root)


@few
@given(st.lists(st.binary(max_size=200), max_size=3), st.binary(min_size=1, max_size=255))
def test_hash_to_g2_equals_py_ecc(messages, dst):
    hashes = dvtfast.hash_to_g2(messages, dst=dst)
    assert [row.tobytes() for row in hashes] == [reference.hash_to_g2(m, dst) for m in messages]


@given(batches)
def test_equals_milagro(batch):
    secret_keys, public_keys, signing_roots, signatures = as_arrays(batch)
    assert np.array_equal(dvtfast.derive_public_keys(secret_keys), public_keys)
    assert np.array_equal(dvtfast.sign(secret_keys, signing_roots), signatures)
    assert dvtfast.check_signatures(public_keys, signing_roots, signatures).all()


@given(batches, st.data())
def test_the_bad_ones_are_found_and_only_these(batch, data):
    """However many are bad and wherever they are: check, verify, row by row and milagro agree."""
    _, public_keys, signing_roots, signatures = as_arrays(batch)
    n = len(batch)
    bad = data.draw(st.sets(st.integers(0, n - 1)), label="bad")
    for i in bad:
        secret_key, signing_root = batch[i]
        signatures[i] = samples.row(samples.sign(secret_key % (reference.CURVE_ORDER - 1) + 1, signing_root))
    expected = [i not in bad for i in range(n)]
    assert dvtfast.check_signatures(public_keys, signing_roots, signatures).tolist() == expected
    assert [
        bool(dvtfast.check_signatures(public_keys[i], signing_roots[i], signatures[i])) for i in range(n)
    ] == expected
    if bad:
        with pytest.raises(dvtfast.SignatureError) as caught:
            dvtfast.verify_signatures(public_keys, signing_roots, signatures)
        assert list(caught.value.indices) == sorted(bad)
    else:
        dvtfast.verify_signatures(public_keys, signing_roots, signatures)


@ON_FAST_BACKENDS
@given(st.integers(16, 60), st.sets(st.integers(0, 59)), st.integers(2, 4))
def test_threads_do_not_matter(n, bad, threads):
    cluster = samples.make_cluster(60, share_indices=(1,), threshold=1)
    public_keys, signing_roots = cluster.public_keys[:n], cluster.signing_roots[:n]
    signatures = cluster.signatures[:n].copy()
    for i in bad & set(range(n)):
        signatures[i] = cluster.signatures[i - 1]
    arguments = public_keys, signing_roots, signatures
    one = dvtfast.check_signatures(*arguments, threads=1)
    assert np.array_equal(dvtfast.check_signatures(*arguments, threads=threads), one)
    secret_keys = cluster.secret_keys[:n]
    signed = dvtfast.sign(secret_keys, signing_roots, threads=threads)
    assert np.array_equal(signed, cluster.signatures[:n])
    derived = dvtfast.derive_public_keys(secret_keys, threads=threads)
    assert np.array_equal(derived, public_keys)


@settings(max_examples=settings().max_examples // 3)
@given(st.lists(secrets, min_size=1, max_size=6), roots)
def test_aggregate(keys, root):
    signatures = [samples.sign(key, root) for key in keys]
    total = dvtfast.aggregate(signatures)
    assert total.tobytes() == reference.aggregate(signatures)
    dvtfast.fast_aggregate_verify([samples.public_key(key) for key in keys], root, total)
    dvtfast.aggregate_verify([samples.public_key(key) for key in keys], [root] * len(keys), total)


@given(st.integers(0, 40))
def test_generated_keys_are_keys(n):
    keys = dvtfast.generate_secret_keys(n)
    assert keys.shape == (n, 32)
    assert dvtfast.check_secret_keys(keys).all()
    assert len({key.tobytes() for key in keys}) == n
    assert dvtfast.check_public_keys(dvtfast.derive_public_keys(keys)).all()


@given(batches)
def test_decoded_keys_stand_for_their_bytes(batch):
    _, public_keys, signing_roots, signatures = as_arrays(batch)
    keys = dvtfast.PublicKeys(public_keys)
    assert np.array_equal(keys.encoded, public_keys)
    assert dvtfast.check_signatures(keys, signing_roots, signatures).all()
    order = np.arange(len(batch))[::-1]
    assert dvtfast.check_signatures(keys[order], signing_roots[order], signatures[order]).all()
    twice = dvtfast.PublicKeys.concatenate([keys, keys])
    assert np.array_equal(twice.encoded, np.concatenate([public_keys, public_keys]))
