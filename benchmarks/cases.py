"""Inputs that all benchmarks share: validators of a cluster and their exits, made once, then sliced."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import coincurve
import numpy as np
from numpy.typing import NDArray

import dvtfast

Bytes = NDArray[np.uint8]

# As many different validators as are made; longer batches repeat them.
DISTINCT = 512
ORACLES = 11


@dataclass(frozen=True)
class Cluster:
    """Which share indices hold a key, and how many of them sign."""

    name: str
    share_indices: tuple[int, ...]
    threshold: int


OBOL_4 = Cluster("3 of 4", (1, 2, 3, 4), 3)
OBOL_10 = Cluster("7 of 10", tuple(range(1, 11)), 7)
OBOL_31 = Cluster("21 of 31", tuple(range(1, 32)), 21)
SSV_4 = Cluster("3 of 4 SSV ids", (997, 1003, 1010, 1021), 3)
CLUSTERS = (OBOL_4, OBOL_10, SSV_4)


@dataclass(frozen=True)
class Exits:
    """n validators of a cluster, their exits and all partial signatures."""

    cluster: Cluster
    secret_keys: Bytes
    public_keys: dvtfast.PublicKeys
    signing_roots: Bytes
    signatures: Bytes
    public_key_shares: dvtfast.PublicKeys
    partial_signatures: Bytes

    def __len__(self) -> int:
        return len(self.secret_keys)

    def first(self, n: int) -> Exits:
        """The first n validators; from the start again when there are not so many."""
        rows = np.arange(n) % len(self)
        return Exits(
            self.cluster,
            self.secret_keys[rows],
            self.public_keys[rows],
            self.signing_roots[rows],
            self.signatures[rows],
            self.public_key_shares[rows],
            self.partial_signatures[rows],
        )

    def with_bad_shares(self, fraction: float) -> Exits:
        """The same with another validator's share in place of the first one, for a fraction of all."""
        partial_signatures = self.partial_signatures.copy()
        bad = self._spread(fraction)
        partial_signatures[bad, 0] = self.partial_signatures[(bad + 1) % len(self), 0]
        return replace(self, partial_signatures=partial_signatures)

    def with_equal_shares(self, fraction: float) -> Exits:
        """The same with the first share twice, which is an exception of the lanes, for a fraction of all."""
        partial_signatures = self.partial_signatures.copy()
        bad = self._spread(fraction)
        partial_signatures[bad, 1] = partial_signatures[bad, 0]
        return replace(self, partial_signatures=partial_signatures)

    def _spread(self, fraction: float) -> NDArray[np.intp]:
        """So many of all rows, at least one, evenly spread."""
        rows = np.linspace(0, len(self) - 1, max(1, round(fraction * len(self))))
        return np.unique(rows.astype(np.intp))


@cache
def exits(cluster: Cluster, n: int = DISTINCT) -> Exits:
    """Exits of n different validators."""
    secret_keys = dvtfast.generate_secret_keys(n)
    roots = dvtfast.exit_signing_roots(np.arange(n), dvtfast.HOODI)
    indices = cluster.share_indices
    key_shares = dvtfast.split_secret_keys(secret_keys, threshold=cluster.threshold, share_indices=indices)
    columns = [key_shares[:, j] for j in range(len(indices))]
    return Exits(
        cluster,
        secret_keys,
        dvtfast.PublicKeys(dvtfast.derive_public_keys(secret_keys)),
        roots,
        dvtfast.sign(secret_keys, roots),
        dvtfast.PublicKeys(np.stack([dvtfast.derive_public_keys(shares) for shares in columns], axis=1)),
        np.stack([dvtfast.sign(shares, roots) for shares in columns], axis=1),
    )


@cache
def oracle_keys() -> tuple[coincurve.PrivateKey, ...]:
    """The oracles' secret keys."""
    return tuple(coincurve.PrivateKey() for _ in range(ORACLES))


@cache
def oracle_public_keys() -> Bytes:
    """uint8[k, 64]."""
    rows = [key.public_key.format(compressed=False)[1:] for key in oracle_keys()]
    return np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(ORACLES, 64)
