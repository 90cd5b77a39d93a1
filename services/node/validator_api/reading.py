"""What beacon nodes know of validators and duties, with the keys that validator clients know."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

import msgspec
from aiohttp import web

from ...chain.beacon.client import VALIDATOR_LIMIT_BYTES
from ...chain.beacon.duties import DUTY_LIMIT_BYTES, SECONDS_PER_DUTY
from ...chain.beacon.nodes import KEYS_AT_ONCE
from ..parts import NodeParts
from ..peer_infos import CHARON_VERSION
from .answers import json_answer
from .errors import RequestError
from .keys import ShareKeys
from .requests import indices, json_body, number, path_number, text

# Clients look for charon's name in it: Vouch's library takes only then a block whose reveal is the cluster's.
VERSION: Final = (
    f"dvtfast/v{version('dvtfast')}/{platform.machine()}-{sys.platform} (as charon/{CHARON_VERSION})"
)
LONGEST_STATE: Final = 66  # characters of its name: a root
MOST_PER_VALIDATOR: Final = 2  # keys and indices in one request


class Reading:
    """Routes that only tell."""

    def __init__(self, node: NodeParts, keys: ShareKeys) -> None:
        self._node, self._keys = node, keys
        self._most = MOST_PER_VALIDATOR * len(keys.all_keys)

    async def version(self, request: web.Request) -> web.Response:
        """Who answers."""
        return json_answer({"data": {"version": VERSION}})

    async def validators(self, request: web.Request) -> web.Response:
        """Validators by key shares or indices, or all of the cluster."""
        if request.method == "POST":
            body = await json_body(request, self._node.workers, most=self._most)
            if not isinstance(body, dict):
                raise RequestError(400, "body: expected an object")
            ids, statuses = _texts(body, "ids"), _texts(body, "statuses")
        else:
            ids, statuses = _listed(request, "id"), _listed(request, "status")
        return await self._answered(request, await self._found(request, ids, statuses))

    async def validator(self, request: web.Request) -> web.Response:
        """One validator."""
        found = await self._found(request, [request.match_info["validator"]], [])
        if not found["data"]:
            raise RequestError(404, "the validator is not on the chain")
        return await self._answered(request, found | {"data": found["data"][0]})

    async def attesters(self, request: web.Request) -> web.Response:
        """Duties of these validators."""
        epoch = path_number(request, "epoch")
        return await self._duties(f"eth/v1/validator/duties/attester/{epoch}", request)

    async def members(self, request: web.Request) -> web.Response:
        """Seats of these validators in the sync committee."""
        epoch = path_number(request, "epoch")
        return await self._duties(f"eth/v1/validator/duties/sync/{epoch}", request)

    async def proposers(self, request: web.Request) -> web.Response:
        """Whose blocks the slots of an epoch are to have; those of others stay as they are."""
        epoch, form = path_number(request, "epoch"), request.match_info["form"]
        path = f"eth/{form}/validator/duties/proposer/{epoch}"
        limit = DUTY_LIMIT_BYTES * (self._node.slots.slots_per_epoch + 1)
        found = await self._node.beacon.content(path, limit_bytes=limit)
        self._keys.show(_items(found), others=True)
        return json_answer(found)

    async def _duties(self, path: str, request: web.Request) -> web.Response:
        wanted = await indices(request, self._node.workers, most=self._most)
        size = self._node.preset.sizes["SYNC_COMMITTEE_SIZE"]
        found = await self._node.beacon.content(
            path,
            body=msgspec.json.encode([str(each) for each in wanted]),
            limit_bytes=DUTY_LIMIT_BYTES * (len(wanted) + 1) + 8 * size,
            more_seconds=SECONDS_PER_DUTY * len(wanted),
        )
        return await self._node.workers.run(self._shown, found)

    async def _found(
        self, request: web.Request, ids: Sequence[str], statuses: Sequence[str]
    ) -> dict[str, Any]:
        state = request.match_info["state"]
        if not (state.isascii() and state.isalnum() and len(state) <= LONGEST_STATE):
            raise RequestError(400, "state: expected its name, slot or root")
        if len(ids) > self._most:
            raise RequestError(400, f"ids: expected at most {self._most}")
        wanted = [
            self._keys.key_of(each) if each[:2] in ("0x", "0X") else str(number("id", each)) for each in ids
        ]
        wanted = wanted or self._keys.all_keys
        found: dict[str, Any] = {}
        for begin in range(0, len(wanted), KEYS_AT_ONCE):
            some = wanted[begin : begin + KEYS_AT_ONCE]
            asked = {"ids": some} | ({"statuses": list(statuses)} if statuses else {})
            part = await self._node.beacon.content(
                f"eth/v1/beacon/states/{state}/validators",
                body=msgspec.json.encode(asked),
                limit_bytes=VALIDATOR_LIMIT_BYTES * (len(some) + 1),
                more_seconds=SECONDS_PER_DUTY * len(some),
            )
            items = [*_items(found), *_items(part)] if found else _items(part)
            found = {**part, **found, "data": items}
        return found

    async def _answered(self, request: web.Request, found: dict[str, Any]) -> web.Response:
        return await self._node.workers.run(self._shown, found, "validator")

    # On a thread.

    def _shown(self, found: dict[str, Any], within: str = "") -> web.Response:
        items = _items(found) if isinstance(found.get("data"), list) else [found.get("data")]
        self._keys.show(items, within=within)
        return json_answer(found)


def _items(found: dict[str, Any]) -> list[Any]:
    items = found.get("data")
    if not isinstance(items, list):
        raise RequestError(502, "a beacon node answers with something else than a list")
    return items


def _listed(request: web.Request, name: str) -> list[str]:
    """Values of a query, each several times or separated by commas."""
    return [each for value in request.query.getall(name, []) for each in value.split(",") if each]


def _texts(body: dict[str, Any], name: str) -> list[str]:
    """Texts or numbers of a body, none where there is no such list."""
    found = body.get(name) or []
    if not isinstance(found, list):
        raise RequestError(400, f"{name}: expected a list")
    return [text(name, each) for each in found]
