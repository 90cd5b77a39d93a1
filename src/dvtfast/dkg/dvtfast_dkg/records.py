"""What a node must know again after a restart, sealed under its identity key.

A record is the number of their format, a random salt, then the sealed content. Its key comes of the
identity's secret and the salt, so that nothing is ever sealed twice under the same, whatever a crash has torn
off. Its nonce is its place, and it is bound to the format and the first record's salt: records of another
session do not fit in.

What they hold, one each:

    seed 32 | HELLO
    COMMIT, DEAL
    ECHO, then the keys; see `kept`
    SIGS, then what it has sealed
    LOCKSIG, DONE; or STOP

The key shares are there before any node can have what it takes to use a key: see docs/dkg-protocol.md.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dvtfast._extras import needs_files_extra
from dvtfast.dkg.dvtfast_dkg.channels import NONCE, expand
from dvtfast.dkg.dvtfast_dkg.hashing import FORMAT
from dvtfast.errors import DvtfastError, EncodingError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

SALT_BYTES = 32
_HEAD = bytes([FORMAT])


class MisfitError(DvtfastError):
    """This program computes something else than this node has said: it says nothing any more, of nobody."""


class Records:
    """Seals records, in order.

    Args:
        identity_secret: 32 bytes.
        written: those that were written before.

    Raises:
        EncodingError: one is of another format, not by this identity, not at its place, or damaged;
            `indices` says which.
    """

    def __init__(self, identity_secret: bytes, written: Sequence[bytes] = ()) -> None:
        self._secret = identity_secret
        self._first = bytes(written[0][1 : 1 + SALT_BYTES]) if written else b""
        self._contents = [self._open(place, record) for place, record in enumerate(written)]
        self._count = len(written)

    def opened(self) -> list[bytes]:
        """The contents of those that were written before; once, as they are secret."""
        contents, self._contents = self._contents, []
        return contents

    def seal(self, content: bytes) -> bytes:
        """The next record."""
        salt, place = os.urandom(SALT_BYTES), self._count
        self._first, self._count = self._first or salt, place + 1
        return _HEAD + salt + self._cipher(salt).encrypt(_nonce(place), content, _HEAD + self._first)

    def _open(self, place: int, record: bytes) -> bytes:
        with needs_files_extra():
            from cryptography.exceptions import InvalidTag
        if record[:1] not in (b"", _HEAD):
            raise EncodingError(
                f"records: of format {record[0]}, and this program reads {FORMAT}: go on with the one that"
                " wrote them",
                [place],
            )
        salt, sealed = record[1 : 1 + SALT_BYTES], record[1 + SALT_BYTES :]
        try:
            return self._cipher(salt).decrypt(_nonce(place), sealed, _HEAD + self._first)
        except (InvalidTag, ValueError):
            raise EncodingError("records: not what this identity has written", [place]) from None

    def _cipher(self, salt: bytes) -> ChaCha20Poly1305:
        with needs_files_extra():
            from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
        return ChaCha20Poly1305(expand(self._secret, salt, b"records"))

    def __repr__(self) -> str:
        return f"Records({self._count})"


def _nonce(place: int) -> bytes:
    return place.to_bytes(len(NONCE), "big")
