"""Proof that a dealer knows the constant terms of all its polynomials, in 80 bytes (a batched Schnorr proof).

    R = k G    c_v = the first 128 bits of SHA-256(H || v), less 0x8080..80    w = k + sum of c_v a_(v,0)
    H = SHA-256(tag || length of context || context || SHA-256(commitments) || R)

with v and the length as 4 bytes, big-endian. The proof is R, 48 bytes compressed, and w, 32 bytes
big-endian. It holds when w G = R + sum of c_v A_(v,0), but for a point whose order divides the cofactor
of G1: so the verdict on commitments that are not in G1 is the same at every node. A context names session
and dealer; what else differs from one proof to the next is hashed.

Source: Gennaro, Leigh, Sundaram, Yerazunis, Batching Schnorr identification scheme, Asiacrypt 2004.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from dvtfast._arrays import Bytes, Uint64s
from dvtfast._native import commitments as _kernel
from dvtfast._native import scalars as _scalars
from dvtfast._parallel import for_slices
from dvtfast._secrets import wiped
from dvtfast._statuses import OK
from dvtfast.constants import PUBLIC_KEY_BYTES, SECRET_KEY_BYTES
from dvtfast.dkg.coefficients import Coefficients, scalars_of
from dvtfast.dkg.commitments import Commitments, CommitmentsLike, as_parts, curve_points
from dvtfast.dkg.polynomials import WEIGHT_BYTES, commit, multiples, multiply_base, weighted_sum
from dvtfast.errors import InputError
from dvtfast.keys import POINT_WORDS, PublicKeys

PROOF_BYTES = PUBLIC_KEY_BYTES + SECRET_KEY_BYTES
_CHALLENGE_TAG = b"dvtfast-dkg/1 proof of knowledge"
_NONCE_TAG = b"dvtfast-dkg/1 nonce"
_DIGEST_BYTES = 32


def prove(coefficients: Coefficients, context: bytes, *, commitments: PublicKeys | None = None) -> bytes:
    """The proof, 80 bytes, for the commitments to these polynomials; the same each time.

    Its nonce is drawn from the coefficients and the context, as no two proofs may share one. Constant-time in
    the coefficients.

    Args:
        context: what session and which dealer this is.
        commitments: what `commit` gave, to save its time.
    """
    rows = scalars_of(coefficients)
    if commitments is None:
        commitments = commit(coefficients)
    digest = sha256(commitments.encoded.data).digest()
    key, nonce = np.zeros(_DIGEST_BYTES, np.uint8), np.zeros((1, SECRET_KEY_BYTES), np.uint8)
    constants = rows[:, 0].copy()
    info = sha256(_NONCE_TAG + _framed(context) + digest).digest()
    with wiped(key, nonce, constants):
        # The nonce is a secret's hash, keyed by nothing that others know.
        _scalars.hash_secret(constants.reshape(-1), key)
        _scalars.expand_scalars(key, np.frombuffer(info, np.uint8).reshape(1, -1), nonce)
        point = multiply_base(nonce).tobytes()
        _scalars.weigh_scalars(constants, _challenges(context, digest, point, len(rows)), nonce[0])
        return point + nonce.tobytes()


def find_bad(
    parts: Sequence[CommitmentsLike],
    proofs: Sequence[bytes],
    contexts: Sequence[bytes],
    *,
    threads: int | None = None,
) -> list[int]:
    """Positions of the dealers whose proof does not hold, ascending; exact, nothing random is in it.

    Raises:
        BadDealerError: a part has an entry that is no finite point of the curve.
        InputError: parts, proofs and contexts differ in number, or parts in shape.
    """
    if not len(parts) == len(proofs) == len(contexts):
        raise InputError(f"expected as many proofs and contexts as parts, got {len(proofs)}, {len(contexts)}")
    decoded = as_parts(parts, threads=threads) if len(parts) else []
    holds = np.zeros(len(decoded), dtype=np.bool_)

    def judge(dealers: slice) -> None:
        for dealer in range(dealers.start, dealers.stop):
            holds[dealer] = _holds(decoded[dealer], proofs[dealer], contexts[dealer])

    for_slices(len(decoded), judge, threads=threads, rows_per_thread=1)
    bad: list[int] = np.flatnonzero(~holds).tolist()
    return bad


def _holds(part: Commitments | PublicKeys, proof: bytes, context: bytes) -> bool:
    if len(proof) != PROOF_BYTES:
        return False
    encoded, response = (np.frombuffer(proof, np.uint8)[s].reshape(1, -1) for s in _PARTS)
    point: Uint64s = np.zeros((1, POINT_WORDS), dtype=np.uint64)
    status = np.zeros(2, dtype=np.uint8)
    _kernel.decode(encoded, point, status[:1], None)
    _scalars.check_scalars(response, status[1:])
    if (status != OK).any():
        return False
    keys = np.ascontiguousarray(curve_points(part)[:, 0])
    digest = sha256(part.encoded.data).digest()
    weights = _challenges(context, digest, proof[:PUBLIC_KEY_BYTES], len(keys))
    _kernel.add_points(point, weighted_sum(keys, weights)[np.newaxis], None)
    return not _kernel.differ_in_g1(point[0], multiples(response)[0])


_PARTS = (slice(PUBLIC_KEY_BYTES), slice(PUBLIC_KEY_BYTES, PROOF_BYTES))


def _framed(context: bytes) -> bytes:
    return len(context).to_bytes(4, "big") + context


def _challenges(context: bytes, digest: bytes, point: bytes, validators: int) -> Bytes:
    """c_v, uint8[m, 16] big-endian."""
    transcript = sha256(_CHALLENGE_TAG + _framed(context) + digest + point).digest()
    challenges = np.zeros((validators, WEIGHT_BYTES), dtype=np.uint8)
    _scalars.draw_challenges(np.frombuffer(transcript, np.uint8), challenges)
    return challenges
