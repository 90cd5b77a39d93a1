"""The only place where inputs become arrays of rows.

A batch argument is uint8[n, width]; a lone row (uint8[width], or bytes of that length) is a batch of
one, and the caller drops the axis again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dvtfast.errors import InputError

Bytes: TypeAlias = NDArray[np.uint8]
Uint64s: TypeAlias = NDArray[np.uint64]
Bools: TypeAlias = NDArray[np.bool_]
# What a function accepts where it documents uint8[n, width].
Rows: TypeAlias = "Bytes | bytes | bytearray | memoryview | Sequence[bytes]"

# A batch of one, whose answer has no first axis; a uint8[width] is one, too, but has the type of many.
LoneRow: TypeAlias = "bytes | bytearray | memoryview"
ManyRows: TypeAlias = "Bytes | Sequence[bytes]"

UINT64_MAX = 2**64 - 1


def as_rows(name: str, value: Any, width: int, *, leading: int = 1) -> tuple[Bytes, bool]:
    """C-contiguous uint8[..., width] with `leading` leading axes, and whether a lone row came.

    Raises:
        InputError: another type, dtype or shape.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        array = np.frombuffer(value if isinstance(value, bytes) else bytearray(value), dtype=np.uint8)
    elif isinstance(value, np.ndarray):
        array = value
    elif isinstance(value, Sequence) and not isinstance(value, str):
        array = _joined(name, value, width)
    else:
        raise InputError(f"{name}: expected {_shape(width, leading)}, got {type(value).__name__}")
    lone = array.ndim == leading
    if array.dtype != np.uint8 or array.ndim not in (leading, leading + 1) or array.shape[-1] != width:
        raise InputError(f"{name}: expected {_shape(width, leading)}, got {array.dtype}{list(array.shape)}")
    rows: Bytes = np.ascontiguousarray(array[np.newaxis] if lone else array)
    return rows, lone


def as_count(name: str, value: Any, *, least: int = 0) -> int:
    """A count: an int of Python or numpy, no less than `least`.

    Raises:
        InputError: anything else; True, 2.0 and "2" are no counts.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise InputError(f"{name}: expected an integer of at least {least}, got {value!r}")
    if value < least:
        raise InputError(f"{name}: expected an integer of at least {least}, got {value}")
    return int(value)


def as_row(name: str, value: Any, width: int) -> Bytes:
    """One row uint8[width]."""
    array, lone = as_rows(name, value, width)
    if not lone:
        raise InputError(f"{name}: expected one row of {width} bytes, got {len(array)} rows")
    row: Bytes = array[0]
    return row


def as_uint64s(name: str, values: Any) -> Uint64s:
    """C-contiguous uint64 array of any shape; refuses negative, fractional and larger numbers."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
        if values.dtype.kind == "i" and values.size and values.min() < 0:
            raise InputError(f"{name}: expected integers of 0..2^64-1, got {values.min()}")
        return np.ascontiguousarray(values, dtype=np.uint64)
    if isinstance(values, np.ndarray) and values.dtype != object:
        raise InputError(f"{name}: expected integers of 0..2^64-1, got {values.dtype}{list(values.shape)}")
    if isinstance(values, str | bytes):
        raise InputError(f"{name}: expected integers of 0..2^64-1, got {type(values).__name__}")
    try:
        array = np.asarray(values, dtype=object)
    except ValueError as error:
        raise InputError(f"{name}: expected equally long rows of integers") from error
    for value in array.flat:
        if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
            raise InputError(f"{name}: expected integers of 0..2^64-1, got {type(value).__name__}")
        if not 0 <= value <= UINT64_MAX:
            raise InputError(f"{name}: expected integers of 0..2^64-1, got {value}")
    return array.astype(np.uint64)


def same_length(**arrays: Any) -> int:
    """The common length of the named batches.

    Raises:
        InputError: they differ.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise InputError("batches differ in length: " + ", ".join(f"{k} {v}" for k, v in lengths.items()))
    return next(iter(lengths.values()))


def leading_index(name: str, shape: tuple[int, ...], index: Any) -> Any:
    """An index that chooses whole rows of an array with these leading axes, and leaves at least one axis.

    Raises:
        InputError: it reaches into the rows, or leaves none.
        IndexError: there is no such place.
    """
    parts = index if isinstance(index, tuple) else (index,)
    wide = any(part is None or part is Ellipsis for part in parts)
    try:
        # An array of no memory that has the leading axes alone.
        chosen = np.broadcast_to(np.False_, shape)[index] if not wide else np.False_
    except IndexError as error:
        if len(parts) <= len(shape):
            raise
        raise InputError(f"{name}: {error}") from None
    if np.ndim(chosen) == 0:
        raise InputError(f"{name}: index with a slice, an index array or a mask of the leading axes")
    return index


def flat(array: NDArray[Any]) -> NDArray[Any]:
    """The same rows with all leading axes joined: [a, b, width] becomes [a * b, width]."""
    return array.reshape(-1, array.shape[-1])


def _joined(name: str, rows: Sequence[Any], width: int) -> Bytes:
    for i, row in enumerate(rows):
        if not isinstance(row, bytes | bytearray) or len(row) != width:
            got = f"{len(row)} bytes" if isinstance(row, bytes | bytearray) else type(row).__name__
            raise InputError(f"{name}: expected rows of {width} bytes, got {got} at {i}")
    return np.frombuffer(bytearray().join(rows), dtype=np.uint8).reshape(len(rows), width)


def _shape(width: int, leading: int) -> str:
    return f"uint8[{', '.join('nkm'[:leading])}, {width}]"
