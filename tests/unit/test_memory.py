"""Beyond inputs and outputs, many validators take as much memory as a few."""

import tracemalloc

import numpy as np
import pytest

import dvtfast
from dvtfast.recovery import CHUNK_VALIDATORS, FIRST_VALIDATORS

DISTINCT = 64
FEW = FIRST_VALIDATORS + CHUNK_VALIDATORS
MANY = FEW + 2 * CHUNK_VALIDATORS
# Which places of a validator hold a share, and which shares are bad: two bytes for its one share.
BYTES_EACH = 8


@pytest.fixture(scope="module")
def batch():
    """A cluster with one share for each validator, so that the test is short: it is about memory."""
    secret_keys = dvtfast.generate_secret_keys(DISTINCT)
    roots = dvtfast.exit_signing_roots(range(DISTINCT), dvtfast.HOODI)
    public_keys = dvtfast.PublicKeys(dvtfast.derive_public_keys(secret_keys))
    return public_keys, roots, dvtfast.sign(secret_keys, roots)


def extra_bytes(batch, n):
    """The most that was allocated at once beside what is returned."""
    public_keys, roots, signatures = (column[np.arange(n) % DISTINCT] for column in batch)
    tracemalloc.start()
    try:
        found = dvtfast.recover_and_check(public_keys, roots, signatures[:, np.newaxis], [1], threshold=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.ok.all()
    columns = (found.signatures, found.statuses, found.share_statuses, found.share_indices)
    return peak - sum(column.nbytes for column in columns)


def test_many_validators(batch):
    few, many = extra_bytes(batch, FEW), extra_bytes(batch, MANY)
    assert few > FEW * 192  # the hashes of a chunk are among it
    assert many < few + BYTES_EACH * (MANY - FEW)
