"""What the operator can be told."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from pathlib import Path

from .. import parsing
from .client import RelayerClientSettings
from .sources import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class OperatorSettings(RelayerClientSettings):
    """What `dvtfast operator register` can be told."""

    relayer: str = setting("--relayer", parsing.url, "The address of the relayer.", also=["RELAYER_ENDPOINT"])
    deposit_data: Path = setting(
        "--deposit-data", parsing.file, "The launchpad deposit data of the validators."
    )
    oracles: Path | None = setting(
        "--oracles",
        parsing.file,
        "The protocol config; with it the number of oracle shares is checked.",
        optional=True,
    )
    start_index: int | None = setting(
        "--start-index",
        parsing.integer,
        "The validator index that the first validator of the file will get.",
        optional=True,
        metavar="INDEX",
    )
    output: Path = setting(
        "--output",
        parsing.path,
        "Where the registration bundle is written.",
        default="registration.json",
        metavar="FILE",
    )
    chunk_size: int = setting(
        "--chunk-size", parsing.count, "Validators per request to the relayer.", default="250", metavar="N"
    )
    skip_invalid: bool = setting(
        "--skip-invalid",
        parsing.switch,
        "Leave out records of the deposit data that are wrong, instead of stopping.",
        default="false",
    )
    timeout_seconds: float = setting(
        "--timeout-seconds", parsing.seconds, "Give up when it takes longer than this.", default="3600"
    )

    @property
    def addresses(self) -> tuple[str, ...]:
        """The one relayer."""
        return (self.relayer,) if self.relayer else ()

    def problems(self) -> list[str]:
        """The output must have a place, which is better known before the round than after it."""
        problems = super().problems()
        if not self.output.resolve().parent.is_dir():
            problems.append(f"{self.sources()['output'].name}: no such directory: {self.output.parent}")
        return problems
