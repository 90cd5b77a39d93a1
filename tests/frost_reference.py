"""FROST and charon's messages, slow and obvious: integers, py_ecc and a few lines of protobuf."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from py_ecc.bls.hash import expand_message_xmd
from py_ecc.optimized_bls12_381 import G1, add, multiply, neg

from dvtfast.constants import CURVE_ORDER
from tests.reference import g1, g1_bytes

SUITE = b"BLS12381_XMD:SHA-256_SSWU_RO_"


def hash_to_scalar(message: bytes) -> int:
    return int.from_bytes(expand_message_xmd(message, SUITE, 48, sha256), "big") % CURVE_ORDER


def point(scalar: int) -> bytes:
    return g1_bytes(multiply(G1, scalar % CURVE_ORDER))


def value_at(polynomial: list[int], x: int) -> int:
    return sum(coefficient * x**k for k, coefficient in enumerate(polynomial)) % CURVE_ORDER


def challenge(index: int, commitment: bytes, nonce_point: bytes) -> int:
    return hash_to_scalar(bytes([index, 0]) + commitment + nonce_point)


def proof(index: int, secret: int, nonce: int) -> tuple[int, int]:
    c = challenge(index, point(secret), point(nonce))
    return c, (nonce + c * secret) % CURVE_ORDER


def proof_holds(index: int, commitment: bytes, c: int, w: int) -> bool:
    nonce_point = add(multiply(G1, w), neg(multiply(g1(commitment), c)))
    return challenge(index, commitment, g1_bytes(nonce_point)) == c


# --- messages ---


def fields(data: bytes) -> list[tuple[int, Any]]:
    """Numbers and texts of a message that has nothing else."""

    def number(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if not data[at - 1] & 0x80:
                return value, at

    found: list[tuple[int, Any]] = []
    at = 0
    while at < len(data):
        tag, at = number(at)
        value, at = number(at)
        if tag & 7 == 2:
            found.append((tag >> 3, data[at : at + value]))
            at += value
        else:
            assert tag & 7 == 0
            found.append((tag >> 3, value))
    return found


def _key(data: bytes) -> tuple[int, int, int]:
    names = dict(fields(data))
    return names.get(1, 0), names.get(2, 0), names.get(3, 0)


def round1(data: bytes) -> list[dict[str, Any]]:
    entries = []
    for _, entry in fields(data):
        single = dict(fields(entry))
        entries.append(
            {
                "key": _key(single[1]),
                "wi": int.from_bytes(single[2], "big"),
                "ci": int.from_bytes(single[3], "big"),
                "commitments": [value for number, value in fields(entry) if number == 4],
            }
        )
    return entries


def shares(data: bytes) -> list[dict[str, Any]]:
    entries = [dict(fields(entry)) for _, entry in fields(data)]
    return [
        {"key": _key(entry[1]), "id": entry[2], "value": int.from_bytes(entry[3], "big")} for entry in entries
    ]


def broadcast(data: bytes) -> tuple[bytes, bytes, bytes, list[bytes]]:
    """Id, type, content and signatures."""
    single = dict(fields(data))
    content = dict(fields(single[2]))
    return single[1], content[1], content[2], [value for number, value in fields(data) if number == 3]


def digest(version: str, session: bytes, id: bytes, type_url: bytes, value: bytes) -> bytes:
    """What is signed of a broadcast."""
    if version == "v1.10":
        return sha256(type_url + value).digest()
    whole = b""
    for field in (session, id, type_url, value):
        whole += len(field).to_bytes(8, "big") + field
    return sha256(whole).digest()
