"""How much a validator gets, and what stays in the vault."""

from __future__ import annotations

from typing import Any

from dvtfast.constants import GWEI_PER_VALIDATOR, MAX_GWEI_PER_VALIDATOR
from dvtfast.networks import NETWORKS

from ...chain import units
from .. import parsing
from ..sources import Settings, setting


def max_balance() -> Any:
    """How much a validator gets at most."""
    return setting(
        "--max-validator-balance-gwei",
        parsing.count,
        "How much a validator of type 0x02 gets at most, in gwei as the beacon chain counts; when not set, "
        + units.stake_on_each((each, each.max_validator_balance_gwei) for each in NETWORKS.values())
        + ".",
        optional=True,
        also=["MAX_VALIDATOR_BALANCE_GWEI"],
        metavar="GWEI",
    )


def vault_min_balance() -> Any:
    """What stays."""
    return setting(
        "--vault-min-balance-gwei",
        parsing.integer,
        "Leave so much in the vault, in gwei of what it holds: 10^9 to one, whatever the beacon chain"
        " counts.",
        default="0",
        also=["VAULT_MIN_BALANCE_GWEI"],
        metavar="GWEI",
    )


def wrong_balance(settings: Settings, most: int | None) -> list[str]:
    """Why no validator can have so much at most, gwei; none: it can."""
    if most is None or GWEI_PER_VALIDATOR <= most <= MAX_GWEI_PER_VALIDATOR:
        return []
    name = settings.sources()["max_validator_balance_gwei"].name
    return [f"{name}: expected {GWEI_PER_VALIDATOR}..{MAX_GWEI_PER_VALIDATOR}, got {most}"]
