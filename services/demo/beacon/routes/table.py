"""All routes of a node, as an application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import web

from ....process.offload import Workers
from ....web import http
from ..judging.ledger import Origin
from ..node import DemoBeaconNode
from . import chain, control, sending, states, validators
from . import node as itself
from .call import JSON, SSZ, ApiCall, ApiError, ApiReply

Route = Callable[[DemoBeaconNode, ApiCall], ApiReply]

OWN: Final = "/dvtfast/"  # of the test: neither late nor down
TOPICS: Final = frozenset({"head", "block", "block_gossip", "chain_reorg", "finalized_checkpoint"})
KEEP_ALIVE_SECONDS: Final = 15.0  # between two signs of life to whoever listens to events

GET: Final[dict[str, Route]] = {
    "/eth/v1/node/syncing": itself.syncing,
    "/eth/v1/node/version": itself.version,
    "/eth/v2/node/version": itself.version_with_execution,
    "/eth/v1/node/health": itself.health,
    "/eth/v1/node/identity": itself.identity,
    "/eth/v1/node/peer_count": itself.peer_count,
    "/eth/v1/beacon/genesis": chain.genesis,
    "/eth/v1/config/spec": chain.spec,
    "/eth/v1/config/fork_schedule": chain.fork_schedule,
    "/eth/v1/config/deposit_contract": chain.deposit_contract,
    "/eth/v1/beacon/states/{state}/fork": states.fork,
    "/eth/v1/beacon/states/{state}/finality_checkpoints": states.finality_checkpoints,
    "/eth/v1/beacon/states/{state}/validators": states.validators,
    "/eth/v1/beacon/states/{state}/validators/{validator}": states.validator,
    "/eth/v1/beacon/headers": states.headers,
    "/eth/v1/beacon/headers/{block}": states.header,
    "/eth/v1/beacon/blocks/{block}/root": states.block_root,
    "/eth/v2/beacon/blocks/{block}": states.block,
    "/eth/v2/beacon/blocks/{block}/attestations": states.block_attestations,
    "/eth/v1/validator/duties/proposer/{epoch}": validators.proposer_duties,
    "/eth/v2/validator/duties/proposer/{epoch}": validators.proposer_duties_of_fulu,
    "/eth/v1/validator/attestation_data": validators.attestation_data,
    "/eth/v3/validator/blocks/{slot}": validators.block,
    "/eth/v2/validator/aggregate_attestation": validators.aggregate_attestation,
    "/eth/v1/validator/sync_committee_contribution": validators.sync_committee_contribution,
    "/dvtfast/report": control.how_it_did,
}
POST: Final[dict[str, Route]] = {
    "/eth/v1/beacon/states/{state}/validators": states.validators,
    "/eth/v1/validator/duties/attester/{epoch}": validators.attester_duties,
    "/eth/v1/validator/duties/sync/{epoch}": validators.sync_duties,
    "/eth/v1/beacon/blocks": sending.block,
    "/eth/v2/beacon/blocks": sending.block,
    "/eth/v1/beacon/blinded_blocks": sending.blinded_block,
    "/eth/v2/beacon/blinded_blocks": sending.blinded_block,
    "/eth/v2/beacon/pool/attestations": sending.attestations,
    "/eth/v1/beacon/pool/sync_committees": sending.sync_messages,
    "/eth/v1/beacon/pool/voluntary_exits": sending.voluntary_exit,
    "/eth/v2/validator/aggregate_and_proofs": sending.aggregates,
    "/eth/v1/validator/contribution_and_proofs": sending.contributions,
    "/eth/v1/validator/register_validator": sending.registrations,
    "/eth/v1/validator/prepare_beacon_proposer": sending.fee_recipients,
    "/eth/v1/validator/beacon_committee_subscriptions": sending.subscriptions,
    "/eth/v1/validator/sync_committee_subscriptions": sending.subscriptions,
    "/dvtfast/clock": control.clock,
    "/dvtfast/adversity": control.adversity,
}


def application(node: DemoBeaconNode, workers: Workers) -> web.Application:
    """The beacon API of a node; `workers` is one thread, on which all that concerns the chain runs."""
    app = http.application()
    app.add_routes([web.get(path, _answering(node, workers, route)) for path, route in GET.items()])
    app.add_routes([web.post(path, _answering(node, workers, route)) for path, route in POST.items()])
    app.add_routes([web.get("/eth/v1/events", _events(node))])
    return app


def _answering(
    node: DemoBeaconNode, workers: Workers, route: Route
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    def work(call: ApiCall) -> ApiReply:
        node.world.tick()
        return route(node, call)

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await http.read_body(request)
        if (refusal := await _adversity(node, request)) is not None:
            return refusal
        call = ApiCall(
            path=dict(request.match_info),
            query={name: request.query.getall(name) for name in request.query},
            body=body,
            headers=request.headers,
            sender=Origin(node.name, request.headers.get("User-Agent", "")),
        )
        try:
            reply = await workers.run(work, call)
        except ApiError as error:
            return _error(error)
        if reply.ssz is not None:
            return web.Response(body=reply.ssz, headers=reply.headers, content_type=SSZ)
        content = b"" if reply.content is None else msgspec.json.encode(reply.content)
        return web.Response(body=content, headers=reply.headers, content_type=JSON)

    return answer


def _events(node: DemoBeaconNode) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        if (refusal := await _adversity(node, request)) is not None:
            return refusal
        topics = {each for value in request.query.getall("topics", []) for each in value.split(",") if each}
        if not topics & TOPICS:
            return _error(ApiError(400, f"topics: expected some of {', '.join(sorted(TOPICS))}"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            async for name, facts in node.events.read(KEEP_ALIVE_SECONDS):
                if name is None:
                    await response.write(b":\n\n")
                elif name in topics and not node.adversity.is_down:
                    await asyncio.sleep(node.adversity.delay_seconds)
                    told = node.adversity.about_event(name, facts)
                    lines = f"event: {name}\ndata: {msgspec.json.encode(told).decode()}\n\n"
                    await response.write(lines.encode())
        except ConnectionResetError:  # its reader has gone
            pass
        return response

    return answer


async def _adversity(node: DemoBeaconNode, request: web.Request) -> web.Response | None:
    if request.path.startswith(OWN):
        return None
    await asyncio.sleep(node.adversity.delay_seconds)
    return _error(ApiError(503, "down")) if node.adversity.is_down else None


def _error(error: ApiError) -> web.Response:
    content: dict[str, object] = {"code": error.status, "message": str(error)}
    if error.failures:
        content["failures"] = [{"index": str(place), "message": why} for place, why in error.failures]
    return web.Response(body=msgspec.json.encode(content), status=error.status, content_type=JSON)
