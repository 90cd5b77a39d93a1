"""What `dvtfast slashing-protection` can be told."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from pathlib import Path

from .. import parsing
from ..sources import Settings, setting
from .run import PROTECTION_FILE, data_dir, slashing_protection


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProtectionSettings(Settings):
    """Which file is meant."""

    data_dir: Path = data_dir()
    slashing_protection: Path | None = slashing_protection()

    @property
    def protection_path(self) -> Path:
        """The file."""
        return self.slashing_protection or self.data_dir / PROTECTION_FILE


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportSettings(ProtectionSettings):
    """What `dvtfast slashing-protection import` can be told."""

    keep_gaps: bool = setting(
        "--keep-gaps",
        parsing.switch,
        "DANGEROUS: sign what lies between the messages of the file, too, which is right only where it has"
        " all that was ever signed.",
        default="false",
    )
