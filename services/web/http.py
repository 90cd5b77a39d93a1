"""What every HTTP server of ours has: limits, JSON answers to every error, a clean end."""

from __future__ import annotations

import asyncio
import gzip
import io
import logging
import math
import re
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

import msgspec
import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError

from .. import wire
from ..process import logs
from ..process.offload import UnavailableError, Workers
from .connections import Connections
from .heads import MOST_HEADERS

BODY_LIMIT_BYTES = 16 * 1024 * 1024
BODY_TIMEOUT_SECONDS = 30.0
SILENCE_SECONDS = 75.0  # of a connection, between two requests; proxies keep theirs for 60
LINGERING_SECONDS = 2.0  # for the rest of a body that nobody reads, so that its sender gets the answer
REJECTED_SHOWN = 1_000  # items in the answer to a request that failed
ONE_WRITE_BYTES = 256 * 1024  # longer answers go out in pieces, so that other requests come between
GZIP_FROM_BYTES = 16 * 1024  # of answers; shorter ones go out as they are
GZIP_LEVEL = 1  # most is hex, of which the quickest level finds as much as the others
SCHEMES = ('Basic realm="dvtfast", charset="UTF-8"', 'Bearer realm="dvtfast"')  # in the order of preference
SHUTDOWN_SECONDS = 3.0  # for requests under way when the service is told to stop

INTERNAL_ERROR = "internal error, see the log"
NOT_HTTP = "this is no HTTP request, or one with headers that are too long, too many or contradict each other"

CONTINUE = "100-continue"
REQUEST_ID = "X-Request-ID"
REQUEST_ID_BYTES = 12
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# What reading a body raises when its sender is to blame: pieces that are none, or a connection that ends.
_BROKEN_OFF = (web.RequestPayloadError, HttpProcessingError, ConnectionResetError)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
BaseHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_CONNECTIONS = web.AppKey("connections", Connections)
_UNDER_WAY = web.AppKey("under_way", set[asyncio.Future[web.StreamResponse]])

log = logs.get("http")
aiohttp_log = logging.getLogger(__name__)
aiohttp_log.addFilter(lambda record: not _tells_of_bad_http(record))


def application() -> web.Application:
    """An application without routes that answers each error in JSON, and each request with its id."""
    middlewares = [_to_the_end, _identified, _json_errors]
    app = web.Application(middlewares=middlewares, client_max_size=BODY_LIMIT_BYTES)
    app.on_response_prepare.append(_set_headers)
    app[_UNDER_WAY] = set()
    app.on_cleanup.append(_end_work)
    return app


def let_in(request: web.Request) -> None:
    """Note that whoever sent the request may be here; of connections of others there are fewer."""
    request.app[_CONNECTIONS].let_in(request.protocol)


