"""All that goes out over HTTP goes through here: proxies, certificates, limits, and what went wrong.

The environment is read for what all programs of a machine share: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in
capitals or not, and SSL_CERT_FILE and SSL_CERT_DIR, which OpenSSL reads.
"""

from __future__ import annotations

import functools
import io
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from ipaddress import ip_address, ip_network
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

import aiohttp
from aiohttp.abc import ResolveResult
from yarl import URL

from ..process import logs
from .addresses import is_address, is_loopback, is_public
from .bounded import AnswerError, read_answer

REUSED_ATTEMPTS = 4  # connections that had ended while nobody used them, for one request
CONNECTIONS = 100  # of one session
SHARED_NAMES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
SECRET_CHARACTERS = 6  # a part of an address that is shorter is no secret, such as "v2" or "rpc"
CLOCK_SECONDS = 60  # that two clocks may differ
DIGITS = 9  # of a pause in seconds; more is for ever
PROXY_SCHEMES = ("http", "https")
TLS_RECORD = r"b'\x15\x03"  # an alert, as Python writes the first bytes of it

log = logs.get("outgoing")


class OutgoingError(Exception):
    """There is no answer; the message says why, and has nothing of an address but its proxy's host."""


class SlowError(OutgoingError):
    """There is none in time."""


class Only(Enum):
    """Which addresses a session connects to."""

    ANY = auto()
    PUBLIC = auto()
    HERE = auto()

    def has(self, address: str) -> bool:
        """Whether an IP address is one of them."""
        return self is Only.ANY or is_public(address) is (self is Only.PUBLIC)

    @property
    def complaint(self) -> str:
        """What is said of others."""
        return "no address of the internet" if self is Only.PUBLIC else "no address of this network"


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]  # names in any case
    content: bytes


