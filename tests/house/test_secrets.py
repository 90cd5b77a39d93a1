"""Secrets are not in what people read: representations and messages of errors."""

import numpy as np
import pytest

import dvtfast
from dvtfast import derivation
from dvtfast.dkg import polynomials
from dvtfast.dkg.coefficients import Coefficients
from tests.samples import make_cluster

CLUSTER = make_cluster(2, threshold=2, share_indices=(1, 2))


def spellings(row):
    """How a row of bytes could appear in a text, in parts of four bytes."""
    for start in range(0, len(row), 4):
        part = bytes(row[start : start + 4])
        yield from (part.hex(), repr(part)[2:-1], ", ".join(map(str, part)), " ".join(map(str, part)))
    yield str(int.from_bytes(bytes(row), "big"))


def assert_hidden(text, *secret_rows):
    shown = [spelling for row in secret_rows for spelling in spellings(row) if spelling in text]
    assert not shown, text


def test_oracle_shares():
    split = dvtfast.split_exit_signatures(
        CLUSTER.signatures, CLUSTER.public_keys, CLUSTER.signing_roots, total=2, threshold=2
    )
    with np.printoptions(threshold=10**9):
        for text in (repr(split), str(split), f"{split}"):
            assert_hidden(text, *split.signature_shares.reshape(-1, 96))


def test_polynomials():
    coefficients = Coefficients.from_bytes(CLUSTER.secret_keys[np.newaxis])
    with np.printoptions(threshold=10**9):
        assert_hidden(f"{coefficients!r} {coefficients}", *CLUSTER.secret_keys)


def test_recovered_signatures():
    recovered = dvtfast.recover_and_check(
        CLUSTER.public_keys, CLUSTER.signing_roots, CLUSTER.partial_signatures, [1, 2], threshold=2
    )
    with np.printoptions(threshold=10**9):
        assert_hidden(repr(recovered), *CLUSTER.signatures)


@pytest.mark.parametrize(
    "call",
    [
        lambda keys: dvtfast.sign(keys, CLUSTER.signing_roots),
        lambda keys: dvtfast.derive_public_keys(keys),
        lambda keys: dvtfast.split_secret_keys(keys, threshold=2, share_indices=[1, 2]),
        lambda keys: dvtfast.recover_secret_keys(keys[:, np.newaxis], [1], threshold=1),
        lambda keys: dvtfast.sign(keys.astype(np.int64), CLUSTER.signing_roots),
        lambda keys: dvtfast.sign([bytes(keys[0]), bytes(keys[0])[:31]], CLUSTER.signing_roots),
        lambda keys: dvtfast.sign(str(bytes(keys[0])), CLUSTER.signing_roots),
        lambda keys: derivation.derive_child_keys(keys, 0),
        lambda keys: derivation.derive_master_key(keys.reshape(-1)[:31]),
        lambda keys: Coefficients.from_bytes(keys[np.newaxis]),
        lambda keys: Coefficients.derive(keys, 1, 1),
        lambda keys: polynomials.multiply_base(keys),
        lambda keys: polynomials.add_shares([keys]),
    ],
)
def test_errors(call):
    """A key that is not below r, which is all that can be wrong with 32 bytes, and wrong types."""
    keys = CLUSTER.secret_keys.copy()
    keys[:, 0] |= 0x80
    with pytest.raises(dvtfast.DvtfastError) as caught:
        call(keys)
    assert_hidden(f"{caught.value!r} {caught.value}", *keys)
