"""Inputs that all benchmarks share: made once for the largest batch, sliced for the others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import coincurve
import numpy as np
from numpy.typing import NDArray

import dvtfast

Bytes = NDArray[np.uint8]

BATCHES = (1, 64, 1024)
SHARE_INDICES = (1, 2, 3, 4)
THRESHOLD = 3
ORACLES, ORACLE_THRESHOLD = 11, 8


@dataclass(frozen=True)
class Case:
    """n validators of a 4-node cluster, and their exits."""

    secret_keys: Bytes
    public_keys: dvtfast.PublicKeys
    validator_indices: NDArray[np.uint64]
    signing_roots: Bytes
    partial_signatures: Bytes
    signatures: Bytes

    def first(self, n: int) -> Case:
        """The first n validators."""
        return Case(
            self.secret_keys[:n],
            self.public_keys[:n],
            self.validator_indices[:n],
            self.signing_roots[:n],
            self.partial_signatures[:n],
            self.signatures[:n],
        )


@cache
def case() -> Case:
    """The largest batch."""
    n = max(BATCHES)
    secret_keys = dvtfast.generate_secret_keys(n)
    indices = np.arange(n, dtype=np.uint64)
    roots = dvtfast.exit_signing_roots(indices, dvtfast.HOODI)
    key_shares = dvtfast.split_secret_keys(secret_keys, threshold=THRESHOLD, share_indices=SHARE_INDICES)
    partials = [dvtfast.sign(key_shares[:, j], roots) for j in range(len(SHARE_INDICES))]
    return Case(
        secret_keys,
        dvtfast.PublicKeys(dvtfast.derive_public_keys(secret_keys)),
        indices,
        roots,
        np.stack(partials, axis=1),
        dvtfast.sign(secret_keys, roots),
    )


@cache
def oracle_keys() -> list[coincurve.PrivateKey]:
    """The oracles' secret keys."""
    return [coincurve.PrivateKey() for _ in range(ORACLES)]


def oracle_public_keys() -> Bytes:
    """uint8[k, 64]."""
    rows = [key.public_key.format(compressed=False)[1:] for key in oracle_keys()]
    return np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(ORACLES, 64)
