"""Several servers: in which order they are asked, and what is said of them."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from dvtfast.services.chain import endpoints as endpoints_module
from dvtfast.services.chain.endpoints import (
    Endpoint,
    EndpointError,
    Endpoints,
    NoAnswerInTimeError,
    exchange,
)
from dvtfast.services.web.outgoing import Session, retry_after
from tests.services.chain.servers import DEAD, Handler, serving

SECRET = "https://alice:hunter22@node.example:8545/v3/0123456789abcdef?apikey=s3cr3t-t0ken&x=%2Fquoted%2F"


def test_only_the_host_is_named() -> None:
    endpoint = Endpoint(SECRET)
    assert endpoint.name == "https://node.example:8545"
    assert Endpoint("http://[::1]:80/x").name == "http://[::1]:80"
    told = str(endpoint.error(f"HTTP 500 {SECRET} 0123456789abcdef hunter22 s3cr3t-t0ken /quoted/ v3"))
    for word in ("0123456789abcdef", "hunter22", "s3cr3t-t0ken", "quoted"):
        assert word not in told
        assert word not in repr(endpoint)
    assert told.startswith("https://node.example:8545: HTTP 500")


def test_what_an_endpoint_says_fits_in_one_line() -> None:
    assert str(Endpoint("http://x").error("a\nb\x1b[31m" + "c" * 1000)) == "http://x: a b [31m" + "c" * 192


class Work:
    """Counts who is asked; who is in `failing` raises."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failing: set[str] = set()
        self.refusing: set[str] = set()
        self.silent: set[str] = set()

    async def __call__(self, endpoint: Endpoint) -> str:
        self.asked.append(endpoint.name)
        if endpoint.name in self.silent:
            raise endpoint.error("silent", kind=NoAnswerInTimeError)
        if endpoint.name in self.failing | self.refusing:
            raise endpoint.error("no", refused=endpoint.name in self.refusing)
        return endpoint.name


