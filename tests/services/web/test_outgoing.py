"""What goes out: proxies, certificates, connections that had ended, and what is said when it fails."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from yarl import URL

from dvtfast import HOODI
from dvtfast.services.chain.beacon.client import BeaconClient
from dvtfast.services.chain.endpoints import Endpoint, EndpointError
from dvtfast.services.chain.execution.node import NodeClient
from dvtfast.services.chain.ipfs.client import IpfsClient
from dvtfast.services.keys.remote_signer import remote_keys
from dvtfast.services.operator.oracles.client import Oracle, OracleCall, OracleClient, OracleError
from dvtfast.services.operator.sending.wallet import ExternalWallet, WalletError
from dvtfast.services.process.offload import UnavailableError
from dvtfast.services.relayer_client.client import RelayerClient, RelayerUnavailableError
from dvtfast.services.web import http, outgoing
from dvtfast.services.web.error_text import said
from dvtfast.services.web.outgoing import OutgoingError, Proxies, Session, joined
from dvtfast.services.web.tls import Certificate, server_context
from tests.services.patience import ANSWER_SECONDS

from ..certificates import Authority
from ..chain.servers import serving
from ..operator.sending.test_wallet import transaction

CID = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
ASKING: dict[str, Callable[[str], Awaitable[object]]] = {}


def asks(function: Callable[[str], Awaitable[object]]) -> Callable[[str], Awaitable[object]]:
    ASKING[function.__name__] = function
    return function


@asks
async def node(address: str) -> None:
    async with NodeClient([address], timeout_seconds=ANSWER_SECONDS) as client:
        await client.block("latest")


@asks
async def beacon(address: str) -> None:
    async with BeaconClient([address], timeout_seconds=ANSWER_SECONDS, network=HOODI) as client:
        await client.head()


@asks
async def ipfs(address: str) -> None:
    async with IpfsClient([address], timeout_seconds=ANSWER_SECONDS) as client:
        await client.fetch(CID, limit_bytes=100)


@asks
async def relayer(address: str) -> None:
    async with RelayerClient(address, timeout_seconds=ANSWER_SECONDS, attempts=1) as client:
        await client.info()


@asks
async def oracle(address: str) -> None:
    async with OracleClient(timeout_seconds=ANSWER_SECONDS) as client:
        await client.ask(Oracle(bytes(20), (Endpoint(address),)), OracleCall("/"), bytes)


@asks
async def signer(address: str) -> None:
    wanted = transaction()
    async with ExternalWallet(
        address, wanted.call.sender, wanted.chain_id, timeout_seconds=ANSWER_SECONDS
    ) as wallet:
        await wallet.sign(wanted)


@asks
async def remote_signer(address: str) -> None:
    await remote_keys(address, timeout_seconds=ANSWER_SECONDS)


FAILURES = (UnavailableError, RelayerUnavailableError, OracleError, WalletError, EndpointError)


@asynccontextmanager
async def proxy() -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy that answers 502 for everybody else; yields its address, and what it is asked for."""
    asked: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head)
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 8\r\nConnection: close\r\n\r\nno way\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_all_go_through_the_proxy(
    ask: Callable[[str], Awaitable[object]], scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxy() as (address, asked):
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", address.replace("//", "//user:pass@"))
        with pytest.raises(FAILURES, match="502"):
            await ask(f"{scheme}://far.example:1234/below?key=secret-query")
        first = asked[0].partition("\r\n")[0]
        if scheme == "http":
            assert "http://far.example:1234/below" in first
            assert "key=secret-query" in first
        else:
            assert first == "CONNECT far.example:1234 HTTP/1.1"
        assert "Proxy-Authorization: Basic dXNlcjpwYXNz" in asked[0]
        monkeypatch.setenv("NO_PROXY", "far.example")
        with pytest.raises(FAILURES, match="cannot connect"):
            await ask(f"{scheme}://far.example:1234/")
        assert len({head.partition(" ")[0] for head in asked}) == 1


@pytest.mark.parametrize(
    ("without", "url", "is_asked"),
    [
        ("", "http://a.example", True),
        ("*", "http://a.example", False),
        ("a.example", "http://a.example", False),
        ("example", "http://a.example", False),
        (".example", "http://a.example", False),
        ("*.example", "http://a.example", False),
        ("b.example, a.EXAMPLE", "http://A.example", False),
        ("ample", "http://a.example", True),
        ("a.example:81", "http://a.example", True),
        ("a.example:80", "http://a.example", False),
        ("10.0.0.0/8", "http://10.1.2.3:8545", False),
        ("10.0.0.0/8", "http://11.1.2.3:8545", True),
        ("10.1.2.3:8545", "http://10.1.2.3:8545", False),
        ("fd00::/8", "http://[fd00::1]:8545", False),
        ("[fd00::1]:8545", "http://[fd00::1]:8545", False),
        ("[fd00::1]:8545", "http://[fd00::1]:8546", True),
        ("", "http://127.0.0.1:8545", False),  # of this machine, which that proxy does not reach
        ("", "http://localhost:8545", False),
        ("", "http://localhost.:8545", False),
        ("", "http://cid.ipfs.localhost:8080", False),
        ("", "http://notlocalhost:8080", True),
        ("", "https://a.example", False),
    ],
)
def test_which_hosts_have_a_proxy(without: str, url: str, is_asked: bool) -> None:
    proxies = Proxies.of({"HTTP_PROXY": "proxy.example:3128", "NO_PROXY": without})
    assert (proxies.before(URL(url)) is not None) == is_asked


async def test_no_proxy_is_asked_for_what_is_not_of_the_internet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody but the internet is to be asked: the proxy may be inside, and would reach it."""
    async with proxy() as (address, asked):
        monkeypatch.setenv("HTTP_PROXY", address)
        async with outgoing.Session(5, public_only=True) as session:
            inside = "127.0.0.1", "10.0.0.1", "[::1]", "127.1", "2130706433", "localhost", "x.localhost"
            for host in inside:
                with pytest.raises(outgoing.OutgoingError, match=r"no address of the internet|InvalidUrl"):
                    await session.ask("GET", f"http://{host}:1/", limit_bytes=100)
            assert asked == []
            assert (await session.ask("GET", "http://far.example/", limit_bytes=100)).status == 502


def test_what_is_no_proxy() -> None:
    for named in ("socks5://proxy.example:1", "http://", "http://[", "ftp://x"):
        with pytest.raises(OutgoingError, match="HTTP_PROXY: expected an address such as"):
            Proxies.of({"http_proxy": named}).before(URL("http://a.example"))
    assert Proxies.of({"http_proxy": "", "HTTP_PROXY": "x"}).before(URL("http://a.example")) is None
    here = Proxies.of({"HTTP_PROXY": "http://127.0.0.1:3128"})
    assert str(here.before(URL("http://127.0.0.1:8545"))) == "http://127.0.0.1:3128"


def test_a_file_of_settings_names_proxies_and_certificates_too() -> None:
    environment = {"http_proxy": "a", "PATH": "x"}
    outgoing.adopt({"HTTP_PROXY": "b", "https_proxy": "c", "SSL_CERT_FILE": "d", "OTHER": "e"}, environment)
    assert environment == {"http_proxy": "a", "PATH": "x", "https_proxy": "c", "SSL_CERT_FILE": "d"}


def test_without_proxies_for_a_while() -> None:
    environment = {"HTTP_PROXY": "a", "https_proxy": "b", "NO_PROXY": "c", "PATH": "d"}
    before = dict(environment)
    with outgoing.without_proxies(environment):
        assert environment == {"NO_PROXY": "c", "PATH": "d"}
    assert environment == before


@asynccontextmanager
async def https(authority: Authority) -> AsyncIterator[str]:
    async def handle(_: web.Request) -> web.Response:
        return web.json_response(["0x" + "ab" * 48])

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    tls = server_context(Certificate(*authority.issue("server")), None)
    async with http.listening(app, "127.0.0.1", 0, tls=tls) as port:
        yield f"https://127.0.0.1:{port}"


async def test_certificates_of_an_own_ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    async with https(authority) as url:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        for ask in ASKING.values():
            with pytest.raises(FAILURES, match=r"certificate is not trusted: .*; SSL_CERT_FILE can"):
                await ask(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        assert len(await remote_keys(url, timeout_seconds=ANSWER_SECONDS)) == 1
        for name, ask in ASKING.items():
            if name not in ("oracle", "remote_signer"):  # it is no other server, but one that is trusted
                with pytest.raises(Exception, match=r"^(?!.*certificate)"):
                    await ask(url)
        for name, content in (("none.pem", None), ("empty.pem", "")):
            if content is not None:
                (tmp_path / name).write_text(content)
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
            with pytest.raises(UnavailableError, match=rf"SSL_CERT_FILE=.*{name}: expected CAs \(PEM\): "):
                await remote_keys(url, timeout_seconds=ANSWER_SECONDS)


async def test_http_and_https_mixed_up(tmp_path: Path) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response()

    async with https(Authority(tmp_path)) as url:
        with pytest.raises(UnavailableError, match="https:// instead of http://"):
            await remote_keys(url.replace("https", "http"), timeout_seconds=ANSWER_SECONDS)
    async with serving(handle) as url:
        with pytest.raises(UnavailableError, match=r"no TLS .*does it want http://"):
            await remote_keys(url.replace("http", "https"), timeout_seconds=ANSWER_SECONDS)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_connection_that_ended_while_idle_is_asked_again(method: str) -> None:
    """One answer for each connection, which then ends at the next request, as after an idle time."""
    connections = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    made = []
    async with server, Session(5) as session:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for _ in range(3):
            answer = await session.ask(
                method, url, body=b"" if method == "POST" else None, limit_bytes=100,
                connected=lambda: made.append(1),
            )  # fmt: skip
            assert answer.content == b"ok"
    assert len(connections) == len(made) == 3


async def test_a_server_that_never_answers_is_not_asked_for_ever() -> None:
    connections = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server, Session(5) as session:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(OutgoingError, match="no answer: the connection was closed"):
            await session.ask("POST", url, body=b"x", limit_bytes=100)
    assert len(connections) == 1


@pytest.mark.parametrize(("seconds", "this_one_is"), [(3600, "behind"), (-3600, "ahead"), (20, None)])
async def test_a_clock_that_is_off_is_told_of_once(seconds: int, this_one_is: str | None) -> None:
    """Of relayers, nodes and all others; whose it is shows when several say the same."""

    async def answer(_: web.Request) -> web.Response:
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
        return web.json_response({"network": "hoodi"}, headers={"Date": date})

    async with (
        serving(answer) as url,
        RelayerClient(url, timeout_seconds=ANSWER_SECONDS, attempts=1) as client,
    ):
        with capture_logs() as lines:
            for _ in range(3):
                await client.info()
    told = [line for line in lines if line["event"].startswith("the clocks of this machine")]
    assert len(told) == (0 if this_one_is is None else 1)
    for line in told:
        assert line["host"] == "127.0.0.1"
        assert line["this_one_is"].split() in ([str(n), "s", this_one_is] for n in range(3590, 3611))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Date": "yesterday"},
        {"Date": "Mon, 99999999999999999999 Jan 2026 00:00:00 GMT"},
        {"Date": "Mon, 30 Nov 1999 00:00:00 -0000"},
        {"Date": "Mon, 30 Nov 1999 00:00:00 GMT", "Age": "1"},
    ],
)
def test_dates_that_tell_nothing(headers: dict[str, str]) -> None:
    assert outgoing.seconds_ahead(headers) is None
    assert outgoing.retry_after({"Retry-After": headers.get("Date", "")} | headers) in (None, 0)


@pytest.mark.parametrize(
    ("address", "path", "query", "expected"),
    [
        ("http://a", "/b", "", "http://a/b"),
        ("http://a/", "b", "", "http://a/b"),
        ("http://a/x/?key=1%2F2&y", "/b", "", "http://a/x/b?key=1%2F2&y"),
        ("http://a?key=1", "b", "c=d", "http://a/b?key=1&c=d"),
        ("http://a/#part", "b", "c=d", "http://a/b?c=d"),
    ],
)
def test_joined_addresses(address: str, path: str, query: str, expected: str) -> None:
    assert joined(address, path, query) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ""),
        (b'{"code": 403, "message": "no such plan"}', "no such plan"),
        (b'{"error": {"message": "key\\nexpired"}}', "key expired"),
        (b'{"title": 5, "detail": "x"}', "x"),
        (b"<html><head><title>403 Forbidden</title></head>\n<hr>nginx</html>", "403 Forbidden nginx"),
        (b"<html>", "<html>"),
        (b"\x1b[31mred\xff", "[31mred\N{REPLACEMENT CHARACTER}"),
        (b"[" * 2000, "[" * 200),
        (b"<" * 100_000, "<" * 200),
    ],
)
def test_what_a_refusal_says(content: bytes, expected: str) -> None:
    assert said(content) == expected


def test_tls_is_not_older_than_1_2() -> None:
    assert outgoing.trusted("", "").minimum_version == ssl.TLSVersion.TLSv1_2
