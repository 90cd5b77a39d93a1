"""What every HTTP server of ours has: limits, JSON answers to every error, a clean end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

import msgspec
from aiohttp import web
from aiohttp.http import HttpProcessingError

from . import logs, wire
from .offload import UnavailableError

BODY_LIMIT_BYTES = 16 * 1024 * 1024
BODY_TIMEOUT_SECONDS = 30.0
REJECTED_SHOWN = 1_000  # items in the answer to a request that failed
SHUTDOWN_SECONDS = 3.0  # for requests under way when the service is told to stop

# What reading a body raises when its sender is to blame: pieces that are none, or a connection that ends.
_BROKEN_OFF = (web.RequestPayloadError, HttpProcessingError, ConnectionResetError)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logs.get("http")
aiohttp_log = logging.getLogger(__name__)
aiohttp_log.addFilter(lambda record: not _tells_of_bad_http(record))


def application() -> web.Application:
    """An application without routes that answers each error in JSON."""
    return web.Application(middlewares=[_json_errors], client_max_size=BODY_LIMIT_BYTES)


async def read_body(request: web.Request) -> bytes:
    """The body as it was sent, at most `BODY_LIMIT_BYTES` long and within `BODY_TIMEOUT_SECONDS`."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise web.HTTPUnsupportedMediaType(reason="Content-Encoding: expected none")
    try:
        async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason="the body came too slowly") from None
    except _BROKEN_OFF as error:
        log.debug("body broken off", method=request.method, path=request.path, error=type(error).__name__)
        raise web.HTTPBadRequest(reason="the body came broken") from None


def json_answer(body: bytes | msgspec.Struct, *, status: int = 200) -> web.Response:
    """An answer whose body is JSON, encoded already or to be encoded here (small ones)."""
    encoded = body if isinstance(body, bytes) else wire.encode(body)
    return web.Response(body=encoded, status=status, content_type="application/json")


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve `app` inside the block; yields the port, then lets requests under way finish.

    Bodies stay as they were sent, since a small one can decompress to anything; `read_body` refuses
    what is encoded.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        logger=aiohttp_log,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@web.middleware
async def _json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except wire.NotJsonError as error:
        return _error(400, str(error))
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
        return _error(500, "internal error, see the log")


def _tells_of_bad_http(record: logging.LogRecord) -> bool:
    """Whether aiohttp complains of a sender, whom it has answered; its traceback quotes what was sent."""
    return record.exc_info is not None and isinstance(record.exc_info[1], HttpProcessingError)


def _refusal(error: wire.WireError) -> web.Response:
    shown = error.rejected[:REJECTED_SHOWN]
    left_out = len(error.rejected) - len(shown)
    text = f"{error} ({left_out} more rejected items are not shown)" if left_out else str(error)
    return json_answer(wire.ErrorAnswer(text, error.field, shown), status=422)


def _error(status: int, error: str, headers: Mapping[str, str] = MappingProxyType({})) -> web.Response:
    answer = json_answer(wire.ErrorAnswer(error), status=status)
    answer.headers.update(headers)
    return answer
