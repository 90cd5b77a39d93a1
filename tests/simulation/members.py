"""A cluster's keys, the same each time, and what is on the disks of its nodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from random import Random
from typing import Final

import numpy as np

from dvtfast import PublicKeys, derive_public_keys
from dvtfast.constants import CURVE_ORDER
from dvtfast.secp256k1 import IdentityKey
from dvtfast.services.node.partial_signatures import ClusterKeys
from tests.reference import evaluate

NODES: Final = 4
THRESHOLD: Final = 3


@dataclass(frozen=True, eq=False)
class Members:
    """A cluster of four.

    Attributes:
        identities: of the nodes.
        secret_keys: uint8[m, 32], which no node has.
        key_shares: uint8[m, 4, 32].
    """

    identities: tuple[IdentityKey, ...]
    secret_keys: np.ndarray
    key_shares: np.ndarray
    keys: ClusterKeys

    @property
    def operators(self) -> list[bytes]:
        """The nodes' keys, in their order."""
        return [identity.public_key for identity in self.identities]


@cache
def members(validators: int) -> Members:
    """The cluster that has so many validators."""
    random = Random(validators)
    secrets, shares = [], []
    for _ in range(validators):
        polynomial = [random.randrange(1, CURVE_ORDER) for _ in range(THRESHOLD)]
        secrets.append(polynomial[0])
        shares += [evaluate(polynomial, share_index) for share_index in range(1, NODES + 1)]
    key_shares = _rows(shares)
    keys = ClusterKeys(
        THRESHOLD,
        PublicKeys(derive_public_keys(_rows(secrets))),
        PublicKeys(derive_public_keys(key_shares).reshape(validators, NODES, 48)),
    )
    identities = tuple(IdentityKey(sha256(b"node %d" % node).digest()) for node in range(NODES))
    return Members(identities, _rows(secrets), key_shares.reshape(validators, NODES, 32), keys)


def _rows(scalars: list[int]) -> np.ndarray:
    joined = b"".join(scalar.to_bytes(32, "big") for scalar in scalars)
    return np.frombuffer(joined, np.uint8).reshape(-1, 32).copy()
