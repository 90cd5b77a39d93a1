"""How commands end, and how people and programs are told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click
import msgspec

from dvtfast import DvtfastError
from dvtfast.networks import network_with_chain_id

from ...chain import units
from ...chain.calls import ContractError
from ...chain.contracts.harvesting import RewardsError
from ...chain.contracts.oracle_config import OracleConfigError
from ...chain.encoding import write_data
from ...chain.execution.node import CallRevertedError, TooManyLogsError
from ...chain.execution.reverts import explain
from ...chain.ipfs.client import IpfsContentError
from ...keys.account_key import AccountKeyError
from ...process.offload import UnavailableError
from ...relayer_client.client import RelayerRefusedError, RelayerUnavailableError
from ...settings import SettingsError
from ..plan import NotReadyError, Plan
from ..sending.action import JournalEntry, Outcome
from ..sending.estimator import Estimate
from ..sending.journal import JournalError
from ..sending.wallet import WalletError
from .summary import as_json

GOES_ON = "the action goes on when the operator is started again with this journal"
WHAT_TO_DO = {
    Outcome.DONE: "",
    Outcome.SUBMITTED: "the vault took it, and the beacon chain does not show it yet, or passed over it, as"
    " it does in silence; the same command looks once more, and sends nothing",
    Outcome.REVERTED: "the contract refused it in the block, only gas was paid; start again for another try",
    Outcome.CANCELLED: "it would have reverted and was cancelled, only gas was paid; start again",
    Outcome.SUPERSEDED: "another transaction of this account took its place, nothing was done;"
    " use the account for the operator only, and start again",
    Outcome.UNSENT: "nothing was signed; start again",
}
OTHER_DEPOSITS = (
    "it is in the chain, but made other deposits than it should: compare the addresses of vault, deposit"
    " contract and DepositDataRegistry before anything else is registered"
)
# What others do not do, or not now; nothing of it ends `run`.
NOT_READY = (
    NotReadyError, UnavailableError, ContractError, CallRevertedError, OracleConfigError, RewardsError,
    IpfsContentError, TooManyLogsError, WalletError, RelayerUnavailableError, RelayerRefusedError,
)  # fmt: skip
WRONG = (DvtfastError, SettingsError, AccountKeyError, JournalError)


@dataclass(frozen=True)
class CommandResult:
    """How a command ends.

    Attributes:
        code: of `exit_codes`.
        entry: the action that it was about, if one was begun.
        problem: what went wrong, and what to do.
    """

    code: int
    entry: JournalEntry | None = None
    problem: str = ""
    plan: Plan | None = None
    estimate: Estimate | None = None


def words_of(error: Exception) -> str:
    """An error in words."""
    if isinstance(error, CallRevertedError):
        return f"a contract refuses: {explain(error)}"
    return str(error) or type(error).__name__


def problems_of(error: Exception) -> list[str]:
    """What is wrong with what the command was told, a line each."""
    return list(error.problems) if isinstance(error, SettingsError) else [str(error)]


def print_result(result: CommandResult, *, is_json: bool) -> None:
    """The summary: what was done and what it cost, or what is wrong."""
    said: dict[str, Any] = {"exit_code": result.code, "problem": result.problem}
    if result.plan is not None and result.estimate is not None:
        offer = result.estimate.offer
        said |= {
            "would_send": result.plan.shown(),
            "gas": result.estimate.gas,
            "max_fee_wei": str(offer.max_fee_wei),
            "priority_fee_wei": str(offer.priority_fee_wei),
            "most_wei": str(result.estimate.most_wei),
        }
    if result.entry is not None:
        said["action"] = as_json(result.entry)
    if is_json:
        click.echo(msgspec.json.encode(said))
        return
    for line in _lines(result):
        click.echo(line)
    if result.problem:
        click.echo(f"error: {result.problem}" if result.code else result.problem, err=True)


def _lines(result: CommandResult) -> Iterator[str]:
    if result.plan is not None and result.estimate is not None:
        plan, estimate = result.plan, result.estimate
        for name, value in plan.shown().items():
            if isinstance(value, list):
                yield f"{name}:"
                yield from (f"  {each}" for each in value)
            else:
                yield f"{name}: {value}"
        yield f"gas: {estimate.gas}, at most {units.gas(estimate.most_wei, plan.network)}"
        yield "nothing was signed, nothing was sent"
    entry = result.entry
    if entry is None:
        return
    network = network_with_chain_id(entry.chain_id)
    stake = units.stake(int(entry.action.details.get("amount_gwei", 0)), network)
    conclusion = entry.conclusion
    outcome = "open" if entry.outcome is None else entry.outcome.value
    kind, count = entry.action.kind.value, len(entry.action.public_keys)
    yield f"action {entry.id}: {kind} of {count} validators, {stake}: {outcome}"
    if conclusion is not None and conclusion.transaction_hash is not None:
        yield f"transaction {write_data(conclusion.transaction_hash)} in block {conclusion.block_number}"
        yield f"gas {conclusion.gas_used}, {units.gas(conclusion.fee_wei, network)}"