@dataclass(frozen=True)
class Proxies:
    """Which proxy stands before which address.

    What is on this machine is not asked through a proxy that is elsewhere.

    Attributes:
        by_scheme: the addresses of proxies.
        without: hosts that are asked without one, as NO_PROXY has them: names, which stand for what is
            below them, too; IP addresses and networks; with a port or not; `*` for all.
    """

    by_scheme: Mapping[str, str]
    without: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Those that an environment names; small letters go before capitals, as everywhere."""

        def value(name: str) -> str:
            return environment.get(name, environment.get(name.upper(), "")).strip()

        named = {scheme: value(f"{scheme}_proxy") for scheme in PROXY_SCHEMES}
        return cls({scheme: proxy for scheme, proxy in named.items() if proxy}, value("no_proxy"))

    def before(self, url: URL) -> URL | None:
        """The proxy for an address, if there is one.

        Raises:
            OutgoingError: what is named is none.
        """
        named, host = self.by_scheme.get(url.scheme), (url.host or "").lower()
        if named is None or any(_covers(each, host, url.port) for each in self.without.split(",")):
            return None
        try:
            proxy = URL(named if "://" in named else f"http://{named}")
            usable = proxy.scheme in PROXY_SCHEMES and bool(proxy.host)
        except ValueError:
            usable = False
        if not usable:
            raise OutgoingError(f"{url.scheme.upper()}_PROXY: expected an address such as http://host:3128")
        return None if _is_here(host) and not _is_here(proxy.host or "") else proxy


class Opened:
    """An answer that has begun, and is read as it comes.

    Args:
        why: says what is wrong, without the address.
    """

    def __init__(self, answer: aiohttp.ClientResponse, why: Callable[[Exception], str]) -> None:
        self._answer, self._why = answer, why

    @property
    def status(self) -> int:
        """Of the answer."""
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Of the answer; names in any case."""
        return self._answer.headers

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body; raises as `Session.open` when it breaks off."""
        try:
            async for piece in self._answer.content.iter_any():
                yield piece
        except TimeoutError:
            raise SlowError("no answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            raise OutgoingError(self._why(error)) from None

    async def start(self, most_bytes: int) -> bytes:
        """So much of the body, at most."""
        found = b""
        async for piece in self.pieces():
            found += piece
            if len(found) >= most_bytes:
                break
        return found[:most_bytes]

    def close(self) -> None:
        """Read no more of it."""
        self._answer.close()


class Session:
    """Requests of one client of ours; an async context manager. No redirect is followed, no cookie is kept.

    Args:
        timeout_seconds: of a request, from its beginning to the end of the answer.
        tls: instead of the certificates that this machine trusts.
        public_only: nothing is asked whose name stands for an address that is not of the internet, also
            when it did not a moment before. Where there is a proxy, names are the proxy's business.
        here_only: the same, for addresses of the internet.
    """

    def __init__(
        self,
        timeout_seconds: float,
        *,
        tls: ssl.SSLContext | None = None,
        connections: int = CONNECTIONS,
        public_only: bool = False,
        here_only: bool = False,
    ) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._tls = tls
        self._connections = connections
        self._proxies = Proxies.of(os.environ)
        self._only = Only.PUBLIC if public_only else Only.HERE if here_only else Only.ANY
        self._sessions: dict[bool, aiohttp.ClientSession] = {}  # by whether there is a proxy
        self._told: set[str] = set()
        self._told_clocks: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect."""
        for session in self._sessions.values():
            await session.close()

    async def ask(
        self,
        method: str,
        url: str | URL,
        *,
        limit_bytes: int,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        connected: Callable[[], object] = lambda: None,
    ) -> Answer:
        """Send a request; the whole answer, whatever its status.

        What a server closed while nobody used it is asked again over another connection, so what is asked
        for must be the same when it is asked for twice.

        Args:
            headers: Accept-Encoding is identity unless they say otherwise; gzip is understood anyway.
            connected: called when a new connection is made for it.

        Raises:
            SlowError, OutgoingError: there is none.
            AnswerError: it is too long, or is encoded as nobody asked for.
        """
        url, proxy = self._route(url)
        left = REUSED_ATTEMPTS
        while True:
            heard = _Heard(connected)
            try:
                return await self._ask_once(method, url, proxy, body, headers or {}, limit_bytes, heard)
            except TimeoutError:
                raise SlowError("no answer in time") from None
            except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
                left -= 1
                if not (_has_ended(error) and heard.reused and left):
                    raise OutgoingError(_why(error, url, proxy)) from None

    async def lines(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        limit_bytes: int,
        silence_seconds: float,
        connected: Callable[[], object] = lambda: None,
    ) -> AsyncIterator[bytes]:
        """The lines of an answer that goes on and on, such as of events; it ends when its sender ends it.

        Args:
            limit_bytes: of a line.
            silence_seconds: after which nothing is expected any more.

        Raises:
            SlowError, OutgoingError: there is no answer, or it is no 200, or it broke off.
        """
        opened = await self.open(url, headers=headers, silence_seconds=silence_seconds, connected=connected)
        try:
            if opened.status != 200:
                raise OutgoingError(f"HTTP {opened.status}")
            begun = b""
            async for piece in opened.pieces():
                *whole, begun = (begun + piece).split(b"\n")
                if len(begun) > limit_bytes:
                    raise OutgoingError(f"expected lines of at most {limit_bytes} bytes")
                for line in whole:
                    yield line
        finally:
            opened.close()

    async def open(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        silence_seconds: float,
        connected: Callable[[], object] = lambda: None,
    ) -> Opened:
        """An answer to GET as soon as it has begun; whoever has it closes it.

        Args:
            silence_seconds: after which nothing is expected any more.

        Raises:
            SlowError, OutgoingError: there is none.
        """
        address, proxy = self._route(url)
        timeout = aiohttp.ClientTimeout(sock_connect=self._timeout.total, sock_read=silence_seconds)
        left = REUSED_ATTEMPTS
        while True:
            heard = _Heard(connected)
            try:
                answer = self._answer("GET", address, proxy, headers, heard, timeout=timeout)
                return Opened(await answer.__aenter__(), lambda error: _why(error, address, proxy))
            except TimeoutError:
                raise SlowError("no answer in time") from None
            except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
                left -= 1
                if not (_has_ended(error) and heard.reused and left):
                    raise OutgoingError(_why(error, address, proxy)) from None

    def _route(self, url: str | URL) -> tuple[URL, URL | None]:
        """An address, and the proxy before it; OutgoingError where it is none to ask."""
        try:
            url = URL(url)
            proxy = self._proxies.before(url)
        except (ValueError, IndexError):  # the latter is yarl's, of `x://[]@`
            raise OutgoingError("no address that can be asked") from None
        if self._refuses(url.raw_host or "", proxy):
            raise OutgoingError(self._only.complaint)
        if proxy is not None:
            self._tell_of(url, proxy)
        return url, proxy

    def _refuses(self, host: str, proxy: URL | None) -> bool:
        """Whether that is none to ask, by what is written; what it stands for is found out later.

        A proxy on this machine, or in its network, would reach what is there.
        """
        if proxy is not None and self._only is not Only.PUBLIC:
            return False
        if self._only is Only.PUBLIC and _is_localhost(host):
            return True
        address = _address_in(host)
        return address is not None and not self._only.has(address)

    async def _ask_once(
        self,
        method: str,
        url: URL,
        proxy: URL | None,
        body: bytes | None,
        headers: Mapping[str, str],
        limit_bytes: int,
        heard: _Heard,
    ) -> Answer:
        data = None if body is None else io.BytesIO(body)  # aiohttp sends a stream in pieces
        async with self._answer(method, url, proxy, headers, heard, data=data) as answer:
            self._compare_clocks(url, answer.headers)
            try:
                content = await read_answer(answer, limit_bytes=limit_bytes)
            except AnswerError as error:
                error.status = answer.status
                raise
            return Answer(answer.status, answer.headers, content)

    def _answer(
        self,
        method: str,
        url: URL,
        proxy: URL | None,
        headers: Mapping[str, str],
        heard: _Heard,
        **more: Any,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """The beginning of an answer."""
        for_proxy = {}
        if proxy is not None and (proxy.user or proxy.password):
            shown = aiohttp.encode_basic_auth(proxy.user or "", proxy.password or "")
            for_proxy = {"Proxy-Authorization": shown}
            proxy = proxy.with_user(None)
        through_tunnel = url.scheme == "https"  # whose end alone sees the headers
        return self._opened(through_proxy=proxy is not None).request(
            method,
            url,
            headers={"Accept-Encoding": "identity", **headers, **({} if through_tunnel else for_proxy)},
            allow_redirects=False,
            ssl=self._context(url, proxy),
            proxy=proxy,
            proxy_headers=for_proxy if through_tunnel else None,
            trace_request_ctx=heard,
            **more,
        )

    def _opened(self, *, through_proxy: bool) -> aiohttp.ClientSession:
        """Made at the first request: where that is, there is an event loop."""
        if through_proxy not in self._sessions:
            resolver = _Resolver(Only.ANY if through_proxy else self._only)
            self._sessions[through_proxy] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, resolver=resolver),
                timeout=self._timeout,
                auto_decompress=False,  # a small body could decompress to anything
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[_hearing()],
            )
        return self._sessions[through_proxy]

    def _context(self, url: URL, proxy: URL | None) -> ssl.SSLContext | bool:
        if url.scheme != "https" and (proxy is None or proxy.scheme != "https"):
            return True  # nothing to check
        return self._tls or trusted(os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", ""))

    def _tell_of(self, url: URL, proxy: URL) -> None:
        """What stands between is told of once for each host."""
        host = url.host or ""
        if host not in self._told:
            self._told.add(host)
            log.info("asked through a proxy", host=host, proxy=_shown(proxy))

    def _compare_clocks(self, url: URL, headers: Mapping[str, str]) -> None:
        """A clock that is an hour off makes all that is new look old, which is told of once for each host."""
        host, ahead = url.host or "", seconds_ahead(headers)
        if ahead is not None and abs(ahead) > CLOCK_SECONDS and host not in self._told_clocks:
            self._told_clocks.add(host)
            log.warning(
                "the clocks of this machine and of a server differ; one is wrong",
                host=host,
                this_one_is=f"{abs(ahead)} s {'ahead' if ahead > 0 else 'behind'}",
            )


class _Resolver(aiohttp.ThreadedResolver):
    """Finds the addresses of names; `*.localhost` is this machine, where its system does not know (RFC 6761).

    What is found is what is connected to, so nobody else is.
    """

    def __init__(self, only: Only) -> None:
        super().__init__()
        self._only = only

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve("localhost" if _is_localhost(host) else host, port, family)
        if meant := [each for each in found if self._only.has(each["host"])]:
            return meant
        raise OSError(None, self._only.complaint)


class _Heard:
    """What is heard of the connection of one request."""

    def __init__(self, connected: Callable[[], object]) -> None:
        self.connected = connected
        self.reused = False


async def addresses_of(host: str) -> list[str]:
    """The IP addresses that a name stands for, as for a request; none where nobody here knows it."""
    if is_address(host):
        return [host]
    try:
        found = await _Resolver(Only.ANY).resolve(host, family=socket.AF_UNSPEC)
    except (OSError, UnicodeError):
        return []
    return [each["host"] for each in found]


@contextmanager
def without_proxies(environment: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Inside the block this process, and those that it starts, ask for everything themselves."""
    proxies = {f"{scheme}_proxy" for scheme in PROXY_SCHEMES}
    taken = {name: environment.pop(name) for name in list(environment) if name.lower() in proxies}
    try:
        yield
    finally:
        environment.update(taken)


def adopt(names: Mapping[str, str], environment: MutableMapping[str, str] = os.environ) -> None:
    """Take what all programs share from a file of settings, too; the environment goes before it."""
    present = {name.upper() for name in environment}
    for name, value in names.items():
        if name.upper() in SHARED_NAMES and name.upper() not in present:
            environment[name] = value


def joined(address: str, path: str, query: str = "") -> str:
    """An address with a path below its own; a query that it has stays at the end, before another one."""
    base, _, own = address.partition("#")[0].partition("?")
    queries = "&".join(each for each in (own, query) if each)
    return base.rstrip("/") + "/" + path.lstrip("/") + (f"?{queries}" if queries else "")


def censored(text: str, address: str) -> str:
    """A text without what of an address may be a secret: all but its scheme, host and port."""
    parts = urlsplit(address)
    words = [parts.username, parts.password, *parts.path.split("/")]
    for setting in parts.query.split("&"):
        words += [setting, setting.partition("=")[2]]
    secrets = {form for word in words if word for form in (word, unquote(word))}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SECRET_CHARACTERS:
            text = text.replace(secret, "***")
    return text


def retry_after(headers: Mapping[str, str]) -> float | None:
    """How many seconds a server wants to be left alone, by its Retry-After; None when it does not say."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:DIGITS])
    try:
        until = parsedate_to_datetime(value)
        now = parsedate_to_datetime(headers["Date"]) if "Date" in headers else datetime.now(UTC)
        return max((until - now).total_seconds(), 0.0)
    except (ArithmeticError, ValueError, TypeError):  # no date, or one with a zone beside one without
        return None


def seconds_ahead(headers: Mapping[str, str]) -> int | None:
    """How far the clock of this machine is ahead of a server's, by its Date; None when it does not say."""
    try:
        said = parsedate_to_datetime(headers["Date"])
        if said.tzinfo is None or "Age" in headers:  # a cache answers with the time of long ago
            return None
        return round((datetime.now(UTC) - said).total_seconds())
    except (ArithmeticError, KeyError, ValueError, TypeError):
        return None


@functools.cache
def trusted(file: str, directory: str) -> ssl.SSLContext:
    """Whom this machine trusts, with the CAs of SSL_CERT_FILE and SSL_CERT_DIR, which OpenSSL reads by
    itself; they are arguments so that a change counts.

    Raises:
        OutgoingError: there are none in that file.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if file:
        try:
            context.load_verify_locations(file)
        except (OSError, ValueError) as error:  # OpenSSL itself would pass over it
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            raise OutgoingError(f"SSL_CERT_FILE={file}: expected CAs (PEM): {reason}") from None
    return context


def _address_in(host: str) -> str | None:
    """The IP address that is written there, also as 127.1 or 2130706433; None for a name."""
    if is_address(host):
        return host
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _is_localhost(host: str) -> bool:
    return f".{host.lower().rstrip('.')}".endswith(".localhost")


def _is_here(host: str) -> bool:
    """Whether it is on this machine, by its name alone."""
    return _is_localhost(host) or is_loopback(host)


def _covers(pattern: str, host: str, port: int | None) -> bool:
    """Whether an entry of NO_PROXY is for a host."""
    pattern = pattern.strip().lower()
    if pattern == "*":
        return True
    name, colon, wanted = pattern.rpartition(":")
    if colon and wanted.isdigit() and (name.endswith("]") or ":" not in name):
        if int(wanted) != port:
            return False
        pattern = name
    pattern = pattern.strip("[]").removeprefix("*").removeprefix(".")
    if not pattern:
        return False
    try:
        return ip_address(host) in ip_network(pattern, strict=False)
    except ValueError:
        return host == pattern or host.endswith("." + pattern)


def _hearing() -> aiohttp.TraceConfig:
    config = aiohttp.TraceConfig()

    async def made(_session: Any, context: Any, _params: Any) -> None:
        context.trace_request_ctx.connected()

    async def reused(_session: Any, context: Any, _params: Any) -> None:
        context.trace_request_ctx.reused = True

    config.on_connection_create_end.append(made)
    config.on_connection_reuseconn.append(reused)
    return config


def _has_ended(error: Exception) -> bool:
    """Whether a connection has ended, perhaps while nobody used it."""
    return isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)


def _why(error: Exception, url: URL, proxy: URL | None) -> str:
    """The reason, in words that hold nothing of the address; those of aiohttp quote it."""
    through = "" if proxy is None else f" (through the proxy {_shown(proxy)})"
    match error:
        case aiohttp.ClientProxyConnectionError():
            return f"cannot connect to the proxy {_shown(proxy)}: {_reason(error.os_error)}"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy {_shown(proxy)} refuses: HTTP {error.status}"
        case aiohttp.ClientConnectorCertificateError():
            said = getattr(error.certificate_error, "verify_message", "") or "it is for another host"
            if any(word in said for word in ("expired", "not yet valid")):
                return (
                    f"its certificate is not trusted: {said}, or the clock of this machine is wrong{through}"
                )
            return f"its certificate is not trusted: {said}; SSL_CERT_FILE can name its CA{through}"
        case aiohttp.ClientConnectorSSLError():
            reason = getattr(error.os_error, "reason", None) or type(error.os_error).__name__
            return f"cannot connect: no TLS ({reason}); does it want http:// instead of https://?{through}"
        case aiohttp.ClientConnectorError():
            return f"cannot connect: {_reason(error.os_error)}{through}"
        case aiohttp.ServerDisconnectedError():
            hint = "; does it want https:// instead of http://?" if url.scheme == "http" else ""
            return f"no answer: the connection was closed{hint}{through}"
        case aiohttp.ClientResponseError() if TLS_RECORD in error.message and url.scheme == "http":
            return "no answer: it speaks TLS; name it with https:// instead of http://"
        case _:
            return f"no answer: {type(error).__name__}{through}"


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _shown(proxy: URL | None) -> str:
    parts = urlsplit(str(proxy))
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
