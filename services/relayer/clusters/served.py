"""Whose key is whose: the clusters that the relayer serves, and what it knows of their shares."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvtfast import DvtfastError, Network, PublicKeys
from dvtfast.clusters import ClusterShares, read_ssv_keyshares

from ... import wire
from ...keys.locks import read_lock
from ...settings import UNKNOWN_SHARES_LIMIT
from ...settings.parsing import NamedFile

OTHERS = "other"  # the name of all validators of no cluster that is named to the relayer
SHOWN_KEYS = 3  # of those that two clusters both claim


class ClustersError(Exception):
    """Clusters that cannot be served, or not together.

    Attributes:
        problems: one line each.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Group:
    """Validators that are judged together, and what is known of their shares.

    Attributes:
        share_limit: how many share indices an exit may have; None where `has` bounds them.
        knows_key_shares: whether a share can be judged by itself.
    """

    knows_key_shares = False

    def __init__(self, name: str, threshold: int, share_limit: int | None) -> None:
        self.name = name
        self.threshold = threshold
        self.share_limit = share_limit

    @property
    def share_indices(self) -> Sequence[int]:
        """Those of its nodes; none where no file names them."""
        return ()

    @property
    def base(self) -> Group:
        """The group that these validators are always in."""
        return self

    def has(self, share_index: int) -> bool:
        """Whether there may be a share of this index."""
        return True

    def has_share(self, public_key: bytes, share_index: int) -> bool:
        """Whether a node of this validator may have this share index."""
        return self.has(share_index)

    def public_keys(self, keys: Sequence[bytes]) -> PublicKeys:
        """These validators' keys, decoded."""
        return PublicKeys(keys)

    def public_key_shares(
        self, keys: Sequence[bytes], share_indices: NDArray[np.uint64]
    ) -> PublicKeys | None:
        """Public key shares of n validators at uint64[n, k]; any share stands at index 0. None: unknown."""
        return None


class Cluster(Group):
    """A cluster whose public key shares are known."""

    knows_key_shares = True

    def __init__(self, shares: ClusterShares) -> None:
        super().__init__(shares.name, shares.threshold, share_limit=None)
        self._shares = shares
        self.lock_hash = shares.lock_hash
        self._columns = {int(index): column for column, index in enumerate(shares.share_indices)}
        self.rows = {key.tobytes(): row for row, key in enumerate(shares.public_keys.encoded)}

    @property
    def nodes(self) -> int:
        """How many nodes it has."""
        return len(self._columns)

    @property
    def share_indices(self) -> Sequence[int]:
        """As the cluster's file has them."""
        return list(self._columns)

    def has(self, share_index: int) -> bool:
        """Whether the cluster has this share index."""
        return share_index in self._columns

    def public_keys(self, keys: Sequence[bytes]) -> PublicKeys:
        """These validators' keys, decoded when the cluster was read."""
        return self._shares.public_keys[self._rows_of(keys)]

    def public_key_shares(
        self, keys: Sequence[bytes], share_indices: NDArray[np.uint64]
    ) -> PublicKeys | None:
        """The shares as the cluster's file has them."""
        columns = np.array([[self._columns.get(int(index), 0) for index in row] for row in share_indices])
        return self._shares.public_key_shares[self._rows_of(keys)[:, np.newaxis], columns]

    def _rows_of(self, keys: Sequence[bytes]) -> NDArray[np.intp]:
        return np.array([self.rows[key] for key in keys], dtype=np.intp)


