"""Exits for the oracles of today: which they want, and what they sign."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from dvtfast.services.chain.encoding import read_address, write_address
from dvtfast.services.operator.oracles.agreement import TooFewOraclesError
from dvtfast.services.operator.oracles.client import OracleClient
from dvtfast.services.operator.plan import NotReadyError
from dvtfast.services.operator.rotation.rotation_info import (
    OraclesAheadError,
    OraclesBehindError,
    RotationInfo,
    RotationRequest,
    rotate,
    rotation_info,
)
from tests.services.operator.oracles.approving import DEADLINE, VAULT, high_s, shares, signers_of
from tests.services.oracle_servers import (
    CHAIN_ID,
    CID,
    KEEPER,
    NONCE,
    Answer,
    answering,
    fake_oracles,
    oracles_up,
    signing,
)


def rotation_for(oracles: int, **changes: Any) -> RotationRequest:
    given: dict[str, Any] = {
        "vault": VAULT,
        "public_keys": [bytes([i]) * 48 for i in range(2)],
        "shares": shares(2, oracles),
        "nonce": NONCE,
        "deadline": DEADLINE,
    }
    return RotationRequest(**{**given, **changes})


async def test_rotation(client: OracleClient) -> None:
    fakes = fake_oracles(4)
    fakes[0].answers = [signing(high_s)]
    async with oracles_up(fakes) as config:
        approval = await rotate(
            rotation_for(4),
            config,
            client,
            keeper_address=read_address(KEEPER),
            chain_id=CHAIN_ID,
            threshold=3,
        )
    ((_, path, body),) = fakes[1].asked
    assert path == "/signatures"
    names = ("vault_address", "public_keys", "public_key_shards", "exit_signature_shards", "deadline")
    assert list(body) == list(names)
    signers = signers_of(fakes, approval.signatures, body)
    assert signers == sorted(each.address for each in fakes[1:])
    assert (approval.ipfs_hash, approval.deadline) == (CID, DEADLINE)


async def test_rotation_under_another_nonce_is_refused(client: OracleClient) -> None:
    fakes = fake_oracles(2)
    async with oracles_up(fakes) as config:
        with pytest.raises(TooFewOraclesError, match="expected one by"):
            await rotate(
                rotation_for(2, nonce=NONCE + 1),
                config,
                client,
                keeper_address=read_address(KEEPER),
                chain_id=CHAIN_ID,
                threshold=1,
            )


def told(block: int | None, *indices: int) -> Answer:
    """What an oracle tells of rotations, as StakeWise's do."""
    validators = [{"index": index} for index in indices]
    return answering(json.dumps({"exit_signature_block_number": block, "validators": validators}))


async def at_200() -> int:
    """Our nodes' latest block."""
    return 200


async def test_one_oracle_that_has_seen_the_last_rotation_is_enough(client: OracleClient) -> None:
    """Others know of none yet, or of one before, or answer nonsense."""
    fakes = fake_oracles(5)
    fakes[0].answers = [told(None)]
    fakes[1].answers = [told(122, 1, 2, 3)]
    fakes[2].answers = [told(123, 9, 2**63)]
    fakes[3].answers = [answering('{"exit_signature_block_number": 123, "validators": [{"index": -1}]}')]
    fakes[4].answers = [answering("", status=500)]
    async with oracles_up(fakes) as config:
        assert await rotation_info(VAULT, config, client, since=123, head=at_200) == RotationInfo(
            123, (9, 2**63)
        )
        with pytest.raises(OraclesBehindError, match="no oracle has seen the rotation of block 124") as error:
            await rotation_info(VAULT, config, client, since=124, head=at_200)
    said = str(error.value)
    assert f"{write_address(fakes[0].address)}: no rotation, 0 validators" in said
    assert f"{write_address(fakes[1].address)}: block 122, 3 validators" in said
    assert "an answer that cannot be used" in said
    assert fakes[2].asked[0][1] == f"/signatures/{write_address(VAULT)}"


async def test_before_the_first_rotation_oracles_know_of_none(client: OracleClient) -> None:
    fakes = fake_oracles(1)
    fakes[0].answers = [told(None, 4, 5)]
    async with oracles_up(fakes) as config:
        assert await rotation_info(VAULT, config, client, since=None, head=at_200) == RotationInfo(
            None, (4, 5)
        )
        with pytest.raises(OraclesBehindError, match="no rotation, 2 validators"):
            await rotation_info(VAULT, config, client, since=0, head=at_200)
        fakes[0].answers = [answering('{"exit_signature_block_number": null}')]
        assert await rotation_info(VAULT, config, client, since=None, head=at_200) == RotationInfo(None, ())


