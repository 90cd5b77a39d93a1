"""The key shares of one node, matched to the validators of its cluster by public key share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dvtfast.clusters import ClusterShares
from dvtfast.keystores import LoadedKeystores

from .. import wire
from .grouped_problems import grouped, in_directory

SHOWN_KEYS = 10  # of a long list, in a message


class NoKeysError(Exception):
    """Nothing can be signed with the keys that there are."""


def share_index_of(node_index: int) -> int:
    """Obol counts nodes from 0 and share indices from 1."""
    return node_index + 1


@dataclass(frozen=True, eq=False)
class NodeKeys:
    """Key shares of one share index, a row for each validator.

    Attributes:
        cluster: its name, for people.
        public_keys: uint8[n, 48], of the validators.
        secret_keys: uint8[n, 32], the key shares.
        public_key_shares: of all nodes, by share index uint8[n, 48].
    """

    cluster: str
    share_index: int
    public_keys: NDArray[np.uint8]
    secret_keys: NDArray[np.uint8] = field(repr=False)
    public_key_shares: Mapping[int, NDArray[np.uint8]] | None = None

    def wipe(self) -> None:
        """Overwrite the secret keys; nothing can be signed any more."""
        self.secret_keys.fill(0)


def public_key_shares_of(
    cluster: ClusterShares, validators: NDArray[np.intp]
) -> dict[int, NDArray[np.uint8]]:
    """Of some validators of a cluster, by share index uint8[n, 48]."""
    shares = cluster.public_key_shares.encoded[validators]
    return {index: shares[:, node] for node, index in enumerate(cluster.share_indices.tolist())}


@dataclass(frozen=True, eq=False)
class Matched:
    """Which validators of a cluster some keys are for.

    Attributes:
        node_index: the node whose key shares they are.
        validators: intp[m], places in the cluster.
        keys: intp[m], places among what was offered.
        problems: a line for each key that is of no use, and for validators without a key.
    """

    node_index: int
    validators: NDArray[np.intp]
    keys: NDArray[np.intp]
    problems: list[str]


def match_keys(
    cluster: ClusterShares, loaded: LoadedKeystores, *, node_index: int | None
) -> tuple[NodeKeys, list[str]]:
    """Find the validator of each keystore, and the node that they belong to.

    Returns:
        The keys, and a line for each file that is of no use and for validators without a file.

    Raises:
        NoKeysError: nothing is left.
    """
    unusable = in_directory(loaded.problems)
    if not loaded.sources:
        raise NoKeysError(f"none of {len(loaded.problems)} keystores can be used: {'; '.join(unusable)}")
    sources = [str(source) for source in loaded.sources]
    matched = match(cluster, loaded.public_keys, sources, node_index=node_index, noun="keystore")
    keys = NodeKeys(
        cluster.name,
        share_index_of(matched.node_index),
        cluster.public_keys.encoded[matched.validators],
        loaded.secret_keys[matched.keys],
        public_key_shares_of(cluster, matched.validators),
    )
    loaded.secret_keys.fill(0)
    return keys, [*unusable, *matched.problems]


def match(
    cluster: ClusterShares,
    public_keys: NDArray[np.uint8],
    sources: Sequence[str],
    *,
    node_index: int | None,
    noun: str,
) -> Matched:
    """Find the validator of each public key share uint8[n, 48], and the node that they belong to.

    They are in no order that means anything: a key is the share that has this public key. The node is the
    one given, or else the one that most keys are of.

    Args:
        sources: where each key is from, for the problems.
        noun: what one such source is called.

    Raises:
        NoKeysError: nothing is left.
    """
    shares = cluster.public_key_shares.encoded
    owners = {
        share.tobytes(): (validator, node)
        for validator, row in enumerate(shares)
        for node, share in enumerate(row)
    }
    found = [owners.get(public_key.tobytes()) for public_key in public_keys]
    node = node_index if node_index is not None else _most_common(owner[1] for owner in found if owner)
    useless: list[tuple[str, str]] = []
    places: dict[int, int] = {}  # of validators: the key
    for row, (owner, source) in enumerate(zip(found, sources, strict=True)):
        if owner is None:
            useless.append((source, f"its key is no share of the cluster {cluster.name!r}"))
        elif owner[1] != node:
            useless.append((source, f"it is a key share of node {owner[1]}, not of node {node}"))
        else:
            places[owner[0]] = row
    problems = grouped(useless)
    if not places or node is None:
        where = "any node" if node is None else f"node {node}"
        reasons = f": {'; '.join(problems)}" if problems else ""
        raise NoKeysError(
            f"none of {len(found)} {noun}s is a key share of {where} of {cluster.name!r}, which has"
            f" nodes 0..{shares.shape[1] - 1}{reasons}"
        )
    missing = [i for i in range(len(shares)) if i not in places]
    if missing:
        few = [cluster.public_keys.encoded[i].tobytes() for i in missing[:SHOWN_KEYS]]
        shown = ", ".join(wire.PublicKey(key).to_wire() for key in few)
        problems.append(f"no {noun} for {len(missing)} of {len(shares)} validators, such as {shown}")
    validators = sorted(places)
    keys = [places[validator] for validator in validators]
    return Matched(node, np.array(validators, np.intp), np.array(keys, np.intp), problems)


def _most_common(nodes: Iterable[int]) -> int | None:
    counted = Counter(nodes).most_common(1)
    return counted[0][0] if counted else None
