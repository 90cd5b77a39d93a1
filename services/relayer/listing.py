"""The answers that everybody polls: made when somebody asks, mended where validators changed."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable, Iterable, Iterator
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from hashlib import blake2b
from time import monotonic
from typing import Any, Generic, TypeVar

import msgspec

from .. import wire
from ..process import logs
from ..process.offload import Workers
from ..web.http import SharedAnswer
from .clusters.served import Group, ServedClusters
from .store.engine.database import Database
from .store.nodes.listed_messages import ListedMessage, ListedValidator, changes_since
from .store.nodes.missing_shares import MessageOfNode, ValidatorOfNode, missing_shares_since
from .store.subjects import Deposit, Exit

LONGEST_WAIT_SECONDS = 30.0
# Between two looks for those who wait: what is committed meanwhile is read at once.
SETTLING_SECONDS = 0.1
LOOKS_PAUSE = 4  # times as long as the look took
RETRY_SECONDS = 1.0
ETAG_BYTES = 18
FEWEST_KEPT = 32  # listings; each has up to some hundred bytes for each validator
LISTINGS_OF_NODE = 5  # which it may poll: the kinds of exits and deposits, full or for itself

V = TypeVar("V", ListedValidator, ValidatorOfNode)
M = TypeVar("M", ListedMessage, MessageOfNode)

IsVisible = Callable[[bytes], bool]
"""Whether a listing may have the validator with this public key."""
FullItems = Callable[[ListedValidator], Iterable[msgspec.Struct]]
"""What a full listing has of a validator."""
NodeItems = Callable[[ValidatorOfNode], Iterable[msgspec.Struct]]
"""What a listing of a node has of a validator."""

Changes = Callable[[int, Collection[bytes]], Awaitable[tuple[int, list[V]]]]
"""Asked with a revision and the keys listed then: the latest revision, and what changed since."""

log = logs.get("listing")


class Listing(Generic[V]):
    """All validators that have something to show as JSON, in the order in which they were first asked for.

    Its ETag is a digest of the body: the same after a restart and from every relayer of one database, other
    as soon as anything else is said, also by a new database in the place of an old one.
    """

    def __init__(
        self,
        database: Database,
        workers: Workers,
        changes: Changes[V],
        *,
        name: str,
        items: Callable[[V], Iterable[msgspec.Struct]],
        is_visible: IsVisible | None,
        building: asyncio.Lock,
    ) -> None:
        self._database = database
        self._changes: Changes[V] = changes
        self._workers = workers
        self._building = building
        self._name = name
        self._items: Callable[[V], Iterable[msgspec.Struct]] = items
        self._is_visible = is_visible
        self._revision = 0
        self._encoded: dict[bytes, tuple[int, bytes]] = {}  # by public key: its position, its items
        self._answer = self._join()
        self._lock = asyncio.Lock()
        self._next: asyncio.Task[SharedAnswer] | None = None  # a look that did not begin yet
        self._waiting = 0
        self._renewed = asyncio.Event()
        self._stopping = False

    async def answer(self) -> SharedAnswer:
        """The answer, with everything that was committed before the call."""
        if self._next is None:
            self._next = asyncio.create_task(self._look())
        return await asyncio.shield(self._next)

    async def answer_after(self, is_known: Callable[[SharedAnswer], bool], seconds: float) -> SharedAnswer:
        """The answer as soon as it is not known, or at the end of the time."""
        answer = await self.answer()
        if seconds <= 0 or not is_known(answer):
            return answer
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._watched():
                while is_known(self._answer) and not self._stopping:
                    await self._renewed.wait()
        return self._answer

    def stop_waiting(self) -> None:
        """Answer everybody who waits, now and from now on."""
        self._stopping = True
        self._renew()

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for a change."""
        return self._waiting > 0

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        """Look at changes inside the block; one task does, however many wait."""
        self._waiting += 1
        if self._waiting == 1:
            self._watcher = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._watcher.cancel()

    async def _watch(self) -> None:
        while True:
            await self._database.wait_for_change(self._revision, LONGEST_WAIT_SECONDS)
            begin = monotonic()
            try:
                await self.answer()
            except Exception as error:  # the next look may succeed; who waits gets what is known
                log.warning("not looked for changes", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            await asyncio.sleep(max(SETTLING_SECONDS, LOOKS_PAUSE * (monotonic() - begin)))

    async def _look(self) -> SharedAnswer:
        async with self._lock:
            self._next = None  # who asks from now on may have committed something since
            async with self._building if self._revision == 0 else nullcontext():
                revision, changed = await self._changes(self._revision, self._encoded)
            if changed:
                answer = await self._workers.run(self._mend, changed)
                if answer.etag != self._answer.etag:
                    self._answer = answer
                    self._renew()
            self._revision = revision
            return self._answer

    def _renew(self) -> None:
        self._renewed.set()
        self._renewed = asyncio.Event()

    def _mend(self, changed: list[V]) -> SharedAnswer:
        for validator in changed:
            if self._is_visible is not None and not self._is_visible(validator.public_key):
                continue
            if encoded := b",".join(map(wire.encode, self._items(validator))):
                self._encoded[validator.public_key] = validator.position, encoded
            else:
                self._encoded.pop(validator.public_key, None)
        return self._join()

    def _join(self) -> SharedAnswer:
        items = b",".join(encoded for _, encoded in sorted(self._encoded.values()))
        body = b'{"%s":[%s]}' % (self._name.encode(), items)
        digest = urlsafe_b64encode(blake2b(body, digest_size=ETAG_BYTES).digest()).decode()
        return SharedAnswer(body, digest)


class Listings:
    """All listings; those of some groups or of nodes are made when they are asked for, and the oldest go.

    To make one takes a look at all validators. One is made at a time, so that other looks come between, and
    `may_make`, which is called before, raises to whoever wants too many.
    """

    def __init__(self, database: Database, workers: Workers, clusters: ServedClusters) -> None:
        self._database = database
        self._workers = workers
        self._clusters = clusters
        self._most = max(FEWEST_KEPT, LISTINGS_OF_NODE * clusters.nodes)
        self._made: dict[Hashable, Listing[Any]] = {}
        self._building = asyncio.Lock()
        self._stopping = False

    def exits(
        self,
        groups: frozenset[Group] | None,
        share_index: int | None,
        *,
        window: bool,
        may_make: Callable[[], None],
    ) -> Listing[Any]:
        """Of `GET /exits`, with validators of these groups; None is all."""
        if share_index is None:
            return self._full("exits", exits_ahead if window else exits, groups, may_make)
        items = open_exits_ahead if window else open_exits
        return self._of_node("exits", items, groups, share_index, may_make)

    def deposits(
        self, groups: frozenset[Group] | None, share_index: int | None, *, may_make: Callable[[], None]
    ) -> Listing[Any]:
        """Of `GET /validators`."""
        if share_index is None:
            return self._full("validators", deposits, groups, may_make)
        return self._of_node("validators", open_deposits, groups, share_index, may_make)

    def stop_waiting(self) -> None:
        """Answer everybody who waits, now and from now on."""
        self._stopping = True
        for listing in self._made.values():
            listing.stop_waiting()

    def _full(
        self, name: str, items: FullItems, groups: frozenset[Group] | None, may_make: Callable[[], None]
    ) -> Listing[Any]:
        """Everything that sidecars may know."""

        def changes(revision: int, _: object) -> Awaitable[tuple[int, list[ListedValidator]]]:
            return self._database.read(changes_since, revision)

        return self._kept((items,), groups, partial(self._listing, changes, name, items), may_make)

    def _of_node(
        self,
        name: str,
        items: NodeItems,
        groups: frozenset[Group] | None,
        share_index: int,
        may_make: Callable[[], None],
    ) -> Listing[Any]:
        """What lacks a share at one index."""

        def changes(revision: int, listed: Collection[bytes]) -> Awaitable[tuple[int, list[ValidatorOfNode]]]:
            only_reserved = items is open_deposits
            return self._database.read(
                missing_shares_since, revision, share_index, listed, only_reserved=only_reserved
            )

        make = partial(self._listing, changes, name, items)
        return self._kept((items, share_index), groups, make, may_make)

    def _listing(
        self,
        changes: Changes[V],
        name: str,
        items: Callable[[V], Iterable[msgspec.Struct]],
        groups: frozenset[Group] | None,
    ) -> Listing[V]:
        return Listing(
            self._database,
            self._workers,
            changes,
            name=name,
            items=items,
            is_visible=self._visible(groups),
            building=self._building,
        )

    def _kept(
        self,
        about: tuple[Hashable, ...],
        groups: frozenset[Group] | None,
        make: Callable[[frozenset[Group] | None], Listing[Any]],
        may_make: Callable[[], None],
    ) -> Listing[Any]:
        groups = None if groups == self._clusters.groups else groups
        place = (*about, groups)
        listing = self._made.pop(place, None)
        if listing is None:
            may_make()
            listing = make(groups)
            if self._stopping:
                listing.stop_waiting()
            unused = [place for place, other in self._made.items() if not other.is_waited_for]
            for oldest in unused[: max(0, len(self._made) + 1 - self._most)]:
                del self._made[oldest]
        self._made[place] = listing
        return listing

    def _visible(self, groups: frozenset[Group] | None) -> IsVisible | None:
        if groups is None:
            return None
        return lambda public_key: self._clusters.group_of(public_key) in groups


def exits(validator: ListedValidator) -> Iterator[wire.ExitWanted]:
    """For `GET /exits`: the current exit."""
    return (_exit(validator, m) for m in validator.messages if isinstance(m.subject, Exit) and m.is_current)


def exits_ahead(validator: ListedValidator) -> Iterator[wire.ExitWanted]:
    """For `GET /exits?window=1`: the current exit, and those prepared at higher validator indices."""
    return (_exit(validator, message) for message in _from_current(validator.messages))


def open_exits(validator: ValidatorOfNode) -> Iterator[wire.OpenExit]:
    """For `GET /exits?share_index=`: the current exit."""
    return (_open(validator, m) for m in validator.messages if m.is_current and _is_open(m))


def open_exits_ahead(validator: ValidatorOfNode) -> Iterator[wire.OpenExit]:
    """For `GET /exits?window=1&share_index=`: the current exit, and those prepared."""
    return (_open(validator, message) for message in _from_current(validator.messages) if _is_open(message))


def open_deposits(validator: ValidatorOfNode) -> Iterator[wire.OpenValidator]:
    """For `GET /validators?share_index=`: the exit and the deposit of a validator that lacks either."""
    current = [message for message in validator.messages if message.is_current]
    exit_ = next((m.subject for m in current if isinstance(m.subject, Exit)), None)
    deposit = next((m.subject for m in current if isinstance(m.subject, Deposit)), None)
    if validator.vault is None or exit_ is None or deposit is None:
        return
    if any(message.is_missing for message in current):
        yield wire.OpenValidator(
            vault=wire.Address(validator.vault),
            public_key=wire.PublicKey(validator.public_key),
            amount=wire.UInt64(deposit.amount_gwei),
            validator_index=wire.UInt64(exit_.validator_index),
            validator_type=wire.ValidatorType.of(deposit.validator_type),
        )


def deposits(validator: ListedValidator) -> Iterator[wire.ValidatorWanted]:
    """For `GET /validators`: the exit and the deposit of a validator that is reserved for a vault."""
    current = [message for message in validator.messages if message.is_current]
    exit_ = next((m for m in current if isinstance(m.subject, Exit)), None)
    deposit = next((m for m in current if isinstance(m.subject, Deposit)), None)
    if validator.vault is None or exit_ is None or deposit is None:
        return
    assert isinstance(exit_.subject, Exit)
    assert isinstance(deposit.subject, Deposit)
    yield wire.ValidatorWanted(
        vault=wire.Address(validator.vault),
        public_key=wire.PublicKey(validator.public_key),
        amount=wire.UInt64(deposit.subject.amount_gwei),
        validator_index=wire.UInt64(exit_.subject.validator_index),
        validator_type=wire.ValidatorType.of(deposit.subject.validator_type),
        is_signatures_ready=exit_.is_ready and deposit.is_ready,
        created_at_timestamp=exit_.created_at,
        created_at_string=wire.timestamp_string(exit_.created_at),
        share_indexes_ready=[
            wire.ShareIndex(i)
            for i in sorted({*exit_.stored, *deposit.stored})
            if all(i in message.stored or message.is_ready for message in (exit_, deposit))
        ],
        share_indexes_rejected=[wire.ShareIndex(i) for i in sorted({*exit_.rejected, *deposit.rejected})],
    )


def _exit(validator: ListedValidator, message: ListedMessage) -> wire.ExitWanted:
    assert isinstance(message.subject, Exit)
    return wire.ExitWanted(
        public_key=wire.PublicKey(validator.public_key),
        validator_index=wire.UInt64(message.subject.validator_index),
        is_exit_signature_ready=message.is_ready,
        created_at_timestamp=message.created_at,
        created_at_string=wire.timestamp_string(message.created_at),
        share_indexes_ready=list(map(wire.ShareIndex, message.stored)),
        share_indexes_rejected=list(map(wire.ShareIndex, message.rejected)),
    )


def _open(validator: ValidatorOfNode, message: MessageOfNode) -> wire.OpenExit:
    assert isinstance(message.subject, Exit)
    index = wire.UInt64(message.subject.validator_index)
    return wire.OpenExit(wire.PublicKey(validator.public_key), index, not message.is_current)


def _is_open(message: MessageOfNode) -> bool:
    return message.is_missing and isinstance(message.subject, Exit)


def _from_current(messages: Iterable[M]) -> Iterator[M]:
    """The exits among messages in the order of their validator indices, from the current one on."""
    begun = False
    for message in messages:
        begun |= isinstance(message.subject, Exit) and message.is_current
        if begun and isinstance(message.subject, Exit):
            yield message
