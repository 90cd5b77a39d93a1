"""The public keys of a cluster: decoded, distinct, and all on their polynomials."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dvtfast._arrays import Bytes, Uint64s
from dvtfast._files import to_hex
from dvtfast.errors import EncodingError, FileError
from dvtfast.keys import PublicKeys
from dvtfast.threshold import check_public_key_shares


def decode_cluster_keys(
    path: Path | None,
    public_keys: Bytes,
    public_key_shares: Bytes,
    share_indices: Uint64s,
    *,
    threshold: int,
    threads: int | None,
) -> tuple[PublicKeys, PublicKeys]:
    """The validators' public keys and the shares of each.

    Args:
        path: the file that they are from, for errors.
        public_keys: uint8[n, 48].
        public_key_shares: uint8[n, k, 48].
        share_indices: uint64[k].

    Raises:
        FileError: one is invalid or repeated, or shares are off their validator's polynomial.
    """
    n, k, width = public_key_shares.shape
    _refuse_repeated(path, np.concatenate([public_keys, public_key_shares.reshape(n * k, width)]))
    try:
        keys = PublicKeys(public_keys, threads=threads)
    except EncodingError as error:
        raise FileError(f"{to_hex(public_keys[error.indices[0]])} is no valid public key", path) from None
    try:
        shares = PublicKeys(public_key_shares, threads=threads)
    except EncodingError as error:
        row, column = divmod(error.indices[0], k)
        raise FileError(
            f"validator {to_hex(public_keys[row])}: the public key share with index {share_indices[column]} "
            "is no valid public key",
            path,
        ) from None
    fits = check_public_key_shares(keys, shares, share_indices, threshold=threshold, threads=threads)
    for row in np.flatnonzero(~fits):
        raise FileError(
            f"validator {to_hex(public_keys[row])}: the public key shares do not give its public key "
            f"with threshold {threshold}",
            path,
        )
    return keys, shares


def _refuse_repeated(path: Path | None, keys: Bytes) -> None:
    values, counts = np.unique(keys, axis=0, return_counts=True)
    for key in values[counts > 1]:
        raise FileError(f"public key {to_hex(key)} is repeated", path)
