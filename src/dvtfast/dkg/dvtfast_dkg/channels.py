"""Shares travel encrypted for a session, dealer and receiver; an accuser can open that key to everybody.

Each operator has one ephemeral key E = e G for a session. The group is secp256k1: its order is prime, so that
every point that decodes is in the group, and a proof of equal discrete logarithms says what it should (on
X25519 points of small order would have to be ruled out, and points have no y). libsecp256k1 multiplies secret
scalars in constant time.

    D = e_a E_d = e_d E_a    K = HKDF-SHA256(SHA-256(D), session, dealer, receiver)    ChaCha20-Poly1305,
    nonce 0

A key encrypts once, so that its nonce is 0. To open it, the accuser a shows D, and proves that it is E_d
times the logarithm of E_a (Chaum, Pedersen, Wallet databases with observers, 1992):

    R = k G, S = k E_d    c = H(session, a, d, E_a, E_d, D, R, S)    z = k + c e_a
    holds when c = H(session, a, d, E_a, E_d, D, z G - c E_a, z E_d - c D)

An opening shows the shares that dealer and accuser have for each other, and ends the session, whose keys are
never used.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from dvtfast._extras import needs_files_extra
from dvtfast.dkg.dvtfast_dkg.hashing import PROTOCOL, tagged_hash
from dvtfast.secp256k1 import ORDER

if TYPE_CHECKING:
    from coincurve import PublicKey

TAG_BYTES = 16
KEY_BYTES = 32
NONCE = bytes(12)
SCALAR_BYTES = 32


def expand(secret: bytes, salt: bytes, *info: bytes) -> bytes:
    """32 bytes that HKDF-SHA256 makes of a secret, for the purpose that `info` names."""
    with needs_files_extra():
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    label = b"".join(len(part).to_bytes(8, "big") + part for part in (PROTOCOL, *info))
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=label).derive(secret)


def public_point(secret: bytes) -> bytes:
    """E of a secret scalar e."""
    with needs_files_extra():
        from coincurve import PrivateKey
    point: bytes = PrivateKey(secret).public_key.format(compressed=True)
    return point


def encrypt(key: bytes, plaintext: bytes, bound: bytes) -> bytes:
    """Under a key that encrypts nothing else, bound to other bytes."""
    with needs_files_extra():
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    return ChaCha20Poly1305(key).encrypt(NONCE, plaintext, bound)


def decrypt(key: bytes, ciphertext: bytes, bound: bytes) -> bytes | None:
    """The plaintext; None when it is not by who had the key, or not bound to these bytes."""
    with needs_files_extra():
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    try:
        return ChaCha20Poly1305(key).decrypt(NONCE, ciphertext, bound)
    except InvalidTag:
        return None


def pair_key(secret: bytes, other: bytes, session: bytes, dealer: int, receiver: int) -> bytes:
    """K, as one of the two computes it with its ephemeral secret and the other's point; constant time."""
    with needs_files_extra():
        from coincurve import PrivateKey
    return _key(PrivateKey(secret).ecdh(other), session, dealer, receiver)


def opened_key(opening: bytes, session: bytes, dealer: int, receiver: int) -> bytes:
    """K, as everybody computes it from the opened point."""
    return _key(sha256(opening).digest(), session, dealer, receiver)


def _key(shared: bytes, session: bytes, dealer: int, receiver: int) -> bytes:
    return expand(shared, session, b"share", bytes([dealer, receiver]))


def bound_to(session: bytes, dealer: int, receiver: int, public_hash: bytes) -> bytes:
    """What an encrypted share is bound to."""
    return tagged_hash("ciphertext", session, bytes([dealer, receiver]), public_hash)


def open_pair(
    secret: bytes, dealer_point: bytes, session: bytes, accuser: int, dealer: int
) -> tuple[bytes, bytes]:
    """D and the proof for it, by the accuser's ephemeral secret; of no use after the session."""
    own, other = public_point(secret), _point(dealer_point)
    opening = _encoded(other.multiply(secret))
    facts = (session, bytes([accuser, dealer]), own, dealer_point, opening)
    nonce = _scalar(expand(secret, tagged_hash("opening nonce", *facts), b"opening nonce"))
    c = _challenge(*facts, public_point(_bytes(nonce)), _encoded(other.multiply(_bytes(nonce))))
    z = (nonce + c * int.from_bytes(secret, "big")) % ORDER
    return opening, _bytes(c) + _bytes(z)


def is_opening(
    opening: bytes,
    proof: bytes,
    accuser_point: bytes,
    dealer_point: bytes,
    session: bytes,
    accuser: int,
    dealer: int,
) -> bool:
    """Whether D is what dealer and accuser have in common."""
    with needs_files_extra():
        from coincurve import PublicKey
    c, z = (int.from_bytes(part, "big") for part in (proof[:SCALAR_BYTES], proof[SCALAR_BYTES:]))
    if not (0 < c < ORDER and 0 < z < ORDER):
        return False
    minus_c, facts = _bytes(ORDER - c), (session, bytes([accuser, dealer]))
    try:
        base = PublicKey.from_valid_secret(_bytes(z))
        r = PublicKey.combine_keys([base, _point(accuser_point).multiply(minus_c)])
        other = _point(dealer_point)
        s = PublicKey.combine_keys([other.multiply(_bytes(z)), _point(opening).multiply(minus_c)])
    except ValueError:  # no point, or infinity
        return False
    return c == _challenge(*facts, accuser_point, dealer_point, opening, _encoded(r), _encoded(s))


def _challenge(*facts: bytes) -> int:
    return _scalar(tagged_hash("opening", *facts))


def _scalar(digest: bytes) -> int:
    """1 to ORDER - 1."""
    return int.from_bytes(digest, "big") % (ORDER - 1) + 1


def _bytes(scalar: int) -> bytes:
    return scalar.to_bytes(SCALAR_BYTES, "big")


def _point(encoded: bytes) -> PublicKey:
    with needs_files_extra():
        from coincurve import PublicKey
    return PublicKey(encoded)


def _encoded(point: PublicKey) -> bytes:
    encoded: bytes = point.format(compressed=True)
    return encoded
