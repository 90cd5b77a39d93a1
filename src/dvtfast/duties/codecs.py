"""Containers to bytes, JSON and roots, and back, under one preset."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any, Generic, TypeVar, cast

import numpy as np

from dvtfast._arrays import Bytes, Rows, Uint64s, as_rows
from dvtfast._native import ssz as _kernel
from dvtfast._statuses import OK
from dvtfast.constants import ROOT_BYTES
from dvtfast.duties.presets import MAINNET_PRESET, Preset
from dvtfast.duties.ssz import BYTES, CHUNK_BYTES, Container, SszError, Table

T = TypeVar("T")

NO_ROOTS = np.zeros((0, ROOT_BYTES), dtype=np.uint8)


class Codec(Generic[T]):
    """What is done with the values of one class of containers under one preset; see `codec`.

    Attributes:
        width: bytes of each value; 0 where they depend on the value.
    """

    def __init__(self, cls: type[T], preset: Preset) -> None:
        self._name = cls.__name__
        self._kind = Container(cls, preset.sizes)
        self.width = self._kind.width
        table = Table()
        self._kind.add_to(table, "")
        self._places = table.names
        self._rows = np.array(table.rows, dtype=np.uint64)
        self._fields = np.array(table.fields, dtype=np.uint64)

    def encode(self, value: T) -> bytes:
        """The SSZ bytes of a value.

        Raises:
            SszError: a field is none of its type.
        """
        data = self._encoded(value)
        self._judge([data])
        return data

    def decode(self, data: bytes | bytearray | memoryview) -> T:
        """The value of SSZ bytes.

        Raises:
            SszError: they are no value of this class.
        """
        self._judge([data])
        return cast(T, self._kind.decode(memoryview(data)))

    def to_json(self, value: T) -> dict[str, Any]:
        """What the beacon API's JSON is made of: numbers are decimal strings, bytes hex."""
        return self._kind.to_json(value)

    def from_json(self, value: Any) -> T:
        """The value of what JSON was read into; what else is in there is left out.

        Raises:
            SszError: it is no value of this class.
        """
        try:
            made = cast(T, self._kind.from_json(value))
        except SszError as error:
            raise error.within(self._name) from None
        self.encode(made)  # limits are judged in bytes
        return made

    def root(self, value: T) -> bytes:
        """The hash tree root of a value.

        Raises:
            SszError: a field is none of its type.
        """
        return bytes(self.roots([value])[0])

    def roots(self, values: Sequence[T]) -> Bytes:
        """Hash tree roots uint8[n, 32] of n values.

        Raises:
            SszError: a field is none of its type.
        """
        return self.encoded_roots([self._encoded(value) for value in values])

    def encoded_roots(self, encoded: Sequence[bytes]) -> Bytes:
        """Hash tree roots uint8[n, 32] of n values, from their bytes.

        Raises:
            SszError: some are no values of this class.
        """
        roots = np.zeros((len(encoded), ROOT_BYTES), dtype=np.uint8)
        self._judge(encoded, roots)
        return roots

    def rows_roots(self, rows: Rows) -> Bytes:
        """Hash tree roots uint8[n, 32] of values of fixed width, from their bytes uint8[n, width].

        Raises:
            SszError: some are no values of this class.
            InputError: the rows are not as wide as a value.
        """
        data, _ = as_rows("rows", rows, self.width)
        roots = np.zeros((len(data), ROOT_BYTES), dtype=np.uint8)
        self._run(data.reshape(-1), np.arange(1, len(data) + 1, dtype=np.uint64) * self.width, roots)
        return roots

    def problems(self, encoded: Sequence[bytes]) -> list[str]:
        """What is wrong with each of n values' bytes, or ""."""
        ends = np.cumsum([len(data) for data in encoded], dtype=np.uint64)
        status, where = self._call(np.frombuffer(b"".join(encoded), dtype=np.uint8), ends, NO_ROOTS)
        return ["" if s == OK else str(self._error(w)) for s, w in zip(status, where, strict=True)]

    def _encoded(self, value: T) -> bytes:
        try:
            return self._kind.encode(value)
        except SszError as error:
            raise error.within(self._name) from None

    def _judge(self, encoded: Sequence[bytes | bytearray | memoryview], roots: Bytes = NO_ROOTS) -> None:
        ends = np.cumsum([len(data) for data in encoded], dtype=np.uint64)
        data = encoded[0] if len(encoded) == 1 else b"".join(encoded)
        self._run(np.frombuffer(data, dtype=np.uint8), ends, roots)

    def _run(self, data: Bytes, ends: Uint64s, roots: Bytes) -> None:
        status, where = self._call(data, ends, roots)
        bad = np.flatnonzero(status != OK)
        if bad.size:
            error = self._error(where[bad[0]])
            raise error if len(ends) == 1 else error.within(f"[{bad[0]}]")

    def _call(self, data: Bytes, ends: Uint64s, roots: Bytes) -> tuple[Bytes, Uint64s]:
        status = np.zeros(len(ends), dtype=np.uint8)
        where = np.zeros(len(ends), dtype=np.uint64)
        _kernel.roots(self._rows, self._fields, data, ends, roots, status, where)
        return status, where

    def _error(self, where: int | np.uint64) -> SszError:
        place = self._places[int(where)]
        return SszError("bytes that are none", place).within(self._name)


def bytes_root(data: bytes) -> bytes:
    """The Merkle root of bytes, 32 at a time, filled up with zeros to a power of two of these."""
    table = Table()
    table.add("", BYTES, max(len(data), 1), 0, 0, max(-(-len(data) // CHUNK_BYTES), 1))
    ends = np.array([max(len(data), 1)], dtype=np.uint64)
    root, status, where = np.zeros((1, ROOT_BYTES), np.uint8), np.zeros(1, np.uint8), np.zeros(1, np.uint64)
    rows, no_fields = np.array(table.rows, dtype=np.uint64), np.zeros(0, dtype=np.uint64)
    _kernel.roots(rows, no_fields, np.frombuffer(data or b"\0", np.uint8), ends, root, status, where)
    return root.tobytes()


def codec(cls: type[T], preset: Preset = MAINNET_PRESET) -> Codec[T]:
    """What is done with the values of a class of containers, made once for each preset."""
    return cast("Codec[T]", _codec(cast(Hashable, cls), preset))


@cache
def _codec(cls: Any, preset: Preset) -> Codec[Any]:
    return Codec(cls, preset)
