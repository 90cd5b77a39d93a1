"""SSZ hash tree roots of whole columns: n values of one type in, n roots uint8[n, 32] out.

Only what cluster locks contain. Source: consensus-specs, ssz/simple-serialize.md (merkleization).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from dvtfast._arrays import Bytes, Uint64s
from dvtfast.errors import InputError

CHUNK_BYTES = 32


def uint64(values: Uint64s) -> Bytes:
    """Roots of n integers."""
    return byte_vector(values.astype("<u8").view(np.uint8).reshape(-1, 8))


def byte_vector(rows: Bytes) -> Bytes:
    """Roots of n byte vectors uint8[n, width]."""
    chunks = _chunked(rows)
    return _merkleize(chunks, chunks.shape[1])


def byte_lists(values: Sequence[bytes], limit_bytes: int) -> Bytes:
    """Roots of n >= 1 byte lists of at most `limit_bytes`, of any lengths."""
    limit = _chunk_count(limit_bytes)
    lone_rows = [np.frombuffer(value, dtype=np.uint8)[np.newaxis] for value in values]
    trees = np.concatenate([_merkleize(_chunked(row), limit) for row in lone_rows])
    return _with_lengths(trees, [len(value) for value in values])


def uint64_list(values: Sequence[int], limit: int) -> Bytes:
    """The root, as one row, of one list of integers."""
    packed = np.array(values, dtype="<u8").view(np.uint8)[np.newaxis]
    return _with_lengths(_merkleize(_chunked(packed), _chunk_count(8 * limit)), [len(values)])


def container(*fields: Bytes) -> Bytes:
    """Roots of n containers, from the columns of roots of their fields."""
    return _merkleize(np.stack(fields, axis=1), len(fields))


def lists(items: Bytes, limit: int) -> Bytes:
    """Roots of n lists of m items each, from the items' roots uint8[n, m, 32]."""
    return _with_lengths(_merkleize(items, limit), [items.shape[1]] * len(items))


def ragged_lists(items: Bytes, counts: Uint64s, limit: int) -> Bytes:
    """Roots of n lists; list i has the next counts[i] rows of the items' roots uint8[sum, 32]."""
    ends = np.cumsum(counts, dtype=np.int64)
    roots = np.zeros((len(counts), CHUNK_BYTES), dtype=np.uint8)
    for count in np.unique(counts).astype(np.int64):
        same = np.flatnonzero(counts == count)
        places = (ends[same] - count)[:, np.newaxis] + np.arange(count)
        roots[same] = lists(items[places], limit)
    return roots


def _merkleize(chunks: Bytes, limit: int) -> Bytes:
    """Roots of n trees with chunks uint8[n, m, 32] on the left and zeros up to `limit` leaves."""
    n, m, _ = chunks.shape
    if m > limit:
        raise InputError(f"chunks: expected at most {limit}, got {m}")
    zero = bytes(CHUNK_BYTES)  # root of a subtree of zeros, at the level reached
    if not m:
        chunks = _column(zero, n)
    for _ in range((limit - 1).bit_length()):
        if chunks.shape[1] % 2:
            chunks = np.concatenate([chunks, _column(zero, n)], axis=1)
        chunks = _hash_pairs(chunks)
        zero = sha256(zero + zero).digest()
    return chunks[:, 0]


def _with_lengths(roots: Bytes, lengths: Sequence[int]) -> Bytes:
    """SSZ mix_in_length."""
    return container(roots, uint64(np.array(lengths, dtype=np.uint64)))


def _hash_pairs(chunks: Bytes) -> Bytes:
    """The next level uint8[n, m / 2, 32] of n trees."""
    n, m, _ = chunks.shape
    data = chunks.tobytes()
    pair = 2 * CHUNK_BYTES
    digests = b"".join([sha256(data[i : i + pair]).digest() for i in range(0, len(data), pair)])
    return np.frombuffer(digests, dtype=np.uint8).reshape(n, m // 2, CHUNK_BYTES)


def _column(chunk: bytes, n: int) -> Bytes:
    """The same chunk for n trees, uint8[n, 1, 32]."""
    return np.broadcast_to(np.frombuffer(chunk, dtype=np.uint8), (n, 1, CHUNK_BYTES))


def _chunked(rows: Bytes) -> Bytes:
    """Rows uint8[n, width] as chunks uint8[n, m, 32], filled with zeros."""
    n, width = rows.shape
    count = _chunk_count(width)
    padded = np.zeros((n, count * CHUNK_BYTES), dtype=np.uint8)
    padded[:, :width] = rows
    return padded.reshape(n, count, CHUNK_BYTES)


def _chunk_count(size_bytes: int) -> int:
    return -(-size_bytes // CHUNK_BYTES)
