"""The OpenAPI document: every route is in it, with the types that validate requests; /docs shows it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from jsonschema_rs import meta, validator_for

from dvtfast.services import wire
from dvtfast.services.relayer import api, app
from dvtfast.services.relayer.access.rights import OPEN, RIGHTS
from dvtfast.services.web import openapi
from dvtfast.services.web.openapi import STATUSES

from ..conftest import START_INDEX, Start, make_cluster
from .test_routes_fuzz import BODIES

DOCUMENT = api.openapi()
SHORT = aiohttp.ClientTimeout(total=5)
CLOSE = {"Connection": "close"}


async def test_every_route_is_in_it_and_no_other(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    apps: list[web.Application] = []
    listening = app.http.listening

    def note(application: web.Application, *others: Any, **named: Any) -> Any:
        apps.append(application)
        return listening(application, *others, **named)

    monkeypatch.setattr(app.http, "listening", note)
    async with start(make_cluster(1)):
        served = {
            (route.method, route.resource.canonical)
            for route in apps[0].router.routes()
            if route.method != "HEAD" and route.resource is not None
        }
    documented = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert served == documented
    assert len(documented) == len(api.ROUTES)


async def test_it_is_served_as_it_is_made(start: Start) -> None:
    async with start(make_cluster(1)) as relayer:
        assert await relayer.raw("GET", "/openapi.json") == (
            200,
            msgspec.json.decode(msgspec.json.encode(DOCUMENT)),
        )


def test_each_schema_is_one() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_each_status_is_explained() -> None:
    for route in api.ROUTES:
        assert set(route.all_statuses) <= set(STATUSES)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (413, {"Content-Length": "16777217"}),
        (415, {"Content-Type": "text/plain"}),
        (415, {"Content-Encoding": "gzip"}),
        (417, {"Expect": "junk"}),
    ],
)
async def test_a_body_that_no_route_takes(start: Start, status: int, headers: dict[str, str]) -> None:
    async with start(make_cluster(1)) as relayer:
        for route in (route for route in api.ROUTES if route.roles is not OPEN):
            sent = relayer.session.request(
                route.method, relayer.url + route.path, data=b"{}", headers=headers | CLOSE, timeout=SHORT
            )
            async with sent as answer:
                assert answer.status == status
                assert status in route.all_statuses


async def test_no_cache_keeps_what_is_not_for_all(start: Start) -> None:
    async with start(make_cluster(1)) as relayer:
        for route in api.ROUTES:
            async with relayer.session.request(route.method, relayer.url + route.path) as answer:
                is_page = answer.content_type in ("text/html", "text/css", "text/javascript")
                assert answer.headers["Cache-Control"] == ("no-cache" if is_page else "no-store")
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Server"] == "dvtfast"


@pytest.mark.parametrize("path", BODIES)
def test_what_is_a_request_fits_its_schema(path: str) -> None:
    ref = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    validator = validator_for(ref | {"components": DOCUMENT["components"]})
    (body,) = [route.body for route in api.ROUTES if (route.method, route.path) == ("POST", path)]
    assert body is not None
    assert validator.is_valid(BODIES[path])
    wire.decode(msgspec.json.encode(BODIES[path]), body)
    for name in BODIES[path]:
        assert not validator.is_valid(BODIES[path] | {name: "junk"})
        with pytest.raises(wire.WireError):
            wire.decode(msgspec.json.encode(BODIES[path] | {name: "junk"}), body)


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        ("PublicKey", "0x" + "aB" * 48, True),
        ("PublicKey", "ab" * 48, True),
        ("PublicKey", "ab" * 47, False),
        ("Signature", "0X" + "ab" * 96, True),
        ("ShareIndex", 2**64 - 1, True),
        ("ShareIndex", 0, False),
        ("UInt64", 0, True),
        ("UInt64", 2**64, False),
    ],
)
def test_types_of_ours(kind: str, value: object, fits: bool) -> None:
    """The schema and what reads a request agree."""
    cls = getattr(wire, kind)
    _, schemas = msgspec.json.schema_components([cls], schema_hook=openapi.schema_of)
    (schema,), _ = msgspec.json.schema_components([cls], schema_hook=openapi.schema_of)
    assert schemas == {}
    assert validator_for(schema).is_valid(value) == fits
    if fits:
        cls.from_wire(value)
    else:
        with pytest.raises(ValueError, match="expected"):
            cls.from_wire(value)


class Links(HTMLParser):
    """What a page loads, links to, and can be linked at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.inline = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.loads += [given[name] for name in ("src", "srcset", "data") if name in given]
        self.loads += [given["href"]] if tag == "link" else []
        self.links += [given["href"]] if tag == "a" else []
        self.ids += [given["id"]] if "id" in given else []
        self.inline |= tag in ("style", "base") or "style" in given or any(n.startswith("on") for n in given)


