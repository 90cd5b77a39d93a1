"""`dvtfast operator register`: the next batch of a vault's validators, on chain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
import msgspec

from dvtfast import DvtfastError

from .. import logs, running
from ..account_key import AccountKeyError
from ..chain.contracts import ContractError
from ..chain.encoding import write_address, write_data
from ..chain.harvesting import RewardsError
from ..chain.ipfs import IpfsContentError
from ..chain.node import CallRevertedError, TooManyLogsError
from ..chain.oracles import OracleConfigError
from ..chain.reverts import explain
from ..client import RelayerRefusedError, RelayerUnavailableError
from ..hardening import forbid_dumps
from ..offload import UnavailableError
from ..settings import EXIT_CODE, RegisterSettings, SettingsError
from . import exit_codes
from .opening import Office, open_office
from .plan import NothingToDoError, NotReadyError, Plan, StaleError, shown
from .sending.action import Entry, Kind, Outcome
from .sending.journal import JournalError, RefusedError
from .sending.sender import Estimate, NotSentError, StaleActionError, WouldRevertError
from .sending.wallet import WalletError
from .summary import as_json, ether_of_gwei, ether_of_wei
from .telling import telling

GOES_ON = "the action goes on when the operator is started again with this journal"
WHAT_TO_DO = {
    Outcome.DONE: "",
    Outcome.REVERTED: "the contract refused it in the block, only gas was paid; start again for another try",
    Outcome.CANCELLED: "it would have reverted and was cancelled, only gas was paid; start again",
    Outcome.SUPERSEDED: "another transaction of this account took its place, nothing was registered;"
    " use the account for the operator only, and start again",
    Outcome.UNSENT: "nothing was signed; start again",
}
OTHER_DEPOSITS = (
    "it is in the chain, but made other deposits than it should: compare the addresses of vault, deposit"
    " contract and DepositDataRegistry before anything else is registered"
)
AGAIN_SECONDS = 1.0  # after somebody's deposit made a registration stale

log = logs.get("operator")

# What others do not do, or not now; nothing of it ends `run`.
NOT_READY = (
    NotReadyError, UnavailableError, ContractError, CallRevertedError, OracleConfigError, RewardsError,
    IpfsContentError, TooManyLogsError, WalletError, RelayerUnavailableError, RelayerRefusedError,
)  # fmt: skip
WRONG = (DvtfastError, SettingsError, AccountKeyError, JournalError)


@dataclass(frozen=True)
class Ended:
    """How a command ends.

    Attributes:
        code: of `exit_codes`.
        entry: the action that it was about, if one was begun.
        problem: what went wrong, and what to do.
    """

    code: int
    entry: Entry | None = None
    problem: str = ""
    plan: Plan | None = None
    estimate: Estimate | None = None


def run(settings: RegisterSettings) -> int:
    """Register one batch; the exit code."""
    forbid_dumps()
    return running.run(partial(_until_stopped, settings))


def words_of(error: Exception) -> str:
    """An error in words."""
    if isinstance(error, CallRevertedError):
        return f"a contract refuses: {explain(error)}"
    return str(error) or type(error).__name__


async def _until_stopped(settings: RegisterSettings, stop: asyncio.Event) -> int:
    with telling() as told:
        try:
            async with open_office(settings, told) as office:
                ended = await unless_stopped(_register(settings, office), office, stop)
        except WRONG as error:
            problems = error.problems if isinstance(error, SettingsError) else [str(error)]
            for problem in problems:
                click.echo(f"error: {problem}", err=True)
            return EXIT_CODE
        except NOT_READY as error:
            ended = Ended(exit_codes.NOT_READY, problem=f"{words_of(error)}; nothing was sent")
    _tell(ended, is_json=settings.json)
    return ended.code


async def unless_stopped(work: Coroutine[Any, Any, Ended], office: Office, stop: asyncio.Event) -> Ended:
    """How the work ends, or what state a signal leaves."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
    finally:
        stopping.cancel()
        working.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
    entry = await office.sender.open_entry()
    if entry is None:
        return Ended(exit_codes.STOPPED, problem="stopped; nothing was sent")
    return Ended(exit_codes.OPEN, entry, f"stopped; {GOES_ON}")


async def _register(settings: RegisterSettings, office: Office) -> Ended:
    if settings.dry_run:
        if (entry := await office.sender.open_entry()) is not None:
            return Ended(exit_codes.OPEN, entry, f"an action is open; {GOES_ON}")
        return await ending(_dry_run(office), office)
    if (entry := await office.sender.resume()) is not None and entry.transactions:
        log.info("that was begun before, and was all there was to do now")
        return await of_entry(office, entry)
    consent = Consent(is_given=settings.yes)
    work = begin_next(office, consent)
    return await ending(timed(work, settings.timeout_seconds, office), office)


async def begin_next(office: Office, consent: Consent | None = None) -> Entry | None:
    """Prepare the next registration and sign it, again whenever a deposit of somebody makes it void.

    Returns:
        What to follow; None where a person says no.
    """
    while True:
        await office.sender.until_affordable()
        try:
            plan = await office.preparing.prepare()
            estimate = await office.sender.estimate(plan.action)
            if consent is not None and not await consent.to(plan, estimate):
                return None
            return await office.sender.begin(plan.action)
        except (StaleError, StaleActionError) as error:
            log.warning("registration begins again", why=str(error))
        except WouldRevertError as error:
            if not (why := await office.preparing.chain.why_stale(plan.action)):
                raise
            log.warning("registration begins again", why=why, refused=str(error))
        await asyncio.sleep(AGAIN_SECONDS)


