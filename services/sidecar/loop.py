"""Poll a relayer for what one node has to sign, sign it, post the shares; for ever.

Two polls stand beside each other: one for exits (v3), one for exits with deposits (v4). A relayer that speaks
only one of them says 404 to the other, which is then asked again now and then.

Exits that may be wanted next, since deposits of others shift the validator indices, are signed after all
that are wanted now.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from time import monotonic, perf_counter
from typing import Any, ClassVar, Generic, TypeVar

import tenacity

from .. import logs, wire
from ..client import (
    SHOWN_CHARACTERS,
    Polled,
    RelayerClient,
    RelayerRefusedError,
    RelayerUnavailableError,
)
from ..offload import UnavailableError
from .journal import DEPOSIT, EXIT
from .nodes import SHOWN_ITEMS, Node
from .signing import Admitted, Signing

POST_SHARES = 500  # in one request
AHEAD_SHARES = 2_000  # of exits that are not wanted yet, in one poll interval
POST_ATTEMPTS = 2  # in a row
FAILURES_LIMIT = 20  # while the cause is looked for in one request's shares; one culprit takes ten
TOLD_PAUSE_SECONDS = 0.1  # between two looks at a relayer that tells when something changes
LONGEST_RETRY_SECONDS = 60.0  # between two looks at a relayer that gives no sense
NOT_SPOKEN_SECONDS = 300.0  # between two looks whether a relayer speaks the other protocol by now
INTERNAL_ERROR = 500  # the HTTP status
NO_SUCH_ROUTE = frozenset({404, 405})  # HTTP statuses
# A share that the relayer does not show as stored is posted again after a pause that doubles each time.
FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 120.0

T = TypeVar("T")
W = TypeVar("W", wire.ExitWanted, wire.ValidatorWanted)
S = TypeVar("S", wire.ExitShare, wire.SignatureShares)

log = logs.get("sidecar")


class WrongNetworkError(Exception):
    """The relayer serves another network."""


@dataclass
class Attempt:
    """When a share may be posted again."""

    pause_seconds: float
    not_before: float


class Sidecar:
    """One node's part in the rounds of one relayer.

    Attributes:
        node: may be exchanged for another one of the same share index at any time.
        relayer: its name, for people.
    """

    def __init__(
        self,
        client: RelayerClient,
        node: Node,
        signing: Signing,
        *,
        relayer: str,
        poll_seconds: float,
        wait_seconds: float = 0,
    ) -> None:
        self.node = node
        self.relayer = relayer
        self.client = client
        self.signing = signing
        self.poll_seconds = poll_seconds
        self.wait_seconds = wait_seconds
        self._polls: Sequence[Poll[Any, Any]] = ExitPoll(self), ValidatorPoll(self)

    async def run(self) -> None:
        """Work until cancelled; a relayer that is away or talks nonsense is asked again.

        Raises:
            WrongNetworkError: the relayer serves another network.
        """
        await self.patiently(self._check_network)
        async with asyncio.TaskGroup() as group:
            for poll in self._polls:
                group.create_task(poll.run())

    @property
    def is_understood(self) -> bool:
        """Whether the relayer speaks one protocol at least."""
        return any(poll.is_spoken for poll in self._polls)

    async def patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do this until it succeeds, with growing, jittered pauses."""
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_may_pass),
            wait=tenacity.wait_random_exponential(self.poll_seconds, LONGEST_RETRY_SECONDS),
            before_sleep=self._log_failure,
        )
        return await retrying(work)

    async def _check_network(self) -> None:
        network = (await self.client.info()).network
        if network != self.signing.network.name:
            raise WrongNetworkError(
                f"the relayer serves {network[:SHOWN_CHARACTERS]}, this sidecar {self.signing.network.name}"
            )
        log.info("relayer found", network=network, relayer=self.relayer, share_index=self.node.share_index)

    def _log_failure(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        who = {"relayer": self.relayer, "share_index": self.node.share_index}
        self.signing.metrics.failures.labels(self.relayer).inc()
        if state.attempt_number.bit_count() > 1:
            return  # ever more rarely, while nothing else comes
        if isinstance(error, RelayerRefusedError):
            log.warning("relayer refuses", error=str(error), **who)
        elif isinstance(error, UnavailableError):
            log.warning("cannot sign now", error=str(error), **who)
        else:
            log.error("unexpected, going on", exc_info=error, **who)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, Exception) and not isinstance(error, WrongNetworkError)


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
        wanted = await asyncio.to_thread(self._wanted)
        if not wanted:
            return
        admitted = await self._admit(self._sidecar.node, wanted)
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

    def open_items(self) -> dict[Hashable, W]:
        """What this node can sign, and what lacks its share, by what is signed."""
        places = self._sidecar.node.places
        return {
            self._identity(item): item
            for item in self._items
            if item.public_key in places and self._is_open(item)
        }

    def _wanted(self) -> Sequence[W]:
        """What is open and whose time has come."""
        open_ = self.open_items()
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


