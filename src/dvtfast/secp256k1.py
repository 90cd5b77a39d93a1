"""Signatures by the secp256k1 keys that nodes are known by: R | S | V, and libp2p's.

Source: SEC 1, section 4.1.6 (recovery of the key from a signature); libp2p, peer identities (`sign_message`).
"""

from __future__ import annotations

from typing import Self

from dvtfast._extras import needs_files_extra
from dvtfast.errors import InputError

# The order of secp256k1 (SEC 2).
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SECRET_KEY_BYTES = 32
COMPRESSED_KEY_BYTES = 33
DIGEST_BYTES = 32
# R | S, and V after it.
COMPACT_BYTES = 64
SIGNATURE_BYTES = 65
# What Ethereum adds to V, and others do not.
ETHEREUM_V = 27
# A DER signature is no longer.
MAX_DER_BYTES = 72


class IdentityKey:
    """The secret key of a node; shows nothing of itself.

    Args:
        secret_key: 32 bytes, big-endian.

    Attributes:
        public_key: compressed, 33 bytes.

    Raises:
        InputError: it is no secret key.
        MissingExtraError: the extra `files` is not installed.
    """

    __slots__ = ("_key", "public_key")

    def __init__(self, secret_key: bytes) -> None:
        with needs_files_extra():
            from coincurve import PrivateKey
        try:
            if len(secret_key) != SECRET_KEY_BYTES:
                raise ValueError
            self._key = PrivateKey(bytes(secret_key))
        except ValueError:
            raise InputError("identity key: expected a secret key of secp256k1, 32 bytes") from None
        self.public_key: bytes = self._key.public_key.format(compressed=True)

    @classmethod
    def generate(cls) -> Self:
        """A new one, from the operating system."""
        return cls(new_secret_key())

    def __repr__(self) -> str:
        return f"IdentityKey(public_key={self.public_key.hex()})"

    def sign(self, digest: bytes) -> bytes:
        """R | S | V over 32 bytes, V 0 or 1; the same each time (RFC 6979)."""
        signature: bytes = self._key.sign_recoverable(digest, hasher=None)
        return signature

    def sign_message(self, message: bytes) -> bytes:
        """The signature of libp2p: DER, over SHA-256 of the message."""
        signature: bytes = self._key.sign(message)
        return signature


def new_secret_key() -> bytes:
    """A secret of secp256k1, 32 bytes, from the operating system."""
    with needs_files_extra():
        from coincurve import PrivateKey
    secret: bytes = PrivateKey().secret
    return secret


def recovered_signer(digest: bytes, signature: bytes) -> bytes | None:
    """The compressed key that a signature R | S | V of 32 bytes is by, V 0, 1, 27 or 28; None for none."""
    with needs_files_extra():
        from coincurve import PublicKey
    if len(signature) != SIGNATURE_BYTES:
        return None
    v = signature[COMPACT_BYTES]
    recovery_id = v - ETHEREUM_V if v in (ETHEREUM_V, ETHEREUM_V + 1) else v
    try:
        key = PublicKey.from_signature_and_message(
            signature[:COMPACT_BYTES] + bytes([recovery_id]), digest, hasher=None
        )
    except ValueError:
        return None
    compressed: bytes = key.format(compressed=True)
    return compressed


def is_signed_by(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether R | S, with or without a V, is a secp256k1 signature of 32 bytes by a compressed key."""
    return any(
        signer == public_key
        for v in (0, 1)
        if (signer := recovered_signer(digest, signature[:COMPACT_BYTES] + bytes([v]))) is not None
    )


def is_message_signed_by(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is libp2p's, by a compressed key: DER, over SHA-256 of the message."""
    with needs_files_extra():
        from coincurve import PublicKey
    if len(signature) > MAX_DER_BYTES:
        return False
    try:
        ok: bool = PublicKey(public_key).verify(signature, message)
    except ValueError:
        return False
    return ok
