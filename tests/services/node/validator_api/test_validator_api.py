"""What a validator client may do before its node, and how it is told what it may not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import aiohttp
import numpy as np
import pytest

from dvtfast.duties.attestations import SingleAttestation
from dvtfast.duties.bits import bitvector
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.forks import ELECTRA, FULU
from dvtfast.duties.presets import MAINNET_PRESET
from dvtfast.duties.signables import aggregate_and_proof, block, contribution_and_proof, vote
from dvtfast.duties.signed_sets import NO_SIGNATURE, with_signature
from dvtfast.duties.slashing import SignedAttestation
from dvtfast.duties.sync_committees import (
    SignedContributionAndProof,
    SyncCommitteeContribution,
    SyncCommitteeMessage,
    SyncCommitteeSelection,
)
from dvtfast.duties.validator_messages import (
    BeaconCommitteeSelection,
    SignedRandao,
    SignedVoluntaryExit,
    VoluntaryExit,
)
from dvtfast.duties.wrappers import AttesterValue, Versioned
from dvtfast.qbft.messages import Duty
from dvtfast.services.node.flows import gathering
from dvtfast.services.node.tracker import Step
from dvtfast.services.node.validator_api import bodies
from dvtfast.services.node.validator_api.attesting import NOT_AGREED
from dvtfast.services.node.validator_api.contributing import TOO_EARLY
from dvtfast.services.node.validator_api.intake import NOT_NOW, TWICE, WRONG_SIGNATURE
from dvtfast.services.node.validator_api.offers import KEPT_DUTIES, Offers
from dvtfast.services.process.offload import OverloadedError
from tests.services.node.flows.flow_parts import DATA, EPOCH, FIRST_INDEX, KEYS, ROOT, SLOT, VALIDATORS
from tests.services.node.flows.test_aggregates import duties as committees
from tests.services.node.flows.test_aggregates import of_committee, place
from tests.services.node.flows.test_blocks import FULL, POSITION, WITHOUT_PAYLOAD, whole
from tests.services.node.validator_api.client_before_node import (
    FULU_HEADER,
    GROUP_KEYS,
    SHARE_KEYS,
    Before,
    client_before_node,
    signed,
)

VOTES = "/eth/v2/beacon/pool/attestations"
MESSAGES = "/eth/v1/beacon/pool/sync_committees"
AGREED = {
    position: vote(FULU, AttesterValue(DATA, place(each))) for position, each in enumerate(committees())
}
BLOCK = FULU_HEADER | {"Content-Type": "application/json"}
OTHER_ROOT = bytes(reversed(range(32)))
NOT_OURS = "validator 7 is none of this cluster's that are active"


def single(position: int, signature: bytes = NO_SIGNATURE, **more: Any) -> SingleAttestation:
    """The agreed vote of a validator, as its client hands it in."""
    duty = committees()[position]
    made = SingleAttestation(duty.committee_index, duty.validator_index, DATA, signature)
    return replace(made, **more)


def good_votes() -> list[SingleAttestation]:
    values = signed(DutyType.ATTESTER, list(AGREED), list(AGREED.values()))
    return [single(position, value.message.signature) for position, value in enumerate(values)]


async def until_given(found: Before, duty: DutyType, validator: int) -> None:
    while found.signers(duty, validator) != [0]:  # noqa: ASYNC110 - the test's own time limit
        await asyncio.sleep(0.01)


# Votes.


async def test_votes_are_taken_in_one_batch() -> None:
    async with client_before_node() as found:
        await found.offer(DutyType.ATTESTER, AGREED)
        told = await found.send("GET", f"/eth/v1/validator/attestation_data?slot={SLOT}&committee_index=0")
        assert told == {"data": codec(type(DATA)).to_json(DATA)}
        assert await found.hand_in(VOTES, SingleAttestation, good_votes()) == {}
        for position in AGREED:
            await until_given(found, DutyType.ATTESTER, position)
        report = found.alone.report(DutyType.ATTESTER)
        assert report.steps == dict.fromkeys(AGREED, Step.SIGNED)
        # The same again, as after an answer that was lost, is nothing new.
        assert await found.hand_in(VOTES, SingleAttestation, good_votes()) == {}
        assert not report.faults


async def test_votes_that_come_one_by_one_are_one_batch() -> None:
    """As Prysm sends them; one that is wrong, or there again, costs that one."""
    async with client_before_node() as found:
        checks: list[int] = []
        check = found.alone.node.exchange.check

        async def counted(duty: Duty, validators: Any, values: Any) -> Any:
            checks.append(len(values))
            return await check(duty, validators, values)

        found.alone.node.exchange.check = counted  # type: ignore[method-assign]
        await found.offer(DutyType.ATTESTER, AGREED)
        good = good_votes()
        sent = [*good[:-1], replace(good[-1], signature=good[0].signature), good[0]]
        answers = await asyncio.gather(*(found.hand_in(VOTES, SingleAttestation, [each]) for each in sent))
        assert answers == [*[{}] * (len(good) - 1), {0: WRONG_SIGNATURE}, {}]
        assert sum(checks) == len(sent)
        assert len(checks) < len(sent)
        for position in range(len(good) - 1):
            await until_given(found, DutyType.ATTESTER, position)


async def test_of_many_requests_at_once_none_is_refused() -> None:
    """More than threads have places for: clients do not try again."""
    async with (
        client_before_node(seconds=60.0) as found,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        await found.offer(DutyType.ATTESTER, AGREED)
        kind = codec(SingleAttestation)

        async def status(vote: SingleAttestation) -> int:
            body = [kind.to_json(vote)]
            async with session.post(found.url + VOTES, json=body, headers=FULU_HEADER) as answer:
                return answer.status

        votes = good_votes()
        assert set(await asyncio.gather(*(status(votes[at % len(votes)]) for at in range(400)))) == {200}


async def test_what_waits_gets_the_votes_as_soon_as_they_are_agreed_on() -> None:
    async with client_before_node() as found:
        path = f"/eth/v1/validator/attestation_data?slot={SLOT}&committee_index=2"
        asking = asyncio.create_task(found.send("GET", path))
        await asyncio.sleep(0.05)
        assert not asking.done()
        await found.offer(DutyType.ATTESTER, AGREED)
        assert (await asking)["data"]["slot"] == str(SLOT)


async def test_what_is_not_agreed_on_in_time() -> None:
    async with client_before_node(seconds=0.1) as found:
        path = f"/eth/v1/validator/attestation_data?slot={SLOT}&committee_index=0"
        assert (await found.send("GET", path, status=408))["code"] == 408


async def test_wrong_votes_are_refused_by_name_and_the_others_taken() -> None:
    other = replace(DATA, beacon_block_root=OTHER_ROOT)
    good = good_votes()
    [of_other] = signed(DutyType.ATTESTER, [1], [vote(FULU, AttesterValue(other, place(committees()[1])))])
    [of_other_node] = signed(DutyType.ATTESTER, [2], [AGREED[2]], node=1)
    sent = [
        good[0],
        single(1, of_other.message.signature, data=other),
        single(2, of_other_node.message.signature),
        replace(good[3], attester_index=7),
        replace(good[4], committee_index=63),
        replace(good[5], data=replace(DATA, slot=SLOT + 1)),
        good[0],
    ]
    async with client_before_node() as found:
        await found.offer(DutyType.ATTESTER, AGREED)
        assert await found.hand_in(VOTES, SingleAttestation, sent[:6]) == {
            1: NOT_AGREED,
            2: WRONG_SIGNATURE,
            3: NOT_OURS,
            4: f"validator {FIRST_INDEX + 4} is in another committee",
            5: f"the cluster has not agreed on a vote of validator {FIRST_INDEX + 5} in slot {SLOT + 1}",
        }
        await until_given(found, DutyType.ATTESTER, 0)
        assert [found.signers(DutyType.ATTESTER, position) for position in range(1, 6)] == [[]] * 5
        assert await found.hand_in(VOTES, SingleAttestation, [good[0], good[0]]) == {1: TWICE}


async def test_what_was_signed_before_forbids_an_agreed_vote() -> None:
    """As after a start with the record of another signer: the cluster agreed, and it is not signed here."""
    async with client_before_node() as found:
        keys = [KEYS.key_shares.encoded[position, 0].tobytes() for position in (0, 1)]
        votes = [SignedAttestation(EPOCH - 1, EPOCH, OTHER_ROOT), SignedAttestation(EPOCH, EPOCH + 1, ROOT)]
        found.record._protection.record_attestations(keys, votes)
        await found.offer(DutyType.ATTESTER, AGREED)
        refused = await found.hand_in(VOTES, SingleAttestation, good_votes())
        assert sorted(refused) == [0, 1]
        assert all(refused.values())
        await until_given(found, DutyType.ATTESTER, 2)
        assert found.signers(DutyType.ATTESTER, 0) == found.signers(DutyType.ATTESTER, 1) == []
        assert found.alone.report(DutyType.ATTESTER).reasons == {0: refused[0], 1: refused[1]}


async def test_a_vote_before_the_cluster_agrees() -> None:
    async with client_before_node() as found:
        refused = await found.hand_in(VOTES, SingleAttestation, good_votes())
        assert refused[0] == (
            f"the cluster has not agreed on a vote of validator {FIRST_INDEX} in slot {SLOT}"
        )
        assert len(refused) == len(AGREED)


# Blocks.


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


async def test_aggregates() -> None:
    proof = b"\x01" * 96
    agreed = {
        position: aggregate_and_proof(of_committee(1 + position // 2), FIRST_INDEX + position, proof)
        for position in range(VALIDATORS)
    }
    kind = FULU.signed_aggregate_and_proof
    async with client_before_node() as found:
        await found.offer(DutyType.AGGREGATOR, agreed)
        root = codec(type(DATA)).root(DATA)
        query = f"slot={SLOT}&attestation_data_root=0x{root.hex()}&committee_index=2"
        told = await found.send("GET", f"/eth/v2/validator/aggregate_attestation?{query}")
        assert codec(FULU.attestation).from_json(told["data"]) == of_committee(2).message
        assert told["version"] == "fulu"
        good = [value.message for value in signed(DutyType.AGGREGATOR, list(agreed), list(agreed.values()))]
        other = aggregate_and_proof(of_committee(1), FIRST_INDEX + 1, b"\x02" * 96)
        [bad] = signed(DutyType.AGGREGATOR, [1], [other])
        sent = [good[0], bad.message, with_signature(good[2], good[3].signature)]
        refused = await found.hand_in("/eth/v2/validator/aggregate_and_proofs", kind, sent)
        assert refused == {1: NOT_AGREED, 2: WRONG_SIGNATURE}
        await until_given(found, DutyType.AGGREGATOR, 0)
        assert found.signers(DutyType.AGGREGATOR, 1) == found.signers(DutyType.AGGREGATOR, 2) == []


async def test_contributions() -> None:
    bits = bitvector([3], MAINNET_PRESET.sizes["SYNC_SUBCOMMITTEE_SIZE"])
    contribution = SyncCommitteeContribution(SLOT, ROOT, 2, bits, bytes(96))
    agreed = contribution_and_proof(contribution, FIRST_INDEX, b"\x01" * 96)
    async with client_before_node() as found:
        await found.offer(DutyType.SYNC_CONTRIBUTION, {0: agreed})
        query = f"slot={SLOT}&subcommittee_index=2&beacon_block_root=0x{ROOT.hex()}"
        told = await found.send("GET", f"/eth/v1/validator/sync_committee_contribution?{query}")
        assert codec(SyncCommitteeContribution).from_json(told["data"]) == contribution
        other = contribution_and_proof(replace(contribution, subcommittee_index=1), FIRST_INDEX, b"\x01" * 96)
        changed = contribution_and_proof(contribution, FIRST_INDEX, b"\x02" * 96)
        # Of a validator for which only another subcommittee's may have been agreed on.
        of_another = contribution_and_proof(contribution, FIRST_INDEX + 1, b"\x01" * 96)
        values = [agreed, other, changed, of_another]
        sent = signed(DutyType.SYNC_CONTRIBUTION, [0, 0, 0, 1], values)
        path = "/eth/v1/validator/contribution_and_proofs"
        refused = await found.hand_in(path, SignedContributionAndProof, sent)
        assert refused == {
            1: "the cluster has not agreed on a contribution of that subcommittee of validator"
            f" {FIRST_INDEX} in slot {SLOT}",
            2: NOT_AGREED,
        }
        while found.signers(DutyType.SYNC_CONTRIBUTION, 0, subcommittee=2) != [0]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_sync_messages_are_for_the_head_that_the_client_sees() -> None:
    async with client_before_node() as found:
        early = SyncCommitteeMessage(SLOT + 1, ROOT, FIRST_INDEX, NO_SIGNATURE)
        first = SyncCommitteeMessage(SLOT, ROOT, FIRST_INDEX, NO_SIGNATURE)
        second = replace(first, beacon_block_root=OTHER_ROOT, validator_index=FIRST_INDEX + 1)
        sent = signed(DutyType.SYNC_MESSAGE, [0, 0, 1], [early, first, second])
        assert await found.hand_in(MESSAGES, SyncCommitteeMessage, sent) == {0: TOO_EARLY}
        assert found.alone.node.voted_heads == {SLOT: ROOT}
        await until_given(found, DutyType.SYNC_MESSAGE, 0)
        # Whoever signed one head signs no other.
        [again] = signed(DutyType.SYNC_MESSAGE, [0], [replace(first, beacon_block_root=OTHER_ROOT)])
        refused = await found.hand_in(MESSAGES, SyncCommitteeMessage, [again])
        assert refused == {0: "another value is signed for the duty"}


async def test_another_head_than_the_nodes_is_sent_when_the_cluster_has_signed_it() -> None:
    async with client_before_node() as found:
        message = SyncCommitteeMessage(SLOT, OTHER_ROOT, FIRST_INDEX, NO_SIGNATURE)
        await found.offer(DutyType.SYNC_MESSAGE, {0: replace(message, beacon_block_root=ROOT)})
        [sent] = signed(DutyType.SYNC_MESSAGE, [0], [message])
        assert await found.hand_in(MESSAGES, SyncCommitteeMessage, [sent]) == {}
        assert found.alone.node.voted_heads == {SLOT: OTHER_ROOT}
        others = found.alone.signer
        for node in others.others:
            await others._sign_as(node, Duty(SLOT, DutyType.SYNC_MESSAGE), _positions(0), [message])
        while not (given := found.alone.beacon.sent.get("send_sync_messages")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        [(([one],), _)] = given
        found.alone.check(DutyType.SYNC_MESSAGE, [(0, one)])
        assert one.beacon_block_root == OTHER_ROOT


async def test_the_head_is_that_of_most_members() -> None:
    """However their votes come; who is in no committee has none."""
    async with client_before_node() as found:
        head = found.alone.node.voted_heads
        roots = [OTHER_ROOT, ROOT, ROOT, OTHER_ROOT, OTHER_ROOT]
        values = [
            SyncCommitteeMessage(SLOT, root, FIRST_INDEX + at, NO_SIGNATURE) for at, root in enumerate(roots)
        ]
        sent = signed(DutyType.SYNC_MESSAGE, range(len(roots)), values)
        del found.members[4]
        await found.hand_in(MESSAGES, SyncCommitteeMessage, sent[:1])
        assert head == {SLOT: OTHER_ROOT}  # nobody has seen another one yet
        await found.offer(DutyType.SYNC_MESSAGE, {0: values[0]})
        seen = []
        for each in sent[1:]:
            assert await found.hand_in(MESSAGES, SyncCommitteeMessage, [each]) == {}
            seen.append(head[SLOT])
        assert seen == [OTHER_ROOT, ROOT, OTHER_ROOT, OTHER_ROOT]


async def test_selection_proofs_of_several_slots() -> None:
    async with client_before_node() as found:
        wanted = [(slot, position) for slot in (SLOT, SLOT + 1) for position in (0, 1)]
        values = [
            BeaconCommitteeSelection(FIRST_INDEX + position, slot, NO_SIGNATURE) for slot, position in wanted
        ]
        positions = [position for _, position in wanted]
        sent = signed(DutyType.PREPARE_AGGREGATOR, positions, values)
        kind = codec(BeaconCommitteeSelection)
        body = [kind.to_json(each) for each in sent]
        path = "/eth/v1/validator/beacon_committee_selections"
        asking = asyncio.create_task(found.send("POST", path, json=body))
        for slot in (SLOT, SLOT + 1):
            for node in found.alone.signer.others:
                of_slot = [each for each in values if each.slot == slot]
                duty = Duty(slot, DutyType.PREPARE_AGGREGATOR)
                await found.alone.signer._sign_as(node, duty, _positions(0, 1), of_slot)
        proofs = [kind.from_json(each) for each in (await asking)["data"]]
        assert [(each.slot, each.validator_index - FIRST_INDEX) for each in proofs] == wanted
        found.alone.check(DutyType.PREPARE_AGGREGATOR, list(zip(positions, proofs, strict=True)))


@pytest.mark.parametrize(("left_out", "seconds"), [("stranger", 10.0), ("foreign", 10.0), ("alone", 2.0)])
async def test_selection_proofs_are_given_without_those_that_are_not_to_be_had(
    left_out: str, seconds: float
) -> None:
    """What is refused, there twice, or not signed by enough in time, costs no other one."""
    async with client_before_node(seconds=seconds) as found:
        kind, path = codec(BeaconCommitteeSelection), "/eth/v1/validator/beacon_committee_selections"
        ours = [BeaconCommitteeSelection(FIRST_INDEX + each, SLOT, NO_SIGNATURE) for each in range(3)]
        first, second, alone = signed(DutyType.PREPARE_AGGREGATOR, [0, 1, 2], ours)
        [foreign] = signed(DutyType.PREPARE_AGGREGATOR, [2], [ours[2]], node=3)
        stranger = replace(ours[0], validator_index=7)
        for node in found.alone.signer.others:
            duty = Duty(SLOT, DutyType.PREPARE_AGGREGATOR)
            await found.alone.signer._sign_as(node, duty, _positions(0, 1), ours[:2])
        wrong = {"stranger": stranger, "foreign": foreign, "alone": alone}[left_out]
        body = [kind.to_json(each) for each in (wrong, first, first, second)]
        told = await found.send("POST", path, json=body)
        proofs = [kind.from_json(each) for each in told["data"]]
        found.alone.check(DutyType.PREPARE_AGGREGATOR, [(0, proofs[0]), (1, proofs[1])])
        assert [each.validator_index for each in proofs] == [FIRST_INDEX, FIRST_INDEX + 1]
        if wrong is alone:
            await found.send("POST", path, json=body[:1], status=408)


@pytest.mark.parametrize(
    ("error", "status"), [(OverloadedError("too much to do"), 503), (TimeoutError(), 408)]
)
async def test_selection_proofs_where_there_is_too_much_to_do(
    error: Exception, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(gathering, "_signing_roots", refuse)
    async with client_before_node() as found:
        ours = [BeaconCommitteeSelection(FIRST_INDEX, slot, NO_SIGNATURE) for slot in (SLOT, SLOT + 1)]
        kind, path = codec(BeaconCommitteeSelection), "/eth/v1/validator/beacon_committee_selections"
        body = [kind.to_json(each) for each in signed(DutyType.PREPARE_AGGREGATOR, [0, 0], ours)]
        assert (await found.send("POST", path, json=body, status=status))["code"] == status


async def test_selection_proofs_that_are_wrong() -> None:
    async with client_before_node() as found:
        ours = BeaconCommitteeSelection(FIRST_INDEX, SLOT, NO_SIGNATURE)
        over, ahead = replace(ours, slot=SLOT - 3 * 32), replace(ours, slot=SLOT + 4 * 32)
        [signed_over] = signed(DutyType.PREPARE_AGGREGATOR, [0], [over])
        [signed_ahead] = signed(DutyType.PREPARE_AGGREGATOR, [0], [ahead])
        [foreign] = signed(DutyType.PREPARE_AGGREGATOR, [0], [ours], node=3)
        sent = [signed_over, signed_ahead, foreign, replace(ours, validator_index=7)]
        path = "/eth/v1/validator/beacon_committee_selections"
        refused = await found.hand_in(path, BeaconCommitteeSelection, sent)
        assert refused == {0: NOT_NOW, 1: NOT_NOW, 2: WRONG_SIGNATURE, 3: NOT_OURS}
        path = "/eth/v1/validator/sync_committee_selections"
        fifth = SyncCommitteeSelection(FIRST_INDEX, SLOT, 4, NO_SIGNATURE)
        refused = await found.hand_in(path, SyncCommitteeSelection, [fifth])
        assert refused == {0: "there is no subcommittee 4"}


# Keys.


def on_chain(position: int) -> dict[str, Any]:
    return {
        "index": str(FIRST_INDEX + position),
        "status": "active_ongoing",
        "validator": {"pubkey": GROUP_KEYS[position]},
    }


async def test_validators_by_key_share() -> None:
    asked: list[Any] = []

    def content(path: str, *, body: bytes, **more: Any) -> Any:
        asked.append((path, body))
        return {"finalized": False, "data": [on_chain(1)]}

    async with client_before_node() as found:
        found.alone.beacon.answers["content"] = content
        path = "/eth/v1/beacon/states/head/validators"
        expected = on_chain(1) | {"validator": {"pubkey": SHARE_KEYS[1]}}
        told = await found.send("POST", path, json={"ids": [SHARE_KEYS[1]]})
        assert told == {"finalized": False, "data": [expected]}
        told = await found.send("GET", f"{path}?id={SHARE_KEYS[1]},{FIRST_INDEX}&id={SHARE_KEYS[0].upper()}")
        assert told["data"] == [expected]
        told = await found.send("GET", f"{path}/{FIRST_INDEX + 1}")
        assert told["data"] == expected
        of_group = b'{"ids":["' + GROUP_KEYS[1].encode()
        assert [body.startswith(of_group) for _, body in asked] == [True, True, False]
        assert {path for path, _ in asked} == {"eth/v1/beacon/states/head/validators"}


async def test_keys_that_are_none_of_this_nodes() -> None:
    other = "0x" + KEYS.key_shares.encoded[0, 1].tobytes().hex()
    async with client_before_node() as found:
        path = "/eth/v1/beacon/states/head/validators"
        for key, why in (
            (other, "it is another node's key share"),
            (GROUP_KEYS[0], "it is a validator's own key"),
            ("0x" + "11" * 48, "it is a key share of no validator of this cluster"),
        ):
            told = await found.send("POST", path, json={"ids": [key]}, status=400)
            assert told["message"].startswith(f"{key}: {why}")
        found.alone.beacon.answers["content"] = {
            "data": [on_chain(0) | {"validator": {"pubkey": "0x" + "11" * 48}}]
        }
        await found.send("POST", path, json={"ids": ["7"]}, status=400)


async def test_duties_have_key_shares() -> None:
    of_others = {"pubkey": "0x" + "11" * 48, "validator_index": "7", "slot": str(SLOT)}
    ours = of_others | {"pubkey": GROUP_KEYS[3], "validator_index": str(FIRST_INDEX + 3)}
    async with client_before_node() as found:
        found.alone.beacon.answers["content"] = lambda *_, **__: {
            "dependent_root": "0x",
            "data": [dict(ours)],
        }
        for kind in ("attester", "sync"):
            told = await found.send("POST", f"/eth/v1/validator/duties/{kind}/{EPOCH}", json=["103", 104])
            assert told == {"dependent_root": "0x", "data": [ours | {"pubkey": SHARE_KEYS[3]}]}
        both = lambda *_, **__: {"data": [dict(ours), dict(of_others)]}  # noqa: E731
        found.alone.beacon.answers["content"] = both
        for form in ("v1", "v2"):
            told = await found.send("GET", f"/eth/{form}/validator/duties/proposer/{EPOCH}")
            assert told["data"] == [ours | {"pubkey": SHARE_KEYS[3]}, of_others]
        told = await found.send("POST", f"/eth/v1/validator/duties/attester/{EPOCH}", json=["7"], status=400)
        assert told["message"] == f"{of_others['pubkey']}: it is no validator of this cluster"


# A clock that was ahead.


async def test_what_was_offered_while_the_clock_was_ahead_hides_nothing() -> None:
    """And of all that is offered so much is kept, the oldest goes first."""
    offers, message = Offers(), SyncCommitteeMessage(SLOT, ROOT, FIRST_INDEX, NO_SIGNATURE)
    ahead = SLOT + 10 * KEPT_DUTIES
    for slot in (ahead, *range(SLOT, SLOT + KEPT_DUTIES - 1)):
        await offers.sign(Duty(slot, DutyType.SYNC_MESSAGE), _positions(0), [replace(message, slot=slot)])
    assert offers.of(Duty(SLOT, DutyType.SYNC_MESSAGE))
    assert offers.of(Duty(ahead, DutyType.SYNC_MESSAGE))
    await offers.sign(Duty(SLOT, DutyType.RANDAO), _positions(0), [SignedRandao(EPOCH, NO_SIGNATURE)])
    assert not offers.of(Duty(ahead, DutyType.SYNC_MESSAGE))
    assert offers.of(Duty(SLOT, DutyType.SYNC_MESSAGE))


# How much is read.


async def test_bodies_are_as_long_as_their_route_needs() -> None:
    """Also those that do not say how long they are; and short ones that would be much when they are read."""
    async with client_before_node() as found:
        duties = f"/eth/v1/validator/duties/attester/{EPOCH}"
        too_long = b"[" + b" " * 2 * bodies.SMALL_BYTES + b"]"

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(4):
                yield bytes(bodies.SMALL_BYTES)

        for path in (duties, VOTES, MESSAGES):
            for sent in (too_long, pieces()):
                told = await found.send("POST", path, data=sent, headers=BLOCK, status=413)
                assert told["message"].startswith("body: expected at most")
        for path, many in ((duties, 2**13), (VOTES, 2**13), ("/eth/v2/beacon/blocks", 2**17)):
            told = await found.send("POST", path, json=[[]] * many, headers=FULU_HEADER, status=400)
            assert told["message"] == "body: expected fewer values"


async def test_long_bodies_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """And short ones come through."""
    monkeypatch.setattr(bodies, "TOGETHER_BYTES", bodies.SMALL_BYTES)
    long, path = b"{" + b" " * (2 * bodies.SMALL_BYTES - 1), "/eth/v2/beacon/blocks"
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield long
        begun.set()
        await go_on.wait()

    async with client_before_node() as found:
        left = found.app[bodies.BODIES]
        first = asyncio.create_task(found.send("POST", path, data=slow(), headers=BLOCK, status=400))
        await begun.wait()
        while left._left:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        told = await found.send("POST", path, data=long, headers=BLOCK, status=503)
        assert told["message"] == "there is too much to read, try again"
        await found.send("POST", path, data=b"{", headers=BLOCK, status=400)
        go_on.set()
        await first
        assert left._left == bodies.TOGETHER_BYTES
        await found.send("POST", path, data=long, headers=BLOCK, status=400)


# Who is let in, and what is not served.


async def test_a_token() -> None:
    async with client_before_node(token="s3cret-s3cret-s3cret") as found:
        path = "/eth/v1/node/version"
        told = await found.send("GET", path, status=401)
        assert "s3cret" not in str(told)
        await found.send("GET", path, status=401, headers={"Authorization": "Bearer s3cret-s3cret-s3creT"})
        await found.send("GET", path, headers={"Authorization": "Bearer s3cret-s3cret-s3cret"})
        shown = aiohttp.encode_basic_auth("me", "s3cret-s3cret-s3cret")
        told = await found.send("GET", path, headers={"Authorization": shown})
        assert told["data"]["version"].startswith("dvtfast/v")


async def test_the_version_has_what_clients_of_clusters_look_for() -> None:
    """Vouch's library (go-eth2-client) takes a block with another randao reveal than its own only of a node
    whose version contains `charon`."""
    async with client_before_node() as found:
        told = await found.send("GET", "/eth/v1/node/version")
        assert told["data"]["version"].startswith("dvtfast/v")
        assert "charon" in told["data"]["version"].lower()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/eth/v1/beacon/pool/attestations"),
        ("GET", "/eth/v2/validator/blocks/1"),
        ("GET", "/eth/v1/validator/blinded_blocks/1"),
        ("GET", "/eth/v1/validator/aggregate_attestation"),
        ("POST", "/eth/v1/validator/aggregate_and_proofs"),
        ("GET", "/proposer_config"),
    ],
)
async def test_what_is_not_there(method: str, path: str) -> None:
    async with client_before_node() as found:
        assert (await found.send(method, path, status=404))["code"] == 404
        assert found.alone.beacon.asked == []


async def test_what_the_node_says_itself_is_swallowed() -> None:
    async with client_before_node() as found:
        for path in ("prepare_beacon_proposer", "register_validator"):
            assert await found.send("POST", f"/eth/v1/validator/{path}", json=[{}]) == b""
        told = await found.send("POST", "/eth/v1/beacon/pool/voluntary_exits", json={}, status=400)
        assert told["message"] == "exits are not taken from validator clients"
        assert not found.alone.beacon.sent


async def test_exits_are_handed_to_the_node() -> None:
    """As JSON or SSZ; what it says against them is told."""
    value = SignedVoluntaryExit(VoluntaryExit(1, FIRST_INDEX), bytes(96))
    taken: list[SignedVoluntaryExit] = []

    async def submit(each: SignedVoluntaryExit, record: Any) -> str:
        taken.append(each)
        return "" if len(taken) < 3 else "why not"

    path, kind = "/eth/v1/beacon/pool/voluntary_exits", codec(SignedVoluntaryExit)
    async with client_before_node(exits=SimpleNamespace(submit=submit)) as found:
        assert await found.send("POST", path, json=kind.to_json(value)) == b""
        headers = {"Content-Type": "application/octet-stream"}
        assert await found.send("POST", path, data=kind.encode(value), headers=headers) == b""
        told = await found.send("POST", path, json=kind.to_json(value), status=400)
        assert told["message"] == f"validator {FIRST_INDEX}: why not"
        assert (await found.send("POST", path, json={}, status=400))["code"] == 400
    assert taken == [value] * 3


TAKING = [
    VOTES,
    MESSAGES,
    "/eth/v2/beacon/blocks",
    "/eth/v1/beacon/blinded_blocks",
    "/eth/v2/validator/aggregate_and_proofs",
    "/eth/v1/validator/contribution_and_proofs",
    "/eth/v1/validator/beacon_committee_selections",
    "/eth/v1/validator/sync_committee_selections",
    f"/eth/v1/validator/duties/attester/{EPOCH}",
    "/eth/v1/beacon/states/head/validators",
]
JSON, SSZ = "application/json", "application/octet-stream"
BODIES = [
    (JSON, b""),
    (JSON, b"{"),
    (JSON, b"null"),
    (JSON, b"7"),
    (JSON, b'[{"slot":"1"}]'),
    (JSON, b"[[]]"),
    (JSON, b'["-1"]'),
    (JSON, b"[true,1.5,{}]"),
    (JSON, b"[" + b"9" * 5000 + b"]"),
    (JSON, b'{"ids":[' + b"9" * 5000 + b"]}"),
    (JSON, b'["\xff"]'),
    (JSON, b"[" * 100_000),
    (JSON, b"[" + b"{}," * 50_000 + b"{}]"),
    (JSON, b'{"ids":7}'),
    (JSON, b'{"ids":["head"]}'),
    (SSZ, b"\x01"),
    (SSZ, b"\xff" * 1000),
    (SSZ, b"\x08\x00\x00\x00\x04\x00\x00\x00"),
    ("text/plain", b"[]"),
]


@pytest.mark.parametrize("path", TAKING)
async def test_bodies_that_are_none(path: str) -> None:
    async with client_before_node() as found:
        found.alone.beacon.answers["content"] = {"data": []}
        for kind, body in BODIES:
            headers = FULU_HEADER | {"Content-Type": kind}
            async with found.session.post(found.url + path, data=body, headers=headers) as answer:
                told = await answer.json()
                assert answer.status in (400, 413, 415), (kind, body[:20])
                assert told["code"] == answer.status
                assert len(told["message"]) < 500


@pytest.mark.parametrize(
    "path",
    [
        "/eth/v1/validator/attestation_data",
        "/eth/v1/validator/attestation_data?slot=1",
        f"/eth/v1/validator/attestation_data?slot={SLOT}&slot=1&committee_index=0",
        "/eth/v1/validator/attestation_data?slot=-1&committee_index=0",
        f"/eth/v1/validator/attestation_data?slot={2**64}&committee_index=0",
        f"/eth/v1/validator/attestation_data?slot={2**64 - 1}&committee_index=0",
        f"/eth/v3/validator/blocks/{SLOT}",
        f"/eth/v3/validator/blocks/{SLOT}?randao_reveal=0x00",
        "/eth/v3/validator/blocks/head?randao_reveal=0x" + "00" * 96,
        f"/eth/v2/validator/aggregate_attestation?slot={SLOT}&attestation_data_root=0x&committee_index=0",
        f"/eth/v1/validator/sync_committee_contribution?slot={SLOT}&subcommittee_index=x",
        "/eth/v1/beacon/states/head/validators?id=x",
        "/eth/v1/beacon/states/he%20ad/validators?id=1",
        "/eth/v1/validator/duties/proposer/x",
    ],
)
async def test_queries_that_are_none(path: str) -> None:
    async with client_before_node() as found:
        assert (await found.send("GET", path, status=400))["code"] == 400
        assert found.alone.beacon.asked == []


def _positions(*positions: int) -> Any:

    return np.array(positions, np.intp)
