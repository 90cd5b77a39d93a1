"""Signatures at rest: sealed under a key that is not in the database, and bound to what they are.

A sealed signature is version || key id || nonce || ciphertext and tag, by AES-256-GCM-SIV (RFC 8452).
Unlike AES-GCM and ChaCha20-Poly1305 it survives a nonce that is drawn twice, say by a copy of a virtual
machine: who sees both learns only whether the same was sealed. So nothing has to count what a key seals.
The associated data says what the signature is, hence one that is moved to another row does not open.

Transactions read and write signatures through the seal of their connection; without a storage key that
is `PLAIN`, which changes nothing.
"""

from __future__ import annotations

import base64
import hmac
import os
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from sqlalchemy import Connection, select

from dvtfast.constants import SIGNATURE_BYTES

from ... import wire
from ...process import logs
from ...process.offload import UnavailableError
from .tables import from_uint64, storage

KEY_BYTES = 32
KEY_ID_BYTES = 5  # eight letters
NONCE_BYTES = 12  # RFC 8452
VERSION = b"\x01"
HEADER_BYTES = len(VERSION) + KEY_ID_BYTES
DAMAGED = bytes(SIGNATURE_BYTES)  # no signature: it is judged bad as any other that is none

_SEAL = "dvtfast_seal"  # in `Connection.info`

log = logs.get("storage")


class OtherKeyError(UnavailableError):
    """What the database holds is sealed under another key than this process has, or under none."""


class DamagedError(UnavailableError):
    """A sealed signature was changed, or moved from another row."""


class KeyUnusableError(Exception):
    """The installed cryptography cannot seal."""


class Identity(NamedTuple):
    """What a signature is: a share of a message, or without share index the whole one."""

    public_key: bytes
    kind: int
    subject: bytes
    share_index: bytes = b""

    def __str__(self) -> str:
        share = f"share {from_uint64(self.share_index)} of" if self.share_index else "the signature of"
        return f"{share} {wire.PublicKey(self.public_key).to_wire()}"


class StorageKey:
    """A secret of 32 bytes, and the name by which it may be spoken of."""

    __slots__ = ("_secret", "id")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"expected {KEY_BYTES} bytes, got {len(secret)}")
        self._secret = secret
        self.id = self.derive(b"id")[:KEY_ID_BYTES]

    def derive(self, purpose: bytes) -> bytes:
        """A key of 32 bytes for one purpose."""
        return hmac.digest(self._secret, b"dvtfast storage key: " + purpose, "sha256")

    def __repr__(self) -> str:
        return f"StorageKey({key_name(self.id)})"


class Seal(Protocol):
    """How signatures are kept.

    Attributes:
        key_id: of the storage key; None for none.
    """

    key_id: bytes | None

    def seal(self, identity: Identity, signature: bytes) -> bytes:
        """What the database keeps."""

    def open(self, identity: Identity, kept: bytes) -> bytes:
        """The signature again.

        Raises:
            OtherKeyError: another key sealed it.
            DamagedError: it is not what was sealed as this.
        """


class Plain:
    """Signatures are kept as they are."""

    key_id: bytes | None = None

    def seal(self, identity: Identity, signature: bytes) -> bytes:
        """What the database keeps."""
        return signature

    def open(self, identity: Identity, kept: bytes) -> bytes:
        """The signature again."""
        if len(kept) != SIGNATURE_BYTES:
            raise OtherKeyError(f"{identity} is sealed; start with --storage-key-file")
        return kept


PLAIN = Plain()


class KeySeal:
    """Signatures are sealed under a storage key."""

    def __init__(self, key: StorageKey) -> None:
        """Derive the key that seals.

        Raises:
            KeyUnusableError: the installed cryptography has no AES-256-GCM-SIV.
        """
        self.key_id: bytes | None = key.id
        self._header = VERSION + key.id
        try:
            self._aead = AESGCMSIV(key.derive(b"AES-256-GCM-SIV, version 1"))
        except UnsupportedAlgorithm:
            raise KeyUnusableError(
                "the installed cryptography has no AES-256-GCM-SIV: it needs OpenSSL 3.2;"
                " the wheels on PyPI bring it: pip install --only-binary :all: 'cryptography>=42'"
            ) from None

    def seal(self, identity: Identity, signature: bytes) -> bytes:
        """What the database keeps."""
        nonce = os.urandom(NONCE_BYTES)
        return self._header + nonce + self._aead.encrypt(nonce, signature, self._bound_to(identity))

    def open(self, identity: Identity, kept: bytes) -> bytes:
        """The signature again."""
        if kept[: len(VERSION)] == VERSION and kept[:HEADER_BYTES] != self._header:
            other, own = key_name(kept[len(VERSION) : HEADER_BYTES]), key_name(self._header[len(VERSION) :])
            raise OtherKeyError(f"{identity} is sealed under storage key {other}, not {own}")
        nonce = kept[HEADER_BYTES : HEADER_BYTES + NONCE_BYTES]
        try:
            if kept[:HEADER_BYTES] != self._header:
                raise InvalidTag
            return self._aead.decrypt(nonce, kept[HEADER_BYTES + NONCE_BYTES :], self._bound_to(identity))
        except (InvalidTag, ValueError):
            raise DamagedError(
                f"{identity} was changed or moved from another row: it is not what was sealed there"
            ) from None

    def _bound_to(self, identity: Identity) -> bytes:
        table = b"shares" if identity.share_index else b"signatures"
        parts = identity.public_key, bytes([identity.kind]), identity.share_index, identity.subject
        return b"".join((self._header, table, *parts))


def key_name(key_id: bytes) -> str:
    """How people and log lines call a storage key."""
    return base64.b32encode(key_id).decode().lower()


def hand_seal(connection: Connection, seal: Seal) -> None:
    """Let transactions of this connection read and write with this seal."""
    connection.info[_SEAL] = seal


def seal_to_read(connection: Connection) -> Seal:
    """What the signatures of this transaction are opened with."""
    seal: Seal = connection.info.get(_SEAL, PLAIN)
    return seal


def seal_to_write(connection: Connection) -> Seal:
    """What the signatures of this transaction are sealed with.

    Raises:
        OtherKeyError: the database was sealed, or got another key, since this process opened it.
    """
    seal = seal_to_read(connection)
    if (holder := sealed_under(connection)) != seal.key_id:
        raise OtherKeyError(
            f"the database is {described(holder)}, and this process {described(seal.key_id)}:"
            " it was changed meanwhile; start again with its key"
        )
    return seal


def sealed_under(connection: Connection) -> bytes | None:
    """The id of the key that the database is sealed under; None when it is plaintext."""
    return connection.scalar(select(storage.c.key_id))


def described(key_id: bytes | None) -> str:
    """How a database, or a process, keeps signatures."""
    return "without a storage key" if key_id is None else f"under storage key {key_name(key_id)}"


def open_share(connection: Connection, identity: Identity, kept: bytes, *, tell: bool) -> bytes:
    """The share, or `DAMAGED` in its place, which leads to its node being asked again.

    Raises:
        OtherKeyError: the database is sealed under another key than this process has.
    """
    seal = seal_to_read(connection)
    try:
        return seal.open(identity, kept)
    except (DamagedError, OtherKeyError) as error:
        if isinstance(error, OtherKeyError) and sealed_under(connection) != seal.key_id:
            raise
        if tell:
            log.error("share damaged", error=str(error))
        return DAMAGED
