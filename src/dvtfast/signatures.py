"""BLS signatures in batch: sign, check, verify, aggregate.

Source: IRTF draft-irtf-cfrg-bls-signature-04, proof-of-possession scheme, minimal public keys, as
consensus-specs uses it.
"""

from __future__ import annotations

from typing import Any, overload

import numpy as np

from dvtfast._arrays import Bools, Bytes, LoneRow, ManyRows, Rows, as_row, as_rows, same_length
from dvtfast._backend import lanes_for
from dvtfast._native import signatures as _kernel
from dvtfast._parallel import for_slices
from dvtfast._secrets import secret_rows
from dvtfast._statuses import OK, require_ok
from dvtfast.constants import ROOT_BYTES, SECRET_KEY_BYTES, SIGNATURE_BYTES
from dvtfast.errors import InputError, SignatureError
from dvtfast.keys import KeysLike, PublicKeys, as_public_keys, points_of, random_weights
from dvtfast.networks import Network, as_network
from dvtfast.signing_roots import (
    HashedRoots,
    RootsLike,
    as_roots,
    as_validator_indices,
    exit_epoch,
    hashes_of,
)


def sign(secret_keys: Rows, signing_roots: Rows, *, threads: int | None = None) -> Bytes:
    """Signatures uint8[n, 96] over uint8[n, 32], each by its own secret key; constant-time in these.

    Raises:
        EncodingError: a secret key is 0 or not below r.
    """
    with secret_rows("secret_keys", secret_keys, SECRET_KEY_BYTES) as (keys, lone):
        roots, _ = as_rows("signing_roots", signing_roots, ROOT_BYTES)
        n = same_length(secret_keys=keys, signing_roots=roots)
        signatures = np.zeros((n, SIGNATURE_BYTES), dtype=np.uint8)
        status = np.zeros(n, dtype=np.uint8)
        for_slices(
            n,
            lambda s: _kernel.sign(
                keys[s], roots[s], signatures[s], status[s], lanes_for("sign", s.stop - s.start)
            ),
            threads=threads,
        )
    require_ok("secret_keys", status)
    return signatures[0] if lone else signatures


def sign_exits(
    secret_keys: Rows,
    validator_indices: Any,
    network: Network,
    *,
    epoch: int | None = None,
    threads: int | None = None,
) -> Bytes:
    """Signatures uint8[n, 96] of voluntary exits; arguments as for `sign` and `exit_signing_roots`.

    Raises:
        EncodingError: a secret key is 0 or not below r.
    """
    signed_epoch, domain = (
        exit_epoch(network, epoch),
        as_row("domain", as_network(network).exit_domain, ROOT_BYTES),
    )
    with secret_rows("secret_keys", secret_keys, SECRET_KEY_BYTES) as (keys, lone):
        indices, _ = as_validator_indices(validator_indices)
        n = same_length(secret_keys=keys, validator_indices=indices)
        signatures = np.zeros((n, SIGNATURE_BYTES), dtype=np.uint8)
        status = np.zeros(n, dtype=np.uint8)
        for_slices(
            n,
            lambda s: _kernel.sign_exits(
                keys[s],
                signed_epoch,
                indices[s],
                domain,
                signatures[s],
                status[s],
                lanes_for("sign", s.stop - s.start),
            ),
            threads=threads,
        )
    require_ok("secret_keys", status)
    return signatures[0] if lone else signatures


@overload
def check_signatures(
    public_keys: PublicKeys | ManyRows,
    signing_roots: RootsLike,
    signatures: Rows,
    *,
    threads: int | None = None,
) -> Bools: ...
@overload
def check_signatures(
    public_keys: LoneRow, signing_roots: RootsLike, signatures: Rows, *, threads: int | None = None
) -> np.bool_: ...
def check_signatures(
    public_keys: KeysLike, signing_roots: RootsLike, signatures: Rows, *, threads: int | None = None
) -> Bools | np.bool_:
    """Which of uint8[n, 96] verify, each under its own key and root.

    One pairing equation with fresh random weights of 64 bits judges all; only when it fails are the bad ones
    sought by bisection. A signature that does not decode, or is infinity or outside G2, is False.

    Where all roots are one, it is as fast as `check_same_message`.

    Raises:
        EncodingError: a public key is invalid.
    """
    keys, lone = as_public_keys(public_keys, threads=threads)
    ok = check_decoded(keys, as_roots(signing_roots), signatures, threads=threads)
    return ok[0] if lone else ok


