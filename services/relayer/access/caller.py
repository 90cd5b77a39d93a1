"""What one caller may touch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from ... import wire
from ...web.addresses import is_loopback
from ..clusters.served import Group, ServedClusters
from ..store.operators.pending import Asker
from ..store.tokens import KeptToken, Role


@dataclass(frozen=True)
class Caller:
    """Somebody with a token, or anybody where none is needed. None for "which" means all.

    Attributes:
        name: for logs: the token's id, or the address; limits count for it.
        token_id: None for who needs none.
        role: None for who may do everything.
        vaults: that it may register validators for.
        groups: that it may see or ask for.
        names_no_cluster: whether it is an operator's of some vaults, and says nothing of their clusters.
        groups_of: by share index, whose shares it may hand in.
    """

    name: str
    token_id: str | None = None
    role: Role | None = None
    vaults: Collection[bytes] | None = None
    groups: frozenset[Group] | None = None
    groups_of: Mapping[int, frozenset[Group]] | None = None
    names_no_cluster: bool = False
    most_pending: int | None = field(default=None, compare=False)
    moves_per_day: int | None = field(default=None, compare=False)

    @property
    def asker(self) -> Asker:
        """As the store counts it."""
        return Asker(self.token_id, self.most_pending, self.moves_per_day)

    @property
    def is_limited(self) -> bool:
        """Whether what it does is counted: not of this machine, as long as it needs no token."""
        return self.token_id is not None or not is_loopback(self.name)

    def require_vault(self, vault: bytes) -> None:
        """Refuse what is for another vault.

        Raises:
            wire.ForbiddenError: it is.
        """
        if self.vaults is not None and vault not in self.vaults:
            raise wire.ForbiddenError("vault", "this token is not for this vault")

    def require_share_index(self, share_index: int) -> None:
        """Refuse what is of another node.

        Raises:
            wire.ForbiddenError: it is of none of the caller's.
        """
        if self.groups_of is not None and share_index not in self.groups_of:
            indices = ", ".join(map(str, sorted(self.groups_of)))
            mine = f"; it is for {indices}" if indices else ""
            raise wire.ForbiddenError("share_index", f"this token is not for share index {share_index}{mine}")

    def groups_at(self, share_index: int | None) -> frozenset[Group] | None:
        """Where it is the node with this share index; without one, where it is any. None: everywhere."""
        if share_index is None or self.groups_of is None:
            return self.groups
        return self.groups_of[share_index]


_CALLER = web.RequestKey("caller", Caller)


def caller_of_token(
    token: KeptToken, clusters: ServedClusters, *, most_pending: int, moves_per_day: int
) -> Caller:
    """What a token is for, at this relayer; clusters that it does not serve count for nothing."""
    if token.role is Role.READ_ONLY:
        return Caller(token.id, token.id, token.role, vaults=())
    if token.role is Role.OPERATOR:
        everything = token.scope.everything
        return Caller(
            token.id,
            token.id,
            token.role,
            vaults=None if everything else frozenset(map(bytes, token.scope.vaults)),
            groups=None if everything else _groups(token.scope.clusters, clusters),
            groups_of={},
            names_no_cluster=not everything and not token.scope.clusters,
            most_pending=most_pending,
            moves_per_day=moves_per_day,
        )
    indices = {node.share_index for node in token.scope.nodes}
    groups_of = {
        index: _groups((node.cluster for node in token.scope.nodes if node.share_index == index), clusters)
        for index in indices
    }
    groups = frozenset(group for groups in groups_of.values() for group in groups)
    return Caller(token.id, token.id, token.role, vaults=(), groups=groups, groups_of=groups_of)


def unserved_clusters(token: KeptToken, clusters: ServedClusters) -> list[str]:
    """The clusters that a token names and this relayer does not serve."""
    names = {*token.scope.clusters, *(node.cluster for node in token.scope.nodes)}
    return sorted(name for name in names if clusters.group_named(name) is None)


def put_caller(request: web.Request, caller: Caller) -> None:
    """Note who sent a request."""
    request[_CALLER] = caller


def caller_of(request: web.Request) -> Caller:
    """Who sent a request."""
    return request[_CALLER]


def caller_if_known(request: web.Request) -> Caller | None:
    """Who sent a request, unless that is not known."""
    return request.get(_CALLER)


def _groups(names: Iterable[str], clusters: ServedClusters) -> frozenset[Group]:
    found = (clusters.group_named(name) for name in names)
    return frozenset(group for group in found if group is not None)
