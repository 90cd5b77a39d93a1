"""The beacon API of the specification's chain: what charon asks for, what is malformed, and its own clock."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from dvtfast.services.chain.beacon.chain_constants import ExpectedChain
from dvtfast.services.chain.beacon.duties import DutiesClient
from dvtfast.services.demo.beacon.encoding import from_json, from_ssz, to_json
from dvtfast.services.demo.beacon.routes.table import GET, POST
from dvtfast.services.demo.beacon.specification import fork_versions
from tests.services.demo.beacon.chains import FORK_VERSION, PATIENT, RunningChain, running_chain
from tests.services.demo.beacon.validators import Validators
from tests.services.patience import PATIENCE_SECONDS
from tests.vector_files import given

SIGNATURE = "0x" + "c0" + 95 * "00"
ROOT = "0x" + 32 * "11"
DATA = {
    "slot": "0",
    "index": "0",
    "beacon_block_root": ROOT,
    "source": {"epoch": "0", "root": ROOT},
    "target": {"epoch": "0", "root": ROOT},
}
SINGLE = {"committee_index": "0", "attester_index": "0", "data": DATA, "signature": SIGNATURE}
LONG = "9" * 30


async def test_each_route_that_charon_asks_for_is_there() -> None:
    """As recorded of a real cluster."""
    recorded = json.loads(given("http/recorded.json").read_text())["node_to_beacon"]
    router = web.UrlDispatcher()
    for method, routes in (("GET", [*GET, "/eth/v1/events"]), ("POST", POST)):
        for path in routes:
            router.add_route(method, path, _nothing)
    assert len(recorded) > 20
    for exchanges in recorded.values():
        for exchange in exchanges:
            path = exchange["path"].partition("?")[0]
            method = "POST" if exchange["request_length"] not in ("0", "") or path in POST else "GET"
            found = await router.resolve(make_mocked_request(method, path))
            assert found.http_exception is None, (method, path)


async def _nothing(request: web.Request) -> web.Response:
    return web.Response()


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("beacon/pool/attestations", b"{", "body: "),
        ("beacon/pool/attestations", b"[" * 100_000, "body: "),
        ("beacon/pool/attestations", {}, "body: expected a list"),
        ("beacon/pool/attestations", [1], "expected an object"),
        ("beacon/pool/attestations", [{}], "body.committee_index: expected a string"),
        ("beacon/pool/attestations", [SINGLE | {"attester_index": "-1"}], "expected a decimal number"),
        ("beacon/pool/attestations", [SINGLE | {"attester_index": LONG}], "body.attester_index: no"),
        ("beacon/pool/attestations", [SINGLE | {"signature": "0x11"}], "body.signature: no"),
        ("beacon/pool/attestations", [SINGLE | {"signature": "zz"}], "body.signature: expected"),
        ("beacon/pool/attestations", [SINGLE | {"attester_index": "999"}], "attester is not a member"),
        ("beacon/pool/attestations", [SINGLE | {"committee_index": "77"}], "committee index out of range"),
        ("beacon/blocks", b"\x00" * 7, "no SSZ of SignedBlockContents"),
        ("beacon/blinded_blocks", b"", "there are no builders here"),
    ],
)
async def test_what_is_malformed_is_refused(
    still_chain: RunningChain, path: str, body: Any, said: str
) -> None:
    is_block = isinstance(body, bytes) and "blocks" in path
    headers = {
        "Content-Type": "application/octet-stream" if is_block else "application/json",
        "Eth-Consensus-Version": "fulu",
    }
    status, answer = await _post(still_chain, f"/eth/v2/{path}", body, headers)
    assert status == 400
    assert answer["code"] == 400
    assert said in json.dumps(answer)


@pytest.mark.parametrize(
    "path",
    [
        "validator/duties/proposer/x",
        "validator/duties/proposer/7",
        "validator/attestation_data?slot=1",
        "validator/attestation_data?slot=9&committee_index=0",
        "validator/attestation_data?slot=0&committee_index=1",
        "validator/sync_committee_contribution?slot=0&subcommittee_index=4&beacon_block_root=" + ROOT,
        "validator/sync_committee_contribution?slot=0&subcommittee_index=0&beacon_block_root=0x11",
        "events?topics=weather",
        "beacon/headers/0x11",
    ],
)
async def test_questions_that_make_no_sense(still_chain: RunningChain, path: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{still_chain.urls[0]}/eth/v1/{path}") as answer,
    ):
        assert answer.status == 400
        assert (await answer.json())["code"] == 400


async def test_what_is_not_there(still_chain: RunningChain) -> None:
    async with aiohttp.ClientSession() as session:
        for path in ("v2/beacon/blocks/1", f"v2/beacon/blocks/{ROOT}", "v1/beacon/states/9/fork"):
            async with session.get(f"{still_chain.urls[0]}/eth/{path}") as answer:
                assert answer.status == 404


async def test_another_fork_is_refused(still_chain: RunningChain) -> None:
    headers = {"Content-Type": "application/json", "Eth-Consensus-Version": "electra"}
    status, answer = await _post(still_chain, "/eth/v2/beacon/pool/attestations", [], headers)
    assert (status, answer["message"]) == (400, "Eth-Consensus-Version: expected fulu")


async def test_validators_by_index_and_key(still_chain: RunningChain) -> None:
    everyone = (await still_chain.ask("GET", "/eth/v1/beacon/states/head/validators"))["data"]
    assert [each["index"] for each in everyone] == [str(index) for index in range(64)]
    assert {each["status"] for each in everyone} == {"active_ongoing"}
    key = everyone[5]["validator"]["pubkey"]
    asked = {"ids": [key, "7", "1000"]}
    some = (await still_chain.ask("POST", "/eth/v1/beacon/states/0/validators", asked))["data"]
    assert some == [everyone[5], everyone[7]]
    [one] = (await still_chain.ask("GET", f"/eth/v1/beacon/states/genesis/validators?id={key}"))["data"]
    assert one == everyone[5]
    none = await still_chain.ask("GET", "/eth/v1/beacon/states/head/validators?status=exited")
    assert none["data"] == []


def test_objects_come_back_from_json_and_ssz(spec: Any) -> None:
    body = spec.BeaconBlockBody(graffiti=b"\x07" * 32)
    body.attestations.append(spec.Attestation(aggregation_bits=[True, False, True], signature=b"\x01" * 96))
    body.execution_payload.base_fee_per_gas = 2**200
    body.execution_payload.transactions.append(spec.Transaction(b"\x01\x02"))
    block = spec.BeaconBlock(slot=2**64 - 1, body=body)
    told = json.loads(json.dumps(to_json(block)))
    assert from_json(spec.BeaconBlock, told) == block
    assert from_ssz(spec.BeaconBlock, block.encode_bytes()) == block
    assert told["slot"] == str(2**64 - 1)
    assert told["body"]["attestations"][0]["aggregation_bits"] == "0x0d"


def test_fork_versions_are_those_of_hoodi(spec: Any) -> None:
    first = [bytes([0x10 * number]) + FORK_VERSION[1:] for number in range(1, 8)]
    assert fork_versions(spec) == first


async def test_slots_go_on_by_the_clock(tmp_path: Path, secret_keys: np.ndarray, spec: Any) -> None:
    """Events tell of each block; who does nothing misses the slot."""
    genesis = int(time.time()) + 1
    options = ("--genesis-time", str(genesis), "--seconds-per-slot", "1")
    expected = ExpectedChain("testnet", FORK_VERSION, genesis_time=genesis)
    with running_chain(tmp_path, secret_keys, options=options) as chain:
        async with DutiesClient(chain.urls, expected=expected, **PATIENT) as client:
            constants = await client.learn()
            assert constants.milliseconds_per_slot == 1000
            validators, heads = Validators(client, spec, secret_keys), set[int]()
            events = client.events(["head"])

            async def listen() -> None:
                async for event in events:
                    heads.add(int(event.data["slot"]))

            listening, proposed = asyncio.create_task(listen()), list[int]()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(heads) < 2:
                    slot = int(time.time()) - genesis
                    if slot > 0 and slot not in proposed:
                        proposed.append(slot)
                        await validators.propose(slot)
                    await asyncio.sleep(0.05)
            listening.cancel()
            report = await chain.report()
    assert heads <= set(proposed)
    assert report["blocks"]["orphaned"] == report["refused"] == []


async def _post(chain: RunningChain, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with (
        aiohttp.ClientSession() as session,
        session.post(chain.urls[0] + path, data=data, headers=headers) as answer,
    ):
        return answer.status, await answer.json()
