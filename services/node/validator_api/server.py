"""The validator API of a node as an application: who is let in, and all of its routes."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from time import perf_counter
from typing import Any, Final, Self

from aiohttp import web
from aiohttp.typedefs import Middleware

from ...process.offload import Workers
from ...web import http
from ...web.authorization import token_in
from ...web.http import Handler, let_in
from ..parts import ActiveValidators, NodeParts, Signer
from ..running import ClusterNode
from .attesting import Attesting
from .bodies import BODIES, Bodies
from .clients import Clients
from .contributing import Contributing
from .errors import RequestError, api_errors
from .intake import Intake
from .keys import ShareKeys
from .leaving import Leaving
from .offers import Offers
from .passing import EVENTS, PassedOn
from .proposing import Proposing, swallowed
from .reading import Reading
from .selecting import Selecting

SECONDS: Final = 10.0  # for an answer, as charon has it
ENOUGH: Final = 0.9  # of them, after which selection proofs that are there are told without the others
# Requests whose bodies or answers wait for a thread, which is none of those of the node's own duties. Clients
# that hand in validator by validator send as many at once as there are who vote in a slot, and none again.
MOST_WAITING: Final = 4096
LOOK_SECONDS: Final = 0.25  # until it is known which validators are active
PASSED_ON: Final = "passed_on"  # all that the node has no route for
NEEDED: Final = "expected the token of --validator-api-token-file, as Bearer or as the password of Basic"
# Old forms, which clients try before the ones that are there. They must not reach a beacon node.
OUTDATED: Final = (
    ("GET", "/eth/v1/beacon/pool/attestations"),
    ("POST", "/eth/v1/beacon/pool/attestations"),
    ("GET", "/eth/v2/validator/blocks/{slot}"),
    ("GET", "/eth/v1/validator/blocks/{slot}"),
    ("GET", "/eth/v1/validator/blinded_blocks/{slot}"),
    ("GET", "/eth/v1/validator/aggregate_attestation"),
    ("POST", "/eth/v1/validator/aggregate_and_proofs"),
    ("GET", "/proposer_config"),
    ("GET", "/teku_proposer_config"),
)


Watcher = Callable[[str, float, int], None]


class ValidatorApi:
    """Serves validator clients.

    Args:
        offers: what they are to sign; the node's signer.
        record: puts on record what they signed.
        token: who has none is refused; without one, everybody is served.
        seconds: for an answer.
        watcher: told of each answer what was asked for, how many seconds it took, and its status.
    """

    def __init__(
        self,
        node: ClusterNode,
        offers: Offers,
        record: Signer,
        *,
        token: str = "",
        seconds: float = SECONDS,
        watcher: Watcher = lambda endpoint, seconds, status: None,
    ) -> None:
        self._watcher = watcher
        self._workers = Workers("clients", threads=1, queue_limit=MOST_WAITING)
        self._scheduler, self._slots, self._seconds = node.scheduler, node.parts.slots, seconds
        self._digest = _digest(token) if token else b""
        parts: NodeParts = replace(node.parts, workers=self._workers)
        self._intake = Intake(parts, record)
        self._passed = PassedOn(parts.beacon, seconds=seconds)
        self._reading = Reading(parts, ShareKeys(parts.cluster))
        clients = Clients(parts, offers, self._intake, self._active, self._members)
        self._attesting, self._proposing = Attesting(clients), Proposing(clients)
        self._selecting = Selecting(clients, seconds=ENOUGH * seconds)
        self._contributing = Contributing(clients)
        self._leaving = Leaving(node.exits, record, parts.workers)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, node: ClusterNode, offers: Offers, record: Signer, **more: Any
    ) -> AsyncIterator[Self]:
        """The same; what is under way is given up at the end of the block."""
        api = cls(node, offers, record, **more)
        try:
            yield api
        finally:
            await api._intake.close()
            await api._workers.close()

    def application(self) -> web.Application:
        """All routes."""
        app = http.application()
        app[BODIES] = Bodies()
        app.middlewares.extend([self._watch(), api_errors, self._guard()])
        add = app.router.add_route
        for method, path, handler in self._routes():
            add(method, path, self._timed(handler))
        for method, path in OUTDATED:
            add(method, path, _outdated)
        add("GET", "/{path:.*}", self._passed.get)
        add("POST", "/{path:.*}", self._passed.post)
        return app

    def _routes(self) -> list[tuple[str, str, Handler]]:
        reading, attesting, proposing = self._reading, self._attesting, self._proposing
        selecting, contributing = self._selecting, self._contributing
        return [
            ("GET", "/eth/v1/node/version", reading.version),
            ("GET", "/eth/v1/beacon/states/{state}/validators", reading.validators),
            ("POST", "/eth/v1/beacon/states/{state}/validators", reading.validators),
            ("GET", "/eth/v1/beacon/states/{state}/validators/{validator}", reading.validator),
            ("POST", "/eth/v1/validator/duties/attester/{epoch}", reading.attesters),
            ("GET", "/eth/{form:v[12]}/validator/duties/proposer/{epoch}", reading.proposers),
            ("POST", "/eth/v1/validator/duties/sync/{epoch}", reading.members),
            ("GET", "/eth/v1/validator/attestation_data", attesting.data),
            ("POST", "/eth/v2/beacon/pool/attestations", attesting.votes),
            ("POST", "/eth/v1/validator/beacon_committee_selections", selecting.of_committees),
            ("GET", "/eth/v2/validator/aggregate_attestation", attesting.aggregate),
            ("POST", "/eth/v2/validator/aggregate_and_proofs", attesting.aggregates),
            ("GET", "/eth/v3/validator/blocks/{slot}", proposing.block),
            ("POST", "/eth/{form:v[12]}/beacon/blocks", proposing.whole),
            ("POST", "/eth/{form:v[12]}/beacon/blinded_blocks", proposing.blinded),
            ("POST", "/eth/v1/validator/prepare_beacon_proposer", swallowed),
            ("POST", "/eth/v1/validator/register_validator", swallowed),
            ("POST", "/eth/v1/beacon/pool/sync_committees", contributing.messages),
            ("POST", "/eth/v1/validator/sync_committee_selections", selecting.of_subcommittees),
            ("GET", "/eth/v1/validator/sync_committee_contribution", contributing.contribution),
            ("POST", "/eth/v1/validator/contribution_and_proofs", contributing.contributions),
            ("POST", "/eth/v1/beacon/pool/voluntary_exits", self._leaving.exit),
        ]

    async def _active(self) -> ActiveValidators:
        """The validators that have duties now, as soon as that is known."""
        while not (known := self._scheduler.known):  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(LOOK_SECONDS)
        return known[max(known)].active

    def _members(self, slot: int) -> set[int]:
        """Positions of those who are in the sync committee in a slot, as far as that is known."""
        known = self._scheduler.known.get(self._slots.epoch(slot))
        if known is None:
            return set()
        return {known.active.positions[each.validator_index] for each in known.members.get(slot, ())}

    def _timed(self, handler: Handler) -> Handler:
        async def timed(request: web.Request) -> web.StreamResponse:
            async with asyncio.timeout(self._seconds):
                return await handler(request)

        return timed

    def _watch(self) -> Middleware:
        """Tells of answers, but of events, which have no end."""

        @web.middleware
        async def watched(request: web.Request, handler: Handler) -> web.StreamResponse:
            begin = perf_counter()
            answer = await handler(request)
            if request.path != EVENTS:
                self._watcher(_name_of(request), perf_counter() - begin, answer.status)
            return answer

        return watched

    def _guard(self) -> Middleware:
        """Refuses who has no token, where one is needed."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            if self._digest:
                shown = _digest(token_in(request.headers.get("Authorization", "")))
                if not hmac.compare_digest(shown, self._digest):
                    raise RequestError(401, NEEDED)
            let_in(request)
            return await handler(request)

        return guarded


def _name_of(request: web.Request) -> str:
    """What is asked for: one of the routes, whatever the address has."""
    resource = request.match_info.route.resource
    parts = ("" if resource is None else resource.canonical).split("/")[3:]
    return "_".join(part for part in parts if not part.startswith("{")) or PASSED_ON


async def _outdated(request: web.Request) -> web.StreamResponse:
    raise RequestError(404, "an old form of the beacon API, which is not served")


def _digest(token: str) -> bytes:
    return sha256(token.encode(errors="surrogateescape")).digest()
