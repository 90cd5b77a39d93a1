"""Clusters to test on, made by Python integers and milagro, never by dvtfast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np
import pytest

from tests import reference

milagro = pytest.importorskip("milagro_bls_binding", reason="pip install milagro-bls-binding")


@dataclass(frozen=True)
class Cluster:
    """n validators, each key split with one polynomial at k share indices, all as the API takes them."""

    threshold: int
    share_indices: np.ndarray  # uint64[k]
    secret_keys: np.ndarray  # uint8[n, 32]
    public_keys: np.ndarray  # uint8[n, 48]
    key_shares: np.ndarray  # uint8[n, k, 32]
    public_key_shares: np.ndarray  # uint8[n, k, 48]
    signing_roots: np.ndarray  # uint8[n, 32]
    partial_signatures: np.ndarray  # uint8[n, k, 96]
    signatures: np.ndarray  # uint8[n, 96]


@lru_cache(maxsize=32)
def make_cluster(
    validators: int, *, threshold: int = 3, share_indices: Sequence[int] = (1, 2, 3, 4), seed: int = 1
) -> Cluster:
    """A cluster that is the same for the same arguments; its arrays are read-only."""
    random = Random(seed)
    polynomials = [[scalar(random) for _ in range(threshold)] for _ in range(validators)]
    roots = [random.randbytes(32) for _ in range(validators)]
    secrets = [polynomial[0] for polynomial in polynomials]
    shares = [[reference.evaluate(f, x) for x in share_indices] for f in polynomials]
    cluster = Cluster(
        threshold=threshold,
        share_indices=np.array(share_indices, np.uint64),
        secret_keys=rows([key_bytes(s) for s in secrets], 32),
        public_keys=rows([public_key(s) for s in secrets], 48),
        key_shares=grid([[key_bytes(s) for s in row] for row in shares], len(share_indices), 32),
        public_key_shares=grid([[public_key(s) for s in row] for row in shares], len(share_indices), 48),
        signing_roots=rows(roots, 32),
        partial_signatures=grid(
            [[sign(s, root) for s in row] for row, root in zip(shares, roots, strict=True)],
            len(share_indices),
            96,
        ),
        signatures=rows([sign(s, root) for s, root in zip(secrets, roots, strict=True)], 96),
    )
    for array in vars(cluster).values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    return cluster


def scalar(random: Random) -> int:
    return random.randrange(1, reference.CURVE_ORDER)


def key_bytes(secret_key: int) -> bytes:
    return secret_key.to_bytes(32, "big")


def public_key(secret_key: int) -> bytes:
    return bytes(milagro.SkToPk(key_bytes(secret_key)))


def sign(secret_key: int, signing_root: bytes) -> bytes:
    return bytes(milagro.Sign(key_bytes(secret_key), signing_root))


def verifies(public_key: bytes, signing_root: bytes, signature: bytes) -> bool:
    return bool(milagro.Verify(bytes(public_key), bytes(signing_root), bytes(signature)))


def rows(items: Sequence[bytes], width: int) -> np.ndarray:
    """uint8[n, width]."""
    return np.frombuffer(bytearray(b"".join(items)), np.uint8).reshape(len(items), width)


def row(item: bytes) -> np.ndarray:
    """uint8[width]."""
    return np.frombuffer(item, np.uint8).copy()


def grid(items: Sequence[Sequence[bytes]], k: int, width: int) -> np.ndarray:
    """uint8[n, k, width]."""
    return rows([item for line in items for item in line], width).reshape(len(items), k, width)
