"""Aggregates, contributions and sync messages of a validator client."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from dvtfast.duties.bits import bitvector
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.forks import FULU
from dvtfast.duties.presets import MAINNET_PRESET
from dvtfast.duties.signables import aggregate_and_proof, contribution_and_proof
from dvtfast.duties.signed_sets import NO_SIGNATURE, with_signature
from dvtfast.duties.sync_committees import (
    SignedContributionAndProof,
    SyncCommitteeContribution,
    SyncCommitteeMessage,
)
from dvtfast.qbft.messages import Duty
from dvtfast.services.node.validator_api.attesting import NOT_AGREED
from dvtfast.services.node.validator_api.contributing import TOO_EARLY
from dvtfast.services.node.validator_api.intake import WRONG_SIGNATURE
from tests.services.node.flows.flow_parts import DATA, FIRST_INDEX, ROOT, SLOT, VALIDATORS
from tests.services.node.flows.test_aggregates import of_committee
from tests.services.node.validator_api.client_before_node import (
    client_before_node,
    signed,
)
from tests.services.node.validator_api.handed_in import (
    MESSAGES,
    OTHER_ROOT,
    until_given,
    validators_at,
)


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
            await others._sign_as(node, Duty(SLOT, DutyType.SYNC_MESSAGE), validators_at(0), [message])
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
