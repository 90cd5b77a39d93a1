"""What this node signed of exits, to the other nodes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Final

from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.wrappers import encode_signed

from ...chain.beacon.client import ACTIVE_STATUS, WAITING_STATUSES, ValidatorDetails
from ...p2p.errors import P2PError
from ...process import logs
from ...process.offload import Workers
from ..exchange import ClusterMembers
from ..transport import Transport
from ..wire.partial_signatures import PROTOCOL, PartiallySigned, PartialSignaturesMessage
from .judging import AT_ONCE
from .messages import ExitMessage, PartialExit
from .store import ExitStore

# After which peers get again what they had: charon keeps exits in memory only, and nobody confirms anything.
RESEND_SECONDS: Final = 3600.0
LEAVES_NOT_YET: Final = WAITING_STATUSES | {ACTIVE_STATUS}

log = logs.get("exits")


class ExitGiver:
    """Sends partial exits of this node, as long as they are ordered and the chain may still take them."""

    def __init__(
        self,
        store: ExitStore,
        members: ClusterMembers,
        transport: Transport,
        workers: Workers,
        slots_per_epoch: int,
    ) -> None:
        self._store, self._members, self._transport = store, members, transport
        self._workers, self._slots_per_epoch = workers, slots_per_epoch
        self._given: dict[int, dict[ExitMessage, float]] = {}  # to each node, and when; by the loop's clock

    async def give(self, on_chain: Mapping[int, ValidatorDetails]) -> None:
        """Send what this node signed to all who may lack it.

        Args:
            on_chain: what the chain says of validators, by position.

        Raises:
            ExitStoreError, UnavailableError, TimeoutError: not all was sent.
        """
        peers = set(range(len(self._members.operators))) - {self._members.position}
        await asyncio.gather(*(self._give_to(node, on_chain) for node in peers))

    async def _give_to(self, node: int, on_chain: Mapping[int, ValidatorDetails]) -> None:
        now, given = asyncio.get_running_loop().time(), self._given.setdefault(node, {})
        for epoch, partials in await self._workers.run(self._lacked, given, on_chain, now):
            for begin in range(0, len(partials), AT_ONCE):
                part = partials[begin : begin + AT_ONCE]
                message = await self._workers.run(self._encoded, epoch, part)
                try:
                    await self._transport.send(self._members.operators[node], PROTOCOL, message)
                except (P2PError, TimeoutError) as error:
                    log.debug("partial exits not sent", node=node, error=str(error))
                    return
                given |= dict.fromkeys((each.message for each in part), now)

    def _lacked(
        self, given: Mapping[ExitMessage, float], on_chain: Mapping[int, ValidatorDetails], now: float
    ) -> list[tuple[int, list[PartialExit]]]:
        """What is ordered, signed, and not given of late, by epoch."""
        ordered = {(order.validator, order.epoch) for order in self._store.orders()}
        found: dict[int, list[PartialExit]] = {}
        for each in self._store.partials(self._members.position):
            message = each.message
            details = on_chain.get(self._members.validators[message.validator])
            matters = details is None or (details.status in LEAVES_NOT_YET and details.index == message.index)
            is_ordered = (message.validator, message.epoch) in ordered
            if matters and is_ordered and now >= given.get(message, -math.inf) + RESEND_SECONDS:
                found.setdefault(message.epoch, []).append(each)
        return list(found.items())

    def _encoded(self, epoch: int, partials: Sequence[PartialExit]) -> bytes:
        entries: dict[bytes, PartiallySigned] = {}
        for each in partials:
            value = each.message.signed(each.signature)
            entries[each.message.validator] = PartiallySigned(
                each.message.validator, encode_signed(DutyType.EXIT, value), each.signature, each.node + 1
            )
        slot = epoch * self._slots_per_epoch
        return PartialSignaturesMessage(slot, DutyType.EXIT, list(entries.values())).encode()
