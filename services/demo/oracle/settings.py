"""What an oracle can be told."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from pathlib import Path

from dvtfast.networks import Network

from ...settings import parsing, shared
from ...settings.sources import Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoOracleSettings(Settings):
    """What an oracle can be told; the protocol config says the rest."""

    network: Network = shared.network("The network whose constants are used.")
    config: Path = setting(
        "--oracles", parsing.file, "The protocol config (JSON); read anew for each request."
    )
    key_file: Path = setting(
        "--oracle-key-file", parsing.file, "The file with the oracle's secp256k1 secret, 64 hex digits."
    )
    execution_endpoints: tuple[str, ...] = shared.execution_endpoints("all that is checked against the chain")
    execution_timeout: float = shared.execution_timeout()
    first_block: int = setting(
        "--first-block", parsing.integer, "The first block to look at.", default="0", metavar="BLOCK"
    )
    deposit_contract: bytes = setting(
        "--deposit-contract", parsing.address, "The deposit contract.", metavar="ADDRESS"
    )
    keeper: bytes = setting("--keeper", parsing.address, "The Keeper.", metavar="ADDRESS")
    registry: bytes = setting(
        "--deposit-data-registry", parsing.address, "The DepositDataRegistry.", metavar="ADDRESS"
    )
    uploads: Path | None = setting(
        "--uploads", parsing.path, "The directory for what would go to IPFS; nowhere when not set.",
        optional=True, metavar="DIR",
    )  # fmt: skip
    port: int = setting(
        "--oracle-port", parsing.port, "The port on loopback to listen on; 0 takes any free one and logs it.",
        default="0",
    )  # fmt: skip

    def problems(self) -> list[str]:
        """There must be a node."""
        if self.execution_endpoints:
            return []
        return [f"{self.sources()['execution_endpoints'].name}: not set"]