async def test_who_failed_a_moment_ago_is_asked_last(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(endpoints_module.time, "monotonic", lambda: now[0])
    work, several = Work(), Endpoints(["http://a", "http://b", "http://c"])
    work.failing = {"http://a"}
    assert await several.first_able(work) == "http://b"
    assert await several.first_able(work) == "http://b"
    assert work.asked == ["http://a", "http://b", "http://b"]
    now[0] += 1.1  # it has rested
    work.failing = set()
    assert await several.first_able(work) == "http://a"


async def test_all_are_asked_before_an_error() -> None:
    work, several = Work(), Endpoints(["http://a", "http://b"])
    work.failing = {"http://a", "http://b"}
    for _ in range(3):
        with pytest.raises(EndpointError, match=r"http://a: no; http://b: no|http://b: no; http://a: no"):
            await several.first_able(work)
    assert len(work.asked) == 6


async def test_a_refusal_is_no_failure() -> None:
    work, several = Work(), Endpoints(["http://a", "http://b"])
    work.refusing = {"http://a"}
    assert [await several.first_able(work) for _ in range(2)] == ["http://b"] * 2
    assert work.asked == ["http://a", "http://b"] * 2
    work.refusing = {"http://a", "http://b"}
    with pytest.raises(EndpointError) as caught:
        await several.first_able(work)
    assert caught.value.refused
    work.failing, work.refusing = {"http://a"}, {"http://b"}
    with pytest.raises(EndpointError) as caught:
        await several.first_able(work)
    assert not caught.value.refused


async def test_a_failure_is_logged_once_until_it_is_over() -> None:
    work, several = Work(), Endpoints(["http://a"])
    with capture_logs() as lines:
        work.failing = {"http://a"}
        for _ in range(3):
            with pytest.raises(EndpointError):
                await several.first_able(work)
        work.failing = set()
        await several.first_able(work)
        await several.first_able(work)
    assert [line["event"] for line in lines] == ["endpoint fails", "endpoint is back"]


def test_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected at least one"):
        Endpoints([])


# Who rests, who is slow, who wants a pause.


async def never(endpoint: Endpoint) -> str:
    await asyncio.sleep(3600)
    return endpoint.name


async def test_who_is_slow_to_fail_is_not_asked_as_long_as_others_answer() -> None:
    """Be it with a refusal: each look would wait for it."""
    work, several = Work(), Endpoints(["http://a", "http://b"])
    work.refusing, work.silent = {"http://a"}, {"http://b"}
    for _ in range(30):
        with pytest.raises(EndpointError):
            await several.first_able(work)
    assert work.asked.count("http://b") == 1
    work.refusing = set()
    for _ in range(30):
        assert [str(each) for each in await several.each(work)] == [
            "http://a",
            "http://b: not asked: it did not answer, or wanted a pause, a moment ago",
        ]
    assert work.asked.count("http://b") == 1
    work.failing = {"http://a"}
    with pytest.raises(EndpointError, match="http://a: no; http://b: silent"):
        await several.first_able(work)


async def test_who_fails_at_once_is_heard() -> None:
    """Of each, what it says may be wanted, such as which block it has."""
    work, several = Work(), Endpoints(["http://a", "http://b"])
    work.failing = {"http://a", "http://b"}
    with pytest.raises(EndpointError):
        await several.first_able(work)
    work.failing = set()
    assert await several.each(work) == ["http://a", "http://b"]


async def test_one_request_finds_out_whether_an_endpoint_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(endpoints_module.time, "monotonic", lambda: now[0])
    several = Endpoints(["http://a", "http://b"], timeout_seconds=3600)
    asked: list[str] = []
    back = asyncio.Event()

    async def work(endpoint: Endpoint) -> str:
        asked.append(endpoint.name)
        if endpoint.name == "http://a":
            if asked.count("http://a") == 1:
                raise endpoint.error("no")
            await back.wait()
        return endpoint.name

    assert await several.first_able(work) == "http://b"
    now[0] += 2
    finding_out = asyncio.ensure_future(several.first_able(work))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [await several.first_able(work) for _ in range(10)] == ["http://b"] * 10
    back.set()
    assert await finding_out == "http://a"
    assert await several.first_able(work) == "http://a"


async def test_an_endpoint_that_never_answers_is_not_waited_for() -> None:
    """The next one is asked at the same time, and the slow one rests."""
    asked: list[str] = []
    cancelled: list[str] = []

    async def work(endpoint: Endpoint) -> str:
        asked.append(endpoint.name)
        if endpoint.name == "http://a":
            try:
                await never(endpoint)
            except asyncio.CancelledError:
                cancelled.append(endpoint.name)
                raise
        return endpoint.name

    several = Endpoints(["http://a", "http://b"], timeout_seconds=0.04)
    with capture_logs() as lines:
        assert [await several.first_able(work) for _ in range(3)] == ["http://b"] * 3
    assert asked == ["http://a", "http://b", "http://b", "http://b"]
    assert cancelled == ["http://a"]
    assert [line["event"] for line in lines] == ["endpoint fails"]


async def test_how_long_it_rests_depends_on_how_long_it_was_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(endpoints_module.time, "monotonic", lambda: now[0])
    endpoint = Endpoint("http://a")
    for seconds, rest in (
        (0.0, 1.0),
        (0.0, 2.0),
        (0.0, 4.0),
        (5.0, 30.0),
        (20.0, 120.0),
        (0.0, 32.0),
        (0.0, 60.0),
        (99.0, 300.0),
    ):
        endpoint.did(endpoint.error("no"), seconds=seconds)
        assert endpoint.rests_until == now[0] + rest
    endpoint.did(endpoint.error("no", refused=True))
    assert endpoint.rests_until == now[0] + 300
    endpoint.did(None)
    assert endpoint.rests_until == 0


async def test_what_is_no_error_of_an_endpoint_ends_the_race() -> None:
    async def work(endpoint: Endpoint) -> str:
        if endpoint.name == "http://a":
            return await never(endpoint)
        raise KeyError("b")

    with pytest.raises(KeyError):
        await Endpoints(["http://a", "http://b"], timeout_seconds=0.04).first_able(work)


def limiting(times: int, **headers: str) -> tuple[Handler, list[int]]:
    """A server that is asked too often, until it has said so a few times."""
    asked = [0]

    async def handle(_: web.Request) -> web.Response:
        asked[0] += 1
        if asked[0] <= times:
            return web.json_response({"message": "slow down"}, status=429, headers=headers)
        return web.Response(text="fine")

    return handle, asked


async def ask_all(urls: list[str], *, times: int = 1) -> list[bytes]:
    several = Endpoints(urls)
    async with Session(5) as client:

        async def work(endpoint: Endpoint) -> bytes:
            return (await exchange(client, endpoint, "GET", endpoint.url, limit_bytes=100)).content

        return [await several.first_able(work) for _ in range(times)]


async def test_who_is_asked_too_often_gets_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints_module, "PAUSE_FIRST_SECONDS", 0.001)
    handle, asked = limiting(4)
    async with serving(handle) as url:
        with capture_logs() as lines:
            assert await ask_all([url]) == [b"fine"]
        assert asked == [5]
        assert [line["event"] for line in lines] == ["endpoint wants to be asked less often"]
        assert lines[0]["error"] == f"{url}: HTTP 429: slow down"


