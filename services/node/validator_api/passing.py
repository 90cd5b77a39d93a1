"""What the node has no answer of its own for is passed on to the beacon nodes, and so are their answers."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Final

from aiohttp import web

from ...chain.beacon.duty_answers import VERSION
from ...chain.beacon.passing import PassingNodes
from ...web.outgoing import OutgoingError
from .bodies import BODIES
from .errors import RequestError
from .requests import JSON

TAKEN_HEADERS: Final = ("Accept", "Content-Type", VERSION)
GIVEN_HEADERS: Final = ("content-type", "content-encoding", "content-length")
GIVEN_PREFIX: Final = "eth-"
SILENCE_SECONDS: Final = 10.0  # in an answer that has begun
EVENTS_SILENCE_SECONDS: Final = 120.0  # there is one in each slot
EVENTS: Final = "/eth/v1/events"
PATHS: Final = re.compile(r"/eth/v[0-9]+(?:/[A-Za-z0-9_]+)+")
# At once; the connections for both are fewer than what is passed on has.
MOST_EVENTS: Final = 16  # which clients keep open for ever
MOST_ANSWERS: Final = 32


class PassedOn:
    """Passes requests on.

    Args:
        seconds: in which an answer has to begin.
    """

    def __init__(self, beacon: PassingNodes, *, seconds: float) -> None:
        self._beacon, self._seconds = beacon, seconds
        self._open = Counter[bool]()  # by whether they are events

    async def get(self, request: web.Request) -> web.StreamResponse:
        """An answer of the best node, in the pieces in which it comes."""
        is_events = request.path == EVENTS
        most = MOST_EVENTS if is_events else MOST_ANSWERS
        if self._open[is_events] >= most:
            raise RequestError(503, f"more than {most} such answers are being read")
        self._open[is_events] += 1
        try:
            return await self._streamed(request)
        finally:
            self._open[is_events] -= 1

    async def post(self, request: web.Request) -> web.Response:
        """The first good answer of all nodes."""
        path = _path(request)
        async with request.app[BODIES].of(request) as body, asyncio.timeout(self._seconds):
            answer = await self._beacon.post(path, _query(request), body, _taken(request))
        given = {name: value for name, value in answer.headers.items() if _is_given(name)}
        given.pop("Content-Length", None)
        given.pop("Content-Encoding", None)
        return web.Response(body=answer.content, status=answer.status, headers=given)

    async def _streamed(self, request: web.Request) -> web.StreamResponse:
        silence = EVENTS_SILENCE_SECONDS if request.path == EVENTS else SILENCE_SECONDS
        async with asyncio.timeout(self._seconds):
            opened = await self._beacon.open(
                _path(request), _query(request), _taken(request), silence_seconds=silence
            )
        try:
            given = {name: value for name, value in opened.headers.items() if _is_given(name)}
            response = web.StreamResponse(status=opened.status, headers=given)
            await response.prepare(request)
            async for piece in opened.pieces():
                await response.write(piece)
            await response.write_eof()
        except ConnectionResetError:  # its reader has gone
            pass
        except OutgoingError:  # so that nobody takes what came for all
            if request.transport is not None:
                request.transport.abort()
        finally:
            opened.close()
        return response


def _path(request: web.Request) -> str:
    """The same path, if it is one of the beacon API, written as that has it.

    Servers take others for the same, such as those with an empty part, and so would not see what the node
    has an answer of its own for; and what else a beacon node has on its port is none of a client's business.
    """
    path = request.rel_url.raw_path
    if not PATHS.fullmatch(path):
        raise RequestError(404, "there is no such path of the beacon API")
    return path


def _query(request: web.Request) -> str:
    return request.rel_url.raw_query_string


def _taken(request: web.Request) -> dict[str, str]:
    found = {name: request.headers[name] for name in TAKEN_HEADERS if name in request.headers}
    return {"Accept": JSON} | found


def _is_given(name: str) -> bool:
    return name.lower() in GIVEN_HEADERS or name.lower().startswith(GIVEN_PREFIX)
