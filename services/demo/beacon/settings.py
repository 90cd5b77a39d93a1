"""What the chain can be told."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from pathlib import Path

from dvtfast.constants import PUBLIC_KEY_BYTES

from ...chain.encoding import read_data
from ...settings import parsing
from ...settings.sources import Settings, setting

FORK_VERSION_BYTES = 4


def fork_version(value: str) -> bytes:
    """Four bytes of hex."""
    return read_data(value, width=FORK_VERSION_BYTES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoBeaconSettings(Settings):
    """What the chain can be told."""

    validators: Path = setting(
        "--validators", parsing.file, "The public keys of the chain's validators, one a line, in 0x and hex."
    )
    preset: str = setting(
        "--preset", parsing.text, "minimal, or mainnet as charon knows it.", default="minimal",
        metavar="PRESET",
    )  # fmt: skip
    nodes: int = setting(
        "--beacon-nodes", parsing.count, "How many beacon nodes are before the chain.", default="1",
        metavar="COUNT",
    )  # fmt: skip
    port: int = setting(
        "--beacon-port", parsing.port,
        "The port on loopback of the first node; the others follow. 0 takes any free ones and logs them.",
        default="0",
    )  # fmt: skip
    genesis_time: int = setting(
        "--genesis-time", parsing.integer, "Unix seconds of slot 0.", default="1700000000", metavar="SECONDS"
    )
    seconds_per_slot: int = setting(
        "--seconds-per-slot", parsing.count, "How long a slot takes.", default="6", metavar="SECONDS"
    )
    by_hand: bool = setting(
        "--by-hand", parsing.switch, "Slots go on by POST /dvtfast/clock only.", default="false"
    )
    genesis_fork_version: bytes = setting(
        "--genesis-fork-version", fork_version, "The fork version of genesis; others are made from it.",
        default="0x10000910", metavar="HEX",
    )  # fmt: skip
    chain_id: int = setting(
        "--chain-id", parsing.count, "The chain of the deposits.", default="560048", metavar="NUMBER"
    )


def read_validators(path: Path) -> list[bytes]:
    """The public keys in a file.

    Raises:
        ValueError: there are none, or one is there twice.
    """
    keys = []
    for number, line in enumerate(path.read_text().split(), 1):
        try:
            keys.append(read_data(line, width=PUBLIC_KEY_BYTES))
        except ValueError as error:
            raise ValueError(f"{path}: key {number}: {error}") from None
    if not keys or len(set(keys)) != len(keys):
        raise ValueError(f"{path}: expected public keys, each once")
    return keys
