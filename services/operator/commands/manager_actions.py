"""`dvtfast operator fund`, `withdraw` and `consolidate`: one transaction each, by the relayer's manager."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeAlias

from ...chain.units import WEI_PER_GWEI
from ...settings import ConsolidateSettings, FundSettings, SettingsError, WithdrawSettings, orders
from ...settings.chain_clients import beacon_client
from ...settings.orders import AmountOrder
from ...wire import PublicKey
from ..managing.outcomes import OutcomeWatch
from ..managing.plan import ManagerPlan, amount_details, pair_details
from ..managing.planner import ONE_SWITCH, ManagerLimits, ManagerPlanner
from ..oracles.client import OracleClient
from ..plan import NothingToDoError
from ..progress import ProgressReport
from ..sending.action import Action, ActionKind, Outcome
from ..sending.journal import Journal
from . import executor
from .executor import Task
from .order_files import read_amounts, read_pairs
from .parts import open_parts, poll_seconds

AGAIN_SECONDS: Final = 86_400  # during which the same once more is thought to be a mistake

ManagerSettings: TypeAlias = FundSettings | WithdrawSettings | ConsolidateSettings


def fund(settings: FundSettings) -> int:
    """Top validators up; the exit code."""
    return executor.run(settings, partial(fund_task, settings))


def withdraw(settings: WithdrawSettings) -> int:
    """Withdraw from validators, or exit them; the exit code."""
    return executor.run(settings, partial(withdraw_task, settings))


def consolidate(settings: ConsolidateSettings) -> int:
    """Consolidate validators; the exit code."""
    return executor.run(settings, partial(consolidate_task, settings))


@asynccontextmanager
async def fund_task(settings: FundSettings, report: ProgressReport) -> AsyncIterator[Task]:
    """The task of `fund`, inside the block; raises as `open_parts`."""
    wanted = await asyncio.to_thread(_amounts, settings)
    limits = ManagerLimits(
        settings.max_validator_balance_gwei, reserve_wei=settings.vault_min_balance_gwei * WEI_PER_GWEI
    )
    details = {"amounts": amount_details(wanted)}
    async with _task(
        settings, report, limits, ActionKind.FUND, details, lambda each: each.fund(wanted)
    ) as task:
        yield task


@asynccontextmanager
async def withdraw_task(settings: WithdrawSettings, report: ProgressReport) -> AsyncIterator[Task]:
    """The task of `withdraw`, inside the block; raises as `open_parts`."""
    wanted = await asyncio.to_thread(_amounts, settings)
    limits = ManagerLimits(max_request_fee_wei=_max_fee_wei(settings))
    details = {"amounts": amount_details(wanted)}
    async with _task(
        settings, report, limits, ActionKind.WITHDRAW, details, lambda each: each.withdraw(wanted)
    ) as task:
        yield task


@asynccontextmanager
async def consolidate_task(settings: ConsolidateSettings, report: ProgressReport) -> AsyncIterator[Task]:
    """The task of `consolidate`, inside the block; raises as `open_parts`."""
    pairs = list(settings.pairs)
    if settings.pairs_file is not None:
        pairs = await asyncio.to_thread(read_pairs, settings.pairs_file)
    _require_once([pair.source for pair in pairs])
    if len(pairs) > 1 and any(pair.is_switch for pair in pairs):
        raise SettingsError([ONE_SWITCH])
    limits = ManagerLimits(settings.max_validator_balance_gwei, max_request_fee_wei=_max_fee_wei(settings))
    details = {"pairs": pair_details(pairs)}
    async with OracleClient(timeout_seconds=settings.oracle_timeout) as oracle_client:

        def consolidated(planner: ManagerPlanner) -> Awaitable[ManagerPlan]:
            return planner.consolidate(pairs, oracle_client, settings.consolidations_checker)

        async with _task(settings, report, limits, ActionKind.CONSOLIDATE, details, consolidated) as task:
            yield task


@asynccontextmanager
async def _task(
    settings: ManagerSettings,
    report: ProgressReport,
    limits: ManagerLimits,
    kind: ActionKind,
    details: Mapping[str, Any],
    make: Callable[[ManagerPlanner], Awaitable[ManagerPlan]],
) -> AsyncIterator[Task]:
    """The task of one request.

    Args:
        details: by which an action of the journal is the same.
    """
    beacon = beacon_client(settings, settings.on_chain(settings.network))
    assert beacon is not None  # the settings see to it
    async with open_parts(settings, report) as parts, beacon:
        chain, journal = parts.chain, parts.journal
        planner = ManagerPlanner(chain, parts.relayer, beacon, settings.vault, limits, report)
        watch = OutcomeWatch(beacon, chain, journal, poll_seconds(chain.network), report)
        is_same = partial(_is_same, kind, settings.vault, details)

        async def prepare() -> ManagerPlan:
            if not settings.again:
                await _require_new(journal, is_same, watch)
            return await make(planner)

        yield Task(chain, parts.sender, prepare, report, is_same, watch.look)


def _max_fee_wei(settings: WithdrawSettings | ConsolidateSettings) -> int:
    return round(settings.max_request_fee_gwei * WEI_PER_GWEI)


async def _require_new(journal: Journal, is_same: Callable[[Action], bool], watch: OutcomeWatch) -> None:
    """Refuse what the journal says was just done, which whoever starts a program twice does not mean."""
    for entry in await journal.entries():
        if time.time() - entry.at > AGAIN_SECONDS:
            return
        if entry.outcome not in (Outcome.SUBMITTED, Outcome.DONE) or not is_same(entry.action):
            continue
        if entry.outcome is Outcome.SUBMITTED:
            entry = await watch.look(entry)
        is_done = entry.outcome is Outcome.DONE
        what = "done already" if is_done else "submitted already, and the beacon chain does not show it"
        raise NothingToDoError(f"the same was {what}: action {entry.id}; --again does it once more")


def _is_same(kind: ActionKind, vault: bytes, details: Mapping[str, Any], action: Action) -> bool:
    return (action.kind, action.vault) == (kind, vault) and all(
        action.details.get(name) == value for name, value in details.items()
    )


def _amounts(settings: FundSettings | WithdrawSettings) -> list[AmountOrder]:
    exits = isinstance(settings, WithdrawSettings) and settings.exit
    wanted = list(settings.validators)
    if settings.validators_file is not None:
        wanted = read_amounts(settings.validators_file, all_of_it=exits)
        if wrong := next((each for each in wanted if not orders.fits(each, settings.network)), None):
            problem = orders.wrong_unit(wrong, settings.network)
            raise SettingsError([f"{settings.validators_file}: {wrong.shown}: {problem}"])
    _require_once([each.public_key for each in wanted])
    return wanted


def _require_once(keys: Sequence[PublicKey]) -> None:
    twice = [key for key, count in Counter(keys).items() if count > 1]
    if twice:
        raise SettingsError([f"expected each validator once, got {twice[0].to_wire()} again"])
