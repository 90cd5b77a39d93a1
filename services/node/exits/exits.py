"""A node's part in its cluster's exits: it signs what its operator ordered, and nothing else.

Partial exits go to the other nodes until they have them, and theirs are kept; of `threshold` comes an exit.
So many operators want it, then. It is sent where this node's operator wants that, until the chain shows that
the validator leaves. All of this is on disk, and goes on after a restart.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from typing import Final

import numpy as np

from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.validator_messages import SignedVoluntaryExit
from dvtfast.duties.wrappers import SignedValue
from dvtfast.qbft.messages import Duty

from ...chain.beacon.client import BeaconError, ValidatorDetails
from ...chain.beacon.duties import DutiesClient
from ...process import logs
from ...process.background import Tasks, result_of
from ...process.offload import StoppedError, UnavailableError, Workers
from ..junk import PAUSE_SECONDS, Junk
from ..partial_signatures import Fault, Positions
from ..parts import Signer
from ..slots import SlotClock
from ..transport import Transport
from .giving import LEAVES_NOT_YET, ExitGiver
from .judging import AT_ONCE, ExitJudge
from .messages import ExitMessage, Order
from .sending import ExitSender
from .store import MOST_MESSAGES, NUMBER_LIMIT, ExitStoreError

LOOK_SECONDS: Final = 1.0  # between two looks whether there are new orders
SMALL: Final = 16  # exits; what a message with fewer counts for among those that wait
MOST_SMALL: Final = 64  # messages of a node that may wait, beside all that it may have to say
AGAIN_SECONDS: Final = 30.0  # after which what did not work is tried again
TROUBLE: Final = (BeaconError, ExitStoreError, UnavailableError, TimeoutError)

log = logs.get("exits")


class Exits:
    """The exits of one node; nothing is signed for them outside `run`.

    Args:
        judge: with the file in which they are.
    """

    def __init__(
        self,
        judge: ExitJudge,
        *,
        transport: Transport,
        beacon: DutiesClient,
        signer: Signer,
        slots: SlotClock,
    ) -> None:
        self._judge, self._store, self._members = judge, judge.store, judge.members
        self._beacon, self._signer, self._slots = beacon, signer, slots
        self._workers = Workers("exits", threads=1, gives_way=True)  # duties go first
        self._sender = ExitSender(self._store, self._members, beacon, self._workers)
        self._giver = ExitGiver(
            self._store, self._members, transport, self._workers, self._slots.slots_per_epoch
        )
        self._keys = [key.tobytes() for key in self._members.keys.public_keys.encoded]
        self._wake = asyncio.Event()
        self._on_chain: dict[int, ValidatorDetails] = {}  # by position, of that epoch
        self._of_epoch: int | None = None
        self._learning, self._ask_again = asyncio.Lock(), 0.0  # by the loop's clock
        self._takes, self._to_take = Tasks(), Counter[int]()  # exits that wait, of each node
        self._not_kept = Junk(log.warning, "partial exits not kept")
        self._blamed: dict[tuple[int, str], float] = {}  # node and reason, when; by the loop's clock
        self._turns = [asyncio.Lock() for _ in self._members.operators]

    async def run(self) -> None:
        """Do what is ordered, until it is cancelled."""
        loop = asyncio.get_running_loop()
        seen, again, told = None, 0.0, ""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()
            try:
                if await self._workers.run(self._store.renew):
                    log.warning("the file of exits was removed or replaced; what is there now counts")
                    seen = None
                is_woken = self._wake.is_set()
                self._wake.clear()
                now = await self._workers.run(self._store.changes), self._epoch()
                if is_woken or now != seen or loop.time() >= again:
                    seen, again = now, loop.time() + AGAIN_SECONDS
                    await self._look()
                    told = ""
            except TROUBLE as error:
                if (why := str(error)) != told:
                    log.warning("exits wait", why=why)
                    told = why
            except Exception:  # a fault of ours in exits is none of the duties'
                log.exception("exits failed")

    async def close(self) -> None:
        """Take nothing more, and wait for what is on its thread."""
        await self._takes.close()
        await self._workers.close()

    async def take(
        self,
        duty: Duty,
        node: int,
        validators: Positions,
        values: Sequence[SignedValue],
        faults: Sequence[Fault],
    ) -> None:
        """What a node sent of its own: nobody signs because of it.

        It is taken to the end, even if whoever waits for that is cancelled.

        Args:
            faults: what is wrong with its message.
        """
        for fault in faults:
            self._blame(fault)
        signed, foreign = [], []
        for position, value in zip(validators.tolist(), values, strict=True):
            assert isinstance(value, SignedVoluntaryExit)
            if value.message.epoch * self._slots.slots_per_epoch == duty.slot:
                signed.append((position, value))
            else:
                foreign.append(position)
        if foreign:
            self._blame(Fault(node, tuple(foreign), "an exit of another epoch than its message"))
        # Nobody has more to say, unless it says the same again before it was heard.
        most, count = 2 * MOST_MESSAGES * len(self._keys) + MOST_SMALL * SMALL, max(len(signed), SMALL)
        if self._to_take[node] + count > most:
            self._blame(Fault(node, (), "more partial exits at once than there can be"))
            return
        self._to_take[node] += count
        with suppress(StoppedError):  # then this node has ended; whoever sent it has not
            await result_of(self._takes.start(self._take_in_turn(node, signed, count)))

    async def _take_in_turn(
        self, node: int, signed: Sequence[tuple[int, SignedVoluntaryExit]], count: int
    ) -> None:
        """One batch of a node is on the thread at once, so that the others' do not wait for many."""
        try:
            async with self._turns[node]:
                await self._take(node, signed)
        except TROUBLE as error:
            self._not_kept.tell(node, error)
        finally:
            self._to_take[node] -= count

    async def _take(self, node: int, signed: Sequence[tuple[int, SignedVoluntaryExit]]) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._ask_again and any(position not in self._on_chain for position, _ in signed):
            self._ask_again = now + AGAIN_SECONDS  # not for each message of a node
            with suppress(BeaconError):
                await self._learn()
        known = self._on_chain
        indices = {position: known[position].index for position, _ in signed if position in known}
        for begin in range(0, len(signed), AT_ONCE):
            some = signed[begin : begin + AT_ONCE]
            kept, wrong = await self._workers.run(self._judge.take, node, some, indices)
            for fault in wrong:
                self._blame(fault)
            if kept:
                self._wake.set()

    async def submit(self, signed: SignedVoluntaryExit, record: Signer) -> str:
        """An exit that this node's validator client has signed: its operator orders it, and wants it sent.

        Args:
            signed: with the signature of this node's key share.
            record: puts on record what was signed, and gives it back.

        Returns:
            Why it is not taken, or "".

        Raises:
            BeaconError, ExitStoreError, UnavailableError, TimeoutError: nothing can be taken now.
        """
        await self._learn()
        by_index = {each.index: position for position, each in self._on_chain.items()}
        if (position := by_index.get(signed.message.validator_index)) is None:
            return "it is no validator of this cluster"
        key, epoch, own = self._keys[position], signed.message.epoch, self._members.position
        if why := self._why_not(Order(key, epoch)):
            return why
        if not await self._workers.run(self._judge.is_signed, own, position, signed):
            return "its signature is not one of this node's key share"
        if before := await self._workers.run(self._store.order, [key], epoch):
            return f"an exit of epoch {before[0].epoch} was ordered before"
        duty = Duty(epoch * self._slots.slots_per_epoch, DutyType.EXIT)
        recorded = await record.sign(duty, np.array([position], np.intp), [signed])
        if why := recorded.refused.get(position, ""):
            await self._workers.run(self._store.tell, why, [key])
            return why
        await self._workers.run(self._judge.take, own, [(position, signed)], {})
        await self._workers.run(self._store.want, [(key, epoch)])
        self._wake.set()
        return ""

    # What is done when something may have changed.

    async def _look(self) -> None:
        if await self._workers.run(self._store.is_empty):
            return
        trouble = None
        try:
            await self._learn()
        except BeaconError as error:  # which is no reason to keep others waiting
            trouble = error
        if self._of_epoch is not None:
            await self._sign()
        if count := await self._workers.run(self._judge.recover):
            log.info("exits signed by the cluster", count=count)
        await self._giver.give(self._on_chain)
        if trouble is not None:
            raise trouble
        if await self._sender.send(self._on_chain, self._epoch(), self._slots.now()):
            self._wake.set()  # for the next ones, after what was ordered meanwhile

    async def _learn(self) -> None:
        """What became of the validators, once in an epoch."""
        async with self._learning:
            if self._of_epoch != (epoch := self._epoch()):
                found = await self._beacon.details(self._keys, state="head")
                self._on_chain = {self._members.validators[key]: each for key, each in found.items()}
                self._of_epoch = epoch

    async def _sign(self) -> None:
        """What is ordered, of validators that the chain knows."""
        indices = {self._keys[position]: each.index for position, each in self._on_chain.items()}
        orders = sorted(
            await self._workers.run(self._store.unsigned, self._members.position, indices),
            key=lambda order: order.epoch,
        )
        problems: dict[str, list[bytes]] = {}
        for epoch, some in groupby(orders, key=lambda order: order.epoch):
            ready: list[int] = []
            for order in some:
                if why := self._why_not(order):
                    problems.setdefault(why, []).append(order.validator)
                else:
                    ready.append(self._members.validators[order.validator])
            for begin in range(0, len(ready), AT_ONCE):
                for position, why in (await self._sign_some(epoch, ready[begin : begin + AT_ONCE])).items():
                    problems.setdefault(why, []).append(self._keys[position])
        told = {order.validator: order.problem for order in orders}
        for why, validators in problems.items():
            if new := [validator for validator in validators if told[validator] != why]:
                log.warning("exits not signed", count=len(new), why=why)
                await self._workers.run(self._store.tell, why, new)

    def _why_not(self, order: Order) -> str:
        position = self._members.validators.get(order.validator)
        if position is None:
            return "it is no validator of this cluster"
        if order.epoch * self._slots.slots_per_epoch >= NUMBER_LIMIT:
            return "there will be no such epoch"
        if (details := self._on_chain.get(position)) is None:
            return "the beacon chain does not know the validator yet; it is signed as soon as it does"
        if details.status not in LEAVES_NOT_YET:
            return f"the beacon chain shows it as {details.status}"
        return ""

    async def _sign_some(self, epoch: int, positions: Sequence[int]) -> dict[int, str]:
        """Sign in one batch; why not, by position."""
        duty = Duty(epoch * self._slots.slots_per_epoch, DutyType.EXIT)
        values = [
            ExitMessage(self._keys[position], epoch, self._on_chain[position].index).signed()
            for position in positions
        ]
        signed = await self._signer.sign(duty, np.array(positions, np.intp), values)
        indices = {position: self._on_chain[position].index for position in positions}
        pairs = list(zip(signed.validators.tolist(), signed.values, strict=True))
        problems = dict(signed.refused)
        _, faults = await self._workers.run(self._judge.take, self._members.position, pairs, indices)
        for fault in faults:
            problems |= dict.fromkeys(fault.validators, f"its own node made {fault.reason}")
        done = [self._keys[position] for position in signed.validators.tolist() if position not in problems]
        if done:
            log.info("exits signed", count=len(done), epoch=epoch)
            await self._workers.run(self._store.tell, "", done)
        return problems

    def _blame(self, fault: Fault) -> None:
        """In the log, but not as often as a node likes."""
        now, reason = asyncio.get_running_loop().time(), (fault.node, fault.reason)
        if now - self._blamed.get(reason, -math.inf) >= PAUSE_SECONDS:
            self._blamed[reason] = now
            log.warning(
                "partial exits", node=fault.node, validators=len(fault.validators), fault=fault.reason
            )

    def _epoch(self) -> int:
        return self._slots.epoch(self._slots.slot())
