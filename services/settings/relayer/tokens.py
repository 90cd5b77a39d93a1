"""What the commands on a relayer's tokens can be told."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

from .. import parsing, shared
from ..sources import setting as any_setting
from .database import DatabaseSettings

# What the relayer itself is told, perhaps in the same environment, is no reason to give it to somebody.
setting = partial(any_setting, prefix="DVTFAST_TOKEN_")

ROLE_FIELDS = {
    "sidecar": (("clusters", "share_indices"), ()),
    "operator": ((), ("clusters", "vaults", "all_vaults")),
}
"""What a token of a role needs, and what else it may be bound to."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenListSettings(DatabaseSettings):
    """What `dvtfast relayer token list` can be told."""

    json: bool = shared.json()


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenCreateSettings(DatabaseSettings):
    """What `dvtfast relayer token create` can be told."""

    role: str = setting(
        "--role", parsing.role, "What the token is for.", metavar="|".join(parsing.TOKEN_ROLES)
    )
    clusters: tuple[str, ...] = setting(
        "--cluster",
        parsing.cluster,
        "The cluster of a sidecar's node: the lock hash, or the name that the relayer has for it, which is"
        " 'other' for clusters not named to it; repeatable. For an operator of v3: whose validators it may"
        " ask for.",
        many=True,
        metavar="HASH|NAME",
    )
    share_indices: tuple[int, ...] = setting(
        "--share-index",
        parsing.count,
        "The share index of the sidecar's node in that cluster; repeatable. Of one cluster and several share"
        " indices, or the other way round, each goes with each; otherwise the first with the first.",
        many=True,
        metavar="INDEX",
    )
    vaults: tuple[bytes, ...] = setting(
        "--vault",
        parsing.address,
        "The vault of an operator; repeatable.",
        many=True,
        metavar="ADDRESS",
    )
    all_vaults: bool = setting(
        "--all-vaults", parsing.switch, "An operator of all vaults and clusters.", default="false"
    )
    note: str = setting(
        "--note", parsing.text, "Whose token it is, for people who list tokens.", default="", metavar="TEXT"
    )
    output: Path | None = setting(
        "--output",
        parsing.path,
        "Write the token to a new file that only you may read, instead of printing it.",
        optional=True,
        metavar="FILE",
    )

    @property
    def nodes(self) -> list[tuple[str, int]]:
        """The nodes of a sidecar: cluster and share index."""
        if 1 in (len(self.clusters), len(self.share_indices)):
            return [(cluster, index) for cluster in self.clusters for index in self.share_indices]
        return list(zip(self.clusters, self.share_indices, strict=True))

    def problems(self) -> list[str]:
        """A token is for something, and each role for something else."""
        names = {field: source.name for field, source in self.sources().items()}
        needed, allowed = ROLE_FIELDS.get(self.role, ((), ()))
        problems = [
            f"{names[field]}: not set, but a {self.role} needs it"
            for field in needed
            if not getattr(self, field)
        ]
        problems += [
            f"{names[field]}: not for the role {self.role}"
            for field in ("clusters", "share_indices", "vaults", "all_vaults")
            if self.role and getattr(self, field) and field not in (*needed, *allowed)
        ]
        counts = {len(self.clusters), len(self.share_indices)}
        if self.role == "sidecar" and not problems and 1 not in counts and len(counts) > 1:
            problems.append(f"{names['share_indices']}: expected one, or one for each {names['clusters']}")
        if self.role == "operator" and self.all_vaults == bool(self.vaults or self.clusters):
            which = f"{names['vaults']}, {names['clusters']} or {names['all_vaults']}"
            problems.append(f"an operator is of some vaults or clusters, or of all: set {which}")
        return problems
