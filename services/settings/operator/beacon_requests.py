"""What commands can be told that ask the beacon chain for something: fund, withdraw, consolidate."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from .. import orders, parsing, shared
from ..sources import Settings, setting
from .balances import max_balance, vault_min_balance, wrong_balance
from .oracles import OracleSettings, oracle_timeout
from .sending import ActionSettings

SUCH_AS = "such as 0x8f...=1.5eth, 0x8f...=0.5gno, or 0x8f...=1500000000gwei as the beacon chain counts"


def _validators_file(columns: str) -> Any:
    return setting(
        "--validators-file",
        parsing.file,
        f"The same in a CSV or JSON file, with public_key and {columns}.",
        optional=True,
    )


def _again() -> Any:
    return setting(
        "--again",
        parsing.switch,
        "Do what the journal says was done during the last day, once more.",
        default="false",
    )


def _max_request_fee(variable: str) -> Any:
    return setting(
        "--max-request-fee-gwei",
        parsing.gwei,
        "The most that is paid for one request to the beacon chain, beside gas; while it costs more nothing"
        " is sent.",
        default="1000",
        also=[variable],
        metavar="GWEI",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RequestSettings(ActionSettings):
    """What every command can be told that asks the beacon chain for something, which does not say no."""

    consensus_endpoints: tuple[str, ...] = shared.consensus_endpoints(
        "what the beacon chain would pass over in silence, which is refused, and whether it did the rest"
    )
    consensus_timeout: float = shared.consensus_timeout()
    again: bool = _again()

    def problems(self) -> list[str]:
        """Somebody who knows the beacon chain."""
        if self.consensus_endpoints:
            return super().problems()
        name = self.sources()["consensus_endpoints"].name
        why = "without a beacon node nobody can say whether the beacon chain would do it"
        return [*super().problems(), f"{name}: not set: {why}"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FundSettings(RequestSettings):
    """What `dvtfast operator fund` can be told."""

    command = "operator fund"

    validators: tuple[orders.AmountOrder, ...] = setting(
        "--validator",
        orders.amount,
        f"A validator to top up, and with how much, {SUCH_AS}; repeatable.",
        many=True,
        metavar="KEY=AMOUNT",
    )
    validators_file: Path | None = _validators_file("amount_gwei, amount_eth or amount_gno")
    vault_min_balance_gwei: int = vault_min_balance()
    max_validator_balance_gwei: int | None = max_balance()

    def problems(self) -> list[str]:
        """Somebody to top up."""
        problems = super().problems() + _one_of_two(self, "validators", "validators_file")
        return problems + _wrong_units(self) + wrong_balance(self, self.max_validator_balance_gwei)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithdrawSettings(RequestSettings):
    """What `dvtfast operator withdraw` can be told."""

    command = "operator withdraw"

    validators: tuple[orders.AmountOrder, ...] = setting(
        "--validator",
        orders.amount_or_all,
        f"A validator to withdraw from, and how much, {SUCH_AS}; with --exit the key alone; repeatable.",
        many=True,
        metavar="KEY[=AMOUNT]",
    )
    validators_file: Path | None = _validators_file("amount_gwei, amount_eth or amount_gno, none with --exit")
    exit: bool = setting(
        "--exit",
        parsing.switch,
        "Exit the validators for good, with everything they have. It cannot be undone.",
        default="false",
    )
    max_request_fee_gwei: float = _max_request_fee("MAX_WITHDRAWAL_REQUEST_FEE_GWEI")

    def problems(self) -> list[str]:
        """Somebody to withdraw from, and whether they exit."""
        problems = super().problems() + _one_of_two(self, "validators", "validators_file")
        names = {field: source.name for field, source in self.sources().items()}
        for each in self.validators:
            if self.exit != (each.gwei is None):
                problems.append(f"{names['validators']}: {each.shown}: {orders.exit_or_amount(self.exit)}")
        return problems + _wrong_units(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConsolidateSettings(RequestSettings, OracleSettings):
    """What `dvtfast operator consolidate` can be told."""

    command = "operator consolidate"
    oracle_timeout: float = oracle_timeout("ORACLES_CONSOLIDATION_TIMEOUT")

    pairs: tuple[orders.ConsolidationOrder, ...] = setting(
        "--pair",
        orders.pair,
        "A validator, and the one that gets all its stake; the same key twice makes a validator compound;"
        " repeatable.",
        many=True,
        metavar="SOURCE=TARGET",
    )
    pairs_file: Path | None = setting(
        "--pairs-file",
        parsing.file,
        "The same in a CSV or JSON file, with source_public_key and target_public_key.",
        optional=True,
    )
    max_request_fee_gwei: float = _max_request_fee("MAX_CONSOLIDATION_REQUEST_FEE_GWEI")
    max_validator_balance_gwei: int | None = max_balance()
    consolidations_checker: bytes | None = setting(
        "--consolidations-checker",
        parsing.address,
        "The ConsolidationsChecker; the network's when not set.",
        optional=True,
        metavar="ADDRESS",
    )

    def problems(self) -> list[str]:
        """Something to consolidate."""
        problems = super().problems() + _one_of_two(self, "pairs", "pairs_file")
        return problems + wrong_balance(self, self.max_validator_balance_gwei)


def _wrong_units(settings: FundSettings | WithdrawSettings) -> list[str]:
    network, name = settings.network, settings.sources()["validators"].name
    return [
        f"{name}: {each.shown}: {orders.wrong_unit(each, network)}"
        for each in settings.validators
        if network is not None and not orders.fits(each, network)
    ]


def _one_of_two(settings: Settings, *fields: str) -> list[str]:
    names = [settings.sources()[field].name for field in fields]
    given = sum(bool(getattr(settings, field)) for field in fields)
    return [] if given == 1 else [f"expected one of {' and '.join(names)}, got {'both' if given else 'none'}"]
