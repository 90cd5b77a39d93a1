"""Hashes with a domain tag and length prefixes, and trees of hashes over the rows of an array."""

from __future__ import annotations

from hashlib import sha256

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast._native import roots as _kernel

PROTOCOL = b"dvtfast-dkg/1"
# Of messages, of what they mean, and of records. Another one whenever a program would say something else than
# one before it: nodes of two formats begin no session, and no program goes on with another one's records.
FORMAT = 3
DIGEST_BYTES = 32

# What is hashed first, so that no row is a pair of hashes, nor a pair a row.
LEAF, PAIR = 0, 1


def tagged_hash(tag: str, *parts: bytes) -> bytes:
    """SHA-256 of protocol and tag, and of each part, each after its length of 8 bytes, big-endian."""
    state = sha256()
    for part in (PROTOCOL + b" " + tag.encode(), *parts):
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.digest()


def tree_root(rows: Bytes) -> bytes:
    """The root over uint8[m, width], filled up with zero hashes to a power of two."""
    return _levels(rows)[-1].tobytes()


def tree_path(rows: Bytes, place: int) -> bytes:
    """The hashes beside the way from one row to the root, from the bottom up."""
    levels = _levels(rows)[:-1]
    return b"".join(level[(place >> depth) ^ 1].tobytes() for depth, level in enumerate(levels))


def path_bytes(rows: int) -> int:
    """How long paths are in a tree over so many rows."""
    return DIGEST_BYTES * (rows - 1).bit_length()


def root_of_path(row: bytes, place: int, path: bytes) -> bytes:
    """The root that a row at this place has, by its path."""
    digest = sha256(bytes([LEAF]) + row).digest()
    for start in range(0, len(path), DIGEST_BYTES):
        beside = path[start : start + DIGEST_BYTES]
        digest = sha256(bytes([PAIR]) + (beside + digest if place & 1 else digest + beside)).digest()
        place >>= 1
    return digest


def _levels(rows: Bytes) -> list[Bytes]:
    """uint8[2^depth, 32] of each level, the leaves first."""
    leaves = np.zeros((1 << (len(rows) - 1).bit_length(), DIGEST_BYTES), dtype=np.uint8)
    if rows.shape[1]:
        _kernel.hash_rows(LEAF, np.ascontiguousarray(rows), leaves[: len(rows)])
    else:  # where nothing is signed
        leaves[: len(rows)] = np.frombuffer(sha256(bytes([LEAF])).digest(), dtype=np.uint8)
    levels = [leaves]
    while len(levels[-1]) > 1:
        pairs = levels[-1].reshape(-1, 2 * DIGEST_BYTES)
        digests = np.zeros((len(pairs), DIGEST_BYTES), dtype=np.uint8)
        _kernel.hash_rows(PAIR, pairs, digests)
        levels.append(digests)
    return levels
