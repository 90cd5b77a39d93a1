"""What the commands on keystores and cluster locks can be told."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
import unicodedata
from pathlib import Path

from dvtfast import FileError
from dvtfast.files import read_text
from dvtfast.keystores import MAX_PBKDF2_COUNT, MAX_SCRYPT_WORK, SCRYPT_DEFAULT, Kdf, Pbkdf2, Scrypt

from . import parsing, shared
from .sources import Settings, SettingsError, setting

PASSWORD_FILE_BYTES = 4096
SHORTEST_PASSWORD = 8  # staking-deposit-cli takes no shorter one
LARGEST_SCRYPT = MAX_SCRYPT_WORK // SCRYPT_DEFAULT.r  # what keystores are read with


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterVerifySettings(Settings):
    """What `dvtfast cluster verify` can be told."""

    threads: int | None = shared.threads()
    json: bool = shared.json()


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeysSettings(Settings):
    """What every `dvtfast keys` command can be told."""

    cluster_lock: Path | None = setting(
        "--cluster-lock",
        parsing.file,
        "The cluster-lock.json of the node: whose key shares the keystores are.",
        optional=True,
        also=["OBOL_CLUSTER_LOCK_FILE"],
    )
    no_verify: bool = shared.no_verify()
    threads: int | None = shared.threads()


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeyCacheSettings(KeysSettings):
    """What `dvtfast keys import` can be told."""

    key_cache: Path | None = shared.key_cache()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListSettings(KeyCacheSettings):
    """What `dvtfast keys list` can be told."""

    json: bool = shared.json()


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifySettings(KeysSettings):
    """What `dvtfast keys verify` can be told."""

    json: bool = shared.json()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportSettings(KeyCacheSettings):
    """What `dvtfast keys export` can be told."""

    function: str = setting(
        "--kdf",
        parsing.kdf,
        "How keys are derived from passwords.",
        default="pbkdf2",
        metavar="pbkdf2|scrypt",
    )
    cost: int = setting(
        "--cost",
        parsing.integer,
        "Rounds of pbkdf2 or n of scrypt; others refuse keystores with less than the default.",
        default="262144",
        metavar="N",
    )
    password_file: Path | None = setting(
        "--password-file",
        parsing.file,
        "One password for all keystores, its line ends left out; it is not copied. Without it each keystore"
        " gets a password of its own, in a file next to it.",
        optional=True,
    )

    def kdf(self) -> Kdf:
        """As the keystores will have it."""
        return Scrypt(n=self.cost) if self.function == Scrypt.function else Pbkdf2(count=self.cost)

    def password(self) -> str | None:
        """The one given.

        Raises:
            SettingsError: the file is unreadable, or the password shorter than any should be, or none that a
                person can type.
        """
        if self.password_file is None:
            return None
        name = self.sources()["password_file"].name
        try:
            password = read_text(self.password_file, limit_bytes=PASSWORD_FILE_BYTES).rstrip("\r\n")
        except FileError as error:
            raise SettingsError([f"{name}: {error}"]) from None
        if len(password) < SHORTEST_PASSWORD:
            raise SettingsError([f"{name}: expected at least {SHORTEST_PASSWORD} characters"])
        if password != password.strip() or any(unicodedata.category(letter) == "Cc" for letter in password):
            raise SettingsError(
                [
                    f"{name}: expected a password in one line, without tabs or white space around it, which"
                    " other programs leave out when it is typed"
                ]
            )
        return password

    def problems(self) -> list[str]:
        """A cost that is no less than what others take."""
        name = self.sources()["cost"].name
        if self.cost < SCRYPT_DEFAULT.n:
            return [f"{name}: expected at least {SCRYPT_DEFAULT.n}, got {self.cost}"]
        if self.function == Scrypt.function and (self.cost & (self.cost - 1) or self.cost > LARGEST_SCRYPT):
            return [f"{name}: expected a power of two of at most {LARGEST_SCRYPT}, got {self.cost}"]
        if self.cost > MAX_PBKDF2_COUNT:
            return [f"{name}: expected at most {MAX_PBKDF2_COUNT}, got {self.cost}"]
        return []