async def read_body(request: web.Request, *, count: Callable[[int], None] | None = None) -> bytes:
    """The body as it was sent, at most `BODY_LIMIT_BYTES` long and within `BODY_TIMEOUT_SECONDS`.

    Args:
        count: told how long it is by now, with each piece that comes; no more is read when it raises.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise web.HTTPUnsupportedMediaType(reason="Content-Encoding: expected none")
    try:
        async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
            return await (request.read() if count is None else _counted(request, count))
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason="the body came too slowly") from None
    except _BROKEN_OFF as error:
        log.debug("body broken off", method=request.method, path=request.path, error=type(error).__name__)
        raise web.HTTPBadRequest(reason="the body came broken") from None


async def _counted(request: web.Request, count: Callable[[int], None]) -> bytes:
    body = bytearray()
    while piece := await request.content.readany():
        count(len(body) + len(piece))
        body += piece
    return bytes(body)


def json_answer(body: bytes | msgspec.Struct, *, status: int = 200) -> web.Response:
    """An answer whose body is JSON, encoded already or to be encoded here (small ones)."""
    encoded = body if isinstance(body, bytes) else wire.encode(body)
    # aiohttp sends a stream in pieces.
    sent = encoded if len(encoded) <= ONE_WRITE_BYTES else io.BytesIO(encoded)
    return web.Response(body=sent, status=status, content_type="application/json")


class SharedAnswer:
    """A body that many ask for, with what tells it from others; compressed once, when somebody can read that.

    Attributes:
        etag: differs from those of other bodies.
    """

    def __init__(self, body: bytes, etag: str) -> None:
        self.body = body
        self.etag = etag
        self._gzipped: asyncio.Task[bytes] | None = None

    def is_known_to(self, request: web.Request) -> bool:
        """Whether the request says so; weak tags are compared, since a body has several encodings."""
        known = request.if_none_match or ()
        return any(tag.value in (self.etag, "*") for tag in known)

    async def respond(self, request: web.Request, workers: Workers, *, gzips: bool) -> web.Response:
        """The body, unless it is known."""
        if self.is_known_to(request):
            response = web.Response(status=304)
        elif gzips and len(self.body) >= GZIP_FROM_BYTES and takes_gzip(request):
            if self._gzipped is None:
                self._gzipped = asyncio.create_task(workers.run(compressed, self.body))
                self._gzipped.add_done_callback(self._forget_failure)
            response = json_answer(await asyncio.shield(self._gzipped))
            response.headers["Content-Encoding"] = "gzip"
        else:
            response = json_answer(self.body)
        response.headers["ETag"] = f'W/"{self.etag}"'
        response.headers["Vary"] = "Accept-Encoding"
        return response

    def _forget_failure(self, task: asyncio.Task[bytes]) -> None:
        if task.cancelled() or task.exception():
            self._gzipped = None


def takes_gzip(request: web.Request) -> bool:
    """Whether an answer may be compressed."""
    for coding in request.headers.get("Accept-Encoding", "").lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def compressed(body: bytes) -> bytes:
    """As gzip; the same for the same body."""
    return gzip.compress(body, GZIP_LEVEL, mtime=0)


async def send_pieces(
    request: web.Request, pieces: Iterable[Callable[[], bytes]], workers: Workers, *, gzips: bool
) -> web.StreamResponse:
    """Answer with JSON in pieces, each of which is made when the one before is on its way.

    When one cannot be made the connection is cut, so that nobody waits for it or takes the others for all.
    """
    response = web.StreamResponse()
    response.content_type = "application/json"
    make = _as_it_is
    if gzips and takes_gzip(request):
        response.headers["Content-Encoding"] = "gzip"
        make = _zipped
    response.headers["Vary"] = "Accept-Encoding"
    try:
        await response.prepare(request)
        for piece in pieces:
            await response.write(await workers.run(make, piece))
        await response.write_eof()
    except ConnectionResetError:
        log.debug("answer broken off", method=request.method, path=request.path)
    except BaseException:
        if request.transport is not None:
            request.transport.abort()
        raise
    return response


def _as_it_is(piece: Callable[[], bytes]) -> bytes:
    return piece()


def _zipped(piece: Callable[[], bytes]) -> bytes:
    return compressed(piece())  # a file of several parts is one file to gzip


@asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve `app` inside the block; yields the port, then lets requests under way finish.

    A GET whose client hangs up is given up, so that it waits for nothing; all else goes on to its end.
    Bodies stay as they were sent, since a small one can decompress to anything; `read_body` refuses
    what is encoded.
    """
    connections = app[_CONNECTIONS] = Connections()
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    aiohttp_server = runner.server
    assert aiohttp_server is not None
    aiohttp_server.request_handler = _refusing_expectations(aiohttp_server.request_handler)
    loop = asyncio.get_running_loop()

    def protocol() -> _Protocol:
        return _Protocol(
            aiohttp_server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type] # as it may be, of which its type says nothing
            auto_decompress=False,
            keepalive_timeout=SILENCE_SECONDS,
            lingering_time=LINGERING_SECONDS,
            logger=aiohttp_log,
            max_headers=MOST_HEADERS,
        )

    server = None
    try:
        server = await loop.create_server(connections.wrapping(protocol, tls=tls), host, port)
        yield server.sockets[0].getsockname()[1]
    finally:
        if server is not None:
            server.close()
        await runner.cleanup()


