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
from ...web.http import BODY_LIMIT_BYTES
from .bodies import BODIES
from .errors import RequestError

JSON: Final = "application/json"
INDEX_BYTES: Final = 256  # of a key or an index in a list
NAMES_BYTES: Final = 1024  # of an object in a list, beside what its fields have
AGGREGATE_BYTES: Final = 20 * 1024  # of a signed aggregate at most, which has a bit for each vote of a slot
VALUES_OF_ONE: Final = 64
VALUES_OF_BLOCK: Final = 2**17

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


async def json_body(request: web.Request, workers: Workers, *, most: int) -> Any:
    """The body, JSON by its Content-Type, where there is one; about so many validators at most."""
    _require_type(request, JSON)
    async with request.app[BODIES].of(request, most_bytes=most * INDEX_BYTES) as body:
        return await workers.run(_json, body, most * VALUES_OF_ONE)


async def indices(request: web.Request, workers: Workers, *, most: int) -> list[int]:
    """Validators, a list of numbers or of texts."""
    body = await json_body(request, workers, most=most)
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
    most_bytes = _bytes_of(kind) if kind.width else BODY_LIMIT_BYTES
    async with request.app[BODIES].of(request, most_bytes=most_bytes) as body:
        return await workers.run(_one, body, kind, is_ssz)


async def several(request: web.Request, kind: Codec[T], workers: Workers, *, most: int) -> Sequence[T]:
    """A list of objects, in JSON or SSZ; where one of them is none, nothing is taken, and it is named."""
    is_ssz = _is_ssz(request)
    async with request.app[BODIES].of(request, most_bytes=most * _bytes_of(kind)) as body:
        return await workers.run(_several, body, kind, is_ssz, most)


def _bytes_of(kind: Codec[Any]) -> int:
    """That one may have in JSON, where bytes have two letters each."""
    return NAMES_BYTES + 2 * (kind.width or AGGREGATE_BYTES)


# On threads.


def _one(body: bytes, kind: Codec[T], is_ssz: bool) -> T:
    try:
        return kind.decode(body) if is_ssz else kind.from_json(_json(body, VALUES_OF_BLOCK))
    except SszError as error:
        raise RequestError(400, f"body: {error}") from None


def _several(body: bytes, kind: Codec[T], is_ssz: bool, most: int) -> Sequence[T]:
    items: Any = _split(body, kind.width) if is_ssz else _json(body, most * VALUES_OF_ONE)
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


def _json(body: bytes, most: int) -> Any:
    """What JSON has, of at most so many values: `{}` is 2 bytes, and takes 64 when it is read."""
    if sum(map(body.count, (b",", b"[", b"{"))) > VALUES_OF_ONE + most:
        raise RequestError(400, "body: expected fewer values")
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