async def test_the_page_for_people(start: Start) -> None:
    async with start(make_cluster(1)) as relayer:
        async with relayer.session.get(f"{relayer.url}/docs") as answer:
            text = await answer.text()
            policy, etag = answer.headers["Content-Security-Policy"], answer.headers["ETag"]
            assert answer.content_type == "text/html"
        known = {"If-None-Match": etag}
        async with relayer.session.get(f"{relayer.url}/docs", headers=known) as answer:
            assert answer.status == 304
        found = Links(text)
        for name in found.loads[1:]:
            async with relayer.session.get(f"{relayer.url}/{name}") as answer:
                assert answer.status == 200
                assert "url(" not in await answer.text()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert found.loads == ["data:,", "docs.css"]
    assert not found.inline
    assert len(found.ids) == len(set(found.ids))
    assert {link[1:] for link in found.links if link.startswith("#")} <= set(found.ids)
    for route in api.ROUTES:
        assert f"{route.method} {route.path}" in re.sub(r"<[^>]*>", "", text)


async def test_nothing_is_answered_that_is_not_in_it(start: Start) -> None:
    """A round's answers fit their schemas; other statuses are drawn by schemathesis."""
    cluster = make_cluster(2)

    def check(method: str, path: str, answer: tuple[int, Any]) -> None:
        responses = DOCUMENT["paths"][path][method.lower()]["responses"]
        schema = responses[str(answer[0])]["content"]["application/json"]["schema"]
        validator_for(schema | {"components": DOCUMENT["components"]}).validate(answer[1])

    async with start(cluster) as relayer:
        body = wire.encode(wire.ValidatorsRequest(cluster.keys))
        check("POST", "/validators", await relayer.raw("POST", "/validators", body))
        for index in (1, 2, 3):
            shares = cluster.exit_shares(index, range(START_INDEX, START_INDEX + 2))
            request = wire.ExitSignatureRequest(wire.ShareIndex(index), shares)
            check(
                "POST", "/exit-signature", await relayer.raw("POST", "/exit-signature", wire.encode(request))
            )
            check("GET", "/exits", await relayer.raw("GET", "/exits"))
        await relayer.until_ready(cluster)
        ready = await relayer.raw("POST", "/validators", body)
        assert ready[1]["ready"] is True
        check("POST", "/validators", ready)
        for path in ("/info", "/exits", "/validators", "/healthz", "/readyz"):
            check("GET", path, await relayer.raw("GET", path))
        check("POST", "/register", await relayer.raw("POST", "/register", b"{}"))


@pytest.mark.parametrize("route", api.ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_the_roles_that_are_named_may_call(route: openapi.Route) -> None:
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    roles = RIGHTS[route.method, route.path]
    assert operation["tags"] == (["anybody"] if roles is OPEN else sorted(roles))
    assert ("security" in operation) == ("401" in operation["responses"]) == (roles is not OPEN)


def test_who_may_call_what_is_not_there() -> None:
    assert set(RIGHTS) == {(route.method, route.path) for route in api.ROUTES}