@overload
def check_same_message(
    public_keys: PublicKeys | ManyRows,
    signing_root: RootsLike,
    signatures: Rows,
    *,
    threads: int | None = None,
) -> Bools: ...
@overload
def check_same_message(
    public_keys: LoneRow, signing_root: RootsLike, signatures: Rows, *, threads: int | None = None
) -> np.bool_: ...
def check_same_message(
    public_keys: KeysLike, signing_root: RootsLike, signatures: Rows, *, threads: int | None = None
) -> Bools | np.bool_:
    """Which of uint8[n, 96] verify, each under its own key, all over one root.

    The root is hashed once. Keys and signatures are summed with fresh random weights of 64 bits, never 0,
    and two pairings judge both sums; only when they differ are the bad ones sought by bisection.

    Rogue keys gain nothing, and no proof of possession is asked for. Plain sums, as those of
    `fast_aggregate_verify`, agree also where signatures are wrong but cancel, or where a key is made of
    others' keys. Sums with weights that nobody could know agree by chance only, with a probability of about
    2^-64, unless each signature verifies by itself. So True means the same as of one that is checked alone.

    Args:
        public_keys: of n signers.
        signing_root: uint8[32], or hashed, one.
        signatures: uint8[n, 96]; one that does not decode, or is infinity or outside G2, is False.
        threads: each has sums of its own, as have every 1,024 signatures.

    Raises:
        EncodingError: a public key is invalid.
        InputError: more than one root, or none.
    """
    keys, lone = as_public_keys(public_keys, threads=threads)
    roots = signing_root if isinstance(signing_root, HashedRoots) else HashedRoots(signing_root)
    if len(roots) != 1:
        raise InputError(f"signing_root: expected one, got {len(roots)}")
    ok = check_decoded(keys, roots[np.zeros(len(keys), np.intp)], signatures, threads=threads)
    return ok[0] if lone else ok


def check_decoded(
    keys: PublicKeys,
    roots: HashedRoots | Bytes,
    signatures: Rows,
    *,
    alone: bool = False,
    threads: int | None = None,
) -> Bools:
    """`check_signatures` for the library: with `alone` one by one, which is cheaper where many are bad."""
    rows, _ = as_rows("signatures", signatures, SIGNATURE_BYTES)
    n = same_length(public_keys=keys, signing_roots=roots, signatures=rows)
    points = points_of(keys)
    status = np.zeros(n, dtype=np.uint8)

    def check(s: slice) -> None:
        size = s.stop - s.start
        lanes = lanes_for("check", size)
        if alone:
            _kernel.check_alone(points[s], hashes_of(roots, s), rows[s], status[s], lanes)
        else:
            _kernel.check(points[s], hashes_of(roots, s), rows[s], random_weights(size), status[s], lanes)

    for_slices(n, check, threads=threads)
    ok: Bools = status == OK
    return ok


def verify_signatures(
    public_keys: KeysLike, signing_roots: RootsLike, signatures: Rows, *, threads: int | None = None
) -> None:
    """Return when every signature verifies.

    Raises:
        SignatureError: `indices` lists those that do not.
        EncodingError: a public key is invalid.
    """
    bad = np.flatnonzero(
        ~np.atleast_1d(check_signatures(public_keys, signing_roots, signatures, threads=threads))
    )
    if bad.size:
        raise SignatureError(f"signatures: {bad.size} do not verify", bad.tolist())


def aggregate(signatures: Rows) -> Bytes:
    """The plain sum uint8[96] of at least one signature uint8[n, 96]; infinity is allowed.

    Raises:
        InputError: no signature.
        EncodingError: a signature does not decode or is outside G2.
    """
    rows, _ = as_rows("signatures", signatures, SIGNATURE_BYTES)
    if not len(rows):
        raise InputError("signatures: expected at least one to aggregate, got none")
    total = np.zeros(SIGNATURE_BYTES, dtype=np.uint8)
    status = np.zeros(len(rows), dtype=np.uint8)
    _kernel.aggregate(rows, total, status)
    require_ok("signatures", status)
    return total


def fast_aggregate_verify(public_keys: KeysLike, signing_root: Rows, signature: Rows) -> None:
    """Return when one signature is the aggregate of all public keys over one root.

    Raises:
        SignatureError: it is not, or there is no key.
        EncodingError: a public key is invalid.
    """
    keys, _ = as_public_keys(public_keys)
    root = as_row("signing_root", signing_root, ROOT_BYTES)[np.newaxis]
    status = _kernel.fast_aggregate_verify(
        points_of(keys),
        hashes_of(root, slice(0, 1))[0],
        as_row("signature", signature, SIGNATURE_BYTES),
    )
    if status != OK:
        raise SignatureError(f"signature: does not verify as the aggregate of {len(keys)} keys over one root")


def aggregate_verify(public_keys: KeysLike, signing_roots: RootsLike, signature: Rows) -> None:
    """Return when one signature is the aggregate of n public keys, each over its own root.

    Raises:
        SignatureError: it is not, or there is no key.
        EncodingError: a public key is invalid.
    """
    keys, _ = as_public_keys(public_keys)
    roots = as_roots(signing_roots)
    n = same_length(public_keys=keys, signing_roots=roots)
    status = _kernel.aggregate_verify(
        points_of(keys), hashes_of(roots, slice(0, n)), as_row("signature", signature, SIGNATURE_BYTES)
    )
    if status != OK:
        raise SignatureError(f"signature: does not verify as the aggregate of {len(keys)} keys and roots")
