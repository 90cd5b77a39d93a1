"""Several beacon nodes of one operator, on one chain: all are asked at once, the first good answer wins.

Of what decides duties and votes it is what two of them say alike, where the second one does so soon. Only
where all fail are those asked that stand behind them. The others go on when the first has answered, so that
what is sent reaches all of them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from time import perf_counter
from typing import Final, TypeVar

import msgspec

from dvtfast.duties.fork_schedule import ForkSchedule
from dvtfast.duties.presets import Preset
from dvtfast.duties.ssz import SszError

from ...process import logs
from ...web.error_text import with_words
from ...web.outgoing import Answer, OutgoingError, joined
from .. import clock
from ..encoding import write_data
from ..endpoints import SHOWN_CHARACTERS, Endpoint, EndpointError, Endpoints, NoAnswerInTimeError, exchange
from .answers import decoded
from .chain_constants import (
    ChainConstants,
    ExpectedChain,
    constants,
    most_told,
    read_forks,
    read_genesis,
    read_spec,
)
from .client import BeaconClient, BeaconError
from .events import LINE_LIMIT_BYTES, Event, read_events
from .health import NodeHealth, health_of

CONFIG_LIMIT_BYTES: Final = 1024**2
DATA_LIMIT_BYTES: Final = 64 * 1024
KEYS_AT_ONCE: Final = 2000
NOT_FOUND_STATUS: Final = 404
LONGEST_SECONDS: Final = 30.0  # of a request that lists many validators; others have less
EVENTS_WAITING: Final = 1000
SILENCE_SECONDS: Final = 120.0  # of a stream of events; there is one in each slot
AGAIN_SECONDS: Final = 1.0  # until a stream that ended is begun again
# In which a second node may say what the first one said. So a fast liar is of no use among three nodes.
AGREEMENT_SECONDS: Final = 0.25
# The same of what is asked for ahead, and decides what is done in a whole epoch.
DUTIES_AGREEMENT_SECONDS: Final = 1.5

_NUMBERS: Final = re.compile(r"^eth/v\d+/|/states/\w+|/(?:\d+|0x\w+|head)(?=/|$)")

T = TypeVar("T")

log = logs.get("beacon")


class _Failure(msgspec.Struct):
    index: str | int
    message: str


class _Refusal(msgspec.Struct):
    failures: list[_Failure] = []


class BeaconNodes(BeaconClient):
    """Nodes of which any will do; an async context manager. `learn` comes first.

    Args:
        endpoints: all of these are asked.
        fallbacks: these when none of the others is of use.
        timeout_seconds: of what is asked for; what lists validators may take longer.
        submit_seconds: of what is sent.

    Attributes:
        watcher: told of each answer what was asked for, how many seconds it took, and whether it was none.
    """

    keys_at_once = KEYS_AT_ONCE

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        expected: ExpectedChain,
        fallbacks: Sequence[str] = (),
        timeout_seconds: float = 2.0,
        submit_seconds: float = 2.0,
    ) -> None:
        self._patience_seconds = timeout_seconds + submit_seconds  # of what is not urgent
        longest = max(LONGEST_SECONDS, self._patience_seconds)
        super().__init__(endpoints, timeout_seconds=longest, network=None)
        self._fallbacks = Endpoints(fallbacks, check=self._check_chain) if fallbacks else None
        self._expected = expected
        self._told: dict[Endpoint, ChainConstants] = {}  # by each that says so when it is asked
        self._agreed: ChainConstants | None = None
        self._schedule: ForkSchedule | None = None
        self._read_seconds = timeout_seconds
        self._submit_seconds = submit_seconds
        self.watcher: Callable[[str, float, bool], None] = _ignoring

    async def __aexit__(self, *exception: object) -> None:
        for group in self._groups():
            await group.end()
        await super().__aexit__(*exception)

    @property
    def chain(self) -> ChainConstants:
        """What `learn` has found out, with the forks that were announced since then."""
        assert self._agreed is not None, "learn() comes first"
        return self._agreed

    @property
    def schedule(self) -> ForkSchedule:
        """Its forks: always the same object, in which later ones appear."""
        assert self._schedule is not None, "learn() comes first"
        return self._schedule

    @property
    def are_elsewhere(self) -> bool:
        """Whether all are on another chain, so that it is of no use to ask them again."""
        return all(node.left_out for node in self._nodes())

    @property
    def are_several(self) -> bool:
        """Whether more than one is asked at once."""
        return sum(not endpoint.left_out for endpoint in self._endpoints.all) > 1

    @property
    def preset(self) -> Preset:
        """The sizes of what is sent; known when `learn` is over."""
        return self.chain.preset

    async def learn(self) -> ChainConstants:
        """The chain that the nodes are on: the expected one, in what most of those say that answer.

        Those of another chain are left out for good, also later.

        Raises:
            BeaconError: none answers, none is on the chain, or as many say one thing as another.
        """
        found: list[ChainConstants | EndpointError] = []
        for group in self._groups():
            found += await group.each(self._constants)
        known = [each for each in found if isinstance(each, ChainConstants)]
        if not known:
            why = [str(each) for each in found] + [each.left_out for each in self._nodes() if each.left_out]
            raise BeaconError("beacon: " + "; ".join(dict.fromkeys(why)))
        if (best := most_told(known, self._epoch(known[0]))) is None:
            raise BeaconError(f"beacon: {self.names}: expected nodes of one chain, got as many of another")
        for node in self._nodes():
            node.connected()  # so that it is compared with what is agreed before it is believed
        self._agreed, self._schedule = best, best.schedule
        return best

    async def look_again(self) -> None:
        """Ask all of them again which forks there are: also of one that was exchanged without a sign.

        Whoever still goes by other forks than those that have begun is not believed until it does not.
        """
        for group in self._groups():
            await group.each(self._check_chain)

    async def health(self) -> list[NodeHealth]:
        """How each node is, those left out and those that stand behind the others, too."""
        found = []
        for group in self._groups():
            names = [endpoint.name for endpoint in group.all]
            answers = await asyncio.gather(*(one.each(self._health) for one in group.each_alone()))
            for name, answer in zip(names, answers, strict=True):
                one = answer[0] if answer else EndpointError("left out: it is on another chain")
                if isinstance(one, EndpointError):
                    one = NodeHealth(name, str(one), answers=False)
                found.append(replace(one, is_fallback=group is self._fallbacks))
        return found

    async def events(self, topics: Sequence[str]) -> AsyncIterator[Event]:
        """What any of the nodes tells from now on, without end; the same may be told by several of them."""
        queue: asyncio.Queue[Event] = asyncio.Queue(EVENTS_WAITING)
        reading = [asyncio.create_task(self._listen(node, topics, queue)) for node in self._nodes()]
        try:
            while True:
                yield await queue.get()
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    async def _listen(self, node: Endpoint, topics: Sequence[str], queue: asyncio.Queue[Event]) -> None:
        url = joined(node.url, "eth/v1/events", "topics=" + ",".join(topics))
        while not node.left_out:
            with suppress(EndpointError):
                try:
                    await self._check_chain(node)
                    lines = self._session.lines(
                        url,
                        headers={"Accept": "text/event-stream"},
                        limit_bytes=LINE_LIMIT_BYTES,
                        silence_seconds=SILENCE_SECONDS,
                    )
                    async for event in read_events(node.name, lines):
                        await queue.put(event)
                except OutgoingError as error:
                    log.info("events end", error=str(node.error(str(error))))
            await asyncio.sleep(AGAIN_SECONDS)

    async def _health(self, endpoint: Endpoint) -> NodeHealth:
        async def ask(path: str) -> bytes:
            return (await self._answer(endpoint, "GET", path, limit_bytes=DATA_LIMIT_BYTES)).content

        try:
            return await health_of(endpoint.name, ask)
        except ValueError as error:
            raise endpoint.error(f"syncing: {error}") from None

    async def _check_chain(self, endpoint: Endpoint) -> None:
        """That it is on the chain that most were on at the start, and goes by the forks that most tell of."""
        try:
            chain = await self._constants(endpoint)
        except EndpointError:
            self._told.pop(endpoint, None)
            raise
        problem = self._expected.problem(chain)
        if problem is None and self._agreed is not None and not self._agreed.same_but_for_forks(chain):
            problem = "expected the chain that the other nodes are on, got another one of the same network"
        if problem is not None:
            self._told.pop(endpoint, None)
            raise endpoint.leave_out(problem)
        self._told[endpoint] = chain
        if self._agreed is not None:
            agreed = self._adopted(self._agreed)
            if not agreed.same_chain(chain, self._epoch(agreed)):
                raise endpoint.error("expected the forks that the other nodes tell of; update it, or them")

    def _adopted(self, agreed: ChainConstants) -> ChainConstants:
        """What is agreed on now that a node has told its forks anew: of those that answer, what most say.

        That a fork which has begun is none, one node alone may say, which was not updated: two are needed.
        """
        epoch = self._epoch(agreed)
        told = [chain for chain in self._told.values() if chain.same_but_for_forks(agreed)]
        best = most_told(told, epoch)
        if best is None or best.forks == agreed.forks:
            return agreed
        if not best.knows(agreed, epoch) and sum(best.same_chain(other, epoch) for other in told) < 2:
            return agreed
        assert self._schedule is not None
        self._agreed, self._schedule.forks = best, best.forks
        forks = [f"{write_data(each.version)} from epoch {each.epoch} on" for each in best.forks]
        log.warning("the chain has other forks", forks=forks, last_is_known=best.forks[-1].fork is not None)
        return best

    def _epoch(self, chain: ChainConstants) -> int:
        return chain.epoch(clock.now_seconds())

    async def _constants(self, endpoint: Endpoint) -> ChainConstants:
        async def ask(path: str) -> bytes:
            return (await self._answer(endpoint, "GET", path, limit_bytes=CONFIG_LIMIT_BYTES)).content

        paths = ("eth/v1/beacon/genesis", "eth/v1/config/fork_schedule", "eth/v1/config/spec")
        async with within(self._patience_seconds, endpoint):
            genesis, forks, spec = await asyncio.gather(*map(ask, paths))
        try:
            return constants(read_genesis(genesis), read_forks(forks), read_spec(spec))
        except ValueError as error:
            raise endpoint.error(f"genesis, forks or spec: {error}") from None

    async def _get(
        self,
        path: str,
        read: Callable[[Answer], T],
        *,
        query: str = "",
        body: bytes | None = None,
        limit_bytes: int = DATA_LIMIT_BYTES,
        accept: str = "application/json",
        agreed_seconds: float | None = None,
        more_seconds: float = 0.0,
        not_found: Sequence[T] = (),
    ) -> T:
        """What `read` makes of the first answer of which it makes something.

        Args:
            agreed_seconds: of the first two that say the same, where the second one does so soon after the
                first answer.
            more_seconds: that it may take, as it is much.
            not_found: what it means, if anything, that a node has not got it.
        """
        method = "GET" if body is None else "POST"

        async def ask(endpoint: Endpoint) -> T:
            try:
                async with within(self._read_seconds + more_seconds, endpoint):
                    answer = await self._answer(
                        endpoint, method, path, query=query, body=body, limit_bytes=limit_bytes, accept=accept
                    )
            except EndpointError as error:
                if not_found and error.status == NOT_FOUND_STATUS:
                    return not_found[0]
                raise
            try:
                return await asyncio.to_thread(read, answer)
            except (ValueError, SszError) as error:
                raise endpoint.error(f"{path}: {error}") from None

        if agreed_seconds is None:
            return await self._first_able(ask)
        patience = agreed_seconds
        return await self._of_groups(lambda group: group.agreed_of_all(ask, patience_seconds=patience))

    async def _send(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        async def send(endpoint: Endpoint) -> None:
            async with within(self._submit_seconds, endpoint):
                await self._answer(
                    endpoint, "POST", path, body=body, limit_bytes=CONFIG_LIMIT_BYTES, headers=headers
                )

        await self._of_groups(lambda group: group.first_of_all(send))

    async def _answer(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        *,
        limit_bytes: int,
        query: str = "",
        body: bytes | None = None,
        accept: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """An answer of success; of others an EndpointError, `refused` where the node is not to blame."""
        begin, is_error = perf_counter(), True
        try:
            answer = await exchange(
                self._session, endpoint, method, joined(endpoint.url, path, query),
                body=body, limit_bytes=limit_bytes, accept=accept, others=headers or {},
            )  # fmt: skip
            is_error = not 200 <= answer.status < 300
        finally:
            self.watcher(name_of(path), perf_counter() - begin, is_error)
        if is_error:
            raise refusal(endpoint, path, answer.status, answer.content)
        return answer

    async def _first_able(self, work: Callable[[Endpoint], Awaitable[T]]) -> T:
        return await self._of_groups(lambda group: group.first_of_all(work))

    async def _agreed_or_first(self, work: Callable[[Endpoint], Awaitable[T]]) -> T:
        return await self._of_groups(
            lambda group: group.agreed_of_all(work, patience_seconds=DUTIES_AGREEMENT_SECONDS)
        )

    async def _of_groups(self, ask: Callable[[Endpoints], Awaitable[T]]) -> T:
        """What the first group gives that gives something."""
        errors = []
        for group in self._groups():
            try:
                return await ask(group)
            except EndpointError as error:
                errors.append(error)
        combined = BeaconError(
            "beacon: " + "; ".join(map(str, errors)),
            refused=all(error.refused for error in errors),
            status=errors[0].status,
        )
        combined.refusals = errors[0].refusals
        raise combined

    def _groups(self) -> list[Endpoints]:
        return [self._endpoints] + ([self._fallbacks] if self._fallbacks is not None else [])

    def _nodes(self) -> list[Endpoint]:
        return [endpoint for group in self._groups() for endpoint in group.all]


@asynccontextmanager
async def within(seconds: float, endpoint: Endpoint) -> AsyncIterator[None]:
    """Whatever takes longer in the block is an endpoint's fault."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise endpoint.error(f"no answer in {seconds:g} s", kind=NoAnswerInTimeError) from None


