"""A relayer as its clients see it: its calls, with retries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, ParamSpec, Self, TypeVar

import msgspec
import tenacity
import yarl

from .. import wire
from ..process import logs
from ..web.addresses import is_loopback
from ..web.bounded import AnswerError
from ..web.error_text import kind_of, said
from ..web.outgoing import OutgoingError, Session, censored, joined, retry_after
from .access import Access, Credentials, TokenFileError

RETRY_FIRST_SECONDS = 0.5
RETRY_LONGEST_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 60.0  # that a relayer may ask for
BYTES_PER_MARK = 16  # of JSON, at least; less is a body made to fill the memory
ERROR_LIMIT_BYTES = 1024 * 1024
ERROR_CHARACTERS = 2_000  # of what a relayer says is wrong
SHOWN_CHARACTERS = 300  # of an answer that nobody expected
REDIRECTS = frozenset({301, 302, 303, 307, 308})
UNKNOWN_ROUTE = frozenset({404, 405})
TRY_AGAIN_STATUSES = frozenset({408, 425, 429})  # and all of 5xx

ANSWER_LIMIT_BYTES = 1024 * 1024 * 1024  # with shares for oracles, a validator has 6 kB
LONGEST_ETAG = 256
ANONYMOUS = Access()
NOT_MODIFIED = 304  # the HTTP status

T = TypeVar("T", bound=msgspec.Struct)
R = TypeVar("R")
A = TypeVar("A")
P = ParamSpec("P")

log = logs.get("client")


class RelayerUnavailableError(Exception):
    """The relayer does not answer, or cannot now; the same request may succeed later.

    Attributes:
        status: of the answer, if there was one.
        retry_after_seconds: how long it asked to be left alone, up to `LONGEST_PAUSE_SECONDS`.
    """

    def __init__(self, error: str, status: int | None = None, *, retry_after_seconds: float = 0) -> None:
        super().__init__(error)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class RelayerRefusedError(Exception):
    """The relayer understood and says no; the same request will not succeed later.

    Attributes:
        status: of the answer.
        field: the path of the field it names, if any.
        rejected: the items it names.
    """

    def __init__(
        self, status: int, error: str, field: str = "", rejected: Sequence[wire.Rejected] = ()
    ) -> None:
        super().__init__(f"{error} (HTTP {status})")
        self.status = status
        self.field = field
        self.rejected = rejected


class WrongNetworkError(Exception):
    """The relayer serves another network."""


@dataclass(frozen=True)
class Polled(Generic[A]):
    """What came of a poll.

    Attributes:
        answer: None when it is still the one with the ETag that was sent.
        etag: None when the relayer knows neither ETags nor waiting.
    """

    answer: A | None
    etag: str | None


class RelayerClient:
    """One relayer, for one program; an async context manager.

    A path and a query in the address are kept, `user:password@` becomes HTTP Basic, so an address with a
    token in it works. Whatever cannot be reached is tried again with a growing, jittered pause, `attempts`
    times or for ever; then `RelayerUnavailableError` is raised. No redirect is followed: what is posted
    is for this address only.

    Args:
        answer_limit_bytes: of one answer, in memory.
        access: what the relayer is shown, and how it is known.
        name: what log lines call the relayer, where there are several.
        on_failure: called for each request that is tried again.

    Raises:
        CertificateError: a file of `access` cannot be used.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout_seconds: float,
        attempts: int | None = None,
        answer_limit_bytes: int = ANSWER_LIMIT_BYTES,
        access: Access = ANONYMOUS,
        name: str | None = None,
        on_failure: Callable[[], object] = lambda: None,
    ) -> None:
        self._address = address
        self._host = yarl.URL(address).authority.rpartition("@")[2]  # without a password
        self._credentials = Credentials(access)
        self._timeout_seconds = timeout_seconds
        self._attempts = attempts
        self._answer_limit_bytes = answer_limit_bytes
        self._who = {"relayer": name} if name else {}
        self._on_failure = on_failure
        is_here = is_loopback(yarl.URL(address).host or "")  # where compressing costs more than sending
        self._headers = {"Accept-Encoding": "identity" if is_here else "gzip"}

    async def __aenter__(self) -> Self:
        self._session = Session(self._timeout_seconds, tls=self._credentials.tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def info(self) -> wire.InfoAnswer:
        """Which network the relayer serves; who does not know that is no relayer.

        Raises:
            RelayerRefusedError, RelayerUnavailableError: as all calls.
        """
        try:
            return await self._call("GET", "/info", wire.InfoAnswer)
        except RelayerRefusedError as error:
            if error.status not in UNKNOWN_ROUTE:
                raise
            words = "no relayer is there, which would know GET /info; is it another program's address?"
            raise RelayerRefusedError(error.status, f"{self._host}: {words}") from None

    async def exits(self, *, ahead: bool = False, attempts: int | None = None) -> wire.ExitsAnswer:
        """Which exits it wants signed.

        Args:
            ahead: list those, too, that it may want next, behind the current one of their validator. A
                relayer of others knows of none.
            attempts: of this call, instead of the client's.
        """
        path = "/exits?window=1" if ahead else "/exits"
        return await self._call("GET", path, wire.ExitsAnswer, attempts=attempts)

    async def poll_exits(
        self, share_index: int, *, etag: str | None, wait_seconds: float
    ) -> Polled[wire.ExitsAnswer]:
        """Which exits it wants signed by one node, also ahead of time, once they are others than with `etag`.

        A relayer that cannot wait answers at once, one that cannot select answers with all exits.
        """
        query = f"window=1&share_index={share_index}" + _waiting("&", wait_seconds)
        headers = {"If-None-Match": etag} if etag else {}
        path = f"/exits?{query}"
        return await self._retrying(None, self._poll_once, path, wire.ExitsAnswer, headers)

    async def poll_validators(
        self, share_index: int, *, etag: str | None, wait_seconds: float
    ) -> Polled[wire.ValidatorsWantedAnswer]:
        """Of which validators it wants exits and deposits signed by one node; as `poll_exits`."""
        query = f"share_index={share_index}" + _waiting("&", wait_seconds)
        headers = {"If-None-Match": etag} if etag else {}
        path = f"/validators?{query}"
        return await self._retrying(None, self._poll_once, path, wire.ValidatorsWantedAnswer, headers)

    async def post_validators(
        self, request: wire.ValidatorsRequest, *, wait_seconds: float = 0
    ) -> wire.ValidatorsAnswer:
        """Ask for the exits of validators, or look how far they are.

        Args:
            wait_seconds: how long a relayer that can wait may wait for all of them.
        """
        path = "/validators" + _waiting("?", wait_seconds)
        return await self._call("POST", path, wire.ValidatorsAnswer, request)

    async def post_register(self, request: wire.RegisterRequest) -> wire.RegisterAnswer:
        """Ask for validators of a vault that are ready to be registered, or look whether they are."""
        return await self._call("POST", "/register", wire.RegisterAnswer, request)

    async def post_rotate(self, request: wire.RotateRequest) -> wire.RotateAnswer:
        """Ask for the exits of registered validators, split for the oracles of today.

        Those that it does not have are null; its nodes sign them, and a later call has them.
        """
        return await self._call("POST", "/rotate", wire.RotateAnswer, request)

    async def post_fund(self, request: wire.FundRequest) -> wire.ManagerSignatureAnswer:
        """Ask for the manager's signature of a top-up."""
        return await self._call("POST", "/fund", wire.ManagerSignatureAnswer, request)

    async def post_withdraw(self, request: wire.WithdrawRequest) -> wire.ManagerSignatureAnswer:
        """Ask for the manager's signature of a withdrawal."""
        return await self._call("POST", "/withdraw", wire.ManagerSignatureAnswer, request)

    async def post_consolidate(self, request: wire.ConsolidateRequest) -> wire.ManagerSignatureAnswer:
        """Ask for the manager's signature of a consolidation."""
        return await self._call("POST", "/consolidate", wire.ManagerSignatureAnswer, request)

    async def post_exit_shares(
        self, request: wire.ExitSignatureRequest, *, attempts: int | None = None
    ) -> wire.ExitSignatureAnswer:
        """Hand in partial signatures; what the answer does not reject is stored for good.

        Args:
            attempts: of this call, instead of the client's.
        """
        path = "/exit-signature"
        return await self._call("POST", path, wire.ExitSignatureAnswer, request, attempts=attempts)

    async def post_signatures(
        self, request: wire.SignaturesRequest, *, attempts: int | None = None
    ) -> wire.ExitSignatureAnswer:
        """Hand in partial signatures of exits and deposits; as `post_exit_shares`."""
        path = "/signatures"
        return await self._call("POST", path, wire.ExitSignatureAnswer, request, attempts=attempts)

    async def _call(
        self,
        method: str,
        path: str,
        kind: type[T],
        request: msgspec.Struct | None = None,
        *,
        attempts: int | None = None,
    ) -> T:
        body = None if request is None else await asyncio.to_thread(wire.encode, request)
        return await self._retrying(attempts, self._call_once, method, path, kind, body)

    async def _retrying(
        self, attempts: int | None, call: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        attempts = attempts or self._attempts
        pause = tenacity.wait_random_exponential(RETRY_FIRST_SECONDS, RETRY_LONGEST_SECONDS)
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(RelayerUnavailableError),
            wait=lambda state: max(pause(state), _asked_pause(state)),
            stop=tenacity.stop_after_attempt(attempts) if attempts else tenacity.stop_never,
            before_sleep=self._tell_of_retry,
            reraise=True,
        )
        return await retrying(call, *args, **kwargs)

    def _tell_of_retry(self, state: tenacity.RetryCallState) -> None:
        """Tell of the first failures, then ever more rarely."""
        self._on_failure()
        if state.attempt_number.bit_count() > 1:
            return
        outcome, action = state.outcome, state.next_action
        log.warning(
            "relayer unavailable",
            error=str(outcome.exception()) if outcome else "",
            attempt=state.attempt_number,
            retry_in_seconds=round(action.sleep, 1) if action else 0,
            **self._who,
        )

    async def _poll_once(self, path: str, kind: type[T], headers: Mapping[str, str]) -> Polled[T]:
        status, content, etag = await self._exchange("GET", path, None, headers)
        if status == NOT_MODIFIED:
            return Polled(None, etag or headers.get("If-None-Match"))
        return Polled(await self._decoded("GET", path, status, content, kind), etag)

    async def _call_once(self, method: str, path: str, kind: type[T], body: bytes | None) -> T:
        status, content, _ = await self._exchange(method, path, body, {})
        return await self._decoded(method, path, status, content, kind)

    async def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes, str | None]:
        """Status, body and ETag of an answer that is no failure."""
        try:
            shown = self._credentials.headers()
        except TokenFileError as error:
            raise RelayerUnavailableError(str(error)) from None
        headers = {**self._headers, **shown, **headers}
        if body:
            headers["Content-Type"] = "application/json"
        bare, _, query = path.partition("?")
        try:
            answer = await self._session.ask(
                method,
                joined(self._address, bare, query),
                body=body,
                headers=headers,
                limit_bytes=self._answer_limit_bytes,
            )
        except AnswerError as error:
            raise RelayerRefusedError(
                error.status, f"{method} {path}: not a relayer's answer: {error}"
            ) from None
        except OutgoingError as error:
            raise RelayerUnavailableError(f"{method} {path}: {error}") from None
        content = answer.content
        if answer.status >= 500 or answer.status in TRY_AGAIN_STATUSES:
            raise RelayerUnavailableError(
                f"{method} {path}: {self._refusal(answer.status, content)}",
                answer.status,
                retry_after_seconds=min(retry_after(answer.headers) or 0.0, LONGEST_PAUSE_SECONDS),
            )
        if answer.status in REDIRECTS:
            raise RelayerRefusedError(
                answer.status, f"{method} {path}: it sends elsewhere; name that address"
            )
        if answer.status >= 300 and not (answer.status == NOT_MODIFIED and "If-None-Match" in headers):
            raise self._refusal(answer.status, content)
        return answer.status, content, _usable(answer.headers.get("ETag"))

    def _refusal(self, status: int, content: bytes) -> RelayerRefusedError:
        try:
            answer = wire.decode(content[:ERROR_LIMIT_BYTES], wire.ErrorAnswer)
        except wire.WireError:  # perhaps of what stands before the relayer
            return RelayerRefusedError(status, censored(said(content), self._address))
        return RelayerRefusedError(status, answer.error[:ERROR_CHARACTERS], answer.field, answer.rejected)

    async def _decoded(self, method: str, path: str, status: int, content: bytes, kind: type[T]) -> T:
        try:
            most = self._answer_limit_bytes // BYTES_PER_MARK
            return await asyncio.to_thread(wire.decode_bounded, content, kind, most)
        except wire.WireError as error:
            kind_of_answer = await asyncio.to_thread(kind_of, content)
            raise RelayerRefusedError(
                status,
                f"{method} {path}: not a relayer's answer, but {kind_of_answer} of {self._host}: {error}",
            ) from None


def _asked_pause(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return error.retry_after_seconds if isinstance(error, RelayerUnavailableError) else 0.0


def _usable(etag: str | None) -> str | None:
    """An ETag that can be sent back."""
    fits = etag is not None and etag.isascii() and etag.isprintable() and len(etag) <= LONGEST_ETAG
    return etag if fits else None


def _waiting(mark: str, seconds: float) -> str:
    return f"{mark}wait={seconds:.3f}" if seconds > 0 else ""
