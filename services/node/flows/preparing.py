"""What beacon nodes are told before duties: where fees go, whom builders serve, who is to be heard."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from typing import Final, TypeVar

from ...chain.beacon.client import BeaconError
from ...chain.beacon.duty_answers import SyncDuty
from ...process import logs
from ..parts import ActiveValidators, NodeParts
from .agreeing import persistently

VALIDATORS_AT_ONCE: Final = 500  # as beacon nodes and builders take them
REGISTERED_AT: Final = Fraction(3, 4)  # of the first slot, when nothing else is to be done
EPOCHS_HEARD: Final = 2  # it is said again in each

T = TypeVar("T")

log = logs.get("node")


async def prepare(node: NodeParts, active: ActiveValidators, epoch: int, members: Sequence[SyncDuty]) -> None:
    """Tell all of it, in each epoch anew.

    Args:
        members: of the sync committee.
    """
    slots, beacon = node.slots, node.beacon
    fees = [(index, node.fee_recipients[position]) for position, index in active.indices.items()]
    heard = [
        {
            "validator_index": str(each.validator_index),
            "sync_committee_indices": [str(seat) for seat in each.seats],
            "until_epoch": str(epoch + EPOCHS_HEARD),
        }
        for each in members
    ]
    try:
        async with asyncio.timeout(max(0.0, slots.start(slots.first_slot(epoch + 1)) - slots.now())):
            await _tell(node, fees, lambda some: beacon.prepare_proposers(dict(some)))
            await _tell(node, heard, beacon.subscribe_sync_committees)
            if node.builder and node.registrations:
                await slots.wait_until(slots.start(slots.first_slot(epoch), float(REGISTERED_AT)))
                registrations = [node.registrations[position] for position in active.indices]
                await _tell(node, registrations, beacon.register_validators)
    except TimeoutError:
        log.warning("beacon nodes were not told of all validators", epoch=epoch)


async def _tell(node: NodeParts, of_all: Sequence[T], tell: Callable[[Sequence[T]], Awaitable[None]]) -> None:
    for some in _parts(of_all):
        try:
            await persistently(node, partial(tell, some), unless_refused=True)
        except BeaconError as error:
            log.warning("refused by beacon nodes", error=str(error))


def _parts(of_all: Sequence[T]) -> Iterator[Sequence[T]]:
    for begin in range(0, len(of_all), VALIDATORS_AT_ONCE):
        yield of_all[begin : begin + VALIDATORS_AT_ONCE]
