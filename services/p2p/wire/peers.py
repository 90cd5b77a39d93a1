"""Who a peer is: a secp256k1 key, compressed, 33 bytes. Everything else is a way to write it.

A peer's id is the identity multihash of its key as libp2p's protobuf has it: 00 25 || 08 02 12 21 || key.
All ids of secp256k1 keys begin alike, so ids and keys have the same order.

Source: libp2p/specs peer-ids.
"""

from __future__ import annotations

import coincurve

from dvtfast.errors import InputError
from dvtfast.obol import read_enr
from dvtfast.protobuf import BYTES, VARINT
from dvtfast.secp256k1 import COMPRESSED_KEY_BYTES as KEY_BYTES

from ..errors import WireError
from . import base58, received

ENR_PREFIX = "enr:"
_SECP256K1 = 2  # the KeyType
_KEY_PREFIX = bytes([0x08, _SECP256K1, 0x12, KEY_BYTES])  # fields 1 and 2 of PublicKey
_ID_PREFIX = bytes([0x00, len(_KEY_PREFIX) + KEY_BYTES]) + _KEY_PREFIX
_SHOWN_LETTERS = 8  # of an id, at its end: all begin alike


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
    fields = received.fields(message, {1: VARINT, 2: BYTES})
    if fields.uint64(1) != _SECP256K1:
        raise WireError(f"public key: expected one of secp256k1, got key type {fields.uint64(1)}")
    return check_key(fields.last(2))


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


def key_of_name(name: str) -> bytes:
    """The key of a peer that people name by its node record (ENR), or by its id.

    Raises:
        WireError: it is neither.
    """
    if not name.startswith(ENR_PREFIX):
        return key_of_text(name)
    try:
        return read_enr(name).public_key
    except InputError as error:
        raise WireError(f"peer: {error}") from None


def shown(public_key: bytes) -> str:
    """A peer in a log line: the end of its id."""
    return "…" + peer_text(public_key)[-_SHOWN_LETTERS:]
