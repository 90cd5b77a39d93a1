"""Curve points as bytes: check encodings, hash to G2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from dvtfast._arrays import Bools, Bytes, LoneRow, ManyRows, Rows, as_rows
from dvtfast._backend import lanes_for
from dvtfast._native import points as _kernel
from dvtfast._native.status import Status
from dvtfast._parallel import for_slices
from dvtfast._statuses import OK
from dvtfast.constants import DST_SIGNATURE, PUBLIC_KEY_BYTES, SIGNATURE_BYTES
from dvtfast.errors import InputError

MAX_DST_BYTES = 255


@overload
def check_public_key_encodings(
    rows: ManyRows, *, subgroup: bool = True, infinity: bool = False, threads: int | None = None
) -> Bools: ...
@overload
def check_public_key_encodings(
    rows: LoneRow, *, subgroup: bool = True, infinity: bool = False, threads: int | None = None
) -> np.bool_: ...
def check_public_key_encodings(
    rows: Rows, *, subgroup: bool = True, infinity: bool = False, threads: int | None = None
) -> Bools | np.bool_:
    """Which of uint8[n, 48] decode to a curve point.

    Args:
        rows: compressed G1 points.
        subgroup: also require membership in G1.
        infinity: accept the point at infinity; as a public key it is never valid.
    """
    return _check(_kernel.check_g1, "public_keys", rows, PUBLIC_KEY_BYTES, subgroup, infinity, threads)


@overload
def check_signature_encodings(
    rows: ManyRows, *, subgroup: bool = True, infinity: bool = False, threads: int | None = None
) -> Bools: ...
@overload
def check_signature_encodings(
    rows: LoneRow, *, subgroup: bool = True, infinity: bool = False, threads: int | None = None
) -> np.bool_: ...
def check_signature_encodings(
    rows: Rows, *, subgroup: bool = True, infinity: bool = False, threads: int | None = None
) -> Bools | np.bool_:
    """Which of uint8[n, 96] decode to a curve point; arguments as for public keys."""
    return _check(_kernel.check_g2, "signatures", rows, SIGNATURE_BYTES, subgroup, infinity, threads)


def hash_to_g2(messages: Sequence[bytes] | Bytes, *, dst: bytes = DST_SIGNATURE) -> Bytes:
    """Hash messages of any length to compressed points uint8[n, 96].

    Source: RFC 9380, BLS12381G2_XMD:SHA-256_SSWU_RO_; `dst` is the domain separation tag, 1..255 bytes.
    """
    if not isinstance(dst, bytes) or not 1 <= len(dst) <= MAX_DST_BYTES:
        raise InputError(f"dst: expected 1..{MAX_DST_BYTES} bytes, got {dst!r:.80}")
    texts = _texts(messages)
    ends = np.cumsum([len(text) for text in texts], dtype=np.uint64)
    points = np.zeros((len(texts), SIGNATURE_BYTES), dtype=np.uint8)
    joined = np.frombuffer(b"".join(texts), dtype=np.uint8)
    _kernel.hash_to_g2(joined, ends, np.frombuffer(dst, dtype=np.uint8), points)
    return points


def _texts(messages: Any) -> list[bytes]:
    """Messages as bytes; numpy rows count as messages."""
    if isinstance(messages, np.ndarray) and messages.ndim == 2 and messages.dtype == np.uint8:
        return [row.tobytes() for row in messages]
    if not isinstance(messages, list | tuple):
        raise InputError(f"messages: expected a list of bytes or uint8[n, w], got {type(messages).__name__}")
    for i, message in enumerate(messages):
        if not isinstance(message, bytes | bytearray):
            raise InputError(f"messages: expected bytes, got {type(message).__name__} at {i}")
    return [bytes(message) for message in messages]


def _check(
    kernel: Any, name: str, rows: Rows, width: int, subgroup: bool, infinity: bool, threads: int | None
) -> Bools:
    array, lone = as_rows(name, rows, width)
    status = np.zeros(len(array), dtype=np.uint8)
    for_slices(
        len(array),
        lambda s: kernel(array[s], subgroup, status[s], lanes_for("decode", s.stop - s.start)),
        threads=threads,
    )
    ok: Bools = status == OK
    if infinity:
        ok |= status == Status.IS_INFINITY
    return ok[0] if lone else ok
