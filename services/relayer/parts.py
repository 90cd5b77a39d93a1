"""What the handlers of a relayer share."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from ..process.offload import Workers
from ..settings import RelayerSettings
from .access.vaults import Vaults
from .clusters.served import ServedClusters
from .judging.current_oracles import CurrentOracles
from .judging.pipeline import Pipeline
from .manager.signer import Manager
from .metrics import RelayerMetrics
from .store.engine.database import Database


class KeysWatch(Protocol):
    """What looks which validators are used.

    Attributes:
        is_complete: whether it knows of all; until then one that is used may look unused.
    """

    is_complete: bool


@dataclass(frozen=True)
class RelayerParts:
    """A relayer that runs.

    Attributes:
        manager: signs for vaults; None where there is no key for it.
        workers: parse, check encodings and write answers.
    """

    settings: RelayerSettings
    clusters: ServedClusters
    vaults: Vaults
    oracles: CurrentOracles
    database: Database
    pipeline: Pipeline
    manager: Manager | None
    metrics: RelayerMetrics
    workers: Workers
    watches: Collection[KeysWatch]
