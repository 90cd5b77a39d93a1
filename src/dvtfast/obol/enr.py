"""Ethereum node records with the identity scheme "v4", as charon's nodes have them.

Source: EIP-778; recursive length prefix from the Ethereum yellow paper, appendix B.
"""

from __future__ import annotations

import base64

from dvtfast._extras import needs_files_extra
from dvtfast._keccak import keccak256

# RLP prefixes of texts and lists; a size below LONG is added to them.
TEXT = 0x80
LIST = 0xC0
LONG = 56


def make_enr(secret_key: bytes, *, sequence: int = 0) -> str:
    """The record of a node with this secp256k1 key: no addresses, signed.

    Raises:
        MissingExtraError: the extra `files` is not installed.
    """
    with needs_files_extra():
        from coincurve import PrivateKey
    key = PrivateKey(secret_key)
    content = [
        _rlp_text(sequence.to_bytes((sequence.bit_length() + 7) // 8, "big")),
        *map(_rlp_text, (b"id", b"v4", b"secp256k1", key.public_key.format(compressed=True))),
    ]
    signature = key.sign_recoverable(keccak256(_rlp_list(content)), hasher=None)[:64]  # without V
    record = _rlp_list([_rlp_text(signature), *content])
    return "enr:" + base64.urlsafe_b64encode(record).decode().rstrip("=")


def _rlp_text(data: bytes) -> bytes:
    if len(data) == 1 and data[0] < TEXT:
        return data
    return _rlp_size(TEXT, len(data)) + data


def _rlp_list(items: list[bytes]) -> bytes:
    data = b"".join(items)
    return _rlp_size(LIST, len(data)) + data


def _rlp_size(prefix: int, size: int) -> bytes:
    if size < LONG:
        return bytes([prefix + size])
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([prefix + LONG - 1 + len(digits)]) + digits
