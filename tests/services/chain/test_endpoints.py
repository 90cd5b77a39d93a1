"""Several servers: in which order they are asked, and what is said of them."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from dvtfast.services.chain import endpoints as endpoints_module
from dvtfast.services.chain.endpoints import Endpoint, EndpointError, Endpoints

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

    async def __call__(self, endpoint: Endpoint) -> str:
        self.asked.append(endpoint.name)
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
