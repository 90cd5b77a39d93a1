"""Typed data: what an account signs, so that a contract can tell what it has signed.

Source: EIP-712.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from ..encoding import ADDRESS_BYTES, HASH_BYTES, keccak256

WORD_BYTES: Final = 32
UINT256_LIMIT: Final = 1 << 256
DOMAIN_TYPE: Final = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"


@dataclass(frozen=True)
class TypedData:
    """A message for one contract on one chain.

    Attributes:
        domain_separator: says for which contract, 32 bytes.
        struct_hash: says what, 32 bytes.
    """

    domain_separator: bytes
    struct_hash: bytes

    @cached_property
    def digest(self) -> bytes:
        """The 32 bytes that the signature is over."""
        return keccak256(b"\x19\x01" + self.domain_separator + self.struct_hash)


def domain_separator(name: str, version: str, chain_id: int, contract: bytes) -> bytes:
    """The 32 bytes that stand for a contract on a chain, which is `contract` at `chain_id`."""
    return hash_struct(DOMAIN_TYPE, name, version, chain_id, contract)


def hash_struct(encoded_type: str, *values: Any) -> bytes:
    """The 32 bytes that stand for a message.

    Args:
        encoded_type: `Name(kind name,...)`, of the kinds bytes32, address, uint256, bytes and string.
        values: as many as it has members.

    Raises:
        ValueError: a value does not fit.
    """
    members = encoded_type.partition("(")[2].rstrip(")").split(",")
    words = []
    for member, value in zip(members, values, strict=True):
        kind, _, name = member.partition(" ")
        try:
            words.append(_WORD_OF[kind](value))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return keccak256(keccak256(encoded_type.encode()) + b"".join(words))


def _uint256(number: int) -> bytes:
    if not 0 <= number < UINT256_LIMIT:
        raise ValueError("expected an integer in 0..2^256-1")
    return int(number).to_bytes(WORD_BYTES, "big")


def _exactly(width: int, data: bytes) -> bytes:
    if len(data) != width:
        raise ValueError(f"expected {width} bytes, got {len(data)}")
    return bytes(data).rjust(WORD_BYTES, b"\x00")


_WORD_OF: Final[Mapping[str, Callable[[Any], bytes]]] = MappingProxyType(
    {
        "bytes32": lambda data: _exactly(HASH_BYTES, data),
        "address": lambda data: _exactly(ADDRESS_BYTES, data),
        "uint256": _uint256,
        "bytes": keccak256,
        "string": lambda text: keccak256(text.encode()),
    }
)
