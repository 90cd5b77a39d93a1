"""A service's routes as one table, and the OpenAPI 3.1 document that is made of it and of the wire types."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from .. import wire

JSON = "application/json"
TEXT = "text/plain"
HTML = "text/html"

STATUSES = {
    200: "done",
    304: "as the request knows it already (`If-None-Match`)",
    400: "not JSON, or broken off",
    401: "no token, or one that is unknown or revoked",
    403: "the token is not for this",
    408: "the body came too slowly",
    413: "the body is too long",
    415: "the body is compressed, or no JSON by its `Content-Type`",
    417: "an `Expect` that is not `100-continue`",
    422: "a field is not what it has to be; nothing of the request was done",
    429: "too much at once; try again after `Retry-After` seconds",
    500: "a defect of the relayer, which its log tells of",
    503: "not possible now; try again",
}
WITH_TOKEN = (401, 403, 429)  # where tokens are on
WITH_BODY = (400, 408, 413, 415)  # which any route may be sent
ALWAYS = (417, 500, 503)

_REF = "#/components/schemas/{name}"


@dataclass(frozen=True)
class Query:
    """A part of an address behind its question mark."""

    name: str
    text: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Route:
    """What one method of one path takes and answers.

    Attributes:
        roles: whose tokens may call it; None is for anybody, who needs no token.
        body, answer: types of `wire`; an answer that is no JSON has a media type instead.
        statuses: beside those that follow from the rest.
    """

    method: str
    path: str
    roles: Collection[str] | None
    summary: str
    text: str = ""
    query: Sequence[Query] = ()
    body: type[msgspec.Struct] | None = None
    answer: type[msgspec.Struct] | str = TEXT
    statuses: Sequence[int] = ()
    of_503: type[msgspec.Struct] = field(default=wire.ErrorAnswer)

    @property
    def all_statuses(self) -> list[int]:
        """Everything that it can be answered with."""
        statuses = {200, *ALWAYS, *self.statuses}
        statuses.update([422] if self.body or self.query else ())
        statuses.update((*WITH_BODY, *WITH_TOKEN) if self.roles is not None else ())
        return sorted(statuses)


def document(routes: Sequence[Route], *, title: str, version: str, text: str) -> dict[str, Any]:
    """The document."""
    types: list[type[msgspec.Struct]] = [wire.ErrorAnswer]
    for route in routes:
        types += [t for t in (route.body, route.answer, route.of_503) if isinstance(t, type)]
    types = list(dict.fromkeys(types))
    found, schemas = msgspec.json.schema_components(types, schema_hook=schema_of, ref_template=_REF)
    of_type = dict(zip(types, found, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, of_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": text, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "the token is the password"},
            },
        },
    }


def _operation(route: Route, of_type: Mapping[type, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.method.lower() + "".join(filter(str.isalnum, route.path.title())),
        "summary": route.summary,
        "tags": ["anybody"] if route.roles is None else sorted(route.roles),
        "responses": {str(status): _response(route, status, of_type) for status in route.all_statuses},
    }
    if route.text:
        operation["description"] = route.text
    if route.query:
        operation["parameters"] = [
            {"name": q.name, "in": "query", "description": q.text, "schema": dict(q.schema)}
            for q in route.query
        ]
    if route.body:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": of_type[route.body]}}}
    if route.roles is not None:
        operation["security"] = [{}, {"bearer": []}, {"basic": []}]  # {}: where tokens are off
    return operation


def _response(route: Route, status: int, of_type: Mapping[type, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": STATUSES[status]}
    if status == 304:
        return response
    of_status = wire.ErrorAnswer if status != 503 else route.of_503
    answer = route.answer if status == 200 else of_status
    media, schema = (answer, {"type": "string"}) if isinstance(answer, str) else (JSON, of_type[answer])
    response["content"] = {media: {"schema": schema}}
    return response


def schema_of(kind: type) -> dict[str, Any]:
    """Of the types that JSON has none for."""
    text = (kind.__doc__ or "").partition("\n")[0]
    if issubclass(kind, wire.Hex):
        digits = f"[0-9a-fA-F]{{{2 * kind.width}}}"
        return {"type": "string", "pattern": f"^(0[xX])?{digits}$", "description": text}
    if issubclass(kind, wire.UInt64):
        return {"type": "integer", "minimum": kind.lowest, "maximum": wire.UINT64_LIMIT - 1}
    raise NotImplementedError
