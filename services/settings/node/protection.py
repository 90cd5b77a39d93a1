"""What `dvtfast slashing-protection` can be told."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from pathlib import Path

from dvtfast.obol import KEY_FILE

from .. import parsing
from ..sources import Settings, setting
from .run import LOCK_FILE, PROTECTION_FILE, data_dir, lock_file, private_key_file, slashing_protection


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

    lock_file: Path | None = lock_file()
    private_key_file: Path | None = private_key_file()
    keep_gaps: bool = setting(
        "--keep-gaps",
        parsing.switch,
        "DANGEROUS: sign what lies between the messages of the file, too, which is right only where it has"
        " all that was ever signed.",
        default="false",
    )

    @property
    def lock_path(self) -> Path:
        """The cluster's lock, which says what this node's key shares are."""
        return self.lock_file or self.data_dir / LOCK_FILE

    @property
    def key_path(self) -> Path:
        """The node's key, by which it is found in the lock."""
        return self.private_key_file or self.data_dir / KEY_FILE
