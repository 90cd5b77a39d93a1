"""Split exit signatures for the oracles, and encrypt each share to its oracle."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from dvtfast import ecies
from dvtfast._arrays import Bytes, Rows, as_rows, same_length
from dvtfast._backend import lanes_for
from dvtfast._native import oracles as _kernel
from dvtfast._native.lanes import find
from dvtfast._parallel import for_slices
from dvtfast._secrets import wiped
from dvtfast._statuses import require_ok
from dvtfast.constants import (
    ECIES_OVERHEAD_BYTES,
    ORACLE_PUBLIC_KEY_BYTES,
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
)
from dvtfast.errors import InputError, ThresholdError
from dvtfast.keys import KeysLike, as_public_keys, points_of, random_scalars
from dvtfast.signing_roots import RootsLike, as_roots, hashes_of
from dvtfast.threshold import as_share_count


@dataclass(frozen=True, eq=False)
class OracleShares:
    """Exit signatures split for k oracles; the oracle at position p has share index p + 1.

    Attributes:
        public_key_shares: uint8[n, k, 48].
        signature_shares: uint8[n, k, 96], secret until enough exits are wanted: encrypt them.
    """

    public_key_shares: Bytes
    signature_shares: Bytes = field(repr=False)


def split_exit_signatures(
    signatures: Rows,
    public_keys: KeysLike,
    signing_roots: RootsLike,
    *,
    total: int,
    threshold: int,
    threads: int | None = None,
) -> OracleShares:
    """Split verified exit signatures so that any `threshold` of `total` oracles recover them.

    Oracle j gets S + f(j)*H(m) and P + f(j)*G1, for a fresh f of degree below `threshold` with f(0) = 0
    and f(1) .. f(threshold - 1) uniform. These are the shares of the secret polynomial sk + f. Fewer than
    `threshold` of them, with j not 0, are independent uniform points whatever S is: they reveal nothing.

    Args:
        signatures: uint8[n, 96], already verified: the split of a wrong one is wrong too.
        public_keys: the n validators' keys.
        signing_roots: uint8[n, 32], what was signed.

    Raises:
        EncodingError: a signature or key does not decode.
        ThresholdError: not 1 <= threshold <= total.

    Source: StakeWise; the shares equal those of splitting the secret key.
    """
    total, threshold = as_share_count("total", total), as_share_count("threshold", threshold)
    if threshold > total:
        raise ThresholdError(f"threshold: expected 1..{total} (the number of oracles), got {threshold}")
    masks = random_scalars(_row_count(signatures), threshold - 1)
    with wiped(masks):
        return _split_with_masks(signatures, public_keys, signing_roots, masks, total, threads=threads)


def encrypt_to_oracles(
    signature_shares: Bytes, oracle_public_keys: Rows, *, key_per_message: bool = False
) -> Bytes:
    """Encrypt shares uint8[n, k, 96], each to its oracle uint8[k, 64], as uint8[n, k, 193].

    All shares of an oracle have one ephemeral key, or each its own: see `ecies.encrypt_batch`.

    Raises:
        EncodingError: an oracle's key is not on secp256k1.
        MissingExtraError: the extra `files` is not installed.
    """
    shares, _ = as_rows("signature_shares", signature_shares, SIGNATURE_BYTES, leading=2)
    oracles, _ = as_rows("oracle_public_keys", oracle_public_keys, ORACLE_PUBLIC_KEY_BYTES)
    n, k, _ = shares.shape
    if k != len(oracles):
        raise InputError(f"signature_shares: expected one for each of {len(oracles)} oracles, got {k}")
    blobs = np.zeros((n, k, SIGNATURE_BYTES + ECIES_OVERHEAD_BYTES), dtype=np.uint8)
    for position, oracle in enumerate(oracles):
        blobs[:, position] = ecies.encrypt_batch(
            shares[:, position], oracle.tobytes(), key_per_message=key_per_message
        )
    return blobs


def _split_with_masks(
    signatures: Rows,
    public_keys: KeysLike,
    signing_roots: RootsLike,
    masks: Bytes,
    total: int,
    *,
    threads: int | None = None,
) -> OracleShares:
    """The split with given masks uint8[n, t - 1, 32]: f(1) .. f(t - 1), below r."""
    rows, _ = as_rows("signatures", signatures, SIGNATURE_BYTES)
    keys, _ = as_public_keys(public_keys, threads=threads)
    roots = as_roots(signing_roots)
    n = same_length(signatures=rows, public_keys=keys, signing_roots=roots, masks=masks)
    points = points_of(keys)
    public_key_shares = np.zeros((n, total, PUBLIC_KEY_BYTES), dtype=np.uint8)
    signature_shares = np.zeros((n, total, SIGNATURE_BYTES), dtype=np.uint8)
    status = np.zeros(n, dtype=np.uint8)

    def split(s: slice) -> None:
        lanes = lanes_for("split", s.stop - s.start)
        _kernel.split_for_oracles(
            rows[s],
            points[s],
            hashes_of(roots, s),
            masks[s],
            _base_table(lanes.name if lanes else None),
            public_key_shares[s],
            signature_shares[s],
            status[s],
            lanes,
        )

    for_slices(n, split, threads=threads)
    require_ok("signatures", status)
    return OracleShares(public_key_shares, signature_shares)


@cache
def _base_table(build: str | None) -> _kernel.BaseTable:
    """What every split on these lanes reads, or on none: made at the first one, in a few milliseconds."""
    return _kernel.BaseTable(find(build) if build else None)


def _row_count(signatures: Rows) -> int:
    return len(as_rows("signatures", signatures, SIGNATURE_BYTES)[0])
