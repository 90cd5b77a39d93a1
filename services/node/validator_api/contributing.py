"""Sync committee: its messages, and what those who are selected make of a subcommittee's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from aiohttp import web

from dvtfast.constants import ROOT_BYTES
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.presets import SYNC_COMMITTEE_SUBNET_COUNT
from dvtfast.duties.signed_sets import NO_SIGNATURE, with_signature
from dvtfast.duties.sync_committees import (
    SignedContributionAndProof,
    SyncCommitteeContribution,
    SyncCommitteeMessage,
)
from dvtfast.qbft.messages import Duty

from ..flows.sync_committees import ROOTS_KEPT, send_recovered
from .answers import object_answer
from .attesting import NOT_AGREED
from .clients import Clients
from .intake import Batch, Entry, has_begun
from .offers import Offered
from .requests import query_data, query_number, several

TOO_EARLY: Final = "its slot has not begun"


class Contributing:
    """Routes of the sync committee."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._heads: dict[int, dict[int, bytes]] = {}  # what members vote for, by slot and position

    async def messages(self, request: web.Request) -> web.Response:
        """Votes for the head, with partial signatures. Clients choose the head, as nodes do."""
        clients, batch = self._clients, Batch()
        kind, node = clients.codec(SyncCommitteeMessage), clients.node
        for place, message in enumerate(
            await several(request, kind, clients.node.workers, most=clients.most)
        ):
            position = await clients.position(message.validator_index, batch, place)
            if position is None:
                continue
            if not has_begun(node, message.slot):
                batch.failures[place] = TOO_EARLY
            else:
                batch.add(place, Duty(message.slot, DutyType.SYNC_MESSAGE), position, message)
        await clients.intake.hand_in(batch)
        for duty, entries in batch.duties():
            self._send(duty, [each for each in entries if each[0] not in batch.failures])
        batch.require_all()
        return web.Response()

    async def contribution(self, request: web.Request) -> web.Response:
        """The contribution of a subcommittee that the cluster has agreed on, as soon as it has."""
        clients = self._clients
        duty = Duty(query_number(request, "slot"), DutyType.SYNC_CONTRIBUTION)
        subcommittee = query_number(request, "subcommittee_index")
        root = query_data(request, "beacon_block_root", ROOT_BYTES)
        clients.require_open(duty)

        def find(offered: Offered) -> Iterator[SyncCommitteeContribution]:
            for (_, of), value in offered.items():
                assert isinstance(value, SignedContributionAndProof)
                contribution = value.message.contribution
                if of == subcommittee and contribution.beacon_block_root == root:
                    yield contribution

        found = await clients.offers.wait(duty, find)
        return await object_answer(
            request, found, clients.codec(SyncCommitteeContribution), clients.node.workers
        )

    async def contributions(self, request: web.Request) -> web.Response:
        """Contributions with the cluster's proofs, and partial signatures."""
        clients, batch = self._clients, Batch()
        kind = clients.codec(SignedContributionAndProof)
        most = clients.most * SYNC_COMMITTEE_SUBNET_COUNT
        for place, signed in enumerate(await several(request, kind, clients.node.workers, most=most)):
            message = signed.message
            contribution = message.contribution
            duty = Duty(contribution.slot, DutyType.SYNC_CONTRIBUTION)
            of = contribution.subcommittee_index
            position = await clients.position(message.aggregator_index, batch, place)
            if position is None or self._is_of_another(duty, position, contribution):
                continue
            found = await clients.offered(duty, message.aggregator_index, batch, place, of)
            if found is None:
                continue
            position, value = found
            assert isinstance(value, SignedContributionAndProof)
            if value.message != message:
                batch.failures[place] = NOT_AGREED
            else:
                batch.add(place, duty, position, with_signature(value, signed.signature))
        await clients.intake.take(batch)
        return web.Response()

    def _is_of_another(self, duty: Duty, position: int, contribution: SyncCommitteeContribution) -> bool:
        """Whether it is agreed on, but for other members of the subcommittee.

        Where charons take part that know one contribution of a validator alone, a client has those of its
        other subcommittees from other members; the node does without them.
        """
        of, offered = contribution.subcommittee_index, self._clients.offers.of(duty)
        return (position, of) not in offered and any(
            isinstance(value, SignedContributionAndProof) and value.message.contribution == contribution
            for (_, subcommittee), value in offered.items()
            if subcommittee == of
        )

    def _send(self, duty: Duty, entries: Sequence[Entry]) -> None:
        """Have sent what the node's own flow does not: votes for another head than the one that it saw.

        Where the flow has not seen any yet, it takes the client's. From then on the head is that of most
        members, as clients may see several: it decides for which block contributions are asked.
        """
        clients, node = self._clients, self._clients.node
        offered, members = clients.offers.of(duty), clients.members(duty.slot)
        heads = self._heads.setdefault(duty.slot, {})
        while len(self._heads) > ROOTS_KEPT:
            del self._heads[next(iter(self._heads))]
        left: dict[bytes, list[tuple[int, SyncCommitteeMessage]]] = {}
        for _, position, message in entries:
            assert isinstance(message, SyncCommitteeMessage)
            root, own = message.beacon_block_root, offered.get((position, 0))
            is_sent = False
            if position in members:
                heads[position] = root
                if not offered:
                    is_sent = node.voted_heads.setdefault(duty.slot, root) == root
            if isinstance(own, SyncCommitteeMessage):
                is_sent = own.beacon_block_root == root
            if not is_sent:
                left.setdefault(root, []).append((position, with_signature(message, NO_SIGNATURE)))
        if offered and heads:
            [(node.voted_heads[duty.slot], _)] = Counter(heads.values()).most_common(1)
        for of_root in left.values():
            validators = np.array([position for position, _ in of_root], np.intp)
            clients.intake.begin(send_recovered(node, duty, validators, [value for _, value in of_root]))
