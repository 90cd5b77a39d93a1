"""What commands can be told that ask the oracles: register, run, rotate; and collect, which only reads."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.networks import NETWORKS

from ...chain import units
from ...chain.contracts.manager_messages import COMPOUNDING, ETH1_ADDRESS
from ...files import paths
from .. import parsing, shared
from ..relayer_client import RelayerClientSettings
from ..sources import setting
from .balances import max_balance, vault_min_balance, wrong_balance
from .sending import ActionSettings

THEIR_METRICS_PORT = "9100"  # of StakeWise's operator


def oracle_timeout(*variables: str) -> Any:
    """How patient it is with an oracle."""
    return setting(
        "--oracle-timeout",
        parsing.seconds,
        "How long one replica of an oracle may take.",
        default="10",
        also=variables,
    )


def _collect_seconds(default: str) -> Any:
    return setting(
        "--collect-seconds",
        parsing.seconds,
        "How long a rotation of exits waits for the relayer's nodes to sign those that it does not have.",
        default=default,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CollectSettings(RelayerClientSettings):
    """What `dvtfast operator collect` can be told."""

    command = "operator collect"

    relayer: str = setting("--relayer", parsing.url, "The address of the relayer.", also=["RELAYER_ENDPOINT"])
    deposit_data: Path = setting(
        "--deposit-data", parsing.file, "The launchpad deposit data of the validators."
    )
    vault: bytes | None = setting(
        "--vault",
        parsing.address,
        "The vault that the deposits are for; when not set, it is the first one's.",
        optional=True,
        also=["VAULT"],
        metavar="ADDRESS",
    )
    oracles: Path | None = setting(
        "--oracles",
        parsing.file,
        "The protocol config; with it the number of oracle shares is checked.",
        optional=True,
    )
    start_index: int | None = setting(
        "--start-index",
        parsing.validator_index,
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
        "Leave out records of the deposit data that are wrong, or for another vault, instead of stopping.",
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
        if problem := paths.no_place(self.output):
            problems.append(f"{self.sources()['output'].name}: {problem}")
        return problems


@dataclasses.dataclass(frozen=True, kw_only=True)
class OracleSettings(ActionSettings):
    """What commands can be told that ask the oracles."""

    oracles: Path | None = setting(
        "--oracles",
        parsing.file,
        "The protocol config (JSON). Without it, the config is the one that the Keeper announces on chain.",
        optional=True,
    )
    oracle_timeout: float = oracle_timeout()

    def problems(self) -> list[str]:
        """Who the oracles are."""
        problems = super().problems()
        if self.oracles is None and not self.ipfs_gateways:
            names = {field: source.name for field, source in self.sources().items()}
            problems.append(f"no oracle config; set {names['oracles']} or {names['ipfs_gateways']}")
        return problems


@dataclasses.dataclass(frozen=True, kw_only=True)
class IndexSettings(OracleSettings):
    """What commands can be told that must know the indices of validators."""

    consensus_endpoints: tuple[str, ...] = shared.consensus_endpoints("which validator has which index")
    consensus_timeout: float = shared.consensus_timeout()
    deposits_database: Path | None = shared.deposits_database("which give the indices of validators")
    genesis_validators: Path | None = shared.genesis_validators()
    threads: int | None = shared.threads()


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegisterSettings(IndexSettings):
    """What `dvtfast operator register` can be told."""

    command = "operator register"
    oracle_timeout: float = oracle_timeout("ORACLES_VALIDATORS_TIMEOUT")

    deposit_data: Path | None = setting(
        "--deposit-data",
        parsing.file,
        "The vault's deposit data (v3): register its next validators. Without it the relayer picks them"
        " (v4).",
        optional=True,
    )
    validator_type: int | None = setting(
        "--validator-type",
        parsing.credentials_type,
        "The type of withdrawal credentials: with 0x01 each validator has"
        f" {units.stake_on_each((each, GWEI_PER_VALIDATOR) for each in NETWORKS.values())}; 0x02 compounds."
        " When not set, 0x02, and 0x01 with --deposit-data.",
        optional=True,
        also=["VALIDATOR_TYPE"],
        metavar="0x01|0x02",
    )
    max_validator_balance_gwei: int | None = max_balance()
    vault_min_balance_gwei: int = vault_min_balance()
    max_batch: int | None = setting(
        "--max-batch",
        parsing.count,
        "Validators in one batch at most; as many as the oracles approve of at once when not set.",
        optional=True,
        metavar="N",
    )
    start_index: int | None = setting(
        "--start-index",
        parsing.validator_index,
        "The validator index that the next validator will get, where it is known better than from the"
        " nodes; off by one, the exits are worthless.",
        optional=True,
        metavar="INDEX",
    )

    @property
    def credentials_type(self) -> int:
        """The first byte of the withdrawal credentials."""
        if self.validator_type is not None:
            return self.validator_type
        return COMPOUNDING if self.deposit_data is None else ETH1_ADDRESS

    def problems(self) -> list[str]:
        """What needs what else."""
        names = {field: source.name for field, source in self.sources().items()}
        problems = super().problems()
        sources = ("start_index", "deposits_database", "consensus_endpoints")
        if all(getattr(self, field) in (None, ()) for field in sources):
            wanted = ", ".join(names[field] for field in sources)
            problems.append(f"no next validator index; set at least one of {wanted}")
        if self.deposit_data is not None and self.validator_type not in (None, ETH1_ADDRESS):
            problems.append(f"{names['validator_type']}: expected 0x01 with {names['deposit_data']}")
        return problems + wrong_balance(self, self.max_validator_balance_gwei)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings(RegisterSettings):
    """What `dvtfast operator run` can be told."""

    command = "operator run"
    also_read = RegisterSettings.also_read | {"ENABLE_METRICS"}
    oracle_timeout: float = oracle_timeout("ORACLES_VALIDATORS_TIMEOUT", "ORACLES_EXITS_TIMEOUT")

    interval: float = setting(
        "--interval",
        parsing.seconds,
        "The pause between two looks at what the vault has.",
        default="60",
    )
    rotation_interval: float = setting(
        "--rotation-interval",
        parsing.seconds,
        "The pause between two looks whether the oracles of today hold the vault's exits.",
        default="600",
    )
    collect_seconds: float = _collect_seconds("30")
    metrics_port: int | None = shared.metrics_port("METRICS_PORT")
    metrics_host: str = shared.metrics_host("METRICS_HOST")

    @classmethod
    def translated(cls, flags: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
        """With metrics where StakeWise's operator has them, which serves them only with ENABLE_METRICS."""
        translated = super().translated(flags, environment)
        try:
            are_served = parsing.switch(translated.get("ENABLE_METRICS", "").strip() or "false")
        except ValueError as error:
            raise ValueError(f"ENABLE_METRICS: {error}") from None
        if not are_served:
            translated.pop("METRICS_PORT", None)
        elif not translated.get("METRICS_PORT", "").strip():
            translated["METRICS_PORT"] = THEIR_METRICS_PORT
        return translated

    def problems(self) -> list[str]:
        """An index that is given is right once."""
        problems = super().problems()
        if self.start_index is not None:
            name = self.sources()["start_index"].name
            problems.append(f"{name}: it changes with each deposit; leave it to the nodes")
        if self.dry_run:
            problems.append(f"{self.sources()['dry_run'].name}: expected with `dvtfast operator register`")
        return problems


@dataclasses.dataclass(frozen=True, kw_only=True)
class RotateExitsSettings(IndexSettings):
    """What `dvtfast operator rotate` can be told."""

    command = "operator rotate"
    oracle_timeout: float = oracle_timeout("ORACLES_EXITS_TIMEOUT")

    validators_file: Path | None = setting(
        "--validators-file",
        parsing.file,
        "Which key has which index, where that is known better than from the nodes: a CSV or JSON file with"
        " validator_index and public_key.",
        optional=True,
    )
    collect_seconds: float = _collect_seconds("600")

    def problems(self) -> list[str]:
        """Who knows the indices."""
        problems = super().problems()
        sources = ("validators_file", "deposits_database", "consensus_endpoints")
        if all(getattr(self, field) in (None, ()) for field in sources):
            wanted = ", ".join(self.sources()[field].name for field in sources)
            problems.append(f"nobody tells which validator has which index; set at least one of {wanted}")
        return problems
