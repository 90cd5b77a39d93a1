"""Several servers that should answer the same: whom to ask when, how to name them, and what they say.

Whoever failed rests for a while and is asked last, or, where that takes long, not at all as long as others
answer; whoever is slow is not waited for where there is another one; whoever wants a pause gets it. That an
endpoint is the one that is wanted, such as one on the right chain, is checked before anything else it says
counts, again after each new connection.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import SystemRandom
from types import MappingProxyType
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

from yarl import URL

from ..process import logs
from ..process.offload import UnavailableError
from ..web.bounded import AnswerError, TooLongAnswerError
from ..web.error_text import with_words
from ..web.outgoing import Answer, OutgoingError, Session, SlowError, censored, retry_after

REST_FIRST_SECONDS = 1.0  # how long an endpoint that failed is passed over
REST_LONGEST_SECONDS = 60.0
SLOW_REST_LONGEST_SECONDS = 300.0
REST_FACTOR = 6  # it rests for so many times what it kept somebody waiting
SLOW_SECONDS = 1.0  # as long as this nobody waits again and again for an endpoint that fails
IMPATIENT_FACTOR = 4  # after this part of a request's time another endpoint is asked, too
PAUSE_FIRST_SECONDS = 0.5  # where too much was asked for, and nobody says how long to wait
PAUSE_LONGEST_SECONDS = 30.0  # for all pauses of one request
PAUSES = 5  # of one request
PAUSE_REST_LONGEST_SECONDS = 600.0  # then it is asked again, whatever pause it wanted
SHOWN_CHARACTERS = 200  # of what an endpoint says of itself
PAUSE_SPREAD = 0.2  # so that those who wait do not come back at once
RATE_LIMITED_STATUS: Final = 429
BUSY_STATUS: Final = 503  # with Retry-After, as 429

T = TypeVar("T")

log = logs.get("chain")


class EndpointError(UnavailableError):
    """An endpoint, or each of several, does not do what it should; the message names them.

    Attributes:
        refused: it answers, but with an error, so it is alive and not to blame.
        status: of the HTTP answer, if that is what is wrong.
        pause_seconds: it was asked too often, and wants to be left alone for so long, 0 when it does not say
            how long; None if that is not what is wrong.
        refusals: of a list that was sent, why what of it was refused, by its place; the rest was taken. Empty
            where nothing is said of it.
    """

    def __init__(
        self,
        message: str,
        *,
        refused: bool = False,
        status: int | None = None,
        pause_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.refusals: Mapping[int, str] = {}
        self.refused = refused
        self.status = status
        self.pause_seconds = pause_seconds


class TooLongError(EndpointError):
    """An answer that is longer than anybody wants to read."""


class NoAnswerInTimeError(EndpointError):
    """An endpoint that takes too long, perhaps for what it was asked."""


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
    is_slow: bool = False  # while it rests: to find out that it fails takes long
    pauses: int = 0  # that it asked for, in a row; while it has one, it rests
    is_checked: bool = False  # since the last new connection
    checking: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self.name = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")

    def error(
        self,
        reason: str,
        *,
        refused: bool = False,
        status: int | None = None,
        pause_seconds: float | None = None,
        kind: type[EndpointError] = EndpointError,
    ) -> EndpointError:
        """What to raise about this endpoint; whatever of its address is in the reason is taken out."""
        shown = censored(reason, self.url)[:SHOWN_CHARACTERS]
        text = f"{self.name}: " + "".join(c if c.isprintable() else " " for c in shown)
        return kind(text, refused=refused, status=status, pause_seconds=pause_seconds)

    def leave_out(self, reason: str) -> EndpointError:
        """Never ask this endpoint again; returns what to raise."""
        error = self.error(reason)
        self.left_out = str(error)
        log.error("endpoint left out", error=str(error))
        return error

    def connected(self) -> None:
        """There is a new connection; who is at its end is not known."""
        self.is_checked = False

    def did(self, error: EndpointError | None, *, seconds: float = 0.0) -> None:
        """Take note of how a request went, and how long it took; a refusal says nothing about its health."""
        if self.left_out or (error is not None and error.refused):
            return
        if error is None:
            if self.failures:
                log.info("endpoint is back", endpoint=self.name)
            self.failures = self.pauses = 0
            self.rests_until = 0.0
        elif error.pause_seconds is not None:
            if not self.pauses:
                log.warning("endpoint wants to be asked less often", error=str(error))
            pause = error.pause_seconds or PAUSE_FIRST_SECONDS * 2 ** min(self.pauses, 10)
            self.rest(min(pause, PAUSE_REST_LONGEST_SECONDS))
            self.pauses += 1
        else:
            if not self.failures:
                log.warning("endpoint fails", error=str(error))
            rest = min(REST_FIRST_SECONDS * 2 ** min(self.failures, 10), REST_LONGEST_SECONDS)
            self.rest(max(rest, min(REST_FACTOR * seconds, SLOW_REST_LONGEST_SECONDS)))
            self.failures += 1
            self.pauses = 0
            self.is_slow = isinstance(error, NoAnswerInTimeError) or seconds >= SLOW_SECONDS
            self.is_checked = False

    def rest(self, seconds: float) -> None:
        """Pass it over for so long."""
        self.rests_until = time.monotonic() + seconds


class Endpoints:
    """Endpoints in the order of preference.

    Args:
        timeout_seconds: of one request; when a part of it has passed without an answer, the next endpoint is
            asked at the same time.
        check: whether an endpoint is the one that is wanted; raises EndpointError when it is not, perhaps
            with `leave_out`. It is called before the first request, again after each failure, and before
            anything is believed that came over a new connection.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        timeout_seconds: float | None = None,
        check: Callable[[Endpoint], Awaitable[None]] | None = None,
    ) -> None:
        if not urls:
            raise ValueError("endpoints: expected at least one, got none")
        self._endpoints = [Endpoint(url) for url in urls]
        self._impatient_seconds = None if timeout_seconds is None else timeout_seconds / IMPATIENT_FACTOR
        self._check = check
        self._random = SystemRandom()
        self._going_on: set[asyncio.Task[Any]] = set()
        self._is_noted = True

    @property
    def names(self) -> str:
        """What may be said of them."""
        return ", ".join(dict.fromkeys(endpoint.name for endpoint in self._endpoints))

    @property
    def all(self) -> Sequence[Endpoint]:
        """Each of them, also those that are left out."""
        return self._endpoints

    def only(self, endpoint: Endpoint) -> Endpoints:
        """One of them, as if there were no other; what is known of its health is known to both."""
        one = copy.copy(self)
        one._endpoints = [endpoint]
        return one

    def unnoted(self) -> Endpoints:
        """The same for what others ask: how it goes says nothing of their health, nor does it check them."""
        same = copy.copy(self)
        same._is_noted = False
        return same

    def each_alone(self) -> list[Endpoints]:
        """Each of them, as if there were no other."""
        return [self.only(endpoint) for endpoint in self._endpoints]

    def awake_alone(self) -> list[tuple[str, Endpoints]]:
        """Those that it takes no long to hear of, or all when there are none, each by its name and alone.

        Raises:
            EndpointError: all are left out.
        """
        able = [endpoint for endpoint in self._endpoints if not endpoint.left_out]
        if not able:
            raise self._all({})
        awake, failed, _ = self._groups()
        return [(endpoint.name, self.only(endpoint)) for endpoint in awake + failed or able]

    async def first_able(self, work: Callable[[Endpoint], Awaitable[T]], *, takes_long: bool = False) -> T:
        """What `work` returns for the first endpoint for which it raises no EndpointError.

        Those that rest are asked last, slow ones only when no other one gives an answer, be it a refusal.
        Where all that could answer want a pause, they get it, within limits.

        Args:
            takes_long: it is many requests; no other endpoint is asked before it fails.

        Raises:
            EndpointError: it did for all of them; `refused` when all that were asked refused.
        """
        errors: dict[Endpoint, EndpointError] = {}
        deadline = time.monotonic() + PAUSE_LONGEST_SECONDS
        for _ in range(PAUSES + 1):
            *quick, slow = self._groups()
            for endpoints in (*quick, slow):
                if endpoints is slow and any(error.refused for error in errors.values()):
                    raise self._all(errors)
                found, failed = await self._race(
                    endpoints, work, None if takes_long else self._impatient_seconds
                )
                errors |= failed
                if found:
                    return found[0]
            if not await self._pause(errors, deadline):
                break
        raise self._all(errors)

    async def first_of_all(self, work: Callable[[Endpoint], Awaitable[T]]) -> T:
        """What `work` returns for the first endpoint for which it does, all of them asked at the same time.

        Also those that failed a moment ago: it is for what cannot wait. The others go on when one has
        succeeded, so that each gets what is sent, and connections stay; `end` gives them up.

        Raises:
            EndpointError: it raises for all of them; `refused` when all that were asked refused.
        """
        return await self._of_all(work, 1, None)

    async def agreed_of_all(self, work: Callable[[Endpoint], Awaitable[T]], *, patience_seconds: float) -> T:
        """What `work` returns for two endpoints alike; all of them are asked at the same time.

        Where no two agree soon after the first has answered, it is what the first one said, and that is None
        only where all said so. Raises as `first_of_all`, and goes on as that.
        """
        return await self._of_all(work, 2, patience_seconds)

    async def _of_all(
        self, work: Callable[[Endpoint], Awaitable[T]], wanted: int, patience_seconds: float | None
    ) -> T:
        """What so many endpoints say alike, or, after that time, the first."""
        able = [endpoint for endpoint in self._endpoints if not endpoint.left_out]
        asked = {asyncio.ensure_future(self._asked(endpoint, work)): endpoint for endpoint in able}
        left, errors, found = set(asked), dict[Endpoint, EndpointError](), list[T]()
        now, until = asyncio.get_running_loop().time, None
        try:
            while left:
                patience = None if until is None else max(0.0, until - now())
                done, left = await asyncio.wait(left, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    break
                for task in done:
                    try:
                        found.append(task.result())
                    except EndpointError as error:
                        errors[asked[task]] = error
                        continue
                    if found.count(found[-1]) >= wanted:
                        return found[-1]
                if found and until is None and patience_seconds is not None:
                    until = now() + patience_seconds
            if found:
                return next((each for each in found if each is not None), found[0])
            raise self._all(errors)
        except asyncio.CancelledError:
            for task in left:
                task.cancel()
            raise
        finally:
            self._going_on |= left
            for task in left:
                task.add_done_callback(self._ended)

    async def end(self) -> None:
        """Give up what still goes on."""
        going_on = list(self._going_on)
        for task in going_on:
            task.cancel()
        await asyncio.gather(*going_on, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._going_on.discard(task)
        if not task.cancelled():
            task.exception()  # which its endpoint has taken note of

    async def each(self, work: Callable[[Endpoint], Awaitable[T]]) -> list[T | EndpointError]:
        """What `work` returns for each endpoint that is not left out, or the EndpointError it raises.

        Slow ones that rest are not asked unless all are. Where all want a pause, they get it, within limits.
        """
        deadline = time.monotonic() + PAUSE_LONGEST_SECONDS
        for _ in range(PAUSES + 1):
            found = await self._each_once(work)
            errors = {e: each for e, each in found.items() if isinstance(each, EndpointError)}
            if len(errors) < len(found) or not await self._pause(errors, deadline):
                break
        return list(found.values())

    async def _each_once(self, work: Callable[[Endpoint], Awaitable[T]]) -> dict[Endpoint, T | EndpointError]:
        awake, failed, slow = self._groups()
        asked = awake + failed or slow

        async def one(endpoint: Endpoint) -> T | EndpointError:
            if endpoint not in asked:
                return endpoint.error("not asked: it did not answer, or wanted a pause, a moment ago")
            try:
                return await self._asked(endpoint, work)
            except EndpointError as error:
                return error

        able = [endpoint for endpoint in self._endpoints if not endpoint.left_out]
        return dict(zip(able, await asyncio.gather(*map(one, able)), strict=True))

    def _groups(self) -> list[list[Endpoint]]:
        """Those to ask first, those that failed a moment ago, and those that are also slow to fail; the ones
        that have a pause are in none."""
        now = time.monotonic()
        able = [endpoint for endpoint in self._endpoints if not endpoint.left_out]
        awake = [endpoint for endpoint in able if endpoint.rests_until <= now]
        resting = [endpoint for endpoint in able if endpoint not in awake and not endpoint.pauses]
        resting.sort(key=lambda endpoint: endpoint.rests_until)
        return [
            awake,
            [endpoint for endpoint in resting if not endpoint.is_slow],
            [endpoint for endpoint in resting if endpoint.is_slow],
        ]

    async def _race(
        self,
        endpoints: Sequence[Endpoint],
        work: Callable[[Endpoint], Awaitable[T]],
        impatient_seconds: float | None,
    ) -> tuple[list[T], dict[Endpoint, EndpointError]]:
        """The first result, if there is one, and why others gave none.

        One after the other is asked; the next one at the same time when an answer does not come soon.
        """
        left, errors = list(endpoints), dict[Endpoint, EndpointError]()
        if len(left) == 1:  # nobody to race with
            try:
                return [await self._asked(left[0], work)], errors
            except EndpointError as error:
                return [], {left[0]: error}
        asked: dict[asyncio.Task[T], tuple[Endpoint, float]] = {}
        try:
            while left or asked:
                if left:
                    endpoint = left.pop(0)
                    task = asyncio.ensure_future(self._asked(endpoint, work))
                    asked[task] = endpoint, time.monotonic()
                patience = impatient_seconds if left else None
                done, _ = await asyncio.wait(asked, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    endpoint, _ = asked.pop(task)
                    try:
                        found = task.result()
                    except EndpointError as error:
                        errors[endpoint] = error
                        continue
                    self._overtaken(asked.values())
                    return [found], errors
            return [], errors
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _asked(self, endpoint: Endpoint, work: Callable[[Endpoint], Awaitable[T]]) -> T:
        if not self._is_noted:
            return await work(endpoint)
        began, rests_until = time.monotonic(), endpoint.rests_until
        if endpoint.failures:
            endpoint.rest(REST_LONGEST_SECONDS)  # one request finds out whether it is back
        try:
            result = await self._believed(endpoint, work)
        except Exception as error:
            endpoint.rests_until = rests_until
            if isinstance(error, EndpointError):
                endpoint.did(error, seconds=time.monotonic() - began)
            raise
        endpoint.did(None)
        return result

    async def _believed(self, endpoint: Endpoint, work: Callable[[Endpoint], Awaitable[T]]) -> T:
        """What `work` returns or raises, of an endpoint that is the one that is wanted."""
        await self._require_checked(endpoint)
        try:
            result = await work(endpoint)
        except EndpointError as error:
            if error.refused:
                await self._require_checked(endpoint)
            raise
        except Exception:  # such as a contract's refusal
            await self._require_checked(endpoint)
            raise
        await self._require_checked(endpoint)
        return result

    async def _require_checked(self, endpoint: Endpoint) -> None:
        if self._check is None or endpoint.is_checked:
            return
        async with endpoint.checking:
            if endpoint.left_out:
                raise EndpointError(endpoint.left_out)
            if not endpoint.is_checked:
                await self._check(endpoint)
                endpoint.is_checked = True

    def _overtaken(self, asked: Iterable[tuple[Endpoint, float]]) -> None:
        """Others that were asked earlier have not answered yet; they are not waited for the next time."""
        now = time.monotonic()
        for endpoint, began in asked:
            seconds = now - began
            if self._impatient_seconds is not None and seconds >= self._impatient_seconds:
                why = f"no answer in {seconds:.1f} s; another endpoint was faster"
                error = endpoint.error(why, kind=NoAnswerInTimeError)
                endpoint.did(error, seconds=seconds)

    async def _pause(self, errors: Mapping[Endpoint, EndpointError], deadline: float) -> bool:
        """Wait until the first endpoint that wanted a pause has had it; False when there is none, or it wants
        a longer one than anybody waits for, which `errors` tell."""
        pausing = [each for each in self._endpoints if each.pauses and not each.left_out]
        if not pausing:
            return False
        soonest = min(pausing, key=lambda endpoint: endpoint.rests_until)
        seconds = max(soonest.rests_until - time.monotonic(), 0.0)
        seconds *= 1 + self._random.uniform(0, PAUSE_SPREAD)
        if time.monotonic() + seconds > deadline:
            return False
        await asyncio.sleep(seconds)
        return True

    def _all(self, errors: Mapping[Endpoint, EndpointError]) -> EndpointError:
        """What to raise when there is nothing but errors."""
        now = time.monotonic()
        pausing = [
            str(each.error(f"wants to be left alone for {each.rests_until - now:.0f} s"))
            for each in self._endpoints
            if each.pauses and each not in errors and not each.left_out
        ]
        left_out = [endpoint.left_out for endpoint in self._endpoints if endpoint.left_out]
        refused = bool(errors) and all(error.refused for error in errors.values())
        statuses = {error.status for error in errors.values()}
        pauses = [error.pause_seconds for error in errors.values() if error.pause_seconds is not None]
        combined = EndpointError(
            "; ".join(dict.fromkeys([*map(str, errors.values()), *pausing, *left_out])),
            refused=refused,
            status=statuses.pop() if len(statuses) == 1 else None,
            pause_seconds=min(pauses) if len(pauses) == len(errors) > 0 else None,
        )
        combined.refusals = next((error.refusals for error in errors.values() if error.refusals), {})
        return combined


class SessionClient:
    """A client with a session of its own inside `async with`.

    Args:
        timeout_seconds: of one request, from beginning to end.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds

    async def __aenter__(self) -> Self:
        self._session = Session(self._timeout_seconds)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()


async def exchange(
    session: Session,
    endpoint: Endpoint,
    method: str,
    url: str | URL,
    *,
    limit_bytes: int,
    body: bytes | None = None,
    accept: str = "application/json",
    others: Mapping[str, str] = MappingProxyType({}),
    is_noted: bool = True,
) -> Answer:
    """Send one request to an endpoint; its answer, with a body of at most `limit_bytes`.

    Args:
        others: headers, of which Content-Type is JSON where they say nothing else.
        is_noted: whether the endpoint is checked again where a new connection is made.

    Redirects are not followed. What is asked may be asked twice, where a connection had ended.

    Raises:
        EndpointError: there is no whole answer in time, it is too long, or the endpoint wants a pause.
    """
    headers = {"Accept": accept} | ({"Content-Type": "application/json"} if body is not None else {})
    headers |= others
    try:
        answer = await session.ask(
            method,
            url,
            body=body,
            headers=headers,
            limit_bytes=limit_bytes,
            connected=endpoint.connected if is_noted else lambda: None,
        )
    except SlowError as error:
        raise endpoint.error(str(error), kind=NoAnswerInTimeError) from None
    except OutgoingError as error:
        raise endpoint.error(str(error)) from None
    except TooLongAnswerError as error:
        raise TooLongError(f"{endpoint.name}: {error}, got more") from None
    except AnswerError:
        raise endpoint.error("expected a body that is not compressed") from None
    pause = retry_after(answer.headers)
    if answer.status == RATE_LIMITED_STATUS or (answer.status == BUSY_STATUS and pause is not None):
        words = with_words(f"HTTP {answer.status}", answer.content)
        raise endpoint.error(words, status=answer.status, pause_seconds=pause or 0.0)
    return answer
