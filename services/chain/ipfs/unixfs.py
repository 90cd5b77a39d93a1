"""IPFS content identifiers, and the blocks that they identify: parsed and proven, without a network.

Sources: multiformats CID, DAG-PB and UnixFS specifications. Only what files need: SHA-256, raw leaves
and DAG-PB nodes, no directories.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

RAW = 0x55
DAG_PB = 0x70
SHA2_256 = b"\x12\x20"  # multihash: the function, and 32 bytes of digest
CID_V1 = 1
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
CID_CHARACTERS_LIMIT = 128
VARINT_BYTES_LIMIT = 10  # 64 bits, seven in each

VARINT, BYTES = 0, 2  # wire types of protobuf; DAG-PB and UnixFS have no others
NODE_DATA, NODE_LINK, LINK_CID = 1, 2, 1  # field numbers of DAG-PB
UNIXFS_TYPE, UNIXFS_DATA = 1, 2  # field numbers of UnixFS
UNIXFS_RAW, UNIXFS_FILE = 0, 2  # of UNIXFS_TYPE


@dataclass(frozen=True)
class Cid:
    """What identifies a block: how it is coded, and the SHA-256 of it."""

    codec: int
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> Cid:
        """Read version 0 (`Qm...`) or version 1 (`b...`, `z...`); anything else is a ValueError."""
        if not text.isascii() or len(text) > CID_CHARACTERS_LIMIT:
            raise ValueError(f"expected a CID, got {text[:CID_CHARACTERS_LIMIT]!r}")
        try:
            if text.startswith("Qm"):
                return cls.from_bytes(_base58(text))
            if text.startswith("z"):
                return cls.from_bytes(_base58(text[1:]))
            if text.startswith("b") and text == text.lower():
                return cls.from_bytes(base64.b32decode(text[1:].upper() + "=" * (-len(text[1:]) % 8)))
        except (ValueError, binascii.Error) as error:
            raise ValueError(f"expected a CID, got {text!r}: {error}") from None
        raise ValueError(f"expected a CID in base32 or base58, got {text!r}")

    @classmethod
    def from_bytes(cls, data: bytes) -> Cid:
        """Read the form that links have; anything else is a ValueError."""
        if data[:2] == SHA2_256:
            codec, multihash = DAG_PB, data
        else:
            version, position = _varint(data, 0)
            codec, position = _varint(data, position)
            multihash = data[position:]
            if version != CID_V1 or codec not in (RAW, DAG_PB):
                raise ValueError(f"version {version} with codec {codec:#x} cannot be read")
        if multihash[:2] != SHA2_256 or len(multihash) != len(SHA2_256) + hashlib.sha256().digest_size:
            raise ValueError("its hash is not SHA-256")
        return cls(codec, multihash[2:])

    def __str__(self) -> str:
        # The codec of a raw or DAG-PB block is a varint of one byte.
        data = bytes([CID_V1, self.codec]) + SHA2_256 + self.digest
        return "b" + base64.b32encode(data).decode().rstrip("=").lower()

    def identifies(self, block: bytes) -> bool:
        """Whether that is the block meant; without this check a block is anybody's guess."""
        return hashlib.sha256(block).digest() == self.digest


@dataclass(frozen=True)
class FilePart:
    """A block as a part of a file: its own bytes come first, then those of the blocks it links to."""

    data: bytes
    links: tuple[Cid, ...]


def read_part(cid: Cid, block: bytes) -> FilePart:
    """Read a block that `cid` identifies; ValueError when it is no part of a file."""
    if cid.codec == RAW:
        return FilePart(block, ())
    content, links = b"", []
    for number, value in _fields(block):
        if number == NODE_DATA and isinstance(value, bytes):
            content = value
        elif number == NODE_LINK and isinstance(value, bytes):
            links.append(_link(value))
    kind, data = None, b""
    for number, value in _fields(content):
        if number == UNIXFS_TYPE:
            kind = value
        elif number == UNIXFS_DATA and isinstance(value, bytes):
            data = value
    if kind not in (UNIXFS_RAW, UNIXFS_FILE):
        raise ValueError(f"expected a file, got UnixFS type {kind!r}")
    return FilePart(data, tuple(links))


def _link(data: bytes) -> Cid:
    for number, value in _fields(data):
        if number == LINK_CID and isinstance(value, bytes):
            return Cid.from_bytes(value)
    raise ValueError("expected a CID in a link, got none")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        value, position = _varint(data, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == VARINT:
            yield number, value
        elif wire_type == BYTES and value <= len(data) - position:
            yield number, data[position : position + value]
            position += value
        else:
            raise ValueError("expected fields of numbers and bytes, got others or half of one")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at a position, and the position after it."""
    number = 0
    for place, byte in enumerate(data[position : position + VARINT_BYTES_LIMIT]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, position + place + 1
    raise ValueError("expected a varint, got half of one")


def _base58(text: str) -> bytes:
    number = 0
    for character in text:
        number = number * 58 + BASE58.index(character)
    zeros = len(text) - len(text.lstrip(BASE58[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
