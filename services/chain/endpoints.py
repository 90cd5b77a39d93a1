"""Several servers that should answer the same: in which order to ask them, and how to name and read them."""

from __future__ import annotations

import asyncio
import copy
import io
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import aiohttp
from yarl import URL

from .. import logs
from ..offload import UnavailableError

REST_FIRST_SECONDS = 1.0  # how long an endpoint that failed stands behind the others
REST_LONGEST_SECONDS = 60.0
SHOWN_CHARACTERS = 200  # of what an endpoint says of itself
SECRET_CHARACTERS = 6  # a part of an address that is shorter is no secret, such as "v2" or "rpc"
IDENTITY = {"Accept-Encoding": "identity"}  # a small body could decompress to anything

T = TypeVar("T")

log = logs.get("chain")


class EndpointError(UnavailableError):
    """An endpoint, or each of several, does not do what it should; the message names them.

    Attributes:
        refused: it answers, but with an error, so it is alive and not to blame.
    """

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class TooLongError(EndpointError):
    """An answer that is longer than anybody wants to read."""


@dataclass(eq=False)
class Endpoint:
    """One server. `name` is all that may be said of it: the rest of its address may be a secret.

    Attributes:
        left_out: why it is never asked again, with its name, if so.
    """

    url: str = field(repr=False)
    name: str = ""
    left_out: str = ""
    failures: int = 0  # in a row
    rests_until: float = 0.0  # monotonic seconds

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self.name = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")

    def error(self, reason: str, *, refused: bool = False) -> EndpointError:
        """What to raise about this endpoint; whatever of its address is in the reason is taken out."""
        return EndpointError(f"{self.name}: {self._censored(reason)}", refused=refused)

    def leave_out(self, reason: str) -> EndpointError:
        """Never ask this endpoint again; returns what to raise."""
        error = self.error(reason)
        self.left_out = str(error)
        log.error("endpoint left out", error=str(error))
        return error

    def did(self, error: EndpointError | None) -> None:
        """Take note of how a request went; a refusal says nothing about its health."""
        if self.left_out:
            return
        if error is None:
            if self.failures:
                log.info("endpoint is back", endpoint=self.name)
            self.failures, self.rests_until = 0, 0.0
        elif not error.refused:
            if not self.failures:
                log.warning("endpoint fails", error=str(error))
            self.failures += 1
            rest = min(REST_FIRST_SECONDS * 2 ** min(self.failures - 1, 10), REST_LONGEST_SECONDS)
            self.rests_until = time.monotonic() + rest

    def _censored(self, reason: str) -> str:
        parts = urlsplit(self.url)
        words = [parts.username, parts.password, *parts.path.split("/")]
        for setting in parts.query.split("&"):
            words += [setting, setting.partition("=")[2]]
        secrets = {form for word in words if word for form in (word, unquote(word))}
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= SECRET_CHARACTERS:
                reason = reason.replace(secret, "***")
        return "".join(c if c.isprintable() else " " for c in reason[:SHOWN_CHARACTERS])


class Endpoints:
    """Endpoints in the order of preference; those that failed a short while ago are asked last."""

    def __init__(self, urls: Sequence[str]) -> None:
        if not urls:
            raise ValueError("endpoints: expected at least one, got none")
        self._endpoints = [Endpoint(url) for url in urls]

    def only(self, endpoint: Endpoint) -> Endpoints:
        """One of them, as if there were no other; what is known of its health is known to both."""
        one = copy.copy(self)
        one._endpoints = [endpoint]
        return one

    async def first_able(self, work: Callable[[Endpoint], Awaitable[T]]) -> T:
        """What `work` returns for the first endpoint for which it raises no EndpointError.

        Raises:
            EndpointError: it did for all of them; `refused` when all that were asked refused.
        """
        errors: list[EndpointError] = []
        for endpoint in self._in_order():
            try:
                result = await work(endpoint)
            except EndpointError as error:
                endpoint.did(error)
                errors.append(error)
            else:
                endpoint.did(None)
                return result
        refused = bool(errors) and all(error.refused for error in errors)
        left_out = [endpoint.left_out for endpoint in self._endpoints if endpoint.left_out]
        messages = dict.fromkeys([*map(str, errors), *left_out])
        raise EndpointError("; ".join(messages), refused=refused)

    async def each(self, work: Callable[[Endpoint], Awaitable[T]]) -> list[T | EndpointError]:
        """What `work` returns for each endpoint that is not left out, or the EndpointError it raises."""

        async def one(endpoint: Endpoint) -> T | EndpointError:
            try:
                result = await work(endpoint)
            except EndpointError as error:
                endpoint.did(error)
                return error
            endpoint.did(None)
            return result

        return list(await asyncio.gather(*map(one, self._in_order())))

    def _in_order(self) -> list[Endpoint]:
        now = time.monotonic()
        able = [endpoint for endpoint in self._endpoints if not endpoint.left_out]
        return sorted(able, key=lambda endpoint: max(endpoint.rests_until - now, 0.0))


def session(timeout_seconds: float) -> aiohttp.ClientSession:
    """For requests that take at most so long from beginning to end, and whose answers stay encoded."""
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    return aiohttp.ClientSession(
        timeout=timeout, headers=IDENTITY, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
    )


async def exchange(
    session: aiohttp.ClientSession,
    endpoint: Endpoint,
    method: str,
    url: str | URL,
    *,
    limit_bytes: int,
    body: bytes | None = None,
    accept: str = "application/json",
) -> tuple[int, bytes]:
    """Send one request to an endpoint; the status, and a body of at most `limit_bytes`.

    Redirects are not followed.

    Raises:
        EndpointError: there is no whole answer in time, or it is too long.
    """
    data = None if body is None else io.BytesIO(body)  # aiohttp sends a stream in pieces
    headers = {"Accept": accept} | ({"Content-Type": "application/json"} if body is not None else {})
    try:
        async with session.request(method, url, data=data, headers=headers, allow_redirects=False) as answer:
            if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise endpoint.error("expected a body that is not compressed")
            content = bytearray()
            async for part in answer.content.iter_any():
                content += part
                if len(content) > limit_bytes:
                    raise TooLongError(f"{endpoint.name}: expected at most {limit_bytes} bytes, got more")
            return answer.status, bytes(content)
    except TimeoutError:
        raise endpoint.error("no answer in time") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise endpoint.error(_why(error)) from None  # these quote the address, with what is secret in it


def _why(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {error.os_error.strerror or type(error.os_error).__name__}"
    return f"no answer: {type(error).__name__}"
