"""What validator clients signed is taken, or refused by name: votes, exits; and what is offered meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from dvtfast.duties.attestations import SingleAttestation
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.forks import FULU
from dvtfast.duties.signables import vote
from dvtfast.duties.signed_sets import NO_SIGNATURE
from dvtfast.duties.slashing import SignedAttestation
from dvtfast.duties.sync_committees import (
    SyncCommitteeMessage,
)
from dvtfast.duties.validator_messages import (
    SignedRandao,
    SignedVoluntaryExit,
    VoluntaryExit,
)
from dvtfast.duties.wrappers import AttesterValue
from dvtfast.qbft.messages import Duty
from dvtfast.services.node.tracker import Step
from dvtfast.services.node.validator_api.attesting import NOT_AGREED
from dvtfast.services.node.validator_api.intake import TWICE, WRONG_SIGNATURE
from dvtfast.services.node.validator_api.offers import KEPT_DUTIES, Offers
from tests.services.node.flows.flow_parts import DATA, EPOCH, FIRST_INDEX, KEYS, ROOT, SLOT
from tests.services.node.flows.test_aggregates import duties as committees
from tests.services.node.flows.test_aggregates import place
from tests.services.node.validator_api.client_before_node import (
    FULU_HEADER,
    client_before_node,
    signed,
)
from tests.services.node.validator_api.handed_in import (
    AGREED,
    NOT_OURS,
    OTHER_ROOT,
    VOTES,
    good_votes,
    single,
    until_given,
    validators_at,
)


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


async def test_votes_that_come_one_by_one_are_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Prysm sends them; one that is wrong, or there again, costs that one."""
    async with client_before_node() as found:
        checks: list[int] = []
        check = found.alone.node.exchange.check

        async def counted(duty: Duty, validators: Any, values: Any) -> Any:
            checks.append(len(values))
            return await check(duty, validators, values)

        monkeypatch.setattr(found.alone.node.exchange, "check", counted)
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


async def test_what_was_offered_while_the_clock_was_ahead_hides_nothing() -> None:
    """And of all that is offered so much is kept, the oldest goes first."""
    offers, message = Offers(), SyncCommitteeMessage(SLOT, ROOT, FIRST_INDEX, NO_SIGNATURE)
    ahead = SLOT + 10 * KEPT_DUTIES
    for slot in (ahead, *range(SLOT, SLOT + KEPT_DUTIES - 1)):
        await offers.sign(Duty(slot, DutyType.SYNC_MESSAGE), validators_at(0), [replace(message, slot=slot)])
    assert offers.of(Duty(SLOT, DutyType.SYNC_MESSAGE))
    assert offers.of(Duty(ahead, DutyType.SYNC_MESSAGE))
    await offers.sign(Duty(SLOT, DutyType.RANDAO), validators_at(0), [SignedRandao(EPOCH, NO_SIGNATURE)])
    assert not offers.of(Duty(ahead, DutyType.SYNC_MESSAGE))
    assert offers.of(Duty(SLOT, DutyType.SYNC_MESSAGE))


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
