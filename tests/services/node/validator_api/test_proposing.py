"""Blocks of a validator client, and the reveals in them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.forks import ELECTRA, FULU
from dvtfast.duties.signables import block
from dvtfast.duties.signed_sets import NO_SIGNATURE
from dvtfast.duties.validator_messages import (
    SignedRandao,
)
from dvtfast.duties.wrappers import Versioned
from dvtfast.services.node.validator_api.attesting import NOT_AGREED
from dvtfast.services.node.validator_api.intake import WRONG_SIGNATURE
from tests.services.node.flows.flow_parts import EPOCH, FIRST_INDEX, SLOT
from tests.services.node.flows.test_blocks import FULL, POSITION, WITHOUT_PAYLOAD, whole
from tests.services.node.validator_api.client_before_node import (
    FULU_HEADER,
    client_before_node,
    signed,
)
from tests.services.node.validator_api.handed_in import (
    OTHER_ROOT,
    until_given,
)


@pytest.mark.parametrize("blinded", [False, True])
async def test_a_block(blinded: bool) -> None:
    agreed = block(Versioned(FULU, WITHOUT_PAYLOAD, blinded=True) if blinded else whole())
    async with client_before_node() as found:
        await found.offer(DutyType.RANDAO, {POSITION: SignedRandao(EPOCH, NO_SIGNATURE)})
        await found.offer(DutyType.PROPOSER, {POSITION: agreed})
        [reveal] = signed(DutyType.RANDAO, [POSITION], [SignedRandao(EPOCH, NO_SIGNATURE)])
        path = f"/eth/v3/validator/blocks/{SLOT}?randao_reveal=0x{reveal.signature.hex()}"
        told = await found.send("GET", path)
        kind = FULU.blinded_block if blinded else FULU.contents
        contents = codec(kind).from_json(told.pop("data"))
        assert (contents if blinded else contents.block) == (WITHOUT_PAYLOAD if blinded else FULL)
        assert told == {
            "version": "fulu",
            "execution_payload_blinded": blinded,
            "execution_payload_value": "1",
            "consensus_block_value": "1",
        }
        await until_given(found, DutyType.RANDAO, POSITION)
        [value] = signed(DutyType.PROPOSER, [POSITION], [agreed])
        right = "blinded_blocks" if blinded else "blocks"
        body = codec(type(value.message)).to_json(value.message)
        assert await found.send("POST", f"/eth/v2/beacon/{right}", json=body, headers=FULU_HEADER) == b""
        await until_given(found, DutyType.PROPOSER, POSITION)


async def test_a_wrong_reveal() -> None:
    async with client_before_node() as found:
        await found.offer(DutyType.RANDAO, {POSITION: SignedRandao(EPOCH, NO_SIGNATURE)})
        [reveal] = signed(DutyType.RANDAO, [POSITION], [SignedRandao(EPOCH + 1, NO_SIGNATURE)])
        path = f"/eth/v3/validator/blocks/{SLOT}?randao_reveal=0x{reveal.signature.hex()}"
        told = await found.send("GET", path, status=400)
        assert told["message"] == f"randao_reveal: {WRONG_SIGNATURE}"


async def test_other_blocks() -> None:
    agreed = block(whole())
    other = block(whole(replace(FULL, parent_root=OTHER_ROOT)))
    of_other = block(whole(replace(FULL, proposer_index=FIRST_INDEX)))
    without = block(Versioned(FULU, WITHOUT_PAYLOAD, blinded=True))
    async with client_before_node() as found:
        await found.offer(DutyType.PROPOSER, {POSITION: agreed})
        for value, position, header, why in (
            (other, POSITION, FULU_HEADER, NOT_AGREED),
            (without, POSITION, FULU_HEADER, NOT_AGREED),
            (of_other, 0, FULU_HEADER, f"the cluster has not agreed on a block of validator {FIRST_INDEX}"),
        ):
            [made] = signed(DutyType.PROPOSER, [position], [value])
            path = "/eth/v2/beacon/" + ("blinded_blocks" if value.blinded else "blocks")
            body = codec(type(made.message)).to_json(made.message)
            told = await found.send("POST", path, json=body, headers=header, status=400)
            assert told["message"].startswith(f"block: {why}")
        assert found.signers(DutyType.PROPOSER, POSITION) == []
        assert found.signers(DutyType.PROPOSER, 0) == []
        [made] = signed(DutyType.PROPOSER, [POSITION], [agreed])
        signed_block = made.message.signed_block
        of_electra = ELECTRA.signed_contents(signed_block, (), ())
        body = codec(ELECTRA.signed_contents).to_json(of_electra)
        more = {"headers": {"Eth-Consensus-Version": "electra"}, "json": body}
        told = await found.send("POST", "/eth/v2/beacon/blocks", status=400, **more)
        assert told["message"] == f"block: {NOT_AGREED}"


# Aggregates, sync committee.
