"""docs/protocol.md says of each route what the OpenAPI document says: fields of requests and answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dvtfast.services.relayer import api
from dvtfast.services.relayer.store.tokens import Role

PAGE = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
DOCUMENT = api.openapi()
SCHEMAS = DOCUMENT["components"]["schemas"]
JSON = "application/json"
# What operators and sidecars say; the other routes are for people and Prometheus, and have one line each.
SPOKEN = [route for route in api.ROUTES if route.roles and set(route.roles) != {Role.READ_ONLY}]


def sections() -> dict[tuple[str, str], str]:
    parts = re.split(r"^### (GET|POST) (\S+)$", PAGE, flags=re.MULTILINE)[1:]
    return {(m, path): text.split("\n## ")[0] for m, path, text in zip(*[iter(parts)] * 3, strict=True)}


def flat(schema: Any, path: str = "") -> Iterator[str]:
    """The fields of a schema, such as `validators[].public_key`."""
    if several := schema.get("anyOf"):
        for each in several:
            yield from flat(each, path)
    elif ref := schema.get("$ref"):
        yield from flat(SCHEMAS[ref.rpartition("/")[2]], path)
    elif schema.get("type") == "array":
        yield from flat(schema["items"], f"{path}[]")
    elif properties := schema.get("properties"):
        for name, of in properties.items():
            yield from flat(of, f"{path}.{name}" if path else name)
    elif schema.get("type") != "null":
        yield path


def listed(text: str, heading: str) -> set[str]:
    """The first column of the table under a heading."""
    _, found, rest = text.partition(f"| {heading} |")
    rows = re.findall(r"^\| `([^`]+)` \|", rest.split("\n\n")[0], flags=re.MULTILINE)
    return set(rows) if found else set()


def test_every_route_is_there() -> None:
    assert set(sections()) == {(route.method, route.path) for route in SPOKEN}
    for route in api.ROUTES:
        assert f"`{route.path}`" in PAGE or (route.method, route.path) in sections()


@pytest.mark.parametrize("route", SPOKEN, ids=lambda route: f"{route.method} {route.path}")
def test_its_fields(route: Any) -> None:
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    text = sections()[route.method, route.path]
    body = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema")
    assert text.startswith(f"\n\nFor tokens of: {', '.join(operation['tags'])}.\n\n")
    assert listed(text, "request") == (set(flat(body)) if body else set())
    assert listed(text, "answer") == set(flat(operation["responses"]["200"]["content"][JSON]["schema"]))
    assert listed(text, "query") == {parameter["name"] for parameter in operation.get("parameters", [])}


def test_every_status() -> None:
    documented = {
        status
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
        for status in operation["responses"]
    }
    assert listed(PAGE, "status") == documented
