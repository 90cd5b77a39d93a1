"""How one beacon node is, as far as it says.

Source: beacon API: `GET /eth/v1/node/syncing`, `/eth/v1/node/peer_count`, `/eth/v1/node/version`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from ...process.logs import printable
from ..endpoints import EndpointError
from .answers import decoded, uint64

MOST_VERSION: Final = 100  # letters that are shown


@dataclass(frozen=True)
class NodeHealth:
    """How a node is.

    Attributes:
        problem: why it is of no use now; "" when it is.
        answers: whether it says anything.
        is_fallback: whether it stands behind the others.
        peers: that it is connected with; None where it does not say.
        version: which program it is; "" where it does not say.
    """

    node: str
    problem: str
    head_slot: int = 0
    sync_distance: int = 0
    answers: bool = True
    is_fallback: bool = False
    peers: int | None = None
    version: str = ""


class _Syncing(msgspec.Struct):
    head_slot: str
    sync_distance: str
    is_syncing: bool
    is_optimistic: bool = False
    el_offline: bool = False


class _Peers(msgspec.Struct):
    connected: str


class _Version(msgspec.Struct):
    version: str


class _SyncingAnswer(msgspec.Struct):
    data: _Syncing


class _PeersAnswer(msgspec.Struct):
    data: _Peers


class _VersionAnswer(msgspec.Struct):
    data: _Version


async def health_of(node: str, ask: Callable[[str], Awaitable[bytes]]) -> NodeHealth:
    """Ask a node how it is; what it has of peers and version matters less.

    Args:
        ask: the answer to a path.

    Raises:
        EndpointError, ValueError: it does not say.
    """
    told = decoded(await ask("eth/v1/node/syncing"), _SyncingAnswer).data
    head, distance = uint64("head_slot", told.head_slot), uint64("sync_distance", told.sync_distance)
    problems = {
        "it is syncing": told.is_syncing,
        "its execution node is away": told.el_offline,
        "its execution node is behind": told.is_optimistic,
    }
    problem = "; ".join(words for words, is_so in problems.items() if is_so)
    try:
        peers = uint64("connected", decoded(await ask("eth/v1/node/peer_count"), _PeersAnswer).data.connected)
        version = decoded(await ask("eth/v1/node/version"), _VersionAnswer).data.version
    except (EndpointError, ValueError):
        return NodeHealth(node, problem, head, distance)
    return NodeHealth(node, problem, head, distance, peers=peers, version=printable(version)[:MOST_VERSION])