@pytest.mark.parametrize("least", [None, 7, 122])
async def test_the_replica_that_has_seen_least_speaks_for_its_oracle(
    client: OracleClient, least: int | None
) -> None:
    fakes = fake_oracles(2)
    fakes[0].answers = [told(200, 1), answering("", status=502), told(least, 2), told(123, 3)]
    fakes[1].answers = [told(122)]
    async with oracles_up(fakes) as config:
        with pytest.raises(OraclesBehindError):
            await rotation_info(VAULT, config, client, since=123, head=at_200)
        fakes[0].answers[2] = told(124, 2)
        assert await rotation_info(VAULT, config, client, since=123, head=at_200) == RotationInfo(123, (3,))


@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        ([(150, range(100)), (123, [9]), (130, [9]), (100, range(50))], [9]),
        ([(123, [1, 2]), (123, [1, 2]), (124, [1, 2, 3]), (200, [7])], [1, 2]),  # none says the same as most
        ([(123, [1]), (200, [])], [1]),  # nobody takes away what another one wants
        ([(123, [1]), (200, [1, 1, 1, 2])], [1, 2]),
        ([(123, []), (124, []), (200, [2])], []),
        ([(123, [1]), (None, [2]), (None, [2])], [1]),
    ],
)
async def test_of_those_that_have_seen_it_half_must_want_it(
    client: OracleClient, answers: list[tuple[int | None, Sequence[int]]], wanted: list[int]
) -> None:
    """Whichever block one tells of."""
    fakes = fake_oracles(len(answers))
    for fake, (block, indices) in zip(fakes, answers, strict=True):
        fake.answers = [told(block, *indices)]
    async with oracles_up(fakes) as config:
        info = await rotation_info(VAULT, config, client, since=123, head=at_200)
    assert list(info.validator_indices) == wanted


@pytest.mark.parametrize("later", [201, 2**63])
async def test_an_oracle_that_tells_of_a_block_that_no_node_has(client: OracleClient, later: int) -> None:
    """It is named and not believed, also where nobody else is."""
    fakes = fake_oracles(3)
    fakes[0].answers = [told(later, 1, 2)] * 2
    fakes[1].answers = [told(200, 3)]
    fakes[2].answers = [told(122, 4)]
    async with oracles_up(fakes) as config:
        with capture_logs() as lines:
            await rotation_info(VAULT, config, client, since=123, head=at_200)
        for since in (123, 200):
            found = await rotation_info(VAULT, config, client, since=since, head=at_200)
            assert found == RotationInfo(200, (3,))
        fakes[1].answers = [told(None)]
        with pytest.raises(OraclesAheadError, match=f"blocks after 200.*block {later}, 2 validators"):
            await rotation_info(VAULT, config, client, since=123, head=at_200)
        fakes[0].answers[1] = told(150, 5)  # a replica that has seen less speaks for it
        assert await rotation_info(VAULT, config, client, since=123, head=at_200) == RotationInfo(150, (5,))
    (line,) = lines
    assert line["event"] == "an oracle tells of a block that no node has"
    assert (line["oracle"], line["block"], line["latest"]) == (write_address(fakes[0].address), later, 200)


async def test_what_oracles_say_is_compared_with_a_block_of_after_they_said_it(client: OracleClient) -> None:
    """One that answers slowly may know of blocks that there were not when it was asked."""
    fakes = fake_oracles(1)
    fakes[0].answers = [told(200, 1)]

    async def head() -> int:
        return 200 if fakes[0].asked else 199

    async with oracles_up(fakes) as config:
        assert await rotation_info(VAULT, config, client, since=123, head=head) == RotationInfo(200, (1,))


async def test_no_oracle_answers(client: OracleClient) -> None:
    fakes = fake_oracles(2)
    for fake in fakes:
        fake.answers = [answering("busy", status=503)]
    async with oracles_up(fakes) as config:
        with pytest.raises(NotReadyError, match=r"oracles: none answers; 0x.*HTTP 503: busy"):
            await rotation_info(VAULT, config, client, since=None, head=at_200)
