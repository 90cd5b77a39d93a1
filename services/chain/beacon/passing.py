"""Beacon nodes of whoever stands before them: requests and answers are passed on as they are.

What is passed on has connections of its own, and how it goes is noted of no node: whatever others ask for,
and however slowly they read it, what is asked for here has its connections, and nodes that are believed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Self, TypeVar

from ...web.outgoing import Answer, Opened, OutgoingError, Session, SlowError, joined
from ..endpoints import Endpoint, EndpointError, Endpoints, NoAnswerInTimeError, exchange
from .answers import decoded
from .client import BeaconError
from .nodes import BeaconNodes, refusal, within

T = TypeVar("T")

PASSED_LIMIT_BYTES: Final = 64 * 1024**2  # of an answer to what is sent
SHOWN_BYTES: Final = 4096  # of an answer that is an error


class PassingNodes(BeaconNodes):
    """Beacon nodes that are asked for what others want to know of them."""

    async def __aenter__(self) -> Self:
        self._passing = Session(self._timeout_seconds)
        return await super().__aenter__()

    async def __aexit__(self, *exception: object) -> None:
        await super().__aexit__(*exception)
        await self._passing.close()

    async def open(
        self, path: str, query: str, headers: Mapping[str, str], *, silence_seconds: float
    ) -> Opened:
        """The answer to GET of the best node that has one, as soon as it has begun; close it.

        Args:
            silence_seconds: after which nothing is expected any more.

        Raises:
            BeaconError: no node has one; with the status that they say.
        """

        async def ask(endpoint: Endpoint) -> Opened:
            async with within(self._read_seconds, endpoint):
                try:
                    opened = await self._passing.open(
                        joined(endpoint.url, path, query),
                        headers=headers,
                        silence_seconds=silence_seconds,
                    )
                    if 200 <= opened.status < 300:
                        return opened
                    try:
                        raise refusal(endpoint, path, opened.status, await opened.start(SHOWN_BYTES))
                    finally:
                        opened.close()
                except SlowError as error:
                    raise endpoint.error(str(error), kind=NoAnswerInTimeError) from None
                except OutgoingError as error:
                    raise endpoint.error(str(error)) from None

        return await self._passed(ask, lambda group, work: group.first_able(work, takes_long=True))

    async def post(self, path: str, query: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """What is sent to all nodes: the first good answer; raises as `open`."""

        async def send(endpoint: Endpoint) -> Answer:
            async with within(self._submit_seconds, endpoint):
                answer = await exchange(
                    self._passing,
                    endpoint,
                    "POST",
                    joined(endpoint.url, path, query),
                    body=body,
                    limit_bytes=PASSED_LIMIT_BYTES,
                    others=headers,
                    is_noted=False,
                )
            if not 200 <= answer.status < 300:
                raise refusal(endpoint, path, answer.status, answer.content)
            return answer

        return await self._passed(send, lambda group, work: group.first_of_all(work))

    async def _passed(
        self,
        work: Callable[[Endpoint], Awaitable[T]],
        ask: Callable[[Endpoints, Callable[[Endpoint], Awaitable[T]]], Awaitable[T]],
    ) -> T:
        """What comes of it. A refusal is an answer, also where other nodes have none: that a slot is empty is
        something else than that nobody knows."""
        refusals: list[EndpointError] = []

        async def noting(endpoint: Endpoint) -> T:
            try:
                return await work(endpoint)
            except EndpointError as error:
                if error.refused:
                    refusals.append(error)
                raise

        try:
            return await self._of_groups(lambda group: ask(group.unnoted(), noting))
        except BeaconError:
            if not refusals:
                raise
            first = refusals[0]
            told = BeaconError(f"beacon: {first}", refused=True, status=first.status)
            told.refusals = first.refusals
            raise told from None

    async def content(
        self,
        path: str,
        *,
        query: str = "",
        body: bytes | None = None,
        limit_bytes: int,
        more_seconds: float = 0.0,
    ) -> dict[str, Any]:
        """What the JSON of an answer was read into; of POST, where there is a body.

        Raises:
            BeaconError: no node answers as it should.
        """

        def read(answer: Answer) -> dict[str, Any]:
            found: dict[str, Any] = decoded(answer.content, dict[str, Any])
            return found

        return await self._get(
            path, read, query=query, body=body, limit_bytes=limit_bytes, more_seconds=more_seconds
        )
