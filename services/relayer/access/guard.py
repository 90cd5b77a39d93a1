"""Stands in front of all routes: who calls, may it, and is it too much."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from ... import wire
from ...web.addresses import is_address, is_loopback, network_of
from ...web.authorization import token_in
from ...web.http import BODY_LIMIT_BYTES, let_in, read_body
from .caller import Caller, caller_if_known, put_caller
from .known_tokens import KnownTokens
from .limits import Rates, UnderWay, units_of
from .refusals import Refusals
from .rights import OPEN, RIGHTS, Roles

UNAUTHORIZED_A_SECOND: Final = 5.0  # of one address, before it hears 429 instead of 401
REFUSED_STATUSES = frozenset({401, 403, 429})
JSON_TYPES = frozenset({"application/json", "application/octet-stream", ""})
NEEDED = "expected Bearer, or Basic with the token as password; `dvtfast relayer token create` makes one"
OTHER_NAME = (
    "expected localhost or an address while nobody has a token; make tokens, or set --allow-anonymous"
)
WORTHLESS = "this token is wrong, or was revoked"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
    """A middleware.

    Limits of who has a token are counted for the token, wherever it comes from, and of who needs none for
    the address; so whoever sends junk from an address, or through a proxy, takes nothing from a token.
    """

    def __init__(
        self,
        tokens: KnownTokens,
        *,
        allow_anonymous: bool,
        requests_at_once: int,
        requests_per_second: float,
    ) -> None:
        self._tokens = tokens
        self._allow_anonymous = allow_anonymous
        self._under_way = UnderWay(requests_at_once)
        self._rates = Rates(requests_per_second)
        self._unauthorized = Rates(UNAUTHORIZED_A_SECOND)
        self._refusals = Refusals()

    def add_to(self, app: web.Application) -> None:
        """Guard all routes of an application, those to come, too."""
        app.middlewares.append(self._guarded)
        app.on_shutdown.append(self._end)

    async def _end(self, _: web.Application) -> None:
        self._refusals.tell_rest()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            roles = _roles(request)
            if roles is OPEN and request.match_info.http_exception is None:
                return await handler(request)
            caller = self._caller(request)
            put_caller(request, caller)
            let_in(request)
            return await self._handled(request, handler, caller, roles)
        except wire.WireError as error:
            if error.status in REFUSED_STATUSES:
                self._tell(request, error)
            raise

    async def _handled(
        self, request: web.Request, handler: Handler, caller: Caller, roles: Roles
    ) -> web.StreamResponse:
        if request.match_info.http_exception is not None:
            raise request.match_info.http_exception
        _require_role(caller, roles)
        _require_same_site(request)
        if caller.token_id is None and not self._allow_anonymous:
            _require_this_machine(request)
        _require_json(request)
        body_bytes = _body_bytes(request)
        if not caller.is_limited:
            return await self._answered(request, handler)
        _require_patience(self._rates, caller.name)
        self._rates.take(caller.name, units_of(body_bytes))
        with self._under_way.counted(caller.name, body_bytes):
            return await self._answered(request, handler)

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The answer, unless the token was revoked while the body came, or while a poll waited."""
        if request.can_read_body:
            await read_body(request)
            self._caller(request)
        answer = await handler(request)
        if not answer.prepared:
            self._caller(request)
        return answer

    def _caller(self, request: web.Request) -> Caller:
        """Who sent the request.

        Raises:
            wire.UnauthorizedError: nobody who is known.
            wire.TooManyError: the same, too often.
        """
        authorization = request.headers.get("Authorization")
        if authorization is None:
            if not self._tokens.exist or self._allow_anonymous:
                address = network_of(request.remote)
                if is_loopback(address):
                    return Caller(address)
                return Caller(
                    address,
                    most_pending=self._tokens.most_pending,
                    moves_per_day=self._tokens.moves_per_day,
                )
        elif caller := self._tokens.caller(token_in(authorization)):
            return caller
        address = network_of(request.remote)
        _require_patience(self._unauthorized, address)
        self._unauthorized.take(address)
        raise wire.UnauthorizedError("Authorization", NEEDED if authorization is None else WORTHLESS)

    def _tell(self, request: web.Request, error: wire.WireError) -> None:
        caller = caller_if_known(request)
        self._refusals.tell(
            status=error.status,
            method=request.method,
            path=request.path,
            who=caller.name if caller else "nobody",
            address=request.remote or "",
            why=str(error),
        )


def _roles(request: web.Request) -> Roles:
    resource = request.match_info.route.resource
    if resource is None:
        return frozenset()
    method = "GET" if request.method == "HEAD" else request.method
    return RIGHTS.get((method, resource.canonical), frozenset())


def _require_role(caller: Caller, roles: Roles) -> None:
    if caller.role is None or roles is None or caller.role in roles:
        return
    whose = " or ".join(sorted(roles)) or "nobody"
    raise wire.ForbiddenError("Authorization", f"this token is of a {caller.role}, the route is for {whose}")


def _body_bytes(request: web.Request) -> int:
    """How long the body is; who does not say it counts as if it were the longest."""
    if not request.can_read_body:
        return 0
    length = BODY_LIMIT_BYTES if request.content_length is None else request.content_length
    if length > BODY_LIMIT_BYTES:
        raise web.HTTPRequestEntityTooLarge(BODY_LIMIT_BYTES, length)
    return length


def _require_same_site(request: web.Request) -> None:
    """Refuse what a page of another site has a browser send, perhaps with a password that it remembers."""
    origin = request.headers.get("Origin")
    if origin is not None and _host_of(origin) != request.host:
        raise wire.ForbiddenError("Origin", "pages of other sites may not call this relayer")


def _require_this_machine(request: web.Request) -> None:
    """Refuse who came here by another name, where everybody on this machine is let in.

    A page of another site can have its name lead to this machine (DNS rebinding), and is the same site then.
    """
    try:
        host = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        host = ""
    if not is_loopback(host) and not is_address(host):
        raise wire.ForbiddenError("Host", OTHER_NAME)


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # brackets, or letters, that no host has
        return None


def _require_json(request: web.Request) -> None:
    is_json = request.content_type in JSON_TYPES or request.content_type.endswith("+json")
    if request.can_read_body and not is_json:
        raise web.HTTPUnsupportedMediaType(
            reason=f"Content-Type: expected application/json, got {request.content_type}"
        )


def _require_patience(rates: Rates, name: str) -> None:
    if seconds := rates.seconds_until(name):
        raise wire.TooManyError("", "too often; slow down", retry_after_seconds=seconds)
