"""Hashed roots stand in for roots, whole or in part."""

import numpy as np
import pytest

import dvtfast
from dvtfast import signing_roots

N = 5
ROOTS = np.arange(32 * N, dtype=np.uint8).reshape(N, 32)


@pytest.fixture(scope="module")
def hashed():
    return dvtfast.HashedRoots(ROOTS)


def test_they_are_the_hashes(hashed):
    """The affine point of a root, as hash_to_g2 gives it in bytes."""
    keys = dvtfast.PublicKeys(dvtfast.derive_public_keys(np.eye(1, 32, 31, dtype=np.uint8)))
    hashes = dvtfast.hash_to_g2([row.tobytes() for row in ROOTS])  # signatures by the secret key 1
    assert dvtfast.check_signatures(keys[np.zeros(N, int)], hashed, hashes).all()
    assert not dvtfast.check_signatures(keys[np.zeros(N, int)], hashed[::-1], hashes)[[0, 1, 3, 4]].any()


@pytest.mark.parametrize(
    "index", [slice(1, 4), np.array([3, 3, 0]), np.array([True, False, True, False, True])]
)
def test_some_of_them(hashed, index):
    some = hashed[index]
    again = dvtfast.HashedRoots(ROOTS[index])
    assert np.array_equal(some.roots, again.roots)
    everything = slice(0, len(some))
    assert np.array_equal(
        signing_roots.hashes_of(some, everything), signing_roots.hashes_of(again, everything)
    )
    assert np.array_equal(
        signing_roots.hashes_of(some, everything), signing_roots.hashes_of(ROOTS[index], everything)
    )


def test_one_of_them_is_no_batch(hashed):
    with pytest.raises(dvtfast.InputError, match="slice"):
        hashed[0]


def test_they_do_not_change(hashed):
    roots = ROOTS.copy()
    mine = dvtfast.HashedRoots(roots)
    roots[0] = 7
    assert np.array_equal(mine.roots, ROOTS)
    with pytest.raises(ValueError, match="read-only"):
        mine.roots[0] = 7
    assert repr(mine) == "HashedRoots(n=5)"
    assert len(mine) == N
