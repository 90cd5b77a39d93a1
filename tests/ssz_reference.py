"""SSZ as the specification defines it, slow and obvious: hash tree roots and random values of containers.

Source: consensus-specs, ssz/simple-serialize.md. It knows the annotations of the containers, nothing else.
"""

from __future__ import annotations

from dataclasses import fields
from hashlib import sha256
from typing import Any, get_args, get_type_hints

from hypothesis import strategies as st

from dvtfast.duties import ssz

MOST = 3  # elements of a list that is drawn


def merkleize(chunks: list[bytes], limit: int) -> bytes:
    """The root of a tree of `limit` leaves, zeros but for the chunks."""
    width, zero = 1, bytes(32)
    nodes = list(chunks)
    assert len(nodes) <= max(limit, 1)
    while width < limit:
        nodes += [zero] * (len(nodes) % 2)
        nodes = [sha256(nodes[i] + nodes[i + 1]).digest() for i in range(0, len(nodes), 2)]
        zero, width = sha256(zero + zero).digest(), 2 * width
    return nodes[0] if nodes else zero


def chunks_of(data: bytes) -> list[bytes]:
    return [data[i : i + 32].ljust(32, b"\0") for i in range(0, len(data), 32)]


def with_length(root: bytes, length: int) -> bytes:
    return sha256(root + length.to_bytes(32, "little")).digest()


def root(annotation: Any, value: Any, sizes: Any) -> bytes:
    """The hash tree root of a value of a class, or of a field that is annotated so."""
    if isinstance(annotation, type):
        hints = get_type_hints(annotation, include_extras=True)
        parts = [root(hints[f.name], getattr(value, f.name), sizes) for f in fields(annotation)]
        return merkleize(parts, len(parts))
    base, of = get_args(annotation)
    size = sizes[of.size] if isinstance(of.size, str) else of.size
    if of.kind is ssz.Number:
        return value.to_bytes(32, "little")
    if of.kind in (ssz.ByteVector, ssz.Bitvector):
        return merkleize(chunks_of(value), len(chunks_of(value)))
    if of.kind is ssz.ByteList:
        return with_length(merkleize(chunks_of(value), -(-size // 32)), len(value))
    if of.kind is ssz.Bitlist:
        number = int.from_bytes(value, "little")
        length = number.bit_length() - 1
        bits = (number - (1 << length)).to_bytes(-(-length // 8), "little")
        return with_length(merkleize(chunks_of(bits), -(-size // 256)), length)
    element = get_args(base)[0]
    if not isinstance(element, type) and get_args(element)[1].kind is ssz.Number:
        packed = b"".join(each.to_bytes(8, "little") for each in value)
        return with_length(merkleize(chunks_of(packed), -(-size * 8 // 32)), len(value))
    tree = merkleize([root(element, each, sizes) for each in value], size)
    return with_length(tree, len(value)) if of.kind is ssz.List else tree


def values(annotation: Any, sizes: Any) -> st.SearchStrategy[Any]:
    """Any values of a class, or of a field; of long lists the beginning."""
    if isinstance(annotation, type):
        hints = get_type_hints(annotation, include_extras=True)
        return st.builds(annotation, *[values(hints[f.name], sizes) for f in fields(annotation)])
    base, of = get_args(annotation)
    size = sizes[of.size] if isinstance(of.size, str) else of.size
    if of.kind is ssz.Number:
        return st.integers(0, 2 ** (8 * size) - 1) | st.integers(0, 3)
    if of.kind is ssz.ByteVector:
        if size > 256:  # more than hypothesis likes to draw
            return st.binary(min_size=32, max_size=32).map(lambda part: part * (size // 32))
        return st.binary(min_size=size, max_size=size)
    if of.kind is ssz.ByteList:
        return st.binary(max_size=min(size, 100))
    if of.kind is ssz.Bitvector:
        return st.integers(0, 2**size - 1).map(lambda bits: bits.to_bytes(-(-size // 8), "little"))
    if of.kind is ssz.Bitlist:
        lengths = (
            st.integers(0, min(size, 600)) | st.just(min(size, 512)) | st.just(size if size < 5000 else 8)
        )
        return lengths.flatmap(
            lambda n: st.integers(2**n, 2 ** (n + 1) - 1).map(
                lambda bits: bits.to_bytes(n // 8 + 1, "little")
            )
        )
    element = values(get_args(base)[0], sizes)
    least = size if of.kind is ssz.Vector else 0
    return st.lists(element, min_size=least, max_size=least or min(size, MOST)).map(tuple)
