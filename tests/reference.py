"""What dvtfast must equal: py_ecc, hashlib and Python integers, slow and obvious.

Points are py_ecc's optimized projective tuples; scalars and share indices are Python integers.
Signing here costs 0.2 s; tests that need volume sign with milagro (tests/samples.py).
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from itertools import count
from math import prod
from typing import Any

from py_ecc.bls import G2ProofOfPossession
from py_ecc.bls.g2_primitives import (
    G1_to_pubkey,
    G2_to_signature,
    pubkey_to_G1,
    signature_to_G2,
)
from py_ecc.bls.hash_to_curve import hash_to_G2
from py_ecc.optimized_bls12_381 import (
    FQ,
    FQ2,
    G1,
    Z1,
    Z2,
    add,
    b2,
    curve_order,
    field_modulus,
    is_inf,
    multiply,
)

Point = Any

CURVE_ORDER: int = curve_order
CURVE_PARAMETER = -0xD201000000010000
DST_SIGNATURE = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
G1_INFINITY = b"\xc0" + bytes(47)
G2_INFINITY = b"\xc0" + bytes(95)

# Orders of the whole curve groups are cofactor * CURVE_ORDER (draft-irtf-cfrg-pairing-friendly-curves).
_X = CURVE_PARAMETER
G1_COFACTOR = (_X - 1) ** 2 // 3
G2_COFACTOR = (_X**8 - 4 * _X**7 + 5 * _X**6 - 4 * _X**4 + 6 * _X**3 - 4 * _X**2 - 4 * _X + 13) // 9


# Points and bytes. Decoding checks the curve, never the subgroup.


def g1(encoded: bytes) -> Point:
    return pubkey_to_G1(encoded)


def g2(encoded: bytes) -> Point:
    return signature_to_G2(encoded)


def g1_bytes(point: Point) -> bytes:
    return bytes(G1_to_pubkey(point))


def g2_bytes(point: Point) -> bytes:
    return bytes(G2_to_signature(point))


def in_subgroup(point: Point) -> bool:
    return bool(is_inf(multiply(point, CURVE_ORDER)))


def add_all(points: Sequence[Point], zero: Point) -> Point:
    for point in points:
        zero = add(zero, point)
    return zero


def hash_to_g2(message: bytes, dst: bytes = DST_SIGNATURE) -> bytes:
    return g2_bytes(hash_to_G2(message, dst, sha256))


# Keys and signatures.


def public_key(secret_key: int) -> bytes:
    return g1_bytes(multiply(G1, secret_key))


def sign(secret_key: int, message: bytes) -> bytes:
    return g2_bytes(multiply(g2(hash_to_g2(message)), secret_key))


def aggregate(signatures: Sequence[bytes]) -> bytes:
    return g2_bytes(add_all([g2(signature) for signature in signatures], Z2))


# Derivation (EIP-2333), word by word; its HKDF_mod_r is KeyGen of the IETF draft, which py_ecc has.


def master_key(seed: bytes) -> int:
    return int(G2ProofOfPossession.KeyGen(seed))


def child_key(parent: int, index: int) -> int:
    ikm, salt = parent.to_bytes(32), index.to_bytes(4)
    inverted = bytes(byte ^ 0xFF for byte in ikm)
    secrets = _lamport_secrets(ikm, salt) + _lamport_secrets(inverted, salt)
    public = b"".join(sha256(secret).digest() for secret in secrets)
    return master_key(sha256(public).digest())


def _lamport_secrets(ikm: bytes, salt: bytes) -> list[bytes]:
    pseudorandom, part, parts = hmac.digest(salt, ikm, "sha256"), b"", []
    for counter in range(1, 256):
        part = hmac.digest(pseudorandom, part + bytes([counter]), "sha256")
        parts.append(part)
    return parts


# Threshold: f is a polynomial over the scalars, f(0) the secret, f(x) the share of index x.


def evaluate(coefficients: Sequence[int], x: int) -> int:
    return sum(c * x**k for k, c in enumerate(coefficients)) % CURVE_ORDER


def lagrange_coefficients(share_indices: Sequence[int], at: int = 0) -> list[int]:
    """Coefficients λ with f(at) = Σ λ_i·f(x_i) for every f of degree < len(share_indices)."""
    return [
        prod((at - xj) * pow(xi - xj, -1, CURVE_ORDER) for xj in share_indices if xj != xi) % CURVE_ORDER
        for xi in share_indices
    ]


def recover_secret_key(key_shares: Sequence[int], share_indices: Sequence[int], at: int = 0) -> int:
    coefficients = lagrange_coefficients(share_indices, at)
    return sum(c * share for c, share in zip(coefficients, key_shares, strict=True)) % CURVE_ORDER


def recover_public_key(shares: Sequence[bytes], share_indices: Sequence[int], at: int = 0) -> bytes:
    terms = zip(lagrange_coefficients(share_indices, at), shares, strict=True)
    return g1_bytes(add_all([multiply(g1(share), c) for c, share in terms], Z1))


def recover_signature(shares: Sequence[bytes], share_indices: Sequence[int], at: int = 0) -> bytes:
    terms = zip(lagrange_coefficients(share_indices, at), shares, strict=True)
    return g2_bytes(add_all([multiply(g2(share), c) for c, share in terms], Z2))


def split_for_oracles(
    encoded_public_key: bytes, signature: bytes, signing_root: bytes, coefficients: Sequence[int], total: int
) -> list[tuple[bytes, bytes]]:
    """Public key share P + m·G1 and signature share S + m·H(root) of oracle x, where m = Σ c_k·x^k."""
    key, exit_signature, root_hash = g1(encoded_public_key), g2(signature), g2(hash_to_g2(signing_root))
    masks = [evaluate([0, *coefficients], x) for x in range(1, total + 1)]
    return [
        (g1_bytes(add(key, multiply(G1, m))), g2_bytes(add(exit_signature, multiply(root_hash, m))))
        for m in masks
    ]


# Signing roots: SSZ by hand.


def sha(*parts: bytes) -> bytes:
    return sha256(b"".join(parts)).digest()


def uint64_chunk(value: int) -> bytes:
    return value.to_bytes(8, "little") + bytes(24)


def domain(domain_type: bytes, fork_version: bytes, genesis_validators_root: bytes) -> bytes:
    return domain_type + sha(fork_version, bytes(28), genesis_validators_root)[:28]


def signing_root(object_root: bytes, signature_domain: bytes) -> bytes:
    return sha(object_root, signature_domain)


def exit_root(epoch: int, validator_index: int) -> bytes:
    return sha(uint64_chunk(epoch), uint64_chunk(validator_index))


def deposit_message_root(key: bytes, withdrawal_credentials: bytes, amount_gwei: int) -> bytes:
    owner = sha(sha(key, bytes(16)), withdrawal_credentials)
    return sha(owner, sha(uint64_chunk(amount_gwei), bytes(32)))


def deposit_data_root(key: bytes, withdrawal_credentials: bytes, amount_gwei: int, signature: bytes) -> bytes:
    owner = sha(sha(key, bytes(16)), withdrawal_credentials)
    signature_root = sha(sha(signature[:64]), sha(signature[64:], bytes(32)))
    return sha(owner, sha(uint64_chunk(amount_gwei), signature_root))


# Points that decode and lie on the curve, but not in the subgroup.


def curve_points_g2() -> Any:
    """Points of the whole curve over FQ2 with x = 1, 2, 3..., mostly outside the subgroup."""
    for x in count(1):
        x2 = FQ2([x, 0])
        y = _square_root(x2 * x2 * x2 + b2)
        if y is not None:
            yield (x2, y, FQ2.one())


@cache
def small_order_point_g1(order: int) -> Point:
    """A point of order 3, 11 or 10177, factors of the cofactor of G1; those of order 3 have x = 0."""
    rest = G1_COFACTOR * CURVE_ORDER
    while rest % order == 0:
        rest //= order
    for x in count(1):
        y = pow(x**3 + 4, (field_modulus + 1) // 4, field_modulus)
        point = multiply((FQ(x), FQ(y), FQ(1)), rest)
        if (y * y - x**3 - 4) % field_modulus or is_inf(point):
            continue
        while not is_inf(multiply(point, order)):
            point = multiply(point, order)
        return point
    raise AssertionError("unreachable: there are points of every x")


@cache
def small_order_point_g2(order: int) -> Point:
    """A point of the given prime order (13 or 23, factors of the cofactor of G2)."""
    rest = G2_COFACTOR * CURVE_ORDER
    while rest % order == 0:
        rest //= order
    for candidate in curve_points_g2():
        point = multiply(candidate, rest)
        if is_inf(point):
            continue
        while not is_inf(multiply(point, order)):
            point = multiply(point, order)
        return point
    raise AssertionError("unreachable: there are points of every x")


def _square_root(value: Any) -> Any:
    """A square root in FQ2, or None: as q² = 9 mod 16, value^((q²+7)/16) times some eighth root of 1."""
    candidate = value ** ((field_modulus**2 + 7) // 16)
    eighth_root = FQ2([1, 1]) ** ((field_modulus**2 - 1) // 8)
    for k in range(8):
        root = candidate * eighth_root**k
        if root * root == value:
            return root
    return None
