"""Ethereum node records with the identity scheme "v4", as charon's nodes have them.

Source: EIP-778; recursive length prefix from the Ethereum yellow paper, appendix B.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from ipaddress import IPv4Address

from dvtfast._extras import needs_files_extra
from dvtfast._keccak import keccak256
from dvtfast.errors import InputError
from dvtfast.secp256k1 import IdentityKey, is_signed_by

SIGNATURE_BYTES = 64  # R | S
IPV4_BYTES = 4
PORT_BYTES = 2
PREFIX = "enr:"
# What `public_key_of` tells of any record that it cannot read.
UNREADABLE = "not a node record"

# RLP prefixes of texts and lists; a size below LONG is added to them.
TEXT = 0x80
LIST = 0xC0
LONG = 56


@dataclass(frozen=True)
class NodeRecord:
    """What a record says.

    Attributes:
        public_key: compressed secp256k1, 33 bytes.
        sequence: the number of the record; charon's are 0.
        ip: an IPv4 address, "" for none.
        tcp, udp: ports, 0 for none.
    """

    public_key: bytes
    sequence: int = 0
    ip: str = ""
    tcp: int = 0
    udp: int = 0


def make_enr(secret_key: bytes, *, sequence: int = 0, ip: str = "", tcp: int = 0, udp: int = 0) -> str:
    """The signed record of a node with this secp256k1 key; those of charon's nodes have no addresses.

    Raises:
        InputError: the key or an address is none.
        MissingExtraError: the extra `files` is not installed.
    """
    key = IdentityKey(secret_key)
    pairs = {b"id": b"v4", b"secp256k1": key.public_key}
    try:
        pairs |= {b"ip": IPv4Address(ip).packed} if ip else {}
        pairs |= {
            name: port.to_bytes(2).lstrip(b"\0") for name, port in ((b"tcp", tcp), (b"udp", udp)) if port
        }
    except (ValueError, OverflowError):
        raise InputError("a node record has an IPv4 address, and ports of 1..65535") from None
    content = [_rlp_text(sequence.to_bytes((sequence.bit_length() + 7) // 8))]
    content += [_rlp_text(item) for pair in sorted(pairs.items()) for item in pair]
    signature = key.sign(keccak256(_rlp_list(content)))[:SIGNATURE_BYTES]
    record = _rlp_list([_rlp_text(signature), *content])
    return PREFIX + base64.urlsafe_b64encode(record).decode().rstrip("=")


def read_enr(record: str) -> NodeRecord:
    """A record whose signature is by its key.

    Raises:
        InputError: it is no such record, or not signed by its key.
        MissingExtraError: the extra `files` is not installed.
    """
    with needs_files_extra():
        from coincurve import PublicKey
    signature, sequence, *content = _decoded(record)
    pairs = dict(zip(content[::2], content[1::2], strict=False))
    if 2 * len(pairs) != len(content) or pairs.get(b"id") != b"v4" or len(signature) != SIGNATURE_BYTES:
        raise InputError(UNREADABLE)
    digest = keccak256(_rlp_list([_rlp_text(item) for item in (sequence, *content)]))
    try:
        public_key = PublicKey(pairs.get(b"secp256k1", b""))
    except ValueError:
        raise InputError("no secp256k1 key in the node record") from None
    compressed: bytes = public_key.format(compressed=True)
    if not is_signed_by(compressed, digest, signature):
        raise InputError("the node record is not signed by its key")
    address, tcp, udp = (pairs.get(name, b"") for name in (b"ip", b"tcp", b"udp"))
    if len(address) not in (0, IPV4_BYTES) or len(tcp) > PORT_BYTES or len(udp) > PORT_BYTES:
        raise InputError(UNREADABLE)
    ip = str(IPv4Address(address)) if address else ""
    return NodeRecord(compressed, int.from_bytes(sequence), ip, int.from_bytes(tcp), int.from_bytes(udp))


def public_key_of(record: str) -> bytes:
    """The compressed secp256k1 key of a node, 33 bytes, from its record; see `read_enr`."""
    return read_enr(record).public_key


def _decoded(record: str) -> list[bytes]:
    """The items of a record: signature, sequence, then names and values in turn."""
    text = record.removeprefix(PREFIX).rstrip("=")
    try:
        if not record.startswith(PREFIX):
            raise ValueError
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)
        content, rest = _rlp_item(data, LIST)
        items = []
        while content:
            item, content = _rlp_item(content, TEXT)
            items.append(item)
        if rest or len(items) < 2 or _rlp_list([_rlp_text(item) for item in items]) != data:
            raise ValueError
    except ValueError:
        raise InputError(UNREADABLE) from None
    return items


def _rlp_item(data: bytes, prefix: int) -> tuple[bytes, bytes]:
    """The content of the first item, which must be of the kind of `prefix`, and what follows it."""
    if not data:
        raise ValueError
    first = data[0]
    if prefix == TEXT and first < TEXT:
        return data[:1], data[1:]
    if not prefix <= first < prefix + 0x40:
        raise ValueError
    start, size = 1, first - prefix
    if size >= LONG:
        start += size - LONG + 1
        size = int.from_bytes(data[1:start])
    if start + size > len(data):
        raise ValueError
    return data[start : start + size], data[start + size :]


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
