"""The status page and the JSON that it shows; what all viewers see is made once, at most once in a second."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from hashlib import blake2b
from importlib.metadata import version
from time import monotonic, time
from typing import get_args

from aiohttp import web

from ... import wire
from ...process.offload import UnavailableError, Workers
from ...web.http import SharedAnswer, json_answer
from ...web.pages import add_status_page
from ..documents import PAGES
from ..health import NO_DATABASE, Health
from ..parts import RelayerParts
from ..store.counts import watched_since
from .answers import HistoryStep, State, StatusAnswer
from .watched_validators import WatchedValidators

FRESH_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 30.0
LOOKS_PAUSE = 4  # times as long as a look took, before the next
MESSAGES_READ = 250  # in one transaction; more would keep the event loop waiting
LARGEST_PAGE = 200  # validators in an answer
ETAG_BYTES = 18


class StatusPage:
    """Keeps what it shows up to date while somebody looks, and answers.

    Args:
        workers: of one thread.
    """

    def __init__(self, parts: RelayerParts, health: Health, workers: Workers) -> None:
        self._network = parts.settings.network.name
        self._database = parts.database
        self._health = health
        self._seen = parts.metrics.seen
        self._gzips = not parts.settings.no_gzip
        self._workers = workers
        self._watched = WatchedValidators(parts.clusters, parts.metrics.seen)
        self._started_at = int(time())
        self._place = 0, 0
        self._answer: SharedAnswer | None = None
        self._fresh_until = 0.0
        self._lock = asyncio.Lock()
        self._stopping = False

    def add_to(self, app: web.Application) -> None:
        """Serve the page and its JSON."""
        add_status_page(app, PAGES, "relayer")
        app.router.add_get("/status.json", self._get_status)
        app.router.add_get("/status/validators", self._get_validators)
        app.on_shutdown.append(self._stop)

    async def _stop(self, _: web.Application) -> None:
        self._stopping = True

    async def _get_status(self, request: web.Request) -> web.Response:
        text = request.query.get("wait", "0")
        until = monotonic() + wire.read_seconds(text, "wait", most=LONGEST_WAIT_SECONDS)
        answer = await self._fresh()
        while answer.is_known_to(request) and monotonic() < until and not self._stopping:
            await asyncio.sleep(min(FRESH_SECONDS, until - monotonic()))
            answer = await self._fresh()
        return await answer.respond(request, self._workers, gzips=self._gzips)

    async def _get_validators(self, request: web.Request) -> web.Response:
        query = request.query
        state: State | None = None
        for each in get_args(State):
            state = each if each == query.get("state") else state
        if state is None and "state" in query:
            raise wire.WireError("state", f"expected one of {', '.join(get_args(State))}")
        index = query.get("share_index")
        await self._fresh()
        found = await self._workers.run(
            lambda: self._watched.validators(
                query.get("cluster", ""),
                first=wire.read_count(query.get("first", "0"), "first"),
                count=min(LARGEST_PAGE, wire.read_count(query.get("count", "50"), "count")),
                share_index=None if index is None else wire.read_share_index(index, "share_index"),
                state=state,
            )
        )
        return json_answer(found)

    async def _fresh(self) -> SharedAnswer:
        """What all see, as it was a second ago at most."""
        async with self._lock:
            if self._answer is None or monotonic() >= self._fresh_until:
                begin = monotonic()
                self._answer = await self._look()
                took = monotonic() - begin
                self._fresh_until = begin + took + max(FRESH_SECONDS, LOOKS_PAUSE * took)
        return self._answer

    async def _look(self) -> SharedAnswer:
        problems = await self._health.problems()
        if NO_DATABASE not in problems:
            try:
                await self._catch_up()
            except (UnavailableError, TimeoutError):
                problems = [NO_DATABASE, *problems]
        return await self._workers.run(self._made, problems, self._answer)

    async def _catch_up(self) -> None:
        is_all = False
        while not is_all and not self._stopping:
            changes = await self._database.read(watched_since, self._place, MESSAGES_READ)
            await self._workers.run(self._watched.mend, changes.validators)
            self._place, is_all = changes.place, changes.is_all

    def _made(self, problems: list[str], before: SharedAnswer | None) -> SharedAnswer:
        """The answer; the one before when nothing is new, so that it is compressed once."""
        body = wire.encode(
            StatusAnswer(
                network=self._network,
                version=version("dvtfast"),
                started_at=self._started_at,
                problems=problems,
                clusters=self._watched.clusters(),
                history=[HistoryStep(step.begin, step.shares, step.ready) for step in self._seen.history()],
            )
        )
        if before is not None and before.body == body:
            return before
        return SharedAnswer(body, urlsafe_b64encode(blake2b(body, digest_size=ETAG_BYTES).digest()).decode())
