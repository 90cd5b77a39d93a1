"""What validator clients ask and send, read: every part of it may be anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from dvtfast.duties.codecs import Codec
from dvtfast.duties.forks import Fork, fork_named
from dvtfast.duties.ssz import OFFSET_BYTES, SszError
from dvtfast.errors import InputError

from ...chain.beacon.answers import UINT64_LIMIT, uint64
from ...chain.beacon.duty_answers import SSZ, VERSION
from ...chain.encoding import read_data
from ...process.offload import Workers
from ...web.http import read_body
from .errors import RequestError

JSON: Final = "application/json"

T = TypeVar("T")


def number(name: str, text: str) -> int:
    """An integer of 64 bits; RequestError where it is none."""
    try:
        return uint64(name, text)
    except ValueError as error:
        raise RequestError(400, str(error)) from None


def path_number(request: web.Request, name: str) -> int:
    """An integer of the path."""
    return number(name, request.match_info[name])


def query_number(request: web.Request, name: str) -> int:
    """An integer that the query has to have."""
    return number(name, _of_query(request, name))


def query_data(request: web.Request, name: str, width: int) -> bytes:
    """Bytes that the query has to have."""
    try:
        return read_data(_of_query(request, name), width=width)
    except ValueError as error:
        raise RequestError(400, f"{name}: {error}") from None


def fork_of(request: web.Request) -> Fork:
    """The fork that the headers have to name."""
    try:
        return fork_named(request.headers.get(VERSION, "").lower())
    except InputError as error:
        raise RequestError(400, f"{VERSION}: {error}") from None


def wants_ssz(request: web.Request) -> bool:
    """Whether SSZ is what it would rather have, of what is there in both."""
    weights = dict.fromkeys((SSZ, JSON), 0.0)
    for part in request.headers.get("Accept", "").lower().split(","):
        name, *parameters = (each.strip() for each in part.split(";"))
        if name in weights:
            weights[name] = _weight(parameters)
    return weights[SSZ] > weights[JSON]


async def json_body(request: web.Request) -> Any:
    """The body, JSON by its Content-Type, where there is one; a small one."""
    _require_type(request, JSON)
    return _json(await read_body(request))


async def indices(request: web.Request, *, most: int) -> list[int]:
    """Validators, a list of numbers or of texts."""
    body = await json_body(request)
    if not isinstance(body, list) or len(body) > most:
        raise RequestError(400, f"body: expected a list of at most {most} validators")
    return [number("body", text("body", each)) for each in body]


def text(name: str, value: Any) -> str:
    """A text of JSON, or a number as one."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and 0 <= value < UINT64_LIMIT:
        return str(int(value))
    raise RequestError(400, f"{name}: expected texts or numbers")


async def one(request: web.Request, kind: Codec[T], workers: Workers) -> T:
    """An object, in JSON or SSZ."""
    is_ssz = _is_ssz(request)
    return await workers.run(_one, await read_body(request), kind, is_ssz)


async def several(request: web.Request, kind: Codec[T], workers: Workers, *, most: int) -> Sequence[T]:
    """A list of objects, in JSON or SSZ; where one of them is none, nothing is taken, and it is named."""
    is_ssz = _is_ssz(request)
    return await workers.run(_several, await read_body(request), kind, is_ssz, most)


# On threads.


def _one(body: bytes, kind: Codec[T], is_ssz: bool) -> T:
    try:
        return kind.decode(body) if is_ssz else kind.from_json(_json(body))
    except SszError as error:
        raise RequestError(400, f"body: {error}") from None


def _several(body: bytes, kind: Codec[T], is_ssz: bool, most: int) -> Sequence[T]:
    items: Any = _split(body, kind.width) if is_ssz else _json(body)
    if not isinstance(items, list) or len(items) > most:
        raise RequestError(400, f"body: expected a list of at most {most}")
    found, failures = [], {}
    for place, each in enumerate(items):
        try:
            found.append(kind.decode(each) if is_ssz else kind.from_json(each))
        except SszError as error:
            failures[place] = str(error)
    if failures:
        raise RequestError(400, "some of it could not be read, so nothing was taken", failures)
    return found


def _of_query(request: web.Request, name: str) -> str:
    values = request.query.getall(name, [])
    if len(values) != 1:
        raise RequestError(400, f"{name}: expected one, got {len(values)}")
    return values[0]


def _is_ssz(request: web.Request) -> bool:
    """Whether the body is that; it is JSON otherwise."""
    if _has_type(request, SSZ):
        return True
    _require_type(request, JSON)
    return False


def _require_type(request: web.Request, name: str) -> None:
    if not _has_type(request, name) and "Content-Type" in request.headers:
        raise RequestError(415, f"Content-Type: expected {name}")


def _has_type(request: web.Request, name: str) -> bool:
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower() == name


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(400, f"body: expected JSON: {error}") from None


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _split(body: bytes, width: int) -> list[bytes]:
    """The elements of an SSZ list, by their width, or by offsets where that is 0."""
    if width:
        return [body[at : at + width] for at in range(0, len(body), width)]
    if not body:
        return []
    first = int.from_bytes(body[:OFFSET_BYTES], "little")
    starts = [
        int.from_bytes(body[at : at + OFFSET_BYTES], "little")
        for at in range(0, min(first, len(body)), OFFSET_BYTES)
    ]
    ends = [*starts[1:], len(body)]
    if first != OFFSET_BYTES * len(starts) or any(a > b for a, b in zip(starts, ends, strict=True)):
        raise RequestError(400, "body: expected a list in SSZ")
    return [body[a:b] for a, b in zip(starts, ends, strict=True)]
