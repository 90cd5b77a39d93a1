"""Addresses of Ethereum accounts as people write them."""

from __future__ import annotations

from dvtfast._keccak import keccak256


def checksum_address(address: bytes) -> str:
    """An address as people write it: 0x, and its checksum in the case of its digits (EIP-55)."""
    digits = address.hex()
    marks = keccak256(digits.encode()).hex()
    return "0x" + "".join(d.upper() if mark >= "8" else d for d, mark in zip(digits, marks, strict=False))
