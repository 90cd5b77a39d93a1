"""Who a peer is: a secp256k1 key, compressed, 33 bytes. Everything else is a way to write it.

A peer's id is the identity multihash of its key as libp2p's protobuf has it: 00 25 || 08 02 12 21 || key.
All ids of secp256k1 keys begin alike, so ids and keys have the same order.

Source: libp2p/specs peer-ids.
"""

from __future__ import annotations

import secrets
from typing import Self

import coincurve

from ..errors import WireError
from . import base58, protobuf

KEY_BYTES = 33
SECRET_BYTES = 32
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1
_SECP256K1 = 2  # the KeyType
_KEY_PREFIX = bytes([0x08, _SECP256K1, 0x12, KEY_BYTES])  # fields 1 and 2 of PublicKey
_ID_PREFIX = bytes([0x00, len(_KEY_PREFIX) + KEY_BYTES]) + _KEY_PREFIX
_SHOWN_LETTERS = 8  # of an id, at its end: all begin alike


class IdentityKey:
    """The secret key of this peer.

    Attributes:
        public_key: 33 bytes, compressed.
    """

    __slots__ = ("_key", "public_key")

    def __init__(self, secret: bytes) -> None:
        """Of a scalar, 32 bytes, big-endian.

        Raises:
            ValueError: it is not from 1 to the order of secp256k1.
        """
        if len(secret) != SECRET_BYTES or not 0 < int.from_bytes(secret, "big") < ORDER:
            raise ValueError("identity key: expected a secp256k1 scalar of 32 bytes")
        self._key = coincurve.PrivateKey(secret)
        self.public_key = self._key.public_key.format()

    @classmethod
    def generate(cls) -> Self:
        """A new one, from the operating system."""
        return cls(new_secret())

    def sign(self, message: bytes) -> bytes:
        """ECDSA over SHA-256 of the message: DER, low s, as libp2p has it."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"IdentityKey({peer_text(self.public_key)})"


def new_secret() -> bytes:
    """A scalar for a new identity key, from the operating system."""
    return (secrets.randbelow(ORDER - 1) + 1).to_bytes(SECRET_BYTES, "big")


def is_signed_by(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is that of a key over a message; False for what is none, and for a high s."""
    try:
        return coincurve.verify_signature(signature, message, public_key)
    except ValueError:
        return False


def check_key(public_key: bytes) -> bytes:
    """The key, when it is one.

    Raises:
        WireError: it is no point of secp256k1, or not compressed.
    """
    if len(public_key) != KEY_BYTES:
        raise WireError(f"public key: expected {KEY_BYTES} bytes, got {len(public_key)}")
    try:
        coincurve.PublicKey(public_key)
    except ValueError:
        raise WireError("public key: not a point of secp256k1") from None
    return public_key


def encode_key(public_key: bytes) -> bytes:
    """A key as libp2p's PublicKey message."""
    return _KEY_PREFIX + public_key


def decode_key(message: bytes) -> bytes:
    """The key of a PublicKey message.

    Raises:
        WireError: it is none of secp256k1.
    """
    fields = protobuf.Fields(message)
    if fields.integer(1) != _SECP256K1:
        raise WireError(f"public key: expected one of secp256k1, got key type {fields.integer(1)}")
    return check_key(fields.bytes_(2))


def peer_id(public_key: bytes) -> bytes:
    """The id of a peer, as it goes over the wire."""
    return _ID_PREFIX + public_key


def key_of_id(identifier: bytes) -> bytes:
    """The key within an id.

    Raises:
        WireError: it is none of a secp256k1 key.
    """
    if not identifier.startswith(_ID_PREFIX):
        raise WireError("peer id: expected one of a secp256k1 key")
    return check_key(identifier[len(_ID_PREFIX) :])


def peer_text(public_key: bytes) -> str:
    """An id as people read it: 16Uiu2HA..."""
    return base58.encode(peer_id(public_key))


def key_of_text(text: str) -> bytes:
    """The key of an id as people read it.

    Raises:
        WireError: it is none of a secp256k1 key.
    """
    return key_of_id(base58.decode(text))


def shown(public_key: bytes) -> str:
    """A peer in a log line: the end of its id."""
    return "…" + peer_text(public_key)[-_SHOWN_LETTERS:]
