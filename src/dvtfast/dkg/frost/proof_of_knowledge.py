"""Proofs that a dealer knows the constant terms of its polynomials: one Schnorr proof for each validator.

    R = k G    c = H(index || 0 || A || R)    w = k + c a

with A = a G the commitment to the constant term a, and the index as one byte. What is sent is (w, c), so it
holds when c is the hash with R = w G - c A. charon means to hash the ceremony, too, but what it hashes is
always one zero byte: a proof is bound to its dealer's index and to A, and to nothing else.

H is hash_to_field of RFC 9380 for one element modulo r, section 5.3.1 with SHA-256 and 48 bytes.

Source: FROST (eprint 2020/852), figure 1; charon's kryptology, pkg/dkg/frost.
"""

from __future__ import annotations

from hashlib import sha256

import numpy as np

from dvtfast._arrays import Bytes, Uint64s
from dvtfast._native import threshold as _kernel
from dvtfast._parallel import for_slices
from dvtfast._secrets import wiped
from dvtfast._statuses import OK
from dvtfast.constants import CURVE_ORDER, PUBLIC_KEY_BYTES, SECRET_KEY_BYTES
from dvtfast.dkg.coefficients import Coefficients, scalars_of
from dvtfast.dkg.commitments import Commitments, curve_points
from dvtfast.dkg.polynomials import multiply_base
from dvtfast.keys import POINT_WORDS, PublicKeys, generate_secret_keys, points_of

_SUITE = b"BLS12381_XMD:SHA-256_SSWU_RO_"
_SUITE_PRIME = _SUITE + bytes([len(_SUITE)])
_BLOCK_BYTES = 64  # of SHA-256
_WIDE_BYTES = 48
_CONTEXT = b"\0"
_ONE = (1).to_bytes(SECRET_KEY_BYTES, "big")


def hash_to_scalar(message: bytes) -> bytes:
    """A scalar, 32 bytes big-endian."""
    length = _WIDE_BYTES.to_bytes(2, "big")
    first = sha256(bytes(_BLOCK_BYTES) + message + length + b"\0" + _SUITE_PRIME).digest()
    one = sha256(first + b"\1" + _SUITE_PRIME).digest()
    mixed = (int.from_bytes(first, "big") ^ int.from_bytes(one, "big")).to_bytes(len(one), "big")
    two = sha256(mixed + b"\2" + _SUITE_PRIME).digest()
    wide = int.from_bytes((one + two)[:_WIDE_BYTES], "big")
    return (wide % CURVE_ORDER).to_bytes(SECRET_KEY_BYTES, "big")


def prove(
    coefficients: Coefficients, commitments: PublicKeys, index: int, *, nonces: Bytes | None = None
) -> tuple[Bytes, Bytes]:
    """Responses and challenges uint8[m, 32] of the dealer with this share index.

    Constant-time in coefficients and nonces.

    Args:
        commitments: what `commit` gave for the coefficients.
        nonces: uint8[m, 32], overwritten in the end; for tests with known answers. A nonce that is used twice
            gives the secret away.
    """
    constants = scalars_of(coefficients)[:, 0]
    nonces = generate_secret_keys(len(constants)) if nonces is None else nonces
    secrets = np.stack([constants, nonces], axis=1)
    with wiped(secrets, nonces):
        challenges = _challenges(index, commitments.encoded[:, 0], multiply_base(nonces))
        factors = np.empty((2, SECRET_KEY_BYTES), np.uint8)
        factors[1] = np.frombuffer(_ONE, np.uint8)
        responses = np.zeros_like(challenges)
        status = np.zeros(len(responses), np.uint8)
        for v in range(len(responses)):
            one = slice(v, v + 1)
            factors[0] = challenges[v]
            _kernel.recover_secret_keys(secrets[one], factors, responses[one], status[one])
    assert (status == OK).all()  # 0 is never seen, 2^-255
    return responses, challenges


def find_bad(
    commitments: Commitments | PublicKeys,
    responses: Bytes,
    challenges: Bytes,
    index: int,
    *,
    threads: int | None = None,
) -> list[int]:
    """Validators whose proof by the dealer with this share index does not hold, ascending; usually none.

    Cost: two multiplications for each validator: proofs that do not say R cannot be checked together.

    Args:
        commitments: of shape (m, t).
        responses, challenges: scalars uint8[m, 32] below r.
    """
    m = len(responses)
    points: Uint64s = np.empty((m, 2, POINT_WORDS), np.uint64)
    points[:, 0], points[:, 1] = points_of(_generator())[0], curve_points(commitments)[:, 0]
    factors = np.stack([responses, _negated(challenges)], axis=1)
    encoded, status = np.zeros((m, PUBLIC_KEY_BYTES), np.uint8), np.zeros(m, np.uint8)

    def combine(rows: slice) -> None:
        for v in range(rows.start, rows.stop):
            one = slice(v, v + 1)
            _kernel.recover_public_keys(points[one], factors[v], encoded[one], status[one])

    for_slices(m, combine, threads=threads)
    expected = _challenges(index, commitments.encoded[:, 0], encoded)
    holds = (status == OK) & (expected == challenges).all(axis=1) & challenges.any(axis=1)
    found: list[int] = np.flatnonzero(~holds).tolist()
    return found


def _generator() -> PublicKeys:
    return PublicKeys(multiply_base(_ONE))


def _negated(scalars: Bytes) -> Bytes:
    """-s modulo r of public scalars uint8[m, 32]."""
    joined = b"".join(
        (-int.from_bytes(row.tobytes(), "big") % CURVE_ORDER).to_bytes(SECRET_KEY_BYTES, "big")
        for row in scalars
    )
    return np.frombuffer(joined, np.uint8).reshape(-1, SECRET_KEY_BYTES)


def _challenges(index: int, commitments: Bytes, points: Bytes) -> Bytes:
    """c of each validator: constant terms' commitments and R, uint8[m, 48] both."""
    who = bytes([index]) + _CONTEXT
    joined = b"".join(
        hash_to_scalar(who + a.tobytes() + r.tobytes()) for a, r in zip(commitments, points, strict=True)
    )
    return np.frombuffer(joined, np.uint8).reshape(-1, SECRET_KEY_BYTES)
