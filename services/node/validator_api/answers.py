"""What validator clients are told: JSON, or SSZ where they would rather have it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from dvtfast.duties.codecs import Codec
from dvtfast.duties.forks import Fork

from ...chain.beacon.duty_answers import SSZ, VERSION
from ...process.offload import Workers
from .requests import JSON, wants_ssz

T = TypeVar("T")


def json_answer(content: object, headers: Mapping[str, str] = MappingProxyType({})) -> web.Response:
    """What this is in JSON."""
    return web.Response(body=msgspec.json.encode(content), content_type=JSON, headers=headers)


async def object_answer(
    request: web.Request,
    value: T,
    kind: Codec[T],
    workers: Workers,
    *,
    fork: Fork | None = None,
    beside: Mapping[str, Any] = MappingProxyType({}),
    headers: Mapping[str, str] = MappingProxyType({}),
) -> web.Response:
    """An object.

    Args:
        fork: that it is of, where forks have changed it.
        beside: what stands beside it in JSON.
        headers: that say the same where it is SSZ.
    """
    told = dict(headers) | ({VERSION: fork.name} if fork is not None else {})
    if wants_ssz(request):
        body = await workers.run(kind.encode, value)
        return web.Response(body=body, content_type=SSZ, headers=told)
    content = ({"version": fork.name} if fork is not None else {}) | dict(beside)
    return await workers.run(_encoded, content, value, kind, told)


def _encoded(content: dict[str, Any], value: T, kind: Codec[T], headers: Mapping[str, str]) -> web.Response:
    return json_answer(content | {"data": kind.to_json(value)}, headers)
