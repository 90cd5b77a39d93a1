"""What Prysm's validator client asked of a charon, asked of a node: all of it is read, and answered in kind.

The node has other validators and another slot, so that what is handed in is refused by name, each by its
place, and what is asked for is over; nothing of it may be unread.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import msgspec
import pytest

from dvtfast.duties.attestations import AttestationData, SingleAttestation
from dvtfast.duties.codecs import codec
from dvtfast.duties.forks import FULU
from dvtfast.duties.signables import aggregate_and_proof, contribution_and_proof
from dvtfast.duties.sync_committees import SyncCommitteeContribution, SyncCommitteeMessage
from dvtfast.services.node.validator_api.intake import NOT_NOW
from tests.services.node.flows.flow_parts import DATA, ROOT, SLOT
from tests.services.node.flows.test_aggregates import of_committee
from tests.services.node.validator_api.client_before_node import client_before_node
from tests.vector_files import given

RECORDED = "http/recorded.json"
NAME = re.compile(r'"(\w+)":')
CONTRIBUTION = SyncCommitteeContribution(SLOT, ROOT, 0, bytes(16), bytes(96))
HANDED_IN: dict[str, Any] = {
    "POST /eth/v1/beacon/pool/sync_committees": SyncCommitteeMessage(SLOT, ROOT, 0, bytes(96)),
    "POST /eth/v2/beacon/pool/attestations": SingleAttestation(0, 0, DATA, bytes(96)),
    "POST /eth/v2/validator/aggregate_and_proofs": aggregate_and_proof(of_committee(0), 0, bytes(96)).message,
    "POST /eth/v1/validator/contribution_and_proofs": contribution_and_proof(CONTRIBUTION, 0, bytes(96)),
}
ASKED_FOR = (
    "GET /eth/v3/validator/blocks/{n}?randao_reveal",
    "GET /eth/v1/validator/attestation_data?committee_index&slot",
    "GET /eth/v2/validator/aggregate_attestation?attestation_data_root&committee_index&slot",
    "GET /eth/v1/validator/sync_committee_contribution?beacon_block_root&slot&subcommittee_index",
)
OBJECTS: dict[str, Any] = {
    ASKED_FOR[1]: {"data": codec(AttestationData).to_json(DATA)},
    ASKED_FOR[2]: {"version": "fulu", "data": codec(FULU.attestation).to_json(of_committee(0).message)},
    ASKED_FOR[3]: {"data": codec(SyncCommitteeContribution).to_json(CONTRIBUTION)},
}


@cache
def recorded(name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(given(RECORDED).read_text())["validator_client_to_node"][name]
    assert found
    return found


def headers_of(exchange: dict[str, str]) -> dict[str, str]:
    named = {
        "Accept": exchange["accept"],
        "Content-Type": exchange["content_type"],
        "Eth-Consensus-Version": exchange["eth_consensus_version"],
        "User-Agent": exchange["user_agent"],
    }
    return {name: value for name, value in named.items() if value}


def completed(start: str, whole: str) -> bytes:
    """A request of which the start is recorded, with the end of a whole one."""
    names = list(re.finditer(NAME, start))
    like = list(re.finditer(NAME, whole))
    assert [each[1] for each in names] == [each[1] for each in like[: len(names)]]
    return (start[: names[-1].start()] + whole[like[len(names) - 1].start() :]).encode()


@pytest.mark.parametrize("name", HANDED_IN)
async def test_what_was_handed_in(name: str) -> None:
    kind: Any = codec(type(HANDED_IN[name]))
    whole = msgspec.json.encode([kind.to_json(HANDED_IN[name])]).decode()
    async with client_before_node() as found:
        for exchange in recorded(name):
            body = completed(exchange["request"], whole)
            more = {"data": body, "headers": headers_of(exchange)}
            told = await found.send("POST", exchange["path"], status=400, **more)
            assert told["message"] == "some of it was refused"
            [failure] = told["failures"]
            assert "is none of this cluster's" in failure["message"]


@pytest.mark.parametrize("name", ASKED_FOR)
async def test_what_was_asked_for(name: str) -> None:
    """Slots of the record are ahead of the node's, or behind: they are read, and refused for that."""
    async with client_before_node(seconds=0.05) as found:
        for exchange in recorded(name):
            async with found.session.get(
                found.url + exchange["path"], headers=headers_of(exchange)
            ) as answer:
                told = await answer.json()
                assert answer.status in (400, 408)
                assert answer.status == 408 or NOT_NOW in told["message"]


@pytest.mark.parametrize("name", OBJECTS)
def test_answers_are_of_the_form_that_it_got(name: str) -> None:
    ours = NAME.findall(msgspec.json.encode(OBJECTS[name]).decode())
    for exchange in recorded(name):
        theirs = NAME.findall(exchange["response"])
        if exchange["status"] == "200":
            assert len(theirs) > 3
            assert ours[: len(theirs)] == theirs
        else:
            assert theirs == ["code", "message"]


async def test_what_is_only_told_is_swallowed() -> None:
    async with client_before_node() as found:
        for exchange in recorded("POST /eth/v1/validator/prepare_beacon_proposer"):
            more = {"data": exchange["request"].encode(), "headers": headers_of(exchange)}
            assert await found.send("POST", exchange["path"], **more) == b""
            assert (exchange["status"], exchange["response_length"]) == ("200", "0")


async def test_duties_are_asked_for_as_it_asks() -> None:
    async with client_before_node() as found:
        found.alone.beacon.answers["content"] = lambda *_, **__: {"data": []}
        for kind in ("attester", "sync"):
            for exchange in recorded(f"POST /eth/v1/validator/duties/{kind}/{{n}}"):
                body = exchange["request"].encode()
                more = {"data": body, "headers": headers_of(exchange)}
                # The record has more validators than this node.
                told = await found.send("POST", exchange["path"], status=400, **more)
                assert told["message"] == "body: expected a list of at most 12 validators"
