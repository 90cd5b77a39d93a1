"""Keccak-256, the hash of Ethereum's execution layer."""

from __future__ import annotations

from dvtfast._extras import needs_files_extra


def keccak256(data: bytes) -> bytes:
    """The 32-byte hash.

    Raises:
        MissingExtraError: the extra `files` is not installed.
    """
    with needs_files_extra():
        from Crypto.Hash import keccak
    digest: bytes = keccak.new(digest_bits=256, data=data).digest()
    return digest
