"""A validator client before one node alone: what the cluster agreed on is what the test offers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import numpy as np
from aiohttp import web

from dvtfast import sign
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.presets import MAINNET_PRESET
from dvtfast.duties.signed_sets import signed_set, with_signature
from dvtfast.qbft.messages import Duty
from dvtfast.services.chain.beacon.duty_answers import SyncDuty
from dvtfast.services.node.exchange import Gathered
from dvtfast.services.node.running import ClusterNode
from dvtfast.services.node.signing.record import SigningRecord
from dvtfast.services.node.signing.signer import DutySigner
from dvtfast.services.node.validator_api.intake import SignedElsewhere
from dvtfast.services.node.validator_api.offers import Offers
from dvtfast.services.node.validator_api.server import ValidatorApi
from dvtfast.services.node.validators import EpochDuties
from dvtfast.services.process.offload import Workers
from dvtfast.services.web.http import listening
from tests.services.node.flows.flow_parts import (
    EPOCH,
    FIRST_INDEX,
    KEYS,
    SHARES,
    SLOT,
    VALIDATORS,
    Alone,
    alone,
)
from tests.unit.duties.test_duty_sets import SCHEDULE

SHARE_KEYS = ["0x" + key.tobytes().hex() for key in KEYS.key_shares.encoded[:, 0]]
GROUP_KEYS = ["0x" + key.tobytes().hex() for key in KEYS.public_keys.encoded]
FULU_HEADER = {"Eth-Consensus-Version": "fulu"}


@dataclass
class Before:
    """The node, and what is between it and its client."""

    alone: Alone
    offers: Offers
    record: SigningRecord
    url: str
    session: aiohttp.ClientSession
    app: web.Application
    members: list[SyncDuty]

    async def send(self, method: str, path: str, *, status: int = 200, **more: Any) -> Any:
        """What is answered, which has that status."""
        async with self.session.request(method, self.url + path, **more) as answer:
            content = await answer.read()
            assert answer.status == status, content
            is_json = answer.headers.get("Content-Type", "").startswith("application/json")
            return await answer.json() if is_json else content

    async def hand_in(self, path: str, kind: type[Any], values: Sequence[Any]) -> dict[int, str]:
        """Hand in a list: why what of it is refused, by its place."""
        body = [codec(kind).to_json(each) for each in values]
        async with self.session.post(self.url + path, json=body, headers=FULU_HEADER) as answer:
            if answer.status == 200:
                return {}
            told = await answer.json()
            assert answer.status == told["code"] == 400
            return {each["index"]: each["message"] for each in told["failures"]}

    async def offer(self, duty: DutyType, values: dict[int, Any]) -> None:
        """The cluster has agreed on these, by the validator's position."""
        await self.offers.sign(Duty(SLOT, duty), np.array(list(values), np.intp), list(values.values()))

    def signers(self, duty: DutyType, validator: int, *, subcommittee: int = 0) -> list[int]:
        """Whose partial signatures this node has."""
        shares = self.alone.node.partials.shares(Gathered(Duty(SLOT, duty), subcommittee))
        return [] if shares is None else shares.signers(validator)


def signed(duty: DutyType, positions: Sequence[int], values: Sequence[Any], *, node: int = 0) -> list[Any]:
    """Values with the signatures of a node's key shares."""
    roots = signed_set(duty, values, SCHEDULE, MAINNET_PRESET).signing_roots
    signatures = sign(SHARES[list(positions), node], roots)
    return [
        with_signature(value, signature.tobytes())
        for value, signature in zip(values, signatures, strict=True)
    ]


@asynccontextmanager
async def client_before_node(
    *, token: str = "", seconds: float = 10.0, exits: Any = None, **more: Any
) -> AsyncIterator[Before]:
    """A node whose slot SLOT has just begun, and its client; it knows the validators' duties."""
    async with alone(**more) as found:
        offers, workers = Offers(), Workers("signing", threads=1)
        record = SigningRecord(None, SCHEDULE.genesis_validators_root, KEYS.key_shares.encoded[:, 0])
        signer = DutySigner(SignedElsewhere(VALIDATORS), record, workers, SCHEDULE)
        members = [SyncDuty(b"", FIRST_INDEX + each, (each,)) for each in range(VALIDATORS)]
        known = {EPOCH: EpochDuties(EPOCH, found.active, {}, {}, {SLOT: members})}
        node = cast(
            ClusterNode,
            SimpleNamespace(parts=found.node, scheduler=SimpleNamespace(known=known), exits=exits),
        )
        try:
            async with (
                ValidatorApi.open(node, offers, signer, token=token, seconds=seconds) as api,
                listening(app := api.application(), "127.0.0.1", 0) as port,
                aiohttp.ClientSession() as session,
            ):
                yield Before(found, offers, record, f"http://127.0.0.1:{port}", session, app, members)
        finally:
            await signer.close()
            await workers.close()
