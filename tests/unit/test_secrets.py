"""What the library copies of secrets is overwritten, and what a caller owns is left to the caller."""

import numpy as np
import pytest

import dvtfast
from dvtfast import _secrets, threshold
from dvtfast._secrets import secret_rows, wiped
from dvtfast.constants import SECRET_KEY_BYTES
from tests.samples import make_cluster

CLUSTER = make_cluster(4)


def secret_keys():
    return CLUSTER.secret_keys.copy()


def rows_seen(value, **options):
    with secret_rows("secret_keys", value, SECRET_KEY_BYTES, **options) as (rows, _):
        assert rows.any()
    return rows


@pytest.mark.parametrize(
    "copied",
    [
        lambda keys: np.repeat(keys, 2, axis=1)[:, ::2],
        lambda keys: np.asfortranarray(keys),
        lambda keys: [key.tobytes() for key in keys],
        lambda keys: bytearray(keys[0].tobytes()),
        lambda keys: memoryview(keys[0].tobytes()),
    ],
    ids=["strided", "Fortran", "list", "bytearray", "memoryview"],
)
def test_copies_are_wiped(copied):
    value = copied(secret_keys())
    assert not rows_seen(value).any()
    assert np.asarray(value[0] if isinstance(value, list) else value).any()


def test_the_callers_memory_is_not_wiped():
    keys = secret_keys()
    assert rows_seen(keys).any()
    assert rows_seen(keys[1:3]).any()
    assert rows_seen(keys[0]).any()
    assert np.array_equal(keys, CLUSTER.secret_keys)


def test_copies_are_wiped_after_an_error():
    strided = np.asfortranarray(secret_keys())
    with pytest.raises(RuntimeError), secret_rows("secret_keys", strided, SECRET_KEY_BYTES) as (rows, _):
        raise RuntimeError
    assert not rows.any()


CALLS = {
    "derive": lambda keys, shares: dvtfast.derive_public_keys(keys),
    "check": lambda keys, shares: dvtfast.check_secret_keys(keys),
    "sign": lambda keys, shares: dvtfast.sign(keys, CLUSTER.signing_roots),
    "sign exits": lambda keys, shares: dvtfast.sign_exits(keys, range(4), dvtfast.HOODI),
    "split": lambda keys, shares: dvtfast.split_secret_keys(keys, threshold=2, share_indices=[1, 2, 3]),
    "recover": lambda keys, shares: dvtfast.recover_secret_keys(shares, [1, 2, 3, 4], threshold=3),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_copy_of_a_secret_is_left(name, monkeypatch):
    """Every array that is made of secret rows while a function runs is zero when it has run."""
    copies = []
    as_rows = _secrets.as_rows

    def watched(*arguments, **options):
        rows, lone = as_rows(*arguments, **options)
        copies.append(rows)
        return rows, lone

    monkeypatch.setattr(_secrets, "as_rows", watched)
    CALLS[name](np.asfortranarray(secret_keys()), np.asfortranarray(CLUSTER.key_shares.copy()))
    assert copies
    assert not any(rows.any() for rows in copies)


def test_coefficients_are_wiped(monkeypatch):
    made = []

    def watched(*arrays):
        made.extend(arrays)
        assert arrays[0].any()
        return wiped(*arrays)

    monkeypatch.setattr(threshold, "wiped", watched)
    shares = dvtfast.split_secret_keys(secret_keys(), threshold=3, share_indices=[1, 2, 3, 4])
    assert [array.shape for array in made] == [(4, 2, 32), (4, 3, 32)]
    assert not any(array.any() for array in made)
    made.clear()
    keys = dvtfast.recover_secret_keys(shares, [1, 2, 3, 4], threshold=3)
    assert np.array_equal(keys, CLUSTER.secret_keys)
    assert len(made) == 2
    assert not any(array.any() for array in made)
