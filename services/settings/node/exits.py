"""What `dvtfast exit` can be told, by charon's names where it means the same."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from dvtfast.obol import KEY_FILE

from .. import parsing, shared
from ..charon import CharonSettings, charon
from ..sources import setting
from . import texts
from .run import EXITS_FILE, LOCK_FILE, NodeSettings, chain_problems, data_dir, exits


def _as_the_node(field: str) -> Any:
    """The same setting as `dvtfast node` has."""
    return dataclasses.field(metadata=NodeSettings.__dataclass_fields__[field].metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExitSettings(CharonSettings):
    """Whose exits are meant."""

    command = "node"

    data_dir: Path = data_dir()
    lock_file: Path | None = _as_the_node("lock_file")
    private_key_file: Path | None = _as_the_node("private_key_file")
    no_verify: bool = _as_the_node("no_verify")
    exits: Path | None = exits()

    @property
    def lock_path(self) -> Path:
        """The cluster's lock."""
        return self.lock_file or self.data_dir / LOCK_FILE

    @property
    def key_path(self) -> Path:
        """The node's key."""
        return self.private_key_file or self.data_dir / KEY_FILE

    @property
    def exits_path(self) -> Path:
        """What became of exits."""
        return self.exits or self.data_dir / EXITS_FILE


@dataclasses.dataclass(frozen=True, kw_only=True)
class SomeExitSettings(ExitSettings):
    """Of which validators."""

    validators: tuple[bytes, ...] = charon(
        "--validator-public-key",
        texts.public_key,
        "A validator of the cluster; repeatable.",
        many=True,
        metavar="HEX,...",
    )
    all: bool = charon("--all", parsing.switch, "All validators of the cluster.", default="false")

    def problems(self) -> list[str]:
        """Some, or all of them."""
        found = super().problems()
        if bool(self.validators) == self.all:
            names = {field: source.name for field, source in self.sources().items()}
            found.append(f"{names['validators']}, {names['all']}: expected one of them")
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExitSignSettings(SomeExitSettings):
    """What `dvtfast exit sign` can be told."""

    exit_epoch: int | None = charon(
        "--exit-epoch",
        parsing.integer,
        "From which epoch on the exits count, the same at all nodes; that of the network's Capella fork when"
        " not set, which is long ago: on mainnet 194048, as charon's.",
        optional=True,
        metavar="EPOCH",
    )
    publish: bool = setting(
        "--publish",
        parsing.switch,
        "Send the exits as soon as the cluster has signed them and the beacon chain takes them.",
        default="false",
    )
    replace: bool = setting(
        "--replace",
        parsing.switch,
        "Sign also where an exit of another epoch was ordered before, which stays valid.",
        default="false",
    )
    yes: bool = setting("--yes", parsing.switch, "Do not ask whether that is meant.", default="false")
    json: bool = shared.json()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExitCancelSettings(SomeExitSettings):
    """What `dvtfast exit cancel` can be told."""

    json: bool = shared.json()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExitExportSettings(SomeExitSettings):
    """What `dvtfast exit export` can be told."""

    json: bool = shared.json()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExitChainSettings(ExitSettings):
    """On which chain they are."""

    beacon_nodes: tuple[str, ...] = _as_the_node("beacon_nodes")
    fallback_beacon_nodes: tuple[str, ...] = _as_the_node("fallback_beacon_nodes")
    beacon_node_timeout: float = _as_the_node("beacon_node_timeout")
    beacon_node_submit_timeout: float = _as_the_node("beacon_node_submit_timeout")
    testnet_name: str | None = _as_the_node("testnet_name")
    testnet_chain_id: int | None = _as_the_node("testnet_chain_id")
    testnet_fork_version: bytes | None = _as_the_node("testnet_fork_version")
    testnet_genesis_timestamp: int | None = _as_the_node("testnet_genesis_timestamp")
    testnet_capella_hard_fork: bytes | None = _as_the_node("testnet_capella_hard_fork")

    def problems(self) -> list[str]:
        """What does not go together."""
        return [*super().problems(), *chain_problems(self)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExitListSettings(ExitChainSettings):
    """What `dvtfast exit list` can be told."""

    json: bool = shared.json()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExitBroadcastSettings(ExitChainSettings, SomeExitSettings):
    """What `dvtfast exit broadcast` can be told."""

    yes: bool = setting("--yes", parsing.switch, "Do not ask whether that is meant.", default="false")
    json: bool = shared.json()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExitImportSettings(ExitChainSettings):
    """What `dvtfast exit import` can be told."""

    json: bool = shared.json()
