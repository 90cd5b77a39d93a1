"""The kinds of SSZ types: how a value of each is written, as bytes and as the beacon API's JSON.

A container is a frozen dataclass whose fields are annotated with how they are written, such as
`Annotated[int, Of(Number, 8)]`. A size may be the name of a number of the preset. Which bytes are a value is
judged by the kernel alone, before they are read here, and after they are written.

Source: consensus-specs, ssz/simple-serialize.md; beacon API v3, types.
"""

# ruff: noqa: D102 - what a method does is said of Kind's

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from binascii import unhexlify
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Annotated, Any, TypeAlias, TypeVar, dataclass_transform, get_args, get_type_hints

from dvtfast.errors import DvtfastError

T = TypeVar("T")

CHUNK_BYTES = 32
CHUNK_BITS = 8 * CHUNK_BYTES
OFFSET_BYTES = 4
# Kinds, in the order of native/ssz.pyx.
NUMBER, BYTES, BYTE_LIST, BITS, BIT_LIST, NUMBER_LIST, VECTOR, LIST, CONTAINER = range(9)
DECIMAL = re.compile(r"0|[1-9][0-9]*")
MOST_DIGITS = 78  # of 256 bits


class SszError(DvtfastError):
    """Bytes, JSON or Python's values that are no value of the type.

    Attributes:
        place: the field, such as `data.source.epoch`; empty for all of it.
        reason: what is wrong.
    """

    def __init__(self, reason: str, place: str = "") -> None:
        self.reason, self.place = reason, place
        super().__init__(reason)

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}" if self.place else self.reason

    def within(self, name: str) -> SszError:
        """The same, seen from the type around it."""
        place = name if not self.place else name + ("" if self.place[0] == "[" else ".") + self.place
        return type(self)(self.reason, place)


@dataclass_transform(frozen_default=True)
def container(cls: type[T]) -> type[T]:
    """A class of SSZ containers: frozen, its fields in the order in which they are written."""
    return dataclass(frozen=True, slots=True)(cls)


