"""Who is to aggregate: clients give their parts of selection proofs, and get those of the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from aiohttp import web

from dvtfast.duties.codecs import Codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.presets import SYNC_COMMITTEE_SUBNET_COUNT
from dvtfast.duties.signed_sets import NO_SIGNATURE, with_signature
from dvtfast.duties.sync_committees import SyncCommitteeSelection
from dvtfast.duties.validator_messages import BeaconCommitteeSelection
from dvtfast.duties.wrappers import SignedValue
from dvtfast.qbft.messages import Duty

from ..exchange import subcommittee_of
from ..flows.gathering import recovered
from .answers import json_answer
from .clients import Clients
from .intake import Batch
from .requests import several

Place = tuple[Duty, int, int]
"""Of a proof: its duty, the validator's position, and the subcommittee."""


class Selecting:
    """Routes of selection proofs, which only clients of clusters ask for."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def of_committees(self, request: web.Request) -> web.Response:
        """Proofs of those who vote."""
        return await self._answered(request, BeaconCommitteeSelection, DutyType.PREPARE_AGGREGATOR)

    async def of_subcommittees(self, request: web.Request) -> web.Response:
        """Proofs of those who are in the sync committee."""
        return await self._answered(request, SyncCommitteeSelection, DutyType.PREPARE_SYNC_CONTRIBUTION)

    async def _answered(self, request: web.Request, cls: type[Any], type: DutyType) -> web.Response:
        clients, batch, kind = self._clients, Batch(), self._clients.codec(cls)
        most = clients.most * SYNC_COMMITTEE_SUBNET_COUNT
        wanted: list[Place] = []
        for place, value in enumerate(await several(request, kind, clients.node.workers, most=most)):
            duty, subcommittee = Duty(value.slot, type), subcommittee_of(value)
            if subcommittee >= SYNC_COMMITTEE_SUBNET_COUNT:
                batch.failures[place] = f"there is no subcommittee {subcommittee}"
                continue
            position = await clients.position(value.validator_index, batch, place)
            if position is not None:
                batch.add(place, duty, position, value)
                wanted.append((duty, position, subcommittee))
        await clients.intake.take(batch)
        found = await self._recovered(batch)
        return await clients.node.workers.run(_told, kind, [found[each] for each in wanted])

    async def _recovered(self, batch: Batch) -> dict[Place, SignedValue]:
        """The same with the cluster's signatures, as soon as all of them are there."""
        by_gathered: dict[tuple[Duty, int], list[tuple[int, SignedValue]]] = {}
        for duty, entries in batch.duties():
            for _, validator, value in entries:
                unsigned = with_signature(value, NO_SIGNATURE)
                by_gathered.setdefault((duty, subcommittee_of(value)), []).append((validator, unsigned))
        found: dict[Place, SignedValue] = {}

        async def gather(duty: Duty, subcommittee: int, of: Sequence[tuple[int, SignedValue]]) -> None:
            validators = np.array([validator for validator, _ in of], np.intp)
            async for part in recovered(self._clients.node, duty, validators, [value for _, value in of]):
                found.update(((duty, validator, subcommittee), value) for validator, value in part)

        async with asyncio.TaskGroup() as group:
            for (duty, subcommittee), of in by_gathered.items():
                group.create_task(gather(duty, subcommittee, of))
        return found


def _told(kind: Codec[Any], values: Sequence[SignedValue]) -> web.Response:
    return json_answer({"data": [kind.to_json(value) for value in values]})
