"""Which validators are for a vault: those of its clusters, as the settings and the caller's token say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from ... import wire
from ..clusters.served import Cluster, ClustersError, Group, ServedClusters
from .caller import Caller

NOT_OUR_VAULT = "this relayer does not serve the vault; name it with --vault"
NOT_ITS_CLUSTER = "of no cluster of this vault"
NOT_YOUR_CLUSTER = "this token is not for the cluster of this validator"
NO_CLUSTER = "no cluster is left for this vault: each is another's by --vault-cluster"
NO_KEYS = "no validator can be registered: no cluster is named with --cluster-lock or --ssv-keyshares"
NOT_YOUR_CLUSTERS = "this token is for no cluster of this vault"
WHICH_CLUSTERS = (
    "nothing says which of several clusters are this vault's, and which others': bind it with"
    " --vault-cluster, or make a token that names clusters"
)


class Vaults:
    """The vaults that are served, each with its clusters.

    A vault that is bound to clusters has those. One that is bound to none has all that no vault is bound to.

    Args:
        bound: vaults and names, or lock hashes, of clusters.

    Raises:
        ClustersError: a vault or a cluster of `bound` is not served.
    """

    def __init__(
        self, vaults: Collection[bytes], bound: Iterable[tuple[bytes, str]], clusters: ServedClusters
    ) -> None:
        self._vaults = frozenset(vaults)
        self._clusters = clusters
        of_vault: defaultdict[bytes, set[Group]] = defaultdict(set)
        problems = []
        for vault, name in bound:
            group = clusters.group_named(name)
            if vault not in self._vaults:
                problems.append(f"--vault-cluster: {wire.Address(vault).to_wire()} is no --vault")
            elif not isinstance(group, Cluster):
                problems.append(
                    f"--vault-cluster: no cluster that is named to the relayer is called {name!r}"
                )
            else:
                of_vault[vault].add(group)
        if problems:
            raise ClustersError(problems)
        named = {group for group in clusters.groups if isinstance(group, Cluster)}
        free = named.difference(*of_vault.values())
        self._unbound = self._vaults - of_vault.keys()
        self._of = {vault: frozenset(of_vault.get(vault, free)) for vault in self._vaults}

    @property
    def undecided(self) -> list[bytes]:
        """Vaults that share several clusters with each other, where nothing says which are whose."""
        return sorted(vault for vault in self._unbound if self._is_undecided(vault))

    @property
    def without_keys(self) -> list[bytes]:
        """Vaults that no validator could ever be registered for."""
        return sorted(vault for vault, groups in self._of.items() if not self._clusters.keys_in(groups))

    @property
    def problem(self) -> str | None:
        """Why no validator could ever be registered for any of the vaults; None where there are none, as for
        operators of v3, or for one of them it could.
        """
        if not self._vaults or len(self.without_keys) < len(self._vaults):
            return None
        return NO_CLUSTER if self._clusters.keys else NO_KEYS

    def groups(self, vault: bytes, caller: Caller) -> frozenset[Group]:
        """The clusters whose validators a caller may register for a vault, or rotate.

        Raises:
            wire.WireError: the vault is not served, or has no cluster.
            wire.ForbiddenError: the caller is for none of its clusters.
        """
        caller.require_vault(vault)
        if vault not in self._vaults:
            raise wire.WireError("vault", NOT_OUR_VAULT)
        groups = self._of[vault]
        if not groups:
            raise wire.WireError("vault", NO_CLUSTER if self._clusters.keys else NO_KEYS)
        if caller.names_no_cluster:
            if self._is_undecided(vault):
                raise wire.ForbiddenError("vault", WHICH_CLUSTERS)
        elif caller.groups is not None and not (groups := groups & caller.groups):
            raise wire.ForbiddenError("vault", NOT_YOUR_CLUSTERS)
        return groups

    def require_keys(self, vault: bytes, caller: Caller, of_field: Mapping[str, Sequence[bytes]]) -> None:
        """Refuse what a caller wants of validators of clusters that are not the vault's, or not the caller's.

        Args:
            of_field: the validators by the path of each, with a `{}` for its position.

        Raises:
            wire.WireError: as `groups`, or they are of another cluster.
        """
        groups = self.groups(vault, caller)
        for path, keys in of_field.items():
            self._require_keys(path, keys, groups, self._of[vault])

    def _require_keys(
        self, field: str, keys: Sequence[bytes], groups: frozenset[Group], of_vault: frozenset[Group]
    ) -> None:
        foreign = {
            position: group
            for position, key in enumerate(keys)
            if self._clusters.is_named(key) and (group := self._clusters.group_of(key)) not in groups
        }
        if foreign:
            reason = {
                position: NOT_YOUR_CLUSTER if group in of_vault else NOT_ITS_CLUSTER
                for position, group in foreign.items()
            }
            rejected = [
                wire.Rejected(wire.PublicKey(keys[position]).to_wire(), why)
                for position, why in reason.items()
            ]
            first = min(foreign)
            raise wire.ForbiddenError(field.format(first), reason[first], rejected)

    def _is_undecided(self, vault: bytes) -> bool:
        return vault in self._unbound and len(self._unbound) > 1 and len(self._of[vault]) > 1
