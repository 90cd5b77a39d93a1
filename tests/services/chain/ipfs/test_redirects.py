"""Gateways that send on to others: followed, but not to where nobody may send."""

from __future__ import annotations

import hashlib
import socket
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from dvtfast.services.chain.ipfs import redirects
from dvtfast.services.chain.ipfs.client import IpfsClient, IpfsError
from dvtfast.services.chain.ipfs.redirects import MOST_REDIRECTS, next_address
from dvtfast.services.chain.ipfs.unixfs import RAW, Cid
from dvtfast.services.web import addresses, outgoing
from dvtfast.services.web.addresses import is_public
from dvtfast.services.web.outgoing import OutgoingError, Session
from tests.services.chain.servers import serving
from tests.services.patience import ANSWER_SECONDS

BLOCK = b"hello world"
CID = str(Cid(RAW, hashlib.sha256(BLOCK).digest()))


async def fetched(*gateways: str, seconds: float = ANSWER_SECONDS) -> bytes:
    async with IpfsClient(gateways, timeout_seconds=seconds) as ipfs:
        return await ipfs.fetch(CID, limit_bytes=1000)


def elsewhere(location: str, status: int = 302) -> web.Response:
    return web.Response(status=status, headers={"Location": location})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_gateway_that_sends_on_to_a_subdomain(status: int) -> None:
    """As https://ipfs.io does, and Kubo on localhost."""
    asked: list[tuple[str, str, str]] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append((request.host.partition(":")[0], request.path_qs, request.headers["Accept"]))
        if request.path.startswith("/ipfs/"):
            return elsewhere(f"http://{CID}.ipfs.localhost:{request.url.port}/?format=raw", status)
        return web.Response(body=BLOCK)

    async with serving(handle) as url:
        assert await fetched(url) == BLOCK
    accept = "application/vnd.ipld.raw"
    assert asked == [
        ("127.0.0.1", f"/ipfs/{CID}?format=raw", accept),
        (f"{CID}.ipfs.localhost", "/?format=raw", accept),
    ]


async def test_what_is_at_the_end_is_checked_too() -> None:
    async def handle(request: web.Request) -> web.Response:
        return elsewhere("/other") if request.path != "/other" else web.Response(body=b"hello wurld")

    async with serving(handle) as url:
        with pytest.raises(IpfsError, match="gives another block than asked for"):
            await fetched(url)


@pytest.mark.parametrize(("hops", "arrives"), [(MOST_REDIRECTS, True), (MOST_REDIRECTS + 1, False)])
async def test_only_so_many_are_followed(hops: int, arrives: bool) -> None:
    asked = 0

    async def handle(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return elsewhere(f"/{asked}") if asked <= hops else web.Response(body=BLOCK)

    async with serving(handle) as url:
        if arrives:
            assert await fetched(url) == BLOCK
            return
        with pytest.raises(IpfsError, match=f"expected at most {MOST_REDIRECTS} redirects, got more"):
            await fetched(url)
    assert asked == MOST_REDIRECTS + 1


async def test_the_token_of_a_gateway_goes_to_nobody_else() -> None:
    asked: list[web.Request] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request)
        return elsewhere(f"http://localhost:{request.url.port}/x") if len(asked) == 1 else web.Response()

    async with serving(handle) as url:
        with pytest.raises(IpfsError) as caught:
            await fetched(f"{url.replace('://', '://user:secret-password@')}/?key=secret-token")
    assert "Authorization" in asked[0].headers
    assert "Authorization" not in asked[1].headers
    assert asked[1].path_qs == "/x"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("location", ["/x", "http://{host}/x"])
async def test_a_gateway_with_a_password_may_send_on_to_itself(location: str) -> None:
    asked: list[str | None] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Authorization"))
        return web.Response(body=BLOCK) if request.path == "/x" else elsewhere(location.format(host=host))

    async with serving(handle) as url:
        host = url.partition("://")[2]
        assert await fetched(f"http://user:word@{host}") == BLOCK
    assert asked == ["Basic dXNlcjp3b3Jk"] * 2


class Names:
    """What names stand for; `outside.example`, 127.0.0.3, counts as one of the internet."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.addresses = {"outside.example": ["127.0.0.3"]}  # for one question after the other
        self._resolve = socket.getaddrinfo
        for module in (addresses, outgoing, redirects):
            monkeypatch.setattr(module, "is_public", lambda each: each == "127.0.0.3" or is_public(each))
        monkeypatch.setattr(socket, "getaddrinfo", self.resolve)

    def resolve(self, host: Any, *others: Any, **options: Any) -> Any:
        if found := self.addresses.get(host):
            host = found.pop(0) if len(found) > 1 else found[0]
        return self._resolve(host, *others, **options)


async def test_who_was_sent_to_the_internet_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway here may send on to another one here, and outside; who is there does not send in again."""
    Names(monkeypatch)
    asked: list[str] = []
    ways: dict[str, str] = {}

    async def handle(request: web.Request) -> web.Response:
        asked.append(f"{request.url.host}{request.path}")
        if request.path == "/block":
            return web.Response(body=BLOCK)
        return elsewhere(ways[str(request.url.host)])

    async with serving(handle) as inside, serving(handle, host="127.0.0.3") as outside:
        outside = outside.replace("127.0.0.3", "outside.example")
        ways["127.0.0.1"] = inside.replace("127.0.0.1", "localhost")
        ways["localhost"] = f"{outside}/"
        ways["outside.example"] = f"{inside}/block"
        with pytest.raises(IpfsError, match="no address of the internet"):
            await fetched(inside)
        assert asked == [f"127.0.0.1/ipfs/{CID}", "localhost/", "outside.example/"]
        ways["outside.example"] = f"{outside}/block"
        assert await fetched(inside) == BLOCK


