"""What stands in front of all routes, also of those that are added later."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web

from dvtfast.services import wire
from dvtfast.services.relayer.access import guard
from dvtfast.services.relayer.access.guard import Guard
from dvtfast.services.relayer.access.known_tokens import KnownTokens
from dvtfast.services.relayer.access.rights import OPEN, RIGHTS
from dvtfast.services.relayer.clusters.served import ServedClusters
from dvtfast.services.relayer.store.engine.database import Database
from dvtfast.services.web import http

from ...access import EVERYTHING, READ_ONLY, bearer, tokens_of


async def test_open_routes_and_forgotten_ones(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A route without rights is nobody's; one that is open needs no token, and takes no notice of one."""
    monkeypatch.setattr(guard, "RIGHTS", {**RIGHTS, ("GET", "/healthz"): OPEN})

    async def handle(_: web.Request) -> web.Response:
        return http.json_answer(wire.InfoAnswer("hoodi"))

    app = http.application()
    for path in ("/healthz", "/forgotten"):
        app.router.add_get(path, handle)
    database = await Database.open(database_url)
    tokens = KnownTokens(database, ServedClusters([], signature_threshold=1), most_pending=1, moves_per_day=1)
    async with tokens_of(database_url) as made:
        held = [bearer(await made.make(kind)) for kind in (READ_ONLY, EVERYTHING)]
        Guard(tokens, allow_anonymous=False, requests_at_once=9, requests_per_second=9).add_to(app)
        async with (
            tokens.followed(),
            http.listening(app, "127.0.0.1", 0) as port,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
        ):
            for headers in ({}, bearer("junk"), *held):
                async with session.get("/healthz", headers=headers) as answer:
                    assert answer.status == 200
            for headers, status in (({}, 401), *((each, 403) for each in held)):
                async with session.get("/forgotten", headers=headers) as answer:
                    assert answer.status == status
    await database.close()
