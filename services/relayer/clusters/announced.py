"""Public key shares of validators of no named cluster, as their nodes claim them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dvtfast import PublicKeys, check_public_key_shares, check_public_keys
from dvtfast.constants import PUBLIC_KEY_BYTES

from .served import Group

KeyShares = Mapping[int, bytes]
"""A validator's public key shares, by share index."""


class Claimed(Group):
    """Validators whose public key shares enough nodes agree on."""

    knows_key_shares = True

    def __init__(self, base: Group, key_shares: Mapping[bytes, KeyShares], *, threads: int | None) -> None:
        super().__init__(base.name, base.threshold, base.share_limit)
        self._base = base
        self.keys = key_shares.keys()
        self._places: dict[tuple[bytes, int], int] = {}
        rows: list[bytes] = []
        for key, shares in key_shares.items():
            for index, share in shares.items():
                self._places[key, index] = len(rows)
                rows.append(share)
        self._key_shares = PublicKeys(rows, threads=threads)

    @property
    def base(self) -> Group:
        """The group of which these validators are some."""
        return self._base

    def has_share(self, public_key: bytes, share_index: int) -> bool:
        """Whether a node of this validator has this share index."""
        return (public_key, share_index) in self._places

    def public_key_shares(self, keys: Sequence[bytes], share_indices: NDArray[np.uint64]) -> PublicKeys:
        """The shares as claimed; any stands where the validator has none of that index."""
        places = [
            [self._places.get((key, int(index)), 0) for index in row]
            for key, row in zip(keys, share_indices, strict=True)
        ]
        return self._key_shares[np.array(places, dtype=np.intp)]


def proven(base: Group, claims: Mapping[bytes, KeyShares], *, threads: int | None) -> Claimed | None:
    """The validators whose claimed key shares interpolate to their public key; None when there are none.

    That alone proves nothing: whoever makes up threshold - 1 of them can compute the others. It is on
    the nodes that agree, more than can collude, that the claims are theirs.
    """
    by_indices: defaultdict[tuple[int, ...], list[bytes]] = defaultdict(list)
    for key, shares in claims.items():
        if len(shares) >= base.threshold:
            by_indices[tuple(shares)].append(key)
    good: dict[bytes, KeyShares] = {}
    for share_indices, keys in by_indices.items():
        encoded = np.frombuffer(b"".join(share for key in keys for share in claims[key].values()), np.uint8)
        rows = encoded.reshape(len(keys), len(share_indices), PUBLIC_KEY_BYTES)
        decodes = check_public_keys(rows.reshape(-1, PUBLIC_KEY_BYTES), threads=threads)
        places = np.flatnonzero(decodes.reshape(len(keys), -1).all(axis=1))
        decoded = [keys[place] for place in places]
        ok = check_public_key_shares(
            PublicKeys(decoded, threads=threads),
            rows[places],
            share_indices,
            threshold=base.threshold,
            threads=threads,
        )
        good |= {key: claims[key] for key, fits in zip(decoded, ok, strict=True) if fits}
    return Claimed(base, good, threads=threads) if good else None