@web.middleware
async def _to_the_end(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What may change something is not given up when its client hangs up."""
    if request.method in ("GET", "HEAD"):
        return await handler(request)
    work = asyncio.ensure_future(handler(request))
    under_way = request.app[_UNDER_WAY]
    under_way.add(work)
    work.add_done_callback(under_way.discard)
    return await asyncio.shield(work)


async def _end_work(app: web.Application) -> None:
    """Of clients that have hung up; the others were waited for."""
    if under_way := app[_UNDER_WAY]:
        _, late = await asyncio.wait(under_way, timeout=SHUTDOWN_SECONDS)
        for work in late:
            work.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def _new_id() -> str:
    return secrets.token_urlsafe(REQUEST_ID_BYTES)


@web.middleware
async def _identified(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every log line of a request, and its answer, has its id: the one that it came with, or a new one."""
    given = request.headers.get(REQUEST_ID, "")
    request_id = given if _SANE_ID.fullmatch(given) else _new_id()
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        response = await handler(request)
        if not response.prepared:
            response.headers[REQUEST_ID] = request_id
        log.debug("answered", method=request.method, path=request.path, status=response.status)
        return response


async def _set_headers(_: web.BaseRequest, response: web.StreamResponse) -> None:
    """Of all answers: what they are is what they say, no cache keeps them, and no version is told."""
    response.headers["Server"] = "dvtfast"
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if request_id := structlog.contextvars.get_contextvars().get("request_id"):
        response.headers[REQUEST_ID] = request_id  # also where it is sent while it is made


@web.middleware
async def _json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except wire.WireError as error:
        return _refusal(error)
    except web.HTTPRequestEntityTooLarge:
        return _error(413, f"body: expected at most {BODY_LIMIT_BYTES} bytes")
    except web.HTTPException as error:
        allowed = {name: value for name, value in error.headers.items() if name == "Allow"}
        return _error(error.status, error.reason, allowed)
    except (UnavailableError, TimeoutError) as error:
        log.warning("request put off", method=request.method, path=request.path, error=str(error))
        return _error(503, "not possible now, try again", {"Retry-After": "1"})
    except Exception:
        log.exception("request failed", method=request.method, path=request.path)
        return _error(500, INTERNAL_ERROR)


def _refusing_expectations(handle: BaseHandler) -> BaseHandler:
    """aiohttp quotes what it cannot meet, and fails to where that is no text, before any middleware."""

    async def refusing(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Expect", CONTINUE).lower() == CONTINUE:
            return await handle(request)
        answer = _error(417, f"Expect: expected {CONTINUE}")
        await _set_headers(request, answer)
        return answer

    return refusing


class _Protocol(web.RequestHandler):
    """Of one connection: answers to what is no HTTP, before there is a request that a middleware could see.

    aiohttp's own are texts, and quote what was sent.
    """

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what went wrong outside of the middlewares; to whoever hung up there is none."""
        if isinstance(exc, ConnectionError):
            raise exc
        super().handle_error(request, status, exc, message)  # it logs, and raises when an answer has begun
        answer = _error(status, NOT_HTTP if status == 400 else INTERNAL_ERROR)
        answer.headers[REQUEST_ID] = _new_id()
        answer.force_close()
        return answer


def _tells_of_bad_http(record: logging.LogRecord) -> bool:
    """Whether aiohttp complains of a sender, whom it has answered; its traceback quotes what was sent."""
    return record.exc_info is not None and isinstance(record.exc_info[1], HttpProcessingError)


def _refusal(error: wire.WireError) -> web.Response:
    shown = error.rejected[:REJECTED_SHOWN]
    left_out = len(error.rejected) - len(shown)
    text = f"{error} ({left_out} more rejected items are not shown)" if left_out else str(error)
    answer = json_answer(wire.ErrorAnswer(text, error.field, shown), status=error.status)
    if isinstance(error, wire.UnauthorizedError):
        for scheme in SCHEMES:
            answer.headers.add("WWW-Authenticate", scheme)
    if isinstance(error, wire.TooManyError):
        answer.headers["Retry-After"] = str(math.ceil(error.retry_after_seconds))
    return answer


def _error(status: int, error: str, headers: Mapping[str, str] = MappingProxyType({})) -> web.Response:
    answer = json_answer(wire.ErrorAnswer(error), status=status)
    answer.headers.update(headers)
    return answer
