"""Whether an action would succeed now, and what it would cost; nothing is signed here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from dvtfast.networks import network_with_chain_id

from ...chain import units
from ...chain.encoding import write_address
from ...chain.execution.node import CallRevertedError, NodeClient
from ...chain.execution.policies import NodesDisagreeError, quorum
from ...chain.execution.reverts import explain
from ...chain.execution.transactions import (
    GAS_LIMIT,
    Call,
    Fees,
    balance_wei,
    current_fees,
    simulate,
)
from ...chain.units import WEI_PER_GWEI
from ...process import logs
from ..progress import ProgressReport, no_report
from .action import Action
from .fees import Offer, first_offer
from .journal import Journal
from .policy import SendingPolicy
from .wallet import Wallet

GAS_MARGIN_PERCENT: Final = 20  # the state may be another when the transaction is mined
AGREE_LOOKS: Final = 5  # one node may know a block a moment before another
TOLD_EVERY_SECONDS: Final = 60.0  # of one and the same thing that is waited for

log = logs.get("sending")

WhyStale = Callable[[Action], Awaitable[str]]
T = TypeVar("T")


class NotSentError(Exception):
    """An action did not begin: nothing was signed, nothing was sent."""


class StaleActionError(NotSentError):
    """What it was made for is not so any more; another one has to be made."""


class WouldRevertError(NotSentError):
    """The contract would refuse it."""


class TooPoorError(NotSentError):
    """The account cannot pay for it."""


@dataclass(frozen=True)
class Estimate:
    """What an action costs at most, if it is sent now."""

    gas: int
    offer: Offer

    @property
    def most_wei(self) -> int:
        """For gas."""
        return self.gas * self.offer.max_fee_wei


@dataclass
class Estimator:
    """What one account may do, and what it is told of while it waits.

    Attributes:
        why_stale: why an action is certain to revert by now, or ""; NodesDisagreeError when some nodes say
            so and others do not.
        report: called with what happens.
    """

    node: NodeClient
    wallet: Wallet
    journal: Journal
    policy: SendingPolicy
    chain_id: int
    why_stale: WhyStale
    report: ProgressReport = no_report
    _said: dict[str, float] = field(default_factory=dict, init=False)  # what is waited for: when it was told

    async def estimate(self, action: Action) -> Estimate:
        """Whether an action would succeed now, and what it would cost; nothing is signed.

        While gas costs more than the cap, which is told, the estimate is at the cap, and whether the account
        has that much is not asked: it has to when gas costs less.

        Raises:
            WouldRevertError, TooPoorError: it would not.
            NodesDisagreeError: some nodes say that it would, others that it would not.
            NodeError: no node answers.
        """
        estimate, is_affordable = await self._agreed(lambda: self._estimate(action))
        if not is_affordable:
            self._say_dear()
        return estimate

    async def until_affordable(self) -> None:
        """Wait while gas costs more than the cap."""
        while first_offer(await self._fees(), self.policy.bounds) is None:
            self._say_dear()
            await asyncio.sleep(self.policy.poll_seconds)

    async def _estimate(self, action: Action) -> tuple[Estimate, bool]:
        try:
            gas = await self._gas(action)
        except CallRevertedError as error:
            raise WouldRevertError(f"the contract would refuse it: {explain(error)}") from None
        if gas > GAS_LIMIT:
            raise WouldRevertError(
                f"it needs {gas} gas, a transaction has {GAS_LIMIT} at most; make the batch smaller"
            )
        fees, bounds = await self._fees(), self.policy.bounds
        offer = first_offer(fees, bounds)
        cap = bounds.max_fee_wei
        estimate = Estimate(gas, offer or Offer(cap, min(bounds.tip_wei(fees.priority_wei), cap)))
        sender = self.wallet.address
        needed = action.value_wei + (estimate.most_wei if offer is not None else 0)
        has = await balance_wei(self.node, sender)
        if has < needed:  # which one node says
            what = f"what {write_address(sender)} has"
            has = await quorum(self.node, what, lambda one: balance_wei(one, sender))
        if has < needed:
            network = network_with_chain_id(self.chain_id)
            owned, wanted = units.gas(has, network), units.gas(needed, network)
            raise TooPoorError(f"{write_address(sender)} has {owned} and may need {wanted}; send it more")
        return estimate, offer is not None

    async def _gas(self, action: Action) -> int:
        """The gas limit of an action, with a margin."""
        gas = await simulate(
            self.node,
            self._call(action),
            at_least=action.block_number,
            max_age_seconds=self.policy.max_age_seconds,
        )
        return _with_margin(gas)

    async def _fees(self) -> Fees:
        return await current_fees(
            self.node, blocks=self.policy.fee_blocks, percentile=self.policy.fee_percentile
        )

    async def _agreed(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do what nodes must agree on; while they do not, again after a moment, a few times."""
        for _ in range(AGREE_LOOKS - 1):
            try:
                return await work()
            except NodesDisagreeError as error:
                self._say_waiting("waiting for nodes to agree", error=str(error))
            await asyncio.sleep(self.policy.poll_seconds)
        return await work()

    def _call(self, action: Action) -> Call:
        return Call(self.wallet.address, action.to, action.data, action.value_wei)

    def _say_dear(self) -> None:
        self._say_waiting(
            "gas costs more than --max-fee-gwei allows, with room for a replacement",
            cap_gwei=in_gwei(self.policy.max_fee_wei),
        )

    def _say_waiting(self, what: str, **more: object) -> None:
        """Tell of what is waited for, from time to time."""
        self.report(what)
        now = time.monotonic()
        if now - self._said.get(what, -TOLD_EVERY_SECONDS) >= TOLD_EVERY_SECONDS:
            self._said[what] = now
            log.warning(what, **more)


def _with_margin(gas: int) -> int:
    return max(gas, min(gas + gas * GAS_MARGIN_PERCENT // 100, GAS_LIMIT))


def in_gwei(wei: int) -> float:
    """As log lines have it."""
    return wei / WEI_PER_GWEI
