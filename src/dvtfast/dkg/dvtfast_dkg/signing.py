"""Partial signatures of what the keys are for, and of the lock: combined, and judged only when that fails."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast._secrets import wiped
from dvtfast.constants import SIGNATURE_BYTES
from dvtfast.dkg.dvtfast_dkg.hashing import tagged_hash
from dvtfast.dkg.dvtfast_dkg.terms import Plan, Terms
from dvtfast.dkg.outputs import GeneratedKeys
from dvtfast.dkg.polynomials import add_shares
from dvtfast.errors import DvtfastError, EncodingError, NativeError, SignatureError
from dvtfast.keys import PublicKeys
from dvtfast.recovery import ShareStatus, recover_and_check
from dvtfast.signatures import check_signatures, fast_aggregate_verify, sign


class SignatureFaultError(DvtfastError):
    """A partial signature does not verify under its public key share."""

    def __init__(self, signer: int, validator: int, kind: int) -> None:
        self.signer, self.validator, self.kind = signer, validator, kind
        super().__init__(f"operator {signer}: partial signature for validator {validator}")


def results_of(public_shares: Bytes) -> tuple[bytes, ...]:
    """Hashes of each node's public key shares, of uint8[n, m, 48]."""
    return tuple(result_of(shares.tobytes()) for shares in public_shares)


def result_of(public_shares: bytes) -> bytes:
    """Hash of one node's public key shares, all m in one."""
    return tagged_hash("public key shares", public_shares)


def signature_rows(encoded: bytes, terms: Terms) -> Bytes:
    """uint8[m, 96 kinds + sealed] of the bytes of partial signatures, and encrypted key shares."""
    return np.frombuffer(encoded, dtype=np.uint8).reshape(terms.validators, terms.row_bytes)


def sign_all(keys: GeneratedKeys, roots: Bytes) -> Bytes:
    """Partial signatures uint8[m, 96 kinds] of signing roots uint8[kinds, m, 32]."""
    kinds, validators = roots.shape[:2]
    signatures = np.zeros((validators, kinds, SIGNATURE_BYTES), dtype=np.uint8)
    for kind in range(kinds):
        signatures[:, kind] = sign(keys.secret_shares, roots[kind])
    return signatures.reshape(validators, kinds * SIGNATURE_BYTES)


def combine(
    terms: Terms, keys: GeneratedKeys, public_shares: PublicKeys, roots: Bytes, rows: Mapping[int, Bytes]
) -> Bytes:
    """Signatures uint8[kinds, m, 96], verified, from the partial ones of `threshold` nodes by position.

    Raises:
        SignatureFaultError: the lowest position whose partial signature does not verify, and the first
            validator of it.
    """
    signers = sorted(rows)
    everybody = np.arange(terms.validators)
    public_keys = PublicKeys(keys.public_keys)
    shares = public_shares[np.array(signers)[np.newaxis], everybody[:, np.newaxis]]
    width = SIGNATURE_BYTES * terms.kinds
    partial = np.stack([rows[signer][:, :width] for signer in signers], axis=1)
    partial = partial.reshape(terms.validators, len(signers), terms.kinds, SIGNATURE_BYTES)
    combined = np.zeros((terms.kinds, terms.validators, SIGNATURE_BYTES), dtype=np.uint8)
    bad: list[tuple[int, int, int]] = []
    for kind in range(terms.kinds):
        found = recover_and_check(
            public_keys,
            roots[kind],
            np.ascontiguousarray(partial[:, :, kind]),
            [terms.share_indices[signer] for signer in signers],
            threshold=terms.threshold,
            public_key_shares=shares,
        )
        for validator in np.flatnonzero(~found.ok):
            places = np.flatnonzero(found.share_statuses[validator] == ShareStatus.BAD)
            if not len(places):
                raise NativeError("partial signatures that verify, but make none")
            bad += [(signers[place], int(validator), kind) for place in places]
        combined[kind] = found.signatures
    if bad:
        raise SignatureFaultError(*min(bad))
    return combined


def is_partial_signature(public_share: bytes, root: bytes, signature: bytes) -> bool:
    """Whether one node's signature for one validator verifies."""
    return bool(check_signatures(public_share, root, signature))


def roots_of(plan: Plan, terms: Terms, public_keys: Bytes) -> Bytes:
    """Signing roots uint8[kinds, m, 32] of all validators."""
    roots = plan.signing_roots(public_keys, range(terms.validators))
    return np.ascontiguousarray(roots, dtype=np.uint8).reshape(terms.kinds, terms.validators, 32)


def sign_lock(secret_shares: Bytes, lock_hash: bytes) -> bytes:
    """The sum of what all key shares of a node would sign, as one signature by their sum."""
    total = secret_shares.copy()
    while len(total) > 1:
        half = len(total) // 2
        left, right, rest = total[:half].copy(), total[half : 2 * half].copy(), total[2 * half :].copy()
        with wiped(total, left, right, rest):
            total = np.concatenate([add_shares([left, right]), rest])
    with wiped(total):
        return sign(total, lock_hash).tobytes()


def is_lock_signature(public_shares: PublicKeys | Bytes, lock_hash: bytes, signature: bytes) -> bool:
    """Whether a signature is by the sum of a node's public key shares (m,): one pairing equation."""
    try:
        fast_aggregate_verify(public_shares, lock_hash, signature)
    except (SignatureError, EncodingError):
        return False
    return True
