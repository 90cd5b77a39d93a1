"""What the commands on deposits can be told."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from dvtfast.networks import Network

from . import parsing, shared
from .sources import Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class DepositsSettings(Settings):
    """What `dvtfast deposits` can be told."""

    network: Network = shared.network("The network whose deposits are read.")
    deposits_database: Path = setting(
        "--deposits-database",
        parsing.place,
        "The file (SQLite) in which the validators are kept that deposits have made.",
        default="deposits.db",
        metavar="FILE",
    )
    deposit_contract: bytes | None = shared.deposit_contract()
    json: bool = shared.json()

    @property
    def extras(self) -> tuple[str, ...]:
        """What reads the chain."""
        return ("chain",)

    @classmethod
    def load(cls, flags: Mapping[str, Any], environment: Mapping[str, str]) -> Self:
        """With the contract of a chain for tests in the network."""
        settings = super().load(flags, environment)
        contract = settings.deposit_contract
        network = shared.on_test_chain(settings.network, deposit_contract=contract, keeper=None)
        return dataclasses.replace(settings, network=network)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScanSettings(DepositsSettings):
    """What `dvtfast deposits scan` can be told."""

    execution_endpoints: tuple[str, ...] = shared.execution_endpoints("all deposits")
    execution_timeout: float = shared.execution_timeout()
    logs_span_blocks: int | None = shared.logs_span_blocks()
    consensus_endpoints: tuple[str, ...] = shared.consensus_endpoints(
        "the next validator index, too, which must be the same"
    )
    consensus_timeout: float = shared.consensus_timeout()
    genesis_validators: Path | None = shared.genesis_validators()
    allow_plain_http: bool = shared.allow_plain_http()
    threads: int | None = shared.threads()

    def problems(self) -> list[str]:
        """Deposits are somewhere."""
        if self.execution_endpoints:
            return shared.in_the_clear(self)
        return [f"{self.sources()['execution_endpoints'].name}: not set; the deposits are read from it"]
