"""The oracles over HTTP: each has several replicas, of which any may answer for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from secrets import SystemRandom
from typing import TypeVar
from urllib.parse import urljoin, urlsplit, urlunsplit

from dvtfast.protocol_config import OracleConfig

from ...chain.contracts.signers import address_of
from ...chain.encoding import write_address
from ...chain.endpoints import Endpoint, EndpointError, SessionClient, exchange
from ...process import logs

TIMEOUT_SECONDS = 10.0  # of one replica
REPLICAS_ASKED = 5  # of one oracle, for one answer
ANSWER_LIMIT_BYTES = 64 * 1024
SAID_CHARACTERS = 1_000  # of what an oracle says is wrong with a request, in the log

T = TypeVar("T")

log = logs.get("oracles")


class OracleError(Exception):
    """No replica of an oracle gives an answer that can be used; the message has the reason of each."""


@dataclass(frozen=True)
class Oracle:
    """One oracle.

    Attributes:
        address: of the account that it signs with.
        endpoints: its replicas.
    """

    address: bytes
    endpoints: tuple[Endpoint, ...]

    @property
    def name(self) -> str:
        """How log lines call it."""
        return write_address(self.address)


@dataclass(frozen=True)
class OracleCall:
    """What is asked of each oracle.

    Attributes:
        path: with a slash in front it goes below the address of a replica; without one it is resolved as a
            relative link, which replaces what follows the last slash of the address.
        body: of a POST; None is a GET.
        limit_bytes: of the answer.
    """

    path: str = ""
    body: bytes | None = None
    limit_bytes: int = ANSWER_LIMIT_BYTES


class OracleClient(SessionClient):
    """Asks oracles; an async context manager. No redirect is followed.

    Args:
        timeout_seconds: of one replica, from the beginning of the request to the end of the answer.
    """

    def __init__(self, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        super().__init__(timeout_seconds)
        self._random = SystemRandom()

    async def ask(self, oracle: Oracle, call: OracleCall, read: Callable[[bytes], T]) -> T:
        """What `read` makes of the first good answer of a replica; they are asked in random order.

        Args:
            read: runs on a thread; raises ValueError of an answer that cannot be used.

        Raises:
            OracleError: no replica gives one.
        """
        problems = []
        count = min(REPLICAS_ASKED, len(oracle.endpoints))
        for replica in self._random.sample(oracle.endpoints, count):
            try:
                return await self._ask_replica(oracle, replica, call, read)
            except EndpointError as error:
                log.warning("no answer of an oracle", oracle=oracle.name, error=str(error))
                problems.append(str(error))
        raise OracleError("; ".join(problems) or "the oracle config names no address that can be asked")

    async def ask_replicas(self, oracle: Oracle, call: OracleCall, read: Callable[[bytes], T]) -> list[T]:
        """What `read` makes of the answer of each of an oracle's replicas that gives a good one; as `ask`."""

        async def one(replica: Endpoint) -> T | EndpointError:
            try:
                return await self._ask_replica(oracle, replica, call, read)
            except EndpointError as error:
                log.warning("no answer of an oracle", oracle=oracle.name, error=str(error))
                return error

        count = min(REPLICAS_ASKED, len(oracle.endpoints))
        asked = self._random.sample(oracle.endpoints, count)
        answers = await asyncio.gather(*map(one, asked))
        good = [answer for answer in answers if not isinstance(answer, EndpointError)]
        if not good:
            problems = map(str, answers)
            raise OracleError("; ".join(problems) or "the oracle config names no address that can be asked")
        return good

    async def _ask_replica(
        self, oracle: Oracle, replica: Endpoint, call: OracleCall, read: Callable[[bytes], T]
    ) -> T:
        method = "GET" if call.body is None else "POST"
        url = _url(replica.url, call.path)
        answer = await exchange(
            self._session, replica, method, url, limit_bytes=call.limit_bytes, body=call.body
        )
        if answer.status != 200:
            words = answer.content[: 4 * SAID_CHARACTERS].decode(errors="replace")
            said = logs.printable(words[:SAID_CHARACTERS])
            if said:
                log.warning("an oracle objects", oracle=oracle.name, status=answer.status, said=said)
            raise replica.error(f"HTTP {answer.status}: {said}", refused=answer.status < 500)
        try:
            return await asyncio.to_thread(read, answer.content)
        except ValueError as error:
            raise replica.error(f"an answer that cannot be used: {error}") from None


def _url(replica: str, path: str) -> str:
    """Where a replica is asked; a query of its address stays."""
    parts = urlsplit(replica)
    below = parts.path.rstrip("/") + path if path.startswith("/") else urljoin(parts.path or "/", path)
    return urlunsplit(parts._replace(path=below)) if path else replica


def oracles_of(config: OracleConfig) -> list[Oracle]:
    """The oracles of a config, in its order."""
    oracles = []
    for public_key, urls in zip(config.public_keys, config.endpoints, strict=True):
        address = address_of(public_key.tobytes())
        endpoints = []
        for url in urls:
            try:
                endpoints.append(Endpoint(url))
            except ValueError:
                log.warning("an oracle's address is none", oracle=write_address(address))
        oracles.append(Oracle(address, tuple(endpoints)))
    return oracles
