"""Bytes and integers in JSON.

Bytes are `0x` and lower case on the way out; on the way in case and prefix do not matter.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from typing import Any, ClassVar, Final, Self

import msgspec
from Crypto.Hash import keccak

from dvtfast.constants import (
    ECIES_OVERHEAD_BYTES,
    PUBLIC_KEY_BYTES,
    ROOT_BYTES,
    SIGNATURE_BYTES,
    WITHDRAWAL_CREDENTIALS_BYTES,
)

UINT64_LIMIT = 1 << 64
KEYS_FILE_BYTES = 64 * 1024 * 1024  # of a list of public keys: half a million of them
KEY_FIELDS = ("public_key", "pubkey")  # of lists of objects, such as deposit data
COLUMN_ENDS: Final = re.compile(r"[,;\s]")  # also as spreadsheets of other countries write them
# A first line that begins with words, one of which says what is below: no key, and meant to be none.
HEADING: Final = re.compile(r"[\s\"']*(?!0x|[0-9a-f]{8})[a-z_. -]*(key|validator)", re.IGNORECASE)


class Hex(bytes):
    """Bytes of one width, written as hex in JSON."""

    __slots__ = ()
    width: ClassVar[int]

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Read a JSON string, with or without 0x, in any case."""
        if not isinstance(value, str):
            raise ValueError(f"expected {cls.width} bytes of hex in a string")
        digits = value[2:] if value[:2] in ("0x", "0X") else value
        if len(digits) != 2 * cls.width:
            raise ValueError(f"expected {cls.width} bytes of hex, got {len(digits)} digits")
        try:
            return cls(unhexlify(digits))
        except ValueError:
            raise ValueError(f"expected {cls.width} bytes of hex, got other letters") from None

    @classmethod
    def rows(cls, joined: bytes) -> list[Self]:
        """What stands one behind the other."""
        return [cls(joined[begin : begin + cls.width]) for begin in range(0, len(joined), cls.width)]

    def to_wire(self) -> str:
        """The form in which it is sent: 0x and lower case."""
        return "0x" + self.hex()


class PublicKey(Hex):
    """A compressed point of G1."""

    __slots__ = ()
    width = PUBLIC_KEY_BYTES


class Signature(Hex):
    """A compressed point of G2."""

    __slots__ = ()
    width = SIGNATURE_BYTES


class EncryptedSignature(Hex):
    """A signature share encrypted to one oracle."""

    __slots__ = ()
    width = SIGNATURE_BYTES + ECIES_OVERHEAD_BYTES


class Address(Hex):
    """An account or a contract; in mixed case only with its checksum, and so on the way out.

    Source: EIP-55.
    """

    __slots__ = ()
    width = 20

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Read a JSON string, with or without 0x."""
        address = super().from_wire(value)
        digits = str(value)[-2 * cls.width :]
        if digits not in (digits.lower(), digits.upper(), address.to_wire()[2:]):
            raise ValueError(f"expected the checksum of an address in its case, got {digits}: mistyped?")
        return address

    def to_wire(self) -> str:
        """The form in which it is sent: 0x and mixed case."""
        digits = self.hex()
        marks = keccak.new(digest_bits=256, data=digits.encode()).hexdigest()
        cased = (digit.upper() if mark >= "8" else digit for digit, mark in zip(digits, marks, strict=False))
        return "0x" + "".join(cased)


class ManagerSignature(Hex):
    """A validators manager's secp256k1 signature: r, s, then v of 27 or 28."""

    __slots__ = ()
    width = 65


class Root(Hex):
    """A Merkle root."""

    __slots__ = ()
    width = ROOT_BYTES


class WithdrawalCredentials(Hex):
    """Who a validator's stake goes back to."""

    __slots__ = ()
    width = WITHDRAWAL_CREDENTIALS_BYTES


class ForkVersion(Hex):
    """What tells forks apart in domains."""

    __slots__ = ()
    width = 4


class UInt64(int):
    """An integer in 0..2^64-1; JSON numbers have no such bound of their own."""

    __slots__ = ()
    lowest: ClassVar[int] = 0

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Read a JSON integer; true, 1.0 and "1" are none."""
        if type(value) is not int or not cls.lowest <= value < UINT64_LIMIT:
            raise ValueError(f"expected an integer in {cls.lowest}..2^64-1")
        return cls(value)

    def to_wire(self) -> int:
        """The form in which it is sent."""
        return int(self)


class ShareIndex(UInt64):
    """Where a share lies on its polynomial; at 0 lies the secret itself, so 0 is none."""

    __slots__ = ()
    lowest = 1


class PositiveUInt64(UInt64):
    """An integer in 1..2^64-1."""

    __slots__ = ()
    lowest = 1


class ValidatorType(Enum):
    """The first byte of withdrawal credentials: 0x01, or 0x02, which compounds."""

    EXECUTION = "0x01"
    COMPOUNDING = "0x02"

    @classmethod
    def of(cls, byte: int) -> Self:
        """The type with this byte."""
        return cls(f"0x{byte:02x}")

    @property
    def byte(self) -> int:
        """As a number."""
        return int(self.value, 16)


def public_keys_in(text: str) -> tuple[list[PublicKey], list[str]]:
    """The public keys that a file lists, and what is wrong with it; nothing is passed over in silence.

    They are in the first column of each line, below a heading or none; or in a JSON list, as texts or in
    objects that have `public_key` or `pubkey`.
    """
    keys: list[PublicKey] = []
    problems: list[str] = []
    try:
        listed = list(_in_json(text) if text.lstrip()[:1] in ("[", "{") else _in_lines(text))
    except ValueError as error:
        return [], [str(error)]
    for place, value in listed:
        try:
            keys.append(PublicKey.from_wire(value))
        except ValueError as error:
            problems.append(f"{place}: {error}")
    return keys, problems


def _in_lines(text: str) -> Iterator[tuple[str, str]]:
    is_first = True
    for number, line in enumerate(text.splitlines(), 1):
        value = COLUMN_ENDS.split(line.strip(), maxsplit=1)[0].strip("\"'")
        if not value or value.startswith("#"):
            continue
        if not (is_first and HEADING.match(line)):
            yield f"line {number}", value
        is_first = False


def _in_json(text: str) -> Iterator[tuple[str, object]]:
    try:
        items = msgspec.json.decode(text, type=list[Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"expected a JSON list of public keys: {error}") from None
    for position, item in enumerate(items):
        names = [name for name in KEY_FIELDS if name in item] if isinstance(item, dict) else []
        yield f"item {position}", item[names[0]] if names else item


def timestamp_string(seconds: int) -> str:
    """The form of `created_at_string`: date, time and offset, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S%z")
