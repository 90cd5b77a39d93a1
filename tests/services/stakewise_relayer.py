"""The first makers' relayer of era A, as a double: with what it lacks, and with what it does otherwise.

It keeps everything in memory. Indices are those that the next deposits get, counted anew in each request; a
start index is a field that it does not know. A key that gets another index than before begins anew. Keys are
told apart as they are written, prefix and case included. A share is stored unseen; from the threshold on
each further one recovers the exit from all shares and splits it with fresh coefficients, so that what was
answered before is answered no more. A wrong share makes that fail, with 500, for good.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import web

from dvtfast import (
    HOODI,
    check_signatures,
    encrypt_to_oracles,
    exit_signing_roots,
    recover_signatures,
    split_exit_signatures,
)
from dvtfast.protocol_config import OracleConfig
from dvtfast.services.web import http

CREATED_AT = 1_800_000_000
CREATED = "2027-01-15 08:00:00+0000"


@dataclass
class Exit:
    """What the relayer knows of a validator."""

    validator_index: int
    shares: dict[int, bytes] = field(default_factory=dict)
    for_oracles: dict[str, list[str]] | None = None


class StakewiseRelayer:
    """Era A: `POST /validators`, `GET /exits`, `POST /exit-signature`, `GET /info`.

    Attributes:
        next_index: of the chain's next deposit; raise it when somebody deposits.
        lists_exits: off, there is no `GET /exits`.
        splits: how often an exit was split for the oracles.
        asked: set by each `POST /validators`.
    """

    def __init__(
        self, oracles: OracleConfig, *, threshold: int, next_index: int, network: str = "hoodi"
    ) -> None:
        self.oracles = oracles
        self.threshold = threshold
        self.next_index = next_index
        self.network = network
        self.lists_exits = True
        self.splits = 0
        self.asked = asyncio.Event()
        self.exits: dict[str, Exit] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/info", self._info)
        app.router.add_post("/validators", self._validators)
        app.router.add_get("/exits", self._exits)
        app.router.add_post("/exit-signature", self._exit_signature)
        async with http.listening(app, "127.0.0.1", 0) as port:
            yield f"http://127.0.0.1:{port}"

    async def _info(self, _: web.Request) -> web.Response:
        return web.json_response({"network": self.network})

    async def _validators(self, request: web.Request) -> web.Response:
        keys: Sequence[str] = json.loads(await request.read())["public_keys"]
        if not keys:
            return web.json_response({"detail": "public_keys"}, status=400)
        for place, key in enumerate(keys):
            known = self.exits.get(key)
            if known is None or known.validator_index != self.next_index + place:
                self.exits[key] = Exit(self.next_index + place)
        shares = [self.exits[key].for_oracles for key in keys]
        answer = {
            "ready": None not in shares,
            "validators": [
                {"public_key": key, "oracles_exit_signature_shares": each}
                for key, each in zip(keys, shares, strict=True)
            ],
        }
        self.asked.set()
        return web.json_response(answer)

    async def _exits(self, _: web.Request) -> web.Response:
        if not self.lists_exits:
            raise web.HTTPNotFound
        listed = [
            {
                "public_key": key,
                "validator_index": each.validator_index,
                "is_exit_signature_ready": each.for_oracles is not None,
                "created_at_timestamp": CREATED_AT,
                "created_at_string": CREATED,
                "share_indexes_ready": sorted(each.shares),
            }
            for key, each in self.exits.items()
        ]
        return web.json_response({"exits": listed})

    async def _exit_signature(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = json.loads(await request.read())
        for share in body["shares"]:
            known = self.exits.get(share["public_key"])
            if known is None or body["share_index"] in known.shares:
                continue  # in silence
            known.shares[body["share_index"]] = bytes.fromhex(share["exit_signature"].removeprefix("0x"))
            if len(known.shares) >= self.threshold:
                self._split(share["public_key"], known)  # when it fails, the rest of the request is lost
        return web.json_response({})

    def _split(self, key: str, exit_: Exit) -> None:
        """Recover from all shares there are, and split anew.

        Raises:
            HTTPInternalServerError: they are not all right.
        """
        public_key = bytes.fromhex(key.removeprefix("0x"))
        roots = exit_signing_roots([exit_.validator_index], HOODI)
        shares = np.frombuffer(b"".join(exit_.shares.values()), np.uint8).reshape(1, -1, 96)
        signatures = recover_signatures(shares, list(exit_.shares), threshold=self.threshold)
        if not check_signatures([public_key], roots, signatures).all():
            raise web.HTTPInternalServerError
        split = split_exit_signatures(
            signatures,
            [public_key],
            roots,
            total=len(self.oracles.public_keys),
            threshold=self.oracles.exit_signature_recover_threshold,
        )
        encrypted = encrypt_to_oracles(split.signature_shares, self.oracles.public_keys)
        exit_.for_oracles = {
            "public_keys": ["0x" + row.tobytes().hex() for row in split.public_key_shares[0]],
            "encrypted_exit_signatures": ["0x" + row.tobytes().hex() for row in encrypted[0]],
        }
        self.splits += 1
