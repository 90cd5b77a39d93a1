"""Attester: what to vote for, votes; who aggregates, aggregates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from aiohttp import web

from dvtfast.constants import ROOT_BYTES
from dvtfast.duties.attestations import Attestation, AttestationData, SingleAttestation
from dvtfast.duties.bits import set_positions
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.signed_sets import with_signature
from dvtfast.duties.wrappers import Versioned
from dvtfast.qbft.messages import Duty

from .answers import object_answer
from .clients import Clients
from .errors import RequestError
from .intake import Batch
from .offers import Offered
from .requests import fork_of, query_data, query_number, several

NOT_AGREED: Final = "it is not what the cluster agreed on"


class Attesting:
    """Routes of those who vote in a slot."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def data(self, request: web.Request) -> web.Response:
        """What the cluster has agreed to vote for, as soon as it has."""
        duty = Duty(query_number(request, "slot"), DutyType.ATTESTER)
        committee = query_number(request, "committee_index")
        self._clients.require_open(duty)

        def find(offered: Offered) -> Iterator[AttestationData]:
            """That of the committee; since electra there is one of all, which clients call 0."""
            values = [value for value in offered.values() if isinstance(value, Versioned)]
            yield from (each.message.data for each in values if _committees(each) == [committee])
            yield from (each.message.data for each in values if committee == 0)

        found = await self._clients.offers.wait(duty, find)
        return await object_answer(
            request, found, self._clients.codec(AttestationData), self._clients.node.workers
        )

    async def votes(self, request: web.Request) -> web.Response:
        """Votes, with partial signatures."""
        fork = fork_of(request)
        if fork.single_attestation is not SingleAttestation:
            raise RequestError(400, f"votes of {fork.name} are not taken, only those since electra")
        clients, batch = self._clients, Batch()
        kind = clients.codec(SingleAttestation)
        votes = await several(request, kind, clients.node.workers, most=clients.most)
        for place, vote in enumerate(votes):
            duty = Duty(vote.data.slot, DutyType.ATTESTER)
            found = await clients.offered(duty, vote.attester_index, batch, place)
            if found is None:
                continue
            position, value = found
            agreed: Any = value
            if agreed.message.data != vote.data:
                batch.failures[place] = NOT_AGREED
            elif _committees(agreed) != [vote.committee_index]:
                batch.failures[place] = f"validator {vote.attester_index} is in another committee"
            else:
                batch.add(place, duty, position, with_signature(agreed, vote.signature))
        await clients.intake.take(batch)
        return web.Response()

    async def aggregate(self, request: web.Request) -> web.Response:
        """The aggregate of a committee that the cluster has agreed on, as soon as it has."""
        clients = self._clients
        duty = Duty(query_number(request, "slot"), DutyType.AGGREGATOR)
        root = query_data(request, "attestation_data_root", ROOT_BYTES)
        committee = query_number(request, "committee_index")
        clients.require_open(duty)
        data_codec = clients.codec(AttestationData)

        def find(offered: Offered) -> Iterator[tuple[Versioned, Attestation]]:
            for value in offered.values():
                assert isinstance(value, Versioned)
                aggregate = value.message.message.aggregate
                if set_positions(aggregate.committee_bits) != [committee]:
                    continue
                if data_codec.root(aggregate.data) == root:
                    yield value, aggregate

        value, aggregate = await clients.offers.wait(duty, find)
        kind = clients.codec(value.fork.attestation)
        return await object_answer(request, aggregate, kind, clients.node.workers, fork=value.fork)

    async def aggregates(self, request: web.Request) -> web.Response:
        """Aggregates with the cluster's proofs, and partial signatures."""
        clients, batch = self._clients, Batch()
        kind = clients.codec(fork_of(request).signed_aggregate_and_proof)
        for place, signed in enumerate(await several(request, kind, clients.node.workers, most=clients.most)):
            message = signed.message
            duty = Duty(message.aggregate.data.slot, DutyType.AGGREGATOR)
            found = await clients.offered(duty, message.aggregator_index, batch, place)
            if found is None:
                continue
            position, value = found
            agreed: Any = value
            if agreed.message.message != message:
                batch.failures[place] = NOT_AGREED
            else:
                batch.add(place, duty, position, with_signature(agreed, signed.signature))
        await clients.intake.take(batch)
        return web.Response()


def _committees(value: Versioned) -> list[int]:
    return set_positions(value.message.committee_bits)
