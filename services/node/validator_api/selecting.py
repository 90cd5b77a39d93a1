"""Who is to aggregate: clients give their parts of selection proofs, and get those of the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
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

from ...process import logs
from ...process.offload import UnavailableError
from ..exchange import subcommittee_of
from ..flows.gathering import recovered
from .answers import json_answer
from .clients import Clients
from .intake import Batch
from .requests import several

log = logs.get("validator_api")


class Selecting:
    """Routes of selection proofs, which only clients of clusters ask for.

    Args:
        seconds: after which those are told of that are there. Clients do without the others.
    """

    def __init__(self, clients: Clients, *, seconds: float) -> None:
        self._clients, self._seconds = clients, seconds

    async def of_committees(self, request: web.Request) -> web.Response:
        """Proofs of those who vote."""
        return await self._answered(request, BeaconCommitteeSelection, DutyType.PREPARE_AGGREGATOR)

    async def of_subcommittees(self, request: web.Request) -> web.Response:
        """Proofs of those who are in the sync committee."""
        return await self._answered(request, SyncCommitteeSelection, DutyType.PREPARE_SYNC_CONTRIBUTION)

    async def _answered(self, request: web.Request, cls: type[Any], type: DutyType) -> web.Response:
        clients, batch, kind = self._clients, Batch(), self._clients.codec(cls)
        until = asyncio.get_running_loop().time() + self._seconds
        most = clients.most * SYNC_COMMITTEE_SUBNET_COUNT
        for place, value in enumerate(await several(request, kind, clients.node.workers, most=most)):
            duty, subcommittee = Duty(value.slot, type), subcommittee_of(value)
            if subcommittee >= SYNC_COMMITTEE_SUBNET_COUNT:
                batch.failures[place] = f"there is no subcommittee {subcommittee}"
                continue
            position = await clients.position(value.validator_index, batch, place)
            if position is not None:
                batch.add(place, duty, position, value)
        await clients.intake.hand_in(batch)
        found = await self._recovered(batch, until)
        if not found:
            batch.require_all()
            raise TimeoutError
        if batch.failures:
            whys = "; ".join(dict.fromkeys(batch.failures.values()))
            log.warning("refused", path=request.path, count=len(batch.failures), why=whys[:500])
        return await clients.node.workers.run(_told, kind, [found[place] for place in sorted(found)])

    async def _recovered(self, batch: Batch, until: float) -> dict[int, SignedValue]:
        """What was taken with the cluster's signatures, by its place, as far as these are there in time.

        Raises:
            UnavailableError, TimeoutError: none is there, as there is too much to do.
        """
        by_gathered: dict[tuple[Duty, int], dict[int, tuple[int, SignedValue]]] = {}
        for duty, entries in batch.duties():
            for place, validator, value in entries:
                if place not in batch.failures:
                    unsigned = with_signature(value, NO_SIGNATURE)
                    by_gathered.setdefault((duty, subcommittee_of(value)), {})[validator] = place, unsigned
        found: dict[int, SignedValue] = {}
        problems: list[Exception] = []

        async def gather(duty: Duty, of: Mapping[int, tuple[int, SignedValue]]) -> None:
            values = [value for _, value in of.values()]
            try:
                async for part in recovered(self._clients.node, duty, np.array(list(of), np.intp), values):
                    found.update((of[validator][0], value) for validator, value in part)
            except (UnavailableError, TimeoutError) as error:
                problems.append(error)

        with suppress(TimeoutError):
            async with asyncio.timeout_at(until), asyncio.TaskGroup() as group:
                for (duty, _), of in by_gathered.items():
                    group.create_task(gather(duty, of))
        if problems and not found:
            raise problems[0]
        return found


def _told(kind: Codec[Any], values: Sequence[SignedValue]) -> web.Response:
    return json_answer({"data": [kind.to_json(value) for value in values]})