class ServedClusters:
    """Finds the group of a validator.

    Attributes:
        groups: all that are served.
        in_order: the same, as they were named; that of other validators last.

    Args:
        clusters: with distinct names, and no key in two of them.
        signature_threshold: for validators of no such cluster; None does not serve them.

    Raises:
        ClustersError: a name or a key is there twice, or a name means something else.
    """

    def __init__(self, clusters: Sequence[ClusterShares], *, signature_threshold: int | None) -> None:
        self._others = (
            Group(OTHERS, signature_threshold, UNKNOWN_SHARES_LIMIT) if signature_threshold else None
        )
        self._clusters: dict[bytes, Cluster] = {}
        problems = _wrong_names(clusters) + _repeated_names(
            [*clusters, *([self._others] if self._others else [])]
        )
        served = [Cluster(cluster) for cluster in clusters]
        self.in_order: list[Group] = [*served, *([self._others] if self._others else [])]
        self.groups: frozenset[Group] = frozenset(self.in_order)
        self._by_name: dict[str, Group] = {group.name: group for group in self.groups}
        for cluster in served:
            if cluster.lock_hash is not None:
                lock_hash = wire.Root(cluster.lock_hash).to_wire()
                if self._by_name.setdefault(lock_hash, cluster) is not cluster:
                    problems.append(f"{cluster.name!r} has the lock hash of another cluster, {lock_hash}")
            if shared := self._clusters.keys() & cluster.rows.keys():
                problems.append(self._conflict(cluster, shared))
            self._clusters |= dict.fromkeys(cluster.rows, cluster)
        if problems:
            raise ClustersError(problems)

    @property
    def keys(self) -> Collection[bytes]:
        """All validators of named clusters, in the order of their files."""
        return self._clusters.keys()

    def keys_in(self, groups: Collection[Group]) -> Collection[bytes]:
        """The validators of some named clusters, in the order of their files."""
        return _Keys([group for group in self.in_order if isinstance(group, Cluster) and group in groups])

    def group_named(self, name: str) -> Group | None:
        """The group with this name, or with this lock hash; None when it is not served."""
        return self._by_name.get(name)

    def group_of(self, public_key: bytes) -> Group | None:
        """The group that a validator is judged in; None when it is not served."""
        return self._clusters.get(public_key, self._others)

    def threshold_of(self, public_key: bytes) -> int | None:
        """How many shares an exit of this validator needs; None when it is not served."""
        group = self.group_of(public_key)
        return group.threshold if group else None

    def has_node(self, share_index: int) -> bool:
        """Whether any group may have a node with this share index."""
        return any(group.has(share_index) for group in self.groups)

    @property
    def nodes(self) -> int:
        """How many nodes the named clusters have between them."""
        return sum(group.nodes for group in self.groups if isinstance(group, Cluster))

    def size_of(self, group: Group) -> int | None:
        """How many validators a group has; None where no file names them."""
        return len(group.rows) if isinstance(group, Cluster) else None

    def is_named(self, public_key: bytes) -> bool:
        """Whether a named cluster has this validator."""
        return public_key in self._clusters

    def _conflict(self, cluster: Cluster, shared: Collection[bytes]) -> str:
        others = sorted({self._clusters[key].name for key in shared})
        keys = [wire.PublicKey(key).to_wire() for key in sorted(shared)[:SHOWN_KEYS]]
        return f"{len(shared)} validators of {cluster.name!r} are in {others} too, such as {', '.join(keys)}"


class _Keys(Collection[bytes]):
    """The validators of some clusters, which need not be copied for that."""

    def __init__(self, clusters: Sequence[Cluster]) -> None:
        self._clusters = clusters

    def __contains__(self, key: object) -> bool:
        return any(key in cluster.rows for cluster in self._clusters)

    def __iter__(self) -> Iterator[bytes]:
        return chain.from_iterable(cluster.rows for cluster in self._clusters)

    def __len__(self) -> int:
        return sum(len(cluster.rows) for cluster in self._clusters)


def read_clusters(
    locks: Iterable[NamedFile],
    keyshares: Iterable[NamedFile],
    network: Network,
    *,
    verify: bool = True,
) -> list[ClusterShares]:
    """Read and check all files.

    Args:
        verify: whether the hashes and signatures of locks must be right; see `locks`.

    Raises:
        ClustersError: with every problem of every file.
    """
    clusters: list[ClusterShares] = []
    problems: list[str] = []
    readers: list[tuple[NamedFile, Callable[[Path], list[ClusterShares]]]] = [
        *((file, lambda path: [read_lock(path, verify=verify)[0]]) for file in locks),
        *((file, read_ssv_keyshares) for file in keyshares),
    ]
    for file, read in readers:
        try:
            found = read(file.path)
        except DvtfastError as error:
            problems.append(str(error))
            continue
        for cluster in found:
            if cluster.network is not None and cluster.network.name != network.name:
                problems.append(f"{file.path}: its network is {cluster.network.name}, not {network.name}")
        clusters += [_named(cluster, file.name, alone=len(found) == 1) for cluster in found]
    if problems:
        raise ClustersError(problems)
    return clusters


def _named(cluster: ClusterShares, name: str | None, *, alone: bool) -> ClusterShares:
    if name is None:
        return cluster
    return replace(cluster, name=name if alone else f"{name} {cluster.name}")


def _wrong_names(clusters: Iterable[ClusterShares]) -> list[str]:
    """Names that mean something else, to tokens and in `--vault-cluster`: another's lock hash."""
    problems = []
    for cluster in clusters:
        try:
            meant = wire.Root.from_wire(cluster.name)
        except ValueError:
            continue
        own = cluster.lock_hash
        if own is None or meant != own:
            is_ = "it has none" if own is None else f"its own is {wire.Root(own).to_wire()}"
            problems.append(
                f"a cluster is called {cluster.name!r}, which is the lock hash of another, {is_};"
                " name it with NAME=FILE"
            )
    return problems


def _repeated_names(clusters: Iterable[ClusterShares | Group]) -> list[str]:
    names = [cluster.name for cluster in clusters]
    return [
        f"{names.count(name)} clusters are called {name!r}; name them with NAME=FILE"
        for name in sorted(set(names))
        if names.count(name) > 1
    ]
