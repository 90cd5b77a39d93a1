"""What a node must know again after a restart, sealed under its identity key.

A record 0 is a random salt, then the sealed content; the others are sealed content alone. The key comes of
the identity's secret and that salt, the nonce is the record's place: nothing is encrypted twice under the
same.
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

    Attributes:
        contents: of those.

    Raises:
        EncodingError: one is not by this identity, not at its place, or damaged; `indices` says which.
    """

    def __init__(self, identity_secret: bytes, written: Sequence[bytes] = ()) -> None:
        self._salt = bytes(written[0][:SALT_BYTES]) if written else os.urandom(SALT_BYTES)
        self._key = expand(identity_secret, self._salt, b"records")
        self._count = 0
        self.contents = [self._open(record) for record in written]

    def seal(self, content: bytes) -> bytes:
        """The next record."""
        salt = self._salt if self._count == 0 else b""
        return salt + self._cipher().encrypt(self._nonce(), content, None)

    def _open(self, record: bytes) -> bytes:
        with needs_files_extra():
            from cryptography.exceptions import InvalidTag
        sealed, cipher = record[SALT_BYTES if self._count == 0 else 0 :], self._cipher()
        try:
            return cipher.decrypt(self._nonce(), sealed, None)
        except (InvalidTag, ValueError):
            raise EncodingError("records: not what this identity has written", [self._count - 1]) from None

    def _cipher(self) -> ChaCha20Poly1305:
        with needs_files_extra():
            from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
        return ChaCha20Poly1305(self._key)

    def _nonce(self) -> bytes:
        self._count += 1
        return self._count.to_bytes(len(NONCE), "big")

    def __repr__(self) -> str:
        return f"Records({self._count})"
