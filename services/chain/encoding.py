"""How JSON-RPC writes numbers and bytes, and how people write addresses: hex, read strictly.

Sources: execution-apis (QUANTITY and DATA), EIP-55 (addresses).
"""

from __future__ import annotations

import re
from binascii import unhexlify

from Crypto.Hash import keccak

from ..wire import Address

ADDRESS_BYTES = 20
HASH_BYTES = 32
SHOWN_CHARACTERS = 80  # of a value that could not be read

_QUANTITY = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]{0,15})")
_AMOUNT = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def keccak256(data: bytes) -> bytes:
    """Ethereum's hash."""
    digest: bytes = keccak.new(digest_bits=256, data=data).digest()
    return digest


def read_quantity(text: str) -> int:
    """A QUANTITY below 2^64: no leading zeros, no sign; anything else is a ValueError."""
    if not _QUANTITY.fullmatch(text):
        raise ValueError(f"expected a quantity of 64 bits, got {shown(text)}")
    return int(text, 16)


def read_amount(text: str) -> int:
    """A QUANTITY below 2^256, such as wei; anything else is a ValueError."""
    if not _AMOUNT.fullmatch(text):
        raise ValueError(f"expected a quantity of 256 bits, got {shown(text)}")
    return int(text, 16)


def read_data(text: str, *, width: int | None = None) -> bytes:
    """DATA of `width` bytes, or of any number of them; anything else is a ValueError."""
    if text[:2] == "0x":
        try:
            data = unhexlify(text[2:])
        except ValueError:
            pass
        else:
            if width in (None, len(data)):
                return data
    raise ValueError(f"expected {'some' if width is None else width} bytes of hex, got {shown(text)}")


def read_address(text: str) -> bytes:
    """An address as people write it: 0x and 40 digits, in mixed case only with its checksum (EIP-55).

    Raises:
        ValueError: it is none, or mistyped.
    """
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f"expected an address, 0x and 40 hex digits, got {shown(text)}")
    return bytes(Address.from_wire(text))


def write_quantity(number: int) -> str:
    """A QUANTITY."""
    return f"{number:#x}"


def write_data(data: bytes) -> str:
    """DATA: 0x and lower case."""
    return "0x" + data.hex()


def write_address(address: bytes) -> str:
    """An address with its checksum (EIP-55)."""
    return Address(address).to_wire()


def shown(text: str) -> str:
    """The beginning of a value that came from elsewhere, fit for one log line."""
    return repr(text[:SHOWN_CHARACTERS]) + ("..." if len(text) > SHOWN_CHARACTERS else "")
