"""What the commands on a relayer's database can be told."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from pathlib import Path

from .. import parsing, shared
from ..sources import Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatabaseSettings(Settings):
    """What every command on a relayer's database can be told."""

    database: str = shared.database()


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncryptSettings(DatabaseSettings):
    """What `dvtfast relayer encrypt-storage` can be told."""

    storage_key_file: Path = shared.storage_key_file(optional=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RotateSettings(EncryptSettings):
    """What `dvtfast relayer rotate-storage-key` can be told."""

    new_storage_key_file: Path = setting(
        "--new-storage-key-file", parsing.file, "The key that takes the place of --storage-key-file."
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForgetSettings(DatabaseSettings):
    """What `dvtfast relayer forget` can be told."""

    file: Path | None = setting(
        "--file", parsing.file, "Forget the public keys in this file, one a line.", optional=True
    )
    all_expired: bool = setting(
        "--all-expired",
        parsing.switch,
        "Forget all validators that nobody asked for during --validator-lifetime.",
        default="false",
    )
    with_handed_out: bool = setting(
        "--with-handed-out",
        parsing.switch,
        "With --all-expired: also those whose shares were handed out, which the relayer never forgets by"
        " itself.",
        default="false",
    )
    validator_lifetime: float = shared.validator_lifetime()
    yes: bool = setting("--yes", parsing.switch, "Do not ask whether that is meant.", default="false")
