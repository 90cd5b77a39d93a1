"""Answers of servers that send on to another address, followed as far as is safe.

A few times, and never from https to http; nor with a name or password that somebody put into the address.
Those of the address that was asked for stay with its origin. Who sends from the internet into this machine or
its network is not followed: what is there is nobody else's to ask. A server that is here itself may send to
another one here, until one of the internet was asked.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from yarl import URL

from ...web.addresses import is_public
from ...web.outgoing import Answer, Session, addresses_of
from ..endpoints import Endpoint, NoAnswerInTimeError, exchange

MOST_REDIRECTS = 5
ADDRESS_CHARACTERS = 2048
STATUSES = frozenset({301, 302, 303, 307, 308})
SCHEMES = ("http", "https")


class Following:
    """Asks servers, and whom they send on to; an async context manager.

    Args:
        timeout_seconds: of one request with all that it is sent on to.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._anywhere = Session(timeout_seconds)
        self._public_only = Session(timeout_seconds, public_only=True)
        self._here_only = Session(timeout_seconds, here_only=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect."""
        for session in (self._anywhere, self._public_only, self._here_only):
            await session.close()

    async def get(self, endpoint: Endpoint, url: str, *, limit_bytes: int, accept: str) -> Answer:
        """The answer at the end, whoever gives it.

        Raises:
            EndpointError: there is none, or it is not followed to there; the message names the endpoint.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._get(endpoint, url, limit_bytes, accept)
        except TimeoutError:
            raise endpoint.error("no answer in time", kind=NoAnswerInTimeError) from None

    async def _get(self, endpoint: Endpoint, url: str, limit_bytes: int, accept: str) -> Answer:
        address = URL(url)
        session = self._here_only if await is_here(address) else self._anywhere
        for _ in range(MOST_REDIRECTS + 1):
            answer = await exchange(session, endpoint, "GET", address, limit_bytes=limit_bytes, accept=accept)
            if answer.status not in STATUSES or "Location" not in answer.headers:
                return answer
            try:
                address = next_address(address, answer.headers["Location"])
            except ValueError as error:
                raise endpoint.error(f"HTTP {answer.status}: {error}", status=answer.status) from None
            if session is not self._here_only or not await is_here(address):
                session = self._public_only
        raise endpoint.error(f"expected at most {MOST_REDIRECTS} redirects, got more")


async def is_here(address: URL) -> bool:
    """Whether its name stands for this machine and its network alone.

    A session that asks nobody else makes sure that it is so when it is asked, too.
    """
    found = await addresses_of(address.raw_host or "")
    return bool(found) and not any(map(is_public, found))


def next_address(now: URL, location: str) -> URL:
    """Where an answer sends on to; with the name and password of `now` where that is of the same origin.

    Raises:
        ValueError: nobody should follow it there.
    """
    if len(location) > ADDRESS_CHARACTERS:
        raise ValueError(f"sends on to an address of more than {ADDRESS_CHARACTERS} characters")
    try:
        said = URL(location)
        found = now.join(said).with_fragment(None)
        named = f"{found.scheme}://{found.host}"
    except (ValueError, IndexError):  # the latter is yarl's, of `x://[]@`
        raise ValueError("sends on to what is no address") from None
    if found.scheme not in SCHEMES or not found.host:
        raise ValueError("sends on to what is no http or https address")
    if now.scheme == "https" and found.scheme != "https":
        raise ValueError(f"sends on to {named}, from https to http")
    if said.user is not None or said.password is not None:
        raise ValueError(f"sends on to {named} with a name or a password")
    if (found.scheme, found.raw_host, found.port) != (now.scheme, now.raw_host, now.port):
        return found
    return found.with_user(now.user).with_password(now.password)