async def timed(work: Awaitable[Entry | None], seconds: float, office: Office) -> Ended:
    """Do what comes before the sending in this time, then follow it for as long as it takes."""
    try:
        async with asyncio.timeout(seconds):
            entry = await work
    except TimeoutError:
        entry = await office.sender.open_entry()  # signed in the last moment
        if entry is None:
            problem = f"gave up after {seconds:g} s; nothing was sent"
            return Ended(exit_codes.NOT_READY, problem=problem)
    if entry is None:
        return Ended(exit_codes.STOPPED, problem="not meant; nothing was sent")
    return await of_entry(office, await office.sender.follow(entry))


async def ending(work: Awaitable[Ended], office: Office) -> Ended:
    """How the work ends, with whatever others do not do told as what it is."""
    try:
        return await work
    except NothingToDoError as error:
        code, problem = exit_codes.NOTHING_TO_DO, str(error)
    except NOT_READY as error:
        code, problem = exit_codes.NOT_READY, words_of(error)
    except (NotSentError, RefusedError) as error:
        code, problem = exit_codes.FAILED, str(error)
    if (entry := await office.sender.open_entry()) is not None:
        return Ended(exit_codes.OPEN, entry, f"{problem}; {GOES_ON}")
    return Ended(code, problem=f"{problem}; nothing was sent")


async def _dry_run(office: Office) -> Ended:
    while True:
        try:
            plan = await office.preparing.prepare()
        except StaleError as error:
            log.warning("registration begins again", why=str(error))
            await asyncio.sleep(AGAIN_SECONDS)
            continue
        return Ended(exit_codes.DONE, plan=plan, estimate=await office.sender.estimate(plan.action))


@dataclass
class Consent:
    """A person's yes to a registration; asked once, and for no more than was shown.

    Attributes:
        is_given: the person said so beforehand.
    """

    is_given: bool
    _up_to: tuple[int, int, int] = (0, 0, 0)

    async def to(self, plan: Plan, estimate: Estimate) -> bool:
        """Whether this is meant."""
        size = (len(plan.batch.public_keys), plan.amount_gwei, estimate.most_wei)
        if self.is_given or all(a <= b for a, b in zip(size, self._up_to, strict=True)):
            return True
        count, stake, gas = len(plan.batch.public_keys), ether_of_gwei(plan.amount_gwei), estimate.most_wei
        question = (
            f"Register {count} validators with {stake} ETH of {write_address(plan.action.vault)},"
            f" for at most {ether_of_wei(gas)} ETH of gas?"
        )
        try:
            meant: bool = await asyncio.to_thread(click.confirm, question, err=True)
        except click.Abort:
            return False
        self._up_to = size if meant else self._up_to
        return meant


async def of_entry(office: Office, entry: Entry) -> Ended:
    """How a command ends whose action is concluded; deposits that were registered are looked for."""
    conclusion = entry.conclusion
    assert conclusion is not None
    problem = WHAT_TO_DO[conclusion.outcome]
    if conclusion.outcome is Outcome.DONE and entry.action.kind is Kind.REGISTER:
        assert conclusion.transaction_hash is not None
        try:
            found = await office.preparing.chain.deposited_by(conclusion.transaction_hash)
        except (UnavailableError, ContractError) as error:
            log.warning("deposits not looked at", error=str(error))
        else:
            if found != list(entry.action.public_keys):
                return Ended(exit_codes.NOT_DONE, entry, OTHER_DEPOSITS)
    return Ended(exit_codes.OF_OUTCOME[conclusion.outcome], entry, problem)


def _tell(ended: Ended, *, is_json: bool) -> None:
    """The summary: what was done and what it cost, or what is wrong."""
    said: dict[str, Any] = {"exit_code": ended.code, "problem": ended.problem}
    if ended.plan is not None and ended.estimate is not None:
        offer = ended.estimate.offer
        said |= {
            "would_send": shown(ended.plan),
            "gas": ended.estimate.gas,
            "max_fee_wei": str(offer.max_fee_wei),
            "priority_fee_wei": str(offer.priority_fee_wei),
            "most_wei": str(ended.estimate.most_wei),
        }
    if ended.entry is not None:
        said["action"] = as_json(ended.entry)
    if is_json:
        click.echo(msgspec.json.encode(said))
        return
    for line in _lines(ended):
        click.echo(line)
    if ended.problem:
        click.echo(f"error: {ended.problem}" if ended.code else ended.problem, err=True)


def _lines(ended: Ended) -> Iterator[str]:
    if ended.plan is not None and ended.estimate is not None:
        plan, estimate = ended.plan, ended.estimate
        for name, value in shown(plan).items():
            if isinstance(value, list):
                yield f"{name}:"
                yield from (f"  {each}" for each in value)
            else:
                yield f"{name}: {value}"
        yield f"gas: {estimate.gas}, at most {ether_of_wei(estimate.most_wei)} ETH"
        yield "nothing was signed, nothing was sent"
    entry = ended.entry
    if entry is None:
        return
    stake = ether_of_gwei(int(entry.action.details.get("amount_gwei", 0)))
    conclusion = entry.conclusion
    outcome = "open" if conclusion is None else conclusion.outcome.value
    kind, count = entry.action.kind.value, len(entry.action.public_keys)
    yield f"action {entry.id}: {kind} of {count} validators, {stake} ETH: {outcome}"
    if conclusion is not None and conclusion.transaction_hash is not None:
        yield f"transaction {write_data(conclusion.transaction_hash)} in block {conclusion.block_number}"
        yield f"gas {conclusion.gas_used}, {ether_of_wei(conclusion.fee_wei)} ETH"