class ExitPoll(Poll[wire.ExitWanted, wire.ExitShare]):
    """Exits: `GET /exits`, `POST /exit-signature`."""

    kind = EXIT

    def __init__(self, sidecar: Sidecar) -> None:
        super().__init__(sidecar)
        self._left = 0  # exits not wanted yet that are for a later look
        self._ahead_at = 0.0  # when the next of these are signed, so that what is wanted never waits long

    async def _poll(self, *, etag: str | None, wait_seconds: float) -> Polled[Sequence[wire.ExitWanted]]:
        index = self._sidecar.node.share_index
        polled = await self._sidecar.client.poll_exits(index, etag=etag, wait_seconds=wait_seconds)
        return Polled(polled.answer.exits if polled.answer else None, polled.etag)

    def _identity(self, item: wire.ExitWanted) -> Hashable:
        return item.public_key, item.validator_index

    def _is_open(self, item: wire.ExitWanted) -> bool:
        index = self._sidecar.node.share_index
        return not item.is_exit_signature_ready and index not in item.share_indexes_ready

    async def _admit(self, node: Node, items: Sequence[wire.ExitWanted]) -> Admitted[wire.ExitWanted]:
        return await self._sidecar.signing.admit_exits(node, self._sidecar.relayer, items)

    async def _sign(self, admitted: Admitted[wire.ExitWanted]) -> Sequence[wire.ExitShare | None]:
        return await self._sidecar.signing.exits(admitted)

    async def _send(
        self, share_index: wire.ShareIndex, shares: list[wire.ExitShare]
    ) -> Sequence[wire.Rejected]:
        request = wire.ExitSignatureRequest(share_index, shares)
        return (await self._sidecar.client.post_exit_shares(request, attempts=POST_ATTEMPTS)).rejected

    def _wanted(self) -> Sequence[wire.ExitWanted]:
        """What is wanted now, then a bounded number of what may be wanted next."""
        wanted, items = super()._wanted(), self._items
        current = {exit_.public_key: exit_.validator_index for exit_ in reversed(items) if not exit_.is_ahead}
        now = [exit_ for exit_ in wanted if current.get(exit_.public_key) == exit_.validator_index]
        ahead: list[tuple[int, wire.ExitWanted]] = []
        rank: Counter[bytes] = Counter()
        for exit_ in wanted if len(now) < len(wanted) else ():
            if current.get(exit_.public_key) != exit_.validator_index:
                ahead.append((rank[exit_.public_key], exit_))
                rank[exit_.public_key] += 1
        ahead.sort(key=itemgetter(0))  # the next index of all validators first, since all move together
        taken = [exit_ for _, exit_ in ahead[:AHEAD_SHARES]] if monotonic() >= self._ahead_at else []
        if taken:
            self._ahead_at = monotonic() + self._sidecar.poll_seconds
        self._left = len(ahead) - len(taken)
        return [*now, *taken]

    def _seconds_until_due(self) -> float:
        if self._left:
            return min(self._sidecar.wait_seconds, max(0.0, self._ahead_at - monotonic()))
        return super()._seconds_until_due()


class ValidatorPoll(Poll[wire.ValidatorWanted, wire.SignatureShares]):
    """Exits with deposits: `GET /validators`, `POST /signatures`."""

    kind = DEPOSIT

    async def _poll(self, *, etag: str | None, wait_seconds: float) -> Polled[Sequence[wire.ValidatorWanted]]:
        index = self._sidecar.node.share_index
        polled = await self._sidecar.client.poll_validators(index, etag=etag, wait_seconds=wait_seconds)
        return Polled(polled.answer.validators if polled.answer else None, polled.etag)

    def _identity(self, item: wire.ValidatorWanted) -> Hashable:
        return item.public_key, item.validator_index, item.vault, item.amount, item.validator_type

    def _is_open(self, item: wire.ValidatorWanted) -> bool:
        index = self._sidecar.node.share_index
        return not item.is_signatures_ready and index not in item.share_indexes_ready

    async def _admit(
        self, node: Node, items: Sequence[wire.ValidatorWanted]
    ) -> Admitted[wire.ValidatorWanted]:
        return await self._sidecar.signing.admit_validators(node, self._sidecar.relayer, items)

    async def _sign(self, admitted: Admitted[wire.ValidatorWanted]) -> Sequence[wire.SignatureShares | None]:
        return await self._sidecar.signing.validators(admitted)

    async def _send(
        self, share_index: wire.ShareIndex, shares: list[wire.SignatureShares]
    ) -> Sequence[wire.Rejected]:
        request = wire.SignaturesRequest(share_index, shares)
        return (await self._sidecar.client.post_signatures(request, attempts=POST_ATTEMPTS)).rejected
