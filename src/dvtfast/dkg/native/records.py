"""What a node must know again after a restart, sealed under its identity key.

A record is a random salt, then the sealed content. Its key comes of the identity's secret and the salt, so
that nothing is ever sealed twice under the same, whatever a crash has torn off. Its nonce is its place, and
it is bound to the first record's salt: records of another session do not fit in.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dvtfast._extras import needs_files_extra
from dvtfast.dkg.native.channels import NONCE, expand
from dvtfast.errors import EncodingError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

SALT_BYTES = 32


class Records:
    """Seals records, in order.

    Args:
        identity_secret: 32 bytes.
        written: those that were written before.

    Raises:
        EncodingError: one is not by this identity, not at its place, or damaged; `indices` says which.
    """

    def __init__(self, identity_secret: bytes, written: Sequence[bytes] = ()) -> None:
        self._secret = identity_secret
        self._first = bytes(written[0][:SALT_BYTES]) if written else b""
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
        return salt + self._cipher(salt).encrypt(_nonce(place), content, self._first)

    def _open(self, place: int, record: bytes) -> bytes:
        with needs_files_extra():
            from cryptography.exceptions import InvalidTag
        salt, sealed = record[:SALT_BYTES], record[SALT_BYTES:]
        try:
            return self._cipher(salt).decrypt(_nonce(place), sealed, self._first)
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
