"""Proposer: its part of the randao reveal for a block that the cluster agrees on, and that block, signed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from aiohttp import web

from dvtfast.constants import SIGNATURE_BYTES
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.signed_sets import with_signature
from dvtfast.duties.wrappers import Versioned
from dvtfast.qbft.messages import Duty

from ...chain.beacon.duty_answers import BLINDED
from .answers import object_answer
from .attesting import NOT_AGREED
from .bodies import BODIES
from .clients import Clients
from .intake import Batch
from .offers import Offered
from .requests import fork_of, one, path_number, query_data

PAYLOAD_VALUE: Final = "Eth-Execution-Payload-Value"
BLOCK_VALUE: Final = "Eth-Consensus-Block-Value"
SOME: Final = "1"  # wei; what a block is worth is the leader's business, as with charon


class Proposing:
    """Routes of who has a block to propose."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def block(self, request: web.Request) -> web.Response:
        """The block that the cluster has agreed on, as soon as it has; whole or blinded."""
        clients = self._clients
        slot = path_number(request, "slot")
        reveal = query_data(request, "randao_reveal", SIGNATURE_BYTES)
        duty = Duty(slot, DutyType.PROPOSER)
        clients.require_open(duty)
        await self._reveal(slot, reveal)
        agreed = await clients.offers.wait(duty, _agreed)
        fork, is_blinded = agreed.fork, agreed.blinded
        told = {BLINDED: str(is_blinded).lower(), PAYLOAD_VALUE: SOME, BLOCK_VALUE: SOME}
        beside = {
            "execution_payload_blinded": is_blinded,
            "execution_payload_value": SOME,
            "consensus_block_value": SOME,
        }
        signed = agreed.message
        value = (
            signed.message
            if is_blinded
            else fork.contents(signed.signed_block.message, signed.kzg_proofs, signed.blobs)
        )
        return await object_answer(
            request,
            value,
            clients.codec(type(value)),
            clients.node.workers,
            fork=fork,
            beside=beside,
            headers=told,
        )

    async def whole(self, request: web.Request) -> web.Response:
        """A block with its blobs, and a partial signature."""
        kind = self._clients.codec(fork_of(request).signed_contents)
        signed = await one(request, kind, self._clients.node.workers)
        return await self._publish(request, signed.signed_block, is_blinded=False)

    async def blinded(self, request: web.Request) -> web.Response:
        """A blinded block, and a partial signature."""
        kind = self._clients.codec(fork_of(request).signed_blinded_block)
        signed = await one(request, kind, self._clients.node.workers)
        return await self._publish(request, signed, is_blinded=True)

    async def _reveal(self, slot: int, reveal: bytes) -> None:
        """Take a part of the randao reveal of whoever proposes in a slot, once that is known."""
        duty, batch = Duty(slot, DutyType.RANDAO), Batch()
        offered = await self._clients.offers.wait(duty, lambda offered: iter(offered.items()))
        (position, _), value = offered
        batch.add(0, duty, position, with_signature(value, reveal))
        await self._clients.intake.take_one(batch, "randao_reveal")

    async def _publish(self, request: web.Request, signed: Any, *, is_blinded: bool) -> web.Response:
        clients, batch = self._clients, Batch()
        block = signed.message
        duty = Duty(block.slot, DutyType.PROPOSER)
        found = await clients.offered(duty, block.proposer_index, batch, 0)
        if found is not None:
            position, value = found
            agreed: Any = value
            contents = agreed.message
            same = contents if agreed.blinded else contents.signed_block
            is_form = fork_of(request) is agreed.fork and is_blinded is agreed.blinded
            if not is_form or same.message != block:
                batch.failures[0] = NOT_AGREED
            else:
                batch.add(0, duty, position, with_signature(agreed, signed.signature))
        await clients.intake.take_one(batch, "block")
        return web.Response()


def _agreed(offered: Offered) -> Iterator[Versioned]:
    for value in offered.values():
        assert isinstance(value, Versioned)
        yield value


async def swallowed(request: web.Request) -> web.Response:
    """Beacon nodes and builders are told of proposers by the node, as the lock of the cluster has it."""
    async with request.app[BODIES].of(request):
        return web.Response()
