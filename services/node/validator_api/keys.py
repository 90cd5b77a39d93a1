"""Under which keys validator clients know the validators: the public key shares of this node.

They hold key shares, and take them for whole keys. So whatever names a validator by its key has its share
towards the client, and its own key towards beacon nodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dvtfast.constants import PUBLIC_KEY_BYTES

from ...chain.encoding import read_data, write_data
from ..exchange import ClusterMembers
from .errors import RequestError


class ShareKeys:
    """Keys of a cluster's validators, as texts, and the shares of one of its nodes."""

    def __init__(self, cluster: ClusterMembers) -> None:
        keys = [write_data(key) for key in cluster.validators]
        self._nodes = cluster.keys.key_shares.encoded
        shares = [write_data(share.tobytes()) for share in self._nodes[:, cluster.position]]
        self._share_of = dict(zip(keys, shares, strict=True))
        self._key_of = dict(zip(shares, keys, strict=True))

    @property
    def all_keys(self) -> list[str]:
        """The validators' keys."""
        return list(self._share_of)

    def share_of(self, key: str) -> str | None:
        """What a client knows a validator by; None for one of others."""
        return self._share_of.get(key.lower())

    def key_of(self, share: str) -> str:
        """The validator that a client means.

        Raises:
            RequestError: there is none.
        """
        try:
            wanted = read_data(share.lower(), width=PUBLIC_KEY_BYTES)
        except ValueError as error:
            raise RequestError(400, f"id: {error}") from None
        name = write_data(wanted)
        if (key := self._key_of.get(name)) is not None:
            return key
        if name in self._share_of:
            why = "it is a validator's own key; a validator client of this node knows its key share"
        elif any(wanted == each.tobytes() for of_one in self._nodes for each in of_one):
            why = "it is another node's key share; this validator client belongs to that node"
        else:
            why = "it is a key share of no validator of this cluster"
        raise RequestError(400, f"{name}: {why}")

    def show(self, items: Iterable[Any], *, within: str = "", others: bool = False) -> None:
        """Replace the keys in what a beacon node says by shares.

        Args:
            items: objects with a `pubkey`.
            within: the name of the object in them that has it.
            others: whether validators of others may be among them; they stay as they are.

        Raises:
            RequestError: one is of another validator, or has no key.
        """
        for item in items:
            try:
                holder = item[within] if within else item
                key = str(holder["pubkey"])
            except (KeyError, TypeError):
                raise RequestError(502, "a beacon node answers with something else than validators") from None
            share = self.share_of(key)
            if share is not None:
                holder["pubkey"] = share
            elif not others:
                raise RequestError(400, f"{key}: it is no validator of this cluster")
