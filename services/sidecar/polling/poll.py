"""Ask a relayer one question, sign what it wants, post the shares; for ever."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from ... import wire
from ...process import logs
from ...relayer_client.client import SHOWN_CHARACTERS, Polled, RelayerRefusedError, RelayerUnavailableError
from ..nodes.node import SHOWN_ITEMS, Node
from ..signing.signing import Admitted

if TYPE_CHECKING:
    from .loop import Sidecar

POST_SHARES = 500  # in one request
FAILURES_LIMIT = 20  # while the cause is looked for in one request's shares; one culprit takes ten
TOLD_PAUSE_SECONDS = 0.1  # between two looks at a relayer that tells when something changes
NOT_SPOKEN_SECONDS = 300.0  # between two looks whether a relayer speaks the other protocol by now
INTERNAL_ERROR = 500  # the HTTP status
NO_SUCH_ROUTE = frozenset({404, 405})  # HTTP statuses
# A share that the relayer does not show as stored is posted again after a pause that doubles each time.
FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 120.0

W = TypeVar("W", wire.ExitWanted, wire.ValidatorWanted)
S = TypeVar("S", wire.ExitShare, wire.SignatureShares)

log = logs.get("sidecar")


@dataclass
class Attempt:
    """When a share may be posted again."""

    pause_seconds: float
    not_before: float


class Poll(ABC, Generic[W, S]):
    """One question to a relayer, asked for ever, and what is done about the answers.

    Attributes:
        is_spoken: whether the relayer knows the question.
    """

    kind: ClassVar[str]

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar
        self.is_spoken = False
        self._has_denied = False
        self._items: Sequence[W] = ()  # as the relayer last said, under this ETag
        self._etag: str | None = None
        self._sign_seconds = 0.0
        self._attempts: dict[Hashable, Attempt] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            seconds = await self._sidecar.patiently(self._look)
            await asyncio.sleep(seconds)

    async def _look(self) -> float:
        """Sign and post what is wanted; the seconds until the next look."""
        try:
            await self.ask()
        except RelayerRefusedError as error:
            self._etag = None
            if error.status not in NO_SUCH_ROUTE:
                raise
            self.is_spoken = False
            if self._sidecar.is_understood:
                return NOT_SPOKEN_SECONDS
            if self._has_denied:
                raise
            self._has_denied = True  # the other poll may not have had its answer yet
            return self._sidecar.poll_seconds
        self.is_spoken, self._has_denied = True, False
        self._sidecar.signing.metrics.answered(self._sidecar.relayer)
        await self._serve()
        told = min(self._sidecar.poll_seconds, TOLD_PAUSE_SECONDS)
        return told if self._etag else self._sidecar.poll_seconds

    async def ask(self) -> None:
        """Ask what is wanted; the answer is kept."""
        polled = await self._poll(etag=self._etag, wait_seconds=self._seconds_until_due())
        if polled.answer is not None:
            self._items = polled.answer
        self._etag = polled.etag

    async def _serve(self) -> None:
        node = self._sidecar.node  # which may be exchanged meanwhile
        wanted = await asyncio.to_thread(self._wanted, node)
        if not wanted:
            return
        admitted = await self._admit(node, wanted)
        if len(admitted.items) < len(wanted):
            known = {self._identity(item) for item in admitted.items}
            for identity in map(self._identity, wanted):
                if identity not in known:
                    self._remember(identity)
        await self._post_what_can_be(admitted)

    @abstractmethod
    async def _poll(self, *, etag: str | None, wait_seconds: float) -> Polled[Sequence[W]]:
        """Ask the relayer."""

    @abstractmethod
    def _identity(self, item: W) -> Hashable:
        """What is signed for an item."""

    @abstractmethod
    def _is_open(self, item: W) -> bool:
        """Whether the relayer still has to get this node's share."""

    @abstractmethod
    async def _admit(self, node: Node, items: Sequence[W]) -> Admitted[W]:
        """What of these may be signed, on record."""

    @abstractmethod
    async def _sign(self, admitted: Admitted[W]) -> Sequence[S | None]:
        """A share for each item; None where there is none now."""

    @abstractmethod
    async def _send(self, share_index: wire.ShareIndex, shares: list[S]) -> Sequence[wire.Rejected]:
        """Post shares; those that were rejected."""

    def open_items(self, node: Node) -> dict[Hashable, W]:
        """What a node can sign, and what lacks its share, by what is signed."""
        places = node.places
        return {
            self._identity(item): item
            for item in self._items
            if item.public_key in places and self._is_open(item)
        }

    def _wanted(self, node: Node) -> Sequence[W]:
        """What is open and whose time has come."""
        open_ = self.open_items(node)
        self._attempts = {key: attempt for key, attempt in self._attempts.items() if key in open_}
        now = monotonic()
        return [
            item
            for key, item in open_.items()
            if (attempt := self._attempts.get(key)) is None or attempt.not_before <= now
        ]

    def _seconds_until_due(self) -> float:
        """How long the relayer may wait for a change: until something is to be posted again."""
        first = min((attempt.not_before for attempt in self._attempts.values()), default=None)
        wait = self._sidecar.wait_seconds
        return wait if first is None else min(wait, max(0.0, first - monotonic()))

    async def _post_what_can_be(self, admitted: Admitted[W]) -> None:
        """Sign and post; the next part is signed while one is on its way.

        What fails waits for a later look and holds up nothing else.
        """
        posting: asyncio.Task[None] | None = None
        try:
            for part in admitted.parts(POST_SHARES):
                items, shares = await self._signed(part)
                if posting is not None:
                    await posting
                posting = asyncio.create_task(self._post_halved(items, shares))
            if posting is not None:
                await posting
        finally:
            if posting is not None:
                posting.cancel()

    async def _signed(self, admitted: Admitted[W]) -> tuple[list[W], list[S]]:
        """What can be signed now, with its shares; the rest is for later."""
        begin = perf_counter()
        shares = await self._sign(admitted)
        self._sign_seconds += perf_counter() - begin
        signed: list[tuple[W, S]] = []
        for item, share in zip(admitted.items, shares, strict=True):
            if share is None:
                self._remember(self._identity(item))
            else:
                signed.append((item, share))
        return [item for item, _ in signed], [share for _, share in signed]

    async def _post_halved(self, items: Sequence[W], shares: Sequence[S]) -> None:
        """Post; what cannot be posted is left for later.

        A relayer may stumble over a single share and answer 500 to all that comes with it, so what gets
        this answer is halved until the culprit stands alone.
        """
        waiting, failures = [range(len(items))] if items else [], 0
        while waiting and failures < FAILURES_LIMIT:
            part = waiting.pop()
            try:
                await self._post(shares[part.start : part.stop])
            except (RelayerUnavailableError, RelayerRefusedError) as error:
                failures += 1
                log.warning("shares not posted", count=len(part), error=str(error))
                if error.status == INTERNAL_ERROR and len(part) > 1:
                    middle = len(part) // 2
                    waiting += [part[middle:], part[:middle]]
                    continue
            for item in items[part.start : part.stop]:
                self._remember(self._identity(item))

    async def _post(self, shares: Sequence[S]) -> None:
        begin = perf_counter()
        relayer, metrics = self._sidecar.relayer, self._sidecar.signing.metrics
        rejected = await self._send(wire.ShareIndex(self._sidecar.node.share_index), list(shares))
        metrics.posted.labels(relayer, self.kind).inc(max(0, len(shares) - len(rejected)))
        metrics.rejected.labels(relayer, self.kind).inc(len(rejected))
        log.info(
            "shares posted",
            count=len(shares),
            rejected=len(rejected),
            kind=self.kind,
            relayer=relayer,
            share_index=self._sidecar.node.share_index,
            sign_seconds=round(self._sign_seconds, 4),  # since the last of these lines
            post_seconds=round(perf_counter() - begin, 4),
        )
        self._sign_seconds = 0.0
        reasons = Counter(item.reason[:SHOWN_CHARACTERS] for item in rejected)
        for reason, count in reasons.most_common(SHOWN_ITEMS):
            log.warning("shares rejected", count=count, reason=reason)

    def _remember(self, identity: Hashable) -> None:
        before = self._attempts.get(identity)
        pause = min(2 * before.pause_seconds, LONGEST_PAUSE_SECONDS) if before else FIRST_PAUSE_SECONDS
        self._attempts[identity] = Attempt(pause, monotonic() + pause)