async def test_a_pause_is_as_long_as_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    handle, _ = limiting(1, **{"Retry-After": "7"})
    async with serving(handle) as url, Session(5) as client:
        endpoint = Endpoint(url)
        with pytest.raises(EndpointError) as caught:
            await exchange(client, endpoint, "GET", url, limit_bytes=100)
        assert caught.value.pause_seconds == 7
    monkeypatch.setattr(endpoints_module.time, "monotonic", lambda: now[0])
    endpoint.did(caught.value)
    assert endpoint.rests_until == 107
    for pause in (1.0, 2.0, 4.0):  # nobody says how long
        endpoint.did(endpoint.error("slow down", pause_seconds=0.0))
        assert endpoint.rests_until == 100 + pause


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "12"}, 12),
        ({"Retry-After": "9" * 400}, 999_999_999),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:10 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 10),
        ({"Retry-After": "Wed, 21 Oct 2026 07:27:00 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:10 GMT", "Date": "yesterday"}, None),
    ],
)
def test_how_long_a_server_wants_to_be_left_alone(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


async def test_nobody_waits_for_ever() -> None:
    handle, asked = limiting(1, **{"Retry-After": "3600"})
    async with serving(handle) as url:
        with pytest.raises(EndpointError, match="HTTP 429: slow down"):
            await ask_all([url])
        assert asked == [1]


async def test_no_pause_is_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(endpoints_module.time, "monotonic", lambda: now[0])
    work, group = Work(), Endpoints(["http://a"])
    wanted = [999_999_999.0]

    async def ask(endpoint: Endpoint) -> str:
        if wanted:
            raise endpoint.error("slow down", pause_seconds=wanted.pop())
        return await work(endpoint)

    with pytest.raises(EndpointError):
        await group.first_able(ask)
    now[0] += endpoints_module.PAUSE_REST_LONGEST_SECONDS - 60
    with pytest.raises(EndpointError):
        await group.first_able(ask)
    now[0] += 60
    assert await group.first_able(ask) == "http://a"


async def test_others_are_asked_while_one_has_its_pause() -> None:
    busy, asked_busy = limiting(1000, **{"Retry-After": "20"})
    free, asked_free = limiting(0)
    async with serving(busy) as first, serving(free) as second:
        assert await ask_all([first, second], times=5) == [b"fine"] * 5
    assert (asked_busy, asked_free) == ([1], [5])


# Who is at the other end.


async def test_an_endpoint_is_checked_again_after_each_new_connection() -> None:
    """A server that ends each connection after its answer; what it says counts only with the check."""
    checked: list[str] = []
    is_right = [True]

    async def handle(_: web.Request) -> web.Response:
        return web.Response(text="fine", headers={"Connection": "close"} if is_closing[0] else {})

    async def check(endpoint: Endpoint) -> None:
        checked.append(endpoint.name)
        if not is_right[0]:
            raise endpoint.leave_out("another chain")

    is_closing = [False]
    async with serving(handle) as url, Session(5) as client:
        several = Endpoints([url], check=check)

        async def work(endpoint: Endpoint) -> bytes:
            return (await exchange(client, endpoint, "GET", endpoint.url, limit_bytes=100)).content

        for _ in range(3):
            await several.first_able(work)
        assert len(checked) == 2  # before, and over the connection that was made
        is_closing[0] = True
        await several.first_able(work)
        assert len(checked) == 2
        is_right[0] = False
        with pytest.raises(EndpointError, match="another chain"):
            await several.first_able(work)


async def test_an_endpoint_is_checked_again_after_a_failure() -> None:
    checked: list[str] = []

    async def check(endpoint: Endpoint) -> None:
        checked.append(endpoint.name)

    work, several = Work(), Endpoints(["http://a"], check=check)
    await several.first_able(work)
    work.failing = {"http://a"}
    with pytest.raises(EndpointError):
        await several.first_able(work)
    work.failing = set()
    for _ in range(3):
        await several.first_able(work)
    assert len(checked) == 2


async def test_what_takes_too_long_is_told_apart() -> None:
    async def handle(_: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    async with serving(handle) as url, Session(0.05) as client:
        for address, kind in ((url, NoAnswerInTimeError), (DEAD, EndpointError)):
            with pytest.raises(EndpointError) as caught:
                await exchange(client, Endpoint(address), "GET", address, limit_bytes=100)
            assert type(caught.value) is kind
