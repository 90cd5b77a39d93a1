"""Who has signed a digest, as strictly as a contract looks at it.

Sources: Ethereum yellow paper, appendix F; OpenZeppelin's ECDSA, which refuses a high s.
"""

from __future__ import annotations

from typing import Final

from coincurve import PublicKey

from ..encoding import ADDRESS_BYTES, HASH_BYTES, keccak256

SIGNATURE_BYTES: Final = 65  # r, s, v
SCALAR_BYTES: Final = 32
CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # SEC 2, secp256k1
FIRST_V: Final = 27
UNCOMPRESSED: Final = b"\x04"  # SEC 1, before x and y


def recover_signer(digest: bytes, signature: bytes) -> bytes:
    """The address whose key made a signature: r, s, then v of 27 or 28.

    Raises:
        ValueError: it is no signature that a contract would take.
    """
    if len(digest) != HASH_BYTES:
        raise ValueError(f"digest: expected {HASH_BYTES} bytes, got {len(digest)}")
    if len(signature) != SIGNATURE_BYTES:
        raise ValueError(f"signature: expected {SIGNATURE_BYTES} bytes, got {len(signature)}")
    r = int.from_bytes(signature[:SCALAR_BYTES], "big")
    s = int.from_bytes(signature[SCALAR_BYTES : 2 * SCALAR_BYTES], "big")
    v = signature[-1]
    if not (0 < r < CURVE_ORDER and 0 < s < CURVE_ORDER):
        raise ValueError("signature: expected r and s of secp256k1")
    if s > CURVE_ORDER // 2:
        raise ValueError("signature: expected the lower of two values for s")
    if v not in (FIRST_V, FIRST_V + 1):
        raise ValueError(f"signature: expected v of {FIRST_V} or {FIRST_V + 1}, got {v}")
    recoverable = signature[:-1] + bytes([v - FIRST_V])
    try:
        key = PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
    except Exception:  # coincurve raises plain ones
        raise ValueError("signature: no key can have made it") from None
    return _address(key)


def address_of(public_key: bytes) -> bytes:
    """The address of a public key, 64 bytes: x, then y.

    Raises:
        ValueError: it is no point of secp256k1.
    """
    return _address(PublicKey(UNCOMPRESSED + public_key))


def _address(key: PublicKey) -> bytes:
    return keccak256(key.format(compressed=False)[1:])[-ADDRESS_BYTES:]