def refusal(endpoint: Endpoint, path: str, status: int, content: bytes) -> EndpointError:
    """What to raise of an answer that is none of success; `refused` where the node is not to blame."""
    refusals = _refusals(content)
    words = with_words(f"{path}: HTTP {status}", content) + _in_words(refusals)
    error = endpoint.error(words, status=status, refused=400 <= status < 500)
    error.refusals = refusals
    return error


def name_of(path: str) -> str:
    """What is asked for, without numbers and names of states: one of few."""
    return "_".join(_NUMBERS.sub("", path).split("/"))


def _ignoring(path: str, seconds: float, is_error: bool) -> None:
    pass


def _refusals(content: bytes) -> dict[int, str]:
    """Which of a list were refused, by their places, and why, where the answer says so."""
    try:
        failures = decoded(content, _Refusal).failures
        return {int(each.index): logs.printable(each.message)[:SHOWN_CHARACTERS] for each in failures}
    except ValueError:
        return {}


def _in_words(refusals: Mapping[int, str]) -> str:
    """The same, those of one reason together."""
    reasons: dict[str, list[str]] = {}
    for place, why in refusals.items():
        reasons.setdefault(why, []).append(str(place))
    return "".join(f"; {why} (at {', '.join(places)})" for why, places in reasons.items())
