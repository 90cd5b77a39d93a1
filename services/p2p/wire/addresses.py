"""Multiaddrs: addresses as libp2p writes them, /ip4/192.0.2.1/tcp/3610/p2p/16Uiu2HA...

Source: multiformats/multiaddr, with the table of multiformats/multicodec.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from dvtfast.protobuf import varint

from ..errors import WireError
from . import peers, received

IP4, TCP, IP6, DNS, DNS4, DNS6 = 0x04, 0x06, 0x29, 0x35, 0x36, 0x37
CIRCUIT, P2P = 0x0122, 0x01A5
MOST_BYTES = 512  # of one address; the longest that is of use, a circuit between two names, has 350
_VARIABLE = -1

# Name and size in bytes of each part, by its code. What is not spoken here still has to be read.
_PARTS: Final = {
    IP4: ("ip4", 4),
    TCP: ("tcp", 2),
    IP6: ("ip6", 16),
    0x2A: ("ip6zone", _VARIABLE),
    DNS: ("dns", _VARIABLE),
    DNS4: ("dns4", _VARIABLE),
    DNS6: ("dns6", _VARIABLE),
    0x38: ("dnsaddr", _VARIABLE),
    0x0111: ("udp", 2),
    0x0119: ("webrtc-direct", 0),
    CIRCUIT: ("p2p-circuit", 0),
    P2P: ("p2p", _VARIABLE),
    0x01C0: ("tls", 0),
    0x01CC: ("quic", 0),
    0x01CD: ("quic-v1", 0),
    0x01D1: ("webtransport", 0),
    0x01D2: ("certhash", _VARIABLE),
    0x01DD: ("ws", 0),
    0x01DE: ("wss", 0),
}
_CODES: Final = {name: code for code, (name, _) in _PARTS.items()} | {"ipfs": P2P}
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_MOST_NAME = 253


@dataclass(frozen=True)
class Multiaddr:
    """An address, in parts.

    Attributes:
        parts: code and value of each; a part without a value has an empty one.
    """

    parts: tuple[tuple[int, bytes], ...]

    @classmethod
    def of(cls, host: str, port: int) -> Self:
        """Of a TCP port: an IP address, or a name.

        Raises:
            WireError: neither.
        """
        return cls((_host_part(host), (TCP, _port_bytes(str(port)))))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """As it goes over the wire.

        Raises:
            WireError: cut short, too long, or with a part that is not known here.
        """
        if len(data) > MOST_BYTES:
            raise WireError(f"address: expected at most {MOST_BYTES} bytes, got {len(data)}")
        return cls(tuple(_read(data)))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """As people write it.

        Raises:
            WireError: it cannot be read, or has a part that is not known here.
        """
        begin, *words = text.strip().rstrip("/").split("/")
        if begin or not words or len(text) > 2 * MOST_BYTES:
            raise WireError("address: expected /ip4/ADDRESS/tcp/PORT, or the like")
        parts = []
        left = iter(words)
        for name in left:
            if (code := _CODES.get(name)) is None:
                raise WireError(f"address: unknown part {name[:32]!r}")
            value = "" if _PARTS[code][1] == 0 else next(left, "")
            parts.append((code, _from_word(code, value)))
        return cls(tuple(parts))

    def to_bytes(self) -> bytes:
        """As it goes over the wire."""
        out = bytearray()
        for code, value in self.parts:
            out += varint(code)
            if _PARTS[code][1] == _VARIABLE:
                out += varint(len(value))
            out += value
        return bytes(out)

    def __str__(self) -> str:
        words = []
        for code, value in self.parts:
            words.append(_PARTS[code][0])
            if _PARTS[code][1] != 0:
                words.append(_to_word(code, value))
        return "/" + "/".join(words)

    def __add__(self, other: Multiaddr) -> Multiaddr:
        return Multiaddr(self.parts + other.parts)

    @property
    def peer(self) -> bytes | None:
        """The key of whom it ends at; None when it does not say."""
        return peers.key_of_id(self.parts[-1][1]) if self.parts and self.parts[-1][0] == P2P else None

    @property
    def is_numeric(self) -> bool:
        """Whether it begins with an IP address."""
        return bool(self.parts) and self.parts[0][0] in (IP4, IP6)

    @property
    def endpoint(self) -> tuple[str, int] | None:
        """Host and port of a plain TCP address, with a peer at its end or not; None for all others."""
        parts = self.parts[:-1] if self.parts and self.parts[-1][0] == P2P else self.parts
        if len(parts) != 2 or parts[0][0] not in (IP4, IP6, DNS, DNS4, DNS6) or parts[1][0] != TCP:
            return None
        host = _to_word(*parts[0])
        port = int.from_bytes(parts[1][1], "big")
        return (host, port) if port else None


def with_peer(address: Multiaddr, public_key: bytes) -> Multiaddr:
    """The address with a peer at its end."""
    return address + Multiaddr(((P2P, peers.peer_id(public_key)),))


def _read(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        code, at = _number(data, at)
        if code not in _PARTS:
            raise WireError(f"address: unknown part {code:#x}")
        size = _PARTS[code][1]
        if size == _VARIABLE:
            size, at = _number(data, at)
        if size > len(data) - at:
            raise WireError("address: cut short")
        value, at = data[at : at + size], at + size
        _to_word(code, value)  # that it can be shown
        yield code, value


def _number(data: bytes, at: int) -> tuple[int, int]:
    if (found := received.number(data, at)) is None:
        raise WireError("address: cut short")
    return found


def _host_part(host: str) -> tuple[int, bytes]:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return DNS, _from_word(DNS, host)
    return (IP4 if address.version == 4 else IP6), address.packed


def _port_bytes(word: str) -> bytes:
    if not (word.isascii() and word.isdigit() and len(word) <= 5 and int(word) <= 0xFFFF):
        raise WireError("address: expected a port from 0 to 65535")
    return int(word).to_bytes(2, "big")


def _from_word(code: int, word: str) -> bytes:
    name, size = _PARTS[code]
    try:
        match code:
            case 0x04:
                return ipaddress.IPv4Address(word).packed
            case 0x29:
                return ipaddress.IPv6Address(word.partition("%")[0]).packed
            case 0x01A5:
                return peers.peer_id(peers.key_of_text(word))
    except ValueError as error:
        raise WireError(f"address: {name}: {error}") from None
    if size == 2:
        return _port_bytes(word)
    if size == 0:
        return b""
    value = word.encode()
    _to_word(code, value)
    return value


def _to_word(code: int, value: bytes) -> str:
    name, size = _PARTS[code]
    match code:
        case 0x04:
            return str(ipaddress.IPv4Address(value))
        case 0x29:
            return str(ipaddress.IPv6Address(value))
        case 0x01A5:
            return peers.peer_text(peers.key_of_id(value))
    if size == 2:
        return str(int.from_bytes(value, "big"))
    if size == 0:
        return ""
    word = value.decode("ascii", errors="replace")
    if len(word) > _MOST_NAME or not _NAME.fullmatch(word):
        raise WireError(f"address: {name}: expected a name")
    return word
