"""An operator's identity: the secp256k1 key of its node record, and what it signs in a ceremony."""

from __future__ import annotations

from dvtfast._extras import needs_files_extra
from dvtfast.secp256k1 import ORDER, recovered_signer

IDENTITY_BYTES = 33
SIGNATURE_BYTES = 65  # R | S | V
SECRET_BYTES = 32
S_BYTES, V_BYTE = slice(32, 64), 64
V_FORMS = (b"\0", b"\1")


def is_identity(encoded: bytes) -> bool:
    """Whether these bytes are a point of secp256k1; all of them are in the one group of prime order."""
    with needs_files_extra():
        from coincurve import PublicKey
    try:
        PublicKey(encoded)
    except ValueError:
        return False
    return True


class Identity:
    """A secret key that signs digests; the same digest gives the same signature (RFC 6979).

    Raises:
        ValueError: it is no secret key of secp256k1.
    """

    __slots__ = ("_key", "public_key", "secret")

    def __init__(self, secret: bytes) -> None:
        with needs_files_extra():
            from coincurve import PrivateKey
        self._key = PrivateKey(secret)
        self.secret = secret
        self.public_key: bytes = self._key.public_key.format(compressed=True)

    def sign(self, digest: bytes) -> bytes:
        """R | S | V over 32 bytes."""
        signature: bytes = self._key.sign_recoverable(digest, hasher=None)
        return signature

    def __repr__(self) -> str:
        return "Identity()"


def is_signed(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether R | S | V is a signature of 32 bytes by this key, in the one form that it has.

    Who is not the signer cannot make another one of it: S is of the lower half, and V is 0 or 1.
    """
    is_low = int.from_bytes(signature[S_BYTES], "big") <= ORDER // 2
    return is_low and signature[V_BYTE:] in V_FORMS and recovered_signer(digest, signature) == public_key