class Table:
    """The rows in which the kernel is told of types; the last one is the type itself."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, ...]] = []
        self.fields: list[int] = []
        self.names: list[str] = []

    def add(self, name: str, kind: int, width: int, limit: int, child: int, leaves: int) -> int:
        """The place of a new row; `leaves` is how many chunks its tree has room for."""
        self.rows.append((kind, width, limit, child, (leaves - 1).bit_length()))
        self.names.append(name)
        return len(self.rows) - 1


class Kind(ABC):
    """How values of one type are written.

    Attributes:
        width: bytes of each value; 0 where they depend on the value.
    """

    width = 0

    @abstractmethod
    def encode(self, value: Any) -> bytes:
        """Its bytes, of the right width where that is fixed."""

    @abstractmethod
    def decode(self, data: memoryview) -> Any:
        """The value of bytes that were judged before."""

    @abstractmethod
    def to_json(self, value: Any) -> Any:
        """What JSON is made of: dict, list, str."""

    @abstractmethod
    def from_json(self, value: Any) -> Any:
        """The value of what JSON is made of; limits are not looked at."""

    @abstractmethod
    def add_to(self, table: Table, name: str) -> int:
        """Its place in a table."""


class Number(Kind):
    """An unsigned integer of so many bytes."""

    def __init__(self, width: int) -> None:
        self.width = width

    def encode(self, value: Any) -> bytes:
        try:
            return int.to_bytes(value, self.width, "little")
        except (OverflowError, TypeError):
            raise SszError(f"expected an integer of {8 * self.width} bits") from None

    def decode(self, data: memoryview) -> int:
        return int.from_bytes(data, "little")

    def to_json(self, value: int) -> str:
        return str(int(value))

    def from_json(self, value: Any) -> int:
        if not isinstance(value, str) or len(value) > MOST_DIGITS or not DECIMAL.fullmatch(value):
            raise SszError("expected a decimal integer in a string")
        return int(value)

    def add_to(self, table: Table, name: str) -> int:
        return table.add(name, NUMBER, self.width, 0, 0, 1)


class _Hex(Kind):
    def encode(self, value: Any) -> bytes:
        try:
            data = bytes(memoryview(value))
        except TypeError:
            raise SszError(f"expected bytes, got {type(value).__name__}") from None
        if self.width and len(data) != self.width:
            raise SszError(f"expected {self.width} bytes, got {len(data)}")
        return data

    def decode(self, data: memoryview) -> bytes:
        return bytes(data)

    def to_json(self, value: bytes) -> str:
        return "0x" + value.hex()

    def from_json(self, value: Any) -> bytes:
        if not isinstance(value, str) or value[:2] != "0x":
            raise SszError("expected hex in a string, with 0x")
        try:
            return unhexlify(value[2:])
        except ValueError:
            raise SszError("expected hex in a string, with 0x") from None


class ByteVector(_Hex):
    """So many bytes."""

    def __init__(self, width: int) -> None:
        self.width = width

    def add_to(self, table: Table, name: str) -> int:
        return table.add(name, BYTES, self.width, 0, 0, -(-self.width // CHUNK_BYTES))


class ByteList(_Hex):
    """At most so many bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def add_to(self, table: Table, name: str) -> int:
        return table.add(name, BYTE_LIST, 0, self.limit, 1, -(-self.limit // CHUNK_BYTES))


class Bitvector(_Hex):
    """So many bits, as the bytes that they are written in; see bits.py."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.width = -(-bits // 8)

    def add_to(self, table: Table, name: str) -> int:
        return table.add(name, BITS, self.width, self.bits, 0, -(-self.bits // CHUNK_BITS))


class Bitlist(_Hex):
    """At most so many bits, as the bytes that they are written in; see bits.py."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def add_to(self, table: Table, name: str) -> int:
        return table.add(name, BIT_LIST, 0, self.limit, 0, -(-self.limit // CHUNK_BITS))


class List(Kind):
    """At most so many elements, in a tuple."""

    def __init__(self, limit: int, element: Kind) -> None:
        self.limit, self.element = limit, element

    def encode(self, value: Any) -> bytes:
        parts = [_at(f"[{i}]", self.element.encode, each) for i, each in enumerate(value)]
        if self.element.width:
            return b"".join(parts)
        return b"".join([*_offsets(parts, OFFSET_BYTES * len(parts)), *parts])

    def decode(self, data: memoryview) -> tuple[Any, ...]:
        if width := self.element.width:
            ends = [*range(0, len(data) + 1, width)]
        else:
            first = _offset(data, 0) if data else 0
            ends = [*(_offset(data, at) for at in range(0, first, OFFSET_BYTES)), len(data)]
        return tuple(self.element.decode(data[a:b]) for a, b in pairwise(ends))

    def to_json(self, value: Sequence[Any]) -> list[Any]:
        return [self.element.to_json(each) for each in value]

    def from_json(self, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise SszError("expected a list")
        return tuple([_at(f"[{i}]", self.element.from_json, each) for i, each in enumerate(value)])

    def add_to(self, table: Table, name: str) -> int:
        if isinstance(self.element, Number):
            width = self.element.width
            return table.add(name, NUMBER_LIST, 0, self.limit, width, -(-self.limit * width // CHUNK_BYTES))
        child = self.element.add_to(table, f"{name}[]")
        return table.add(name, LIST, 0, self.limit, child, self.limit)


class Vector(List):
    """So many elements of fixed width, in a tuple."""

    def __init__(self, count: int, element: Kind) -> None:
        super().__init__(count, element)
        self.width = count * element.width

    def encode(self, value: Any) -> bytes:
        if len(value) != self.limit:
            raise SszError(f"expected {self.limit} elements, got {len(value)}")
        return super().encode(value)

    def add_to(self, table: Table, name: str) -> int:
        child = self.element.add_to(table, f"{name}[]")
        return table.add(name, VECTOR, self.width, self.limit, child, self.limit)


class Container(Kind):
    """The fields of a class, one behind the other."""

    def __init__(self, cls: type, sizes: Mapping[str, int]) -> None:
        hints = get_type_hints(cls, include_extras=True)
        self.cls = cls
        self.fields = [(each.name, kind_of(hints[each.name], sizes)) for each in fields(cls)]
        self.head = sum(kind.width or OFFSET_BYTES for _, kind in self.fields)
        self.width = self.head if all(kind.width for _, kind in self.fields) else 0

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, self.cls):
            raise SszError(f"expected a value of {self.cls.__name__}, got {type(value).__name__}")
        parts = [_at(name, kind.encode, getattr(value, name)) for name, kind in self.fields]
        if self.width:
            return b"".join(parts)
        tail = [part for part, (_, kind) in zip(parts, self.fields, strict=True) if not kind.width]
        offsets = iter(_offsets(tail, self.head))
        heads = [
            part if kind.width else next(offsets) for part, (_, kind) in zip(parts, self.fields, strict=True)
        ]
        return b"".join([*heads, *tail])

    def decode(self, data: memoryview) -> Any:
        starts, at = [], 0
        for _, kind in self.fields:
            starts.append(at if kind.width else _offset(data, at))
            at += kind.width or OFFSET_BYTES
        values, end = [], len(data)
        for (_, kind), start in zip(reversed(self.fields), reversed(starts), strict=True):
            if kind.width:
                values.append(kind.decode(data[start : start + kind.width]))
            else:
                values.append(kind.decode(data[start:end]))
                end = start
        return self.cls(*reversed(values))

    def to_json(self, value: Any) -> dict[str, Any]:
        return {name: kind.to_json(getattr(value, name)) for name, kind in self.fields}

    def from_json(self, value: Any) -> Any:
        if not isinstance(value, dict):
            raise SszError("expected an object")
        for name, _ in self.fields:
            if name not in value:
                raise SszError("is missing", name)
        return self.cls(*[_at(name, kind.from_json, value[name]) for name, kind in self.fields])

    def add_to(self, table: Table, name: str) -> int:
        inner = [kind.add_to(table, f"{name}.{field}" if name else field) for field, kind in self.fields]
        first = len(table.fields)
        table.fields += inner
        return table.add(name, CONTAINER, self.width, len(inner), first, len(inner))


@dataclass(frozen=True)
class Of:
    """How a field is written; the size is a number, or the name of one of the preset."""

    kind: type[Kind]
    size: int | str


Uint64: TypeAlias = Annotated[int, Of(Number, 8)]
Uint256: TypeAlias = Annotated[int, Of(Number, 32)]


def kind_of(annotation: Any, sizes: Mapping[str, int]) -> Kind:
    """The kind that a class of containers, or the annotation of a field, says."""
    if isinstance(annotation, type):
        return Container(annotation, sizes)
    base, of = get_args(annotation)
    arguments: list[Any] = [sizes[of.size] if isinstance(of.size, str) else of.size]
    if issubclass(of.kind, List):
        arguments.append(kind_of(get_args(base)[0], sizes))
    made: Kind = of.kind(*arguments)
    return made


def _at(name: str, do: Any, value: Any) -> Any:
    try:
        return do(value)
    except SszError as error:
        raise error.within(name) from None


def _offset(data: memoryview, at: int) -> int:
    return int.from_bytes(data[at : at + OFFSET_BYTES], "little")


def _offsets(parts: Sequence[bytes], begin: int) -> list[bytes]:
    offsets = []
    for part in parts:
        offsets.append(begin.to_bytes(OFFSET_BYTES, "little"))
        begin += len(part)
    return offsets
