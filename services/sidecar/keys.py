"""The key shares of one node, matched to the validators of its cluster by public key share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dvtfast import Network, sign_exits
from dvtfast.clusters import ClusterShares
from dvtfast.keystores import LoadedKeystores

from .. import wire

SHOWN_VALIDATORS = 10  # of those without a keystore


class NoKeysError(Exception):
    """Not one keystore is a key share of the node."""


def share_index_of(node_index: int) -> int:
    """Obol counts nodes from 0 and share indices from 1."""
    return node_index + 1


@dataclass(frozen=True, eq=False)
class NodeKeys:
    """What a node can sign with.

    Attributes:
        places: of each validator's public key, its row in `secret_keys`.
    """

    share_index: int
    places: dict[bytes, int]
    secret_keys: NDArray[np.uint8] = field(repr=False)

    def sign_exits(
        self, exits: Sequence[wire.ExitWanted], network: Network, *, threads: int | None
    ) -> list[wire.ExitShare]:
        """Partial signatures of exits of these validators."""
        keys = self.secret_keys[[self.places[exit_.public_key] for exit_ in exits]]
        try:
            indices = [int(exit_.validator_index) for exit_ in exits]
            signatures = sign_exits(keys, indices, network, threads=threads)
        finally:
            keys.fill(0)
        return [
            wire.ExitShare(exit_.public_key, wire.Signature(row.tobytes()), exit_.validator_index)
            for exit_, row in zip(exits, signatures, strict=True)
        ]

    def wipe(self) -> None:
        """Overwrite the secret keys; nothing can be signed any more."""
        self.secret_keys.fill(0)


def match_keys(
    cluster: ClusterShares, loaded: LoadedKeystores, *, node_index: int | None
) -> tuple[NodeKeys, list[str]]:
    """Find the validator of each keystore, and the node that they belong to.

    Files are in no order that means anything: a keystore is the share whose public key it has. The node is
    the one given, or else the one that most keystores are of.

    Returns:
        The keys, and a line for each file that is of no use and for validators without a file.

    Raises:
        NoKeysError: nothing is left.
    """
    shares = cluster.public_key_shares.encoded
    owners = {
        share.tobytes(): (validator, node)
        for validator, row in enumerate(shares)
        for node, share in enumerate(row)
    }
    found = [owners.get(public_key.tobytes()) for public_key in loaded.public_keys]
    problems = [str(problem) for problem in loaded.problems]
    node = node_index if node_index is not None else _most_common(owner[1] for owner in found if owner)
    if node is None or node >= shares.shape[1]:
        where = f"node {node_index}" if node_index is not None else "any node"
        raise NoKeysError(
            f"none of {len(found)} keystores is a key share of {where} of {cluster.name!r}, which has"
            f" nodes 0..{shares.shape[1] - 1}"
        )
    places: dict[bytes, int] = {}
    for row, (owner, source) in enumerate(zip(found, loaded.sources, strict=True)):
        if owner is None:
            problems.append(f"{source}: its key is no share of the cluster {cluster.name!r}")
        elif owner[1] != node:
            problems.append(f"{source}: it is a key share of node {owner[1]}, not of node {node}")
        else:
            places[cluster.public_keys.encoded[owner[0]].tobytes()] = row
    if not places:
        raise NoKeysError(f"none of {len(found)} keystores is a key share of node {node} of {cluster.name!r}")
    missing = [key for row in cluster.public_keys.encoded if (key := row.tobytes()) not in places]
    if missing:
        shown = ", ".join(wire.PublicKey(key).to_wire() for key in missing[:SHOWN_VALIDATORS])
        problems.append(f"no keystore for {len(missing)} of {len(shares)} validators, such as {shown}")
    return NodeKeys(share_index_of(node), places, loaded.secret_keys), problems


def _most_common(nodes: Iterable[int]) -> int | None:
    counted = Counter(nodes).most_common(1)
    return counted[0][0] if counted else None