async def test_a_name_is_not_here_at_one_moment_and_elsewhere_at_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who says that it is here is asked here, or not at all."""
    names = Names(monkeypatch)
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.path)
        return elsewhere(f"{inside}/block")

    async with serving(handle) as inside, serving(handle, host="127.0.0.3") as outside:
        for found in (["127.0.0.1", "127.0.0.3"], ["127.0.0.3"]):
            names.addresses["gateway.example"] = found
            with pytest.raises(IpfsError, match="no address of"):
                await fetched(outside.replace("127.0.0.3", "gateway.example"))
    assert asked == [f"/ipfs/{CID}"]


async def test_a_gateway_of_the_internet_does_not_send_into_this_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By an address, or by a name that stands for one; the test's gateway counts as one of the internet."""

    def counts_as_public(address: str) -> bool:
        return address == "127.0.0.1" or is_public(address)

    for module in (addresses, outgoing, redirects):
        monkeypatch.setattr(module, "is_public", counts_as_public)
    resolve = socket.getaddrinfo

    def named(host: Any, *others: Any, **options: Any) -> Any:
        return resolve("127.0.0.2" if host == "inside.example" else host, *others, **options)

    monkeypatch.setattr(socket, "getaddrinfo", named)
    inside: list[str] = []
    location = ""

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/inside":
            inside.append(request.host)
            return web.Response(body=BLOCK)
        return elsewhere(location)

    async with serving(handle) as url:
        port = URL(url).port
        location = f"http://127.0.0.1:{port}/inside"
        assert await fetched(url) == BLOCK
        numbers = "127.0.0.2", "10.0.0.1", "[::1]", "[::ffff:127.0.0.2]", "0.0.0.0", "127.2", "2130706434"
        for host in ("inside.example", *numbers):
            location = f"http://{host}:{port}/inside"
            with pytest.raises(IpfsError, match=r"no address of the internet|InvalidUrl"):
                await fetched(url)
    assert len(inside) == 1


async def test_a_session_for_the_internet_only() -> None:
    async with Session(5, public_only=True) as session:
        for host in ("localhost", "a.localhost", "127.0.0.1", "[::1]", "192.168.0.1"):
            with pytest.raises(OutgoingError, match="no address of the internet"):
                await session.ask("GET", f"http://{host}:1/", limit_bytes=10)


async def test_a_session_for_this_network_only() -> None:
    async with Session(5, here_only=True) as session:
        for host in ("8.8.8.8", "[2606:4700::1111]"):
            with pytest.raises(OutgoingError, match="no address of this network"):
                await session.ask("GET", f"http://{host}:1/", limit_bytes=10)


NOW = URL("https://gateway.example/ipfs/x?format=raw")


@pytest.mark.parametrize(
    ("location", "address"),
    [
        ("https://x.ipfs.gateway.example/?format=raw", "https://x.ipfs.gateway.example/?format=raw"),
        ("/ipfs/y#part", "https://gateway.example/ipfs/y"),
        ("//other.example/y", "https://other.example/y"),
    ],
)
def test_addresses_that_are_followed(location: str, address: str) -> None:
    assert str(next_address(NOW, location)) == address


@pytest.mark.parametrize(
    ("location", "with_name"),
    [
        ("/ipfs/y", True),
        ("?format=raw", True),
        ("https://gateway.example/y", True),
        ("https://gateway.example:443/y", True),
        ("//gateway.example/y", True),
        ("https://gateway.example:8443/y", False),
        ("https://x.gateway.example/y", False),
        ("//other.example/y", False),
    ],
)
def test_a_name_and_a_password_stay_with_their_origin(location: str, with_name: bool) -> None:
    found = next_address(NOW.with_user("user").with_password("word"), location)
    assert (found.user, found.password) == (("user", "word") if with_name else (None, None))
    for named in ("https://user:word@gateway.example/y", "//user@gateway.example/y"):
        with pytest.raises(ValueError, match="with a name or a password"):
            next_address(NOW.with_user("user").with_password("word"), named)


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("http://gateway.example/x", "from https to http"),
        ("ftp://gateway.example/x", "no http or https address"),
        ("file:///etc/passwd", "no http or https address"),
        ("data:text/plain,x", "no http or https address"),
        ("https://user:password@gateway.example/", "with a name or a password"),
        ("https://user@gateway.example/", "with a name or a password"),
        ("https://[::1/", "no address"),
        ("https://[]@", "no address"),
        ("https://gateway.example:99999/", "no address"),
        ("https://gateway.example/" + "x" * 3000, "more than 2048 characters"),
    ],
)
def test_addresses_that_are_not(location: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        next_address(NOW, location)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("64:ff9b::808:808", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_addresses_of_the_internet(address: str, public: bool) -> None:
    assert is_public(address) == public
