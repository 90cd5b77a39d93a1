"""The client for duties before nodes that say what no node should: it is not believed, and why is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from dvtfast.duties.codecs import codec
from dvtfast.duties.forks import FULU
from dvtfast.duties.presets import MAINNET_PRESET
from dvtfast.duties.sync_committees import SyncCommitteeMessage
from dvtfast.services.chain.beacon import duties
from dvtfast.services.chain.beacon.chain_constants import ExpectedChain
from dvtfast.services.chain.beacon.client import BeaconError
from dvtfast.services.chain.beacon.duties import BlockHeader, DutiesClient
from dvtfast.services.chain.beacon.events import read_events
from tests.services.chain.servers import serving
from tests.services.patience import ANSWER_SECONDS

VERSIONS = [f"0x{number}0000910" for number in range(1, 8)]
ROOT, KEY = "0x" + 32 * "11", "0x" + 48 * "22"
GENESIS = {
    "genesis_time": "1700000000",
    "genesis_validators_root": ROOT,
    "genesis_fork_version": VERSIONS[0],
}
SPEC = {
    "PRESET_BASE": "mainnet",
    "DEPOSIT_CHAIN_ID": "560048",
    "SLOTS_PER_EPOCH": "32",
    "SECONDS_PER_SLOT": "12",
    "EPOCHS_PER_SYNC_COMMITTEE_PERIOD": "256",
    "SYNC_COMMITTEE_SIZE": "512",
    "CAPELLA_FORK_VERSION": VERSIONS[3],
    "FULU_FORK_VERSION": VERSIONS[6],
}
FORK_SCHEDULE = [{"previous_version": each, "current_version": each, "epoch": "0"} for each in VERSIONS]
CONSTANTS = {
    "/eth/v1/beacon/genesis": {"data": GENESIS},
    "/eth/v1/config/spec": {"data": SPEC},
    "/eth/v1/config/fork_schedule": {"data": FORK_SCHEDULE},
}
EXPECTED = ExpectedChain("testnet", bytes.fromhex("10000910"))
DUTY = {
    "pubkey": KEY,
    "validator_index": "3",
    "slot": "33",
    "committee_index": "0",
    "committee_length": "2",
    "committees_at_slot": "1",
    "validator_committee_index": "1",
}
MEMBER = {"pubkey": KEY, "validator_index": "3", "validator_sync_committee_indices": ["0", "511"]}
DATA = {
    "slot": "33",
    "index": "0",
    "beacon_block_root": ROOT,
    "source": {"epoch": "0", "root": ROOT},
    "target": {"epoch": "1", "root": ROOT},
}


@asynccontextmanager
async def asking(*nodes: dict[str, Any], learn: bool = True, **options: Any) -> AsyncIterator[DutiesClient]:
    """A client of nodes that answer what they are told to, by path; JSON, or a response."""

    def handler(answers: dict[str, Any]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            answer = (CONSTANTS | answers).get(request.path, web.Response(status=404))
            if callable(answer):
                answer = await answer(request)
            if isinstance(answer, web.StreamResponse):
                return answer
            return web.Response(text=json.dumps(answer), content_type="application/json")

        return handle

    async with asyncio.timeout(ANSWER_SECONDS):
        async with _serving_all([handler(answers) for answers in nodes]) as urls:
            patient = {"timeout_seconds": ANSWER_SECONDS, "submit_seconds": ANSWER_SECONDS} | options
            async with DutiesClient(urls, expected=EXPECTED, **patient) as client:
                if learn:
                    await client.learn()
                yield client


@asynccontextmanager
async def _serving_all(handlers: list[Any]) -> AsyncIterator[list[str]]:
    if not handlers:
        yield []
        return
    async with serving(handlers[0]) as url, _serving_all(handlers[1:]) as others:
        yield [url, *others]


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        ("/eth/v1/config/spec", {"data": SPEC | {"SLOTS_PER_EPOCH": "0"}}, "SLOTS_PER_EPOCH: expected a pos"),
        ("/eth/v1/config/spec", {"data": SPEC | {"SYNC_COMMITTEE_SIZE": [1]}}, "SYNC_COMMITTEE_SIZE"),
        ("/eth/v1/config/spec", {"data": {}}, "SECONDS_PER_SLOT: expected a number in the spec"),
        ("/eth/v1/config/fork_schedule", {"data": []}, "forks: expected ascending epochs"),
        ("/eth/v1/config/fork_schedule", {"data": [FORK_SCHEDULE[0] | {"epoch": "5"}]}, "forks: expected"),
        ("/eth/v1/beacon/genesis", {"data": GENESIS | {"genesis_validators_root": "0x11"}}, "32 bytes"),
        ("/eth/v1/beacon/genesis", web.Response(status=500, text="gone"), "HTTP 500: gone"),
        ("/eth/v1/beacon/genesis", web.Response(body=b"x" * 2**21), "at most 1048576 bytes"),
    ],
)
async def test_constants_that_are_none(path: str, answer: Any, said: str) -> None:
    async with asking({path: answer}, learn=False) as client:
        with pytest.raises(BeaconError, match=said):
            await client.learn()


async def test_constants_as_they_should_be() -> None:
    async with asking({}) as client:
        assert client.chain.milliseconds_per_slot == 12_000
        assert client.preset is MAINNET_PRESET
        assert client.chain.schedule.at(7).fork is FULU
        assert client.chain.schedule.at(7).version == bytes.fromhex("70000910")


@pytest.mark.parametrize(
    ("duties", "said"),
    [
        ([DUTY, DUTY], "tells of validator 3 twice"),
        ([DUTY | {"validator_index": "4"}], "tells of validator 4 twice, or without being asked"),
        ([DUTY | {"slot": "31"}], "slot 31: expected one of 32 to 63"),
        ([DUTY | {"committee_index": "1"}], "expected a place in a committee"),
        ([DUTY | {"validator_committee_index": "2"}], "expected a place in a committee"),
        ([DUTY | {"pubkey": "0x22"}], "48 bytes"),
        ([DUTY | {"slot": "-1"}], "slot: expected an integer"),
    ],
)
async def test_attester_duties_that_are_none(duties: list[Any], said: str) -> None:
    """The node that tells them is named; where another one answers as it should, that counts."""
    wrong = {"/eth/v1/validator/duties/attester/1": {"dependent_root": ROOT, "data": duties}}
    right = {"/eth/v1/validator/duties/attester/1": {"dependent_root": ROOT, "data": [DUTY]}}
    async with asking(wrong) as client:
        with pytest.raises(BeaconError, match=said) as caught:
            await client.attester_duties(1, [3])
        assert str(caught.value).startswith("beacon: http://127.0.0.1:")
    async with asking(wrong, right) as client:
        [duty] = (await client.attester_duties(1, [3])).duties
        assert (duty.slot, duty.validator_index, duty.committee_length) == (33, 3, 2)


@pytest.mark.parametrize(
    ("seats", "said"),
    [([], "expected seats below 512"), (["512"], "below 512"), (["1", "1"], "each once"), (["x"], "integer")],
)
async def test_sync_duties_that_are_none(seats: list[str], said: str) -> None:
    told = {"data": [MEMBER | {"validator_sync_committee_indices": seats}]}
    async with asking({"/eth/v1/validator/duties/sync/1": told}) as client:
        with pytest.raises(BeaconError, match=said):
            await client.sync_duties(1, [3])


async def test_proposer_duties_have_each_slot_once() -> None:
    twice = [{"pubkey": KEY, "validator_index": "3", "slot": "32"}] * 2
    path = "/eth/v1/validator/duties/proposer/1"
    async with asking({path: {"dependent_root": ROOT, "data": twice}}) as client:
        with pytest.raises(BeaconError, match="expected each slot of 32 to 63 once"):
            await client.proposer_duties(1)


@pytest.mark.parametrize(
    "data",
    [
        DATA | {"slot": "34"},
        DATA | {"index": "1"},
        DATA | {"target": {"epoch": "2", "root": ROOT}},
        DATA | {"source": {"epoch": "2", "root": ROOT}},
        DATA | {"beacon_block_root": "0x11"},
        None,
        [],
    ],
)
async def test_attestation_data_of_something_else(data: Any) -> None:
    path = "/eth/v1/validator/attestation_data"
    async with asking({path: {"data": data}}, {path: {"data": DATA}}) as client:
        assert (await client.attestation_data(33)).target.epoch == 1
    async with asking({path: {"data": data}}) as client:
        with pytest.raises(BeaconError, match=f"http://127.0.0.1:[0-9]*: {path[1:]}: "):
            await client.attestation_data(33)


@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [
        ({"Eth-Consensus-Version": "gloas"}, b"\x00" * 64, "fork: expected one of"),
        ({}, b"\x00" * 64, "fork: expected one of"),
        ({"Eth-Consensus-Version": "fulu"}, b"\x00" * 64, "BlockContentsFulu"),
        ({"Eth-Consensus-Version": "fulu"}, b"", "BlockContentsFulu"),
    ],
)
async def test_blocks_that_are_none(headers: dict[str, str], body: bytes, said: str) -> None:
    answer = web.Response(body=body, headers=headers, content_type="application/octet-stream")
    async with asking({"/eth/v3/validator/blocks/33": answer}) as client:
        with pytest.raises(BeaconError, match=said):
            await client.block(33, bytes(96), graffiti=bytes(32))


PARENT = "0x" + "07" * 32
MESSAGE = {"slot": "32", "parent_root": PARENT}
HEADER = {"root": ROOT, "canonical": True, "header": {"message": MESSAGE, "signature": "0x"}}
OF_ROOT = f"/eth/v1/beacon/headers/{ROOT}"


async def test_the_place_of_a_block() -> None:
    root, place = bytes.fromhex(ROOT[2:]), BlockHeader(32, bytes([7]) * 32)
    async with asking({OF_ROOT: {"data": HEADER}}) as client:
        assert await client.block_header(root) == place
        assert await client.block_header(bytes(32)) is None
    async with asking({}, {OF_ROOT: {"data": HEADER}}) as client:
        assert await client.block_header(root) == place  # one of two knows it
    async with asking({OF_ROOT: web.Response(status=503)}, {}) as client:
        assert await client.block_header(root) is None
    async with asking({OF_ROOT: web.Response(status=503)}) as client:
        with pytest.raises(BeaconError, match="503"):
            await client.block_header(root)  # who knows


@pytest.mark.parametrize("others", [None, {"data": HEADER}], ids=["there is none", "another place"])
async def test_of_three_nodes_one_that_lies_places_no_block(
    monkeypatch: pytest.MonkeyPatch, others: Any
) -> None:
    """It answers first, but the two others say one thing."""
    monkeypatch.setattr(duties, "AGREEMENT_SECONDS", ANSWER_SECONDS)
    root, told = bytes.fromhex(ROOT[2:]), asyncio.Event()

    async def lie(request: web.Request) -> web.Response:
        told.set()
        return web.json_response({"data": HEADER | {"header": {"message": MESSAGE | {"slot": "31"}}}})

    async def late(request: web.Request) -> web.Response:
        await told.wait()
        return web.json_response(others, status=200 if others else 404)

    async with asking({OF_ROOT: lie}, {OF_ROOT: late}, {OF_ROOT: late}) as client:
        assert await client.block_header(root) == (BlockHeader(32, bytes([7]) * 32) if others else None)


@pytest.mark.parametrize(
    "answer",
    [
        {"data": HEADER | {"root": KEY[:66]}},
        {"data": HEADER | {"header": {}}},
        {"data": HEADER | {"header": {"message": MESSAGE | {"parent_root": "0x07"}}}},
        {"data": None},
    ],
)
async def test_a_header_that_is_none(answer: Any) -> None:
    async with asking({OF_ROOT: answer}) as client:
        with pytest.raises(BeaconError, match="headers"):
            await client.block_header(bytes.fromhex(ROOT[2:]))


async def test_a_node_that_is_late_is_not_waited_for() -> None:
    async def late(request: web.Request) -> web.Response:
        await asyncio.sleep(2 * ANSWER_SECONDS)
        raise AssertionError

    path = "/eth/v1/validator/attestation_data"
    async with asking({path: late}, {path: {"data": DATA}}) as client:
        assert (await client.attestation_data(33)).slot == 33
    async with asking({path: late}, timeout_seconds=0.2) as client:
        with pytest.raises(BeaconError, match=r"no answer in 0\.2 s"):
            await client.attestation_data(33)


async def test_what_lists_many_validators_may_take_longer() -> None:
    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        content = {"dependent_root": ROOT, "data": []}
        return web.Response(text=json.dumps(content), content_type="application/json")

    async with asking({"/eth/v1/validator/duties/attester/1": slow}, timeout_seconds=0.2) as client:
        assert (await client.attester_duties(1, range(int(1000 * ANSWER_SECONDS)))).duties == ()
        with pytest.raises(BeaconError, match=r"no answer in 0\.201 s"):
            await client.attester_duties(1, [7])


async def test_a_node_that_is_overtaken_keeps_its_connection() -> None:
    """So that it is not asked what chain it is on before each answer."""
    asked, ended = list[str](), asyncio.Event()

    async def genesis(request: web.Request) -> dict[str, Any]:
        asked.append(request.path)
        return CONSTANTS[request.path]

    async def slow(request: web.Request) -> dict[str, Any]:
        await asyncio.sleep(0.05)
        if request.query["slot"] == "35":
            ended.set()
        return {"data": DATA}

    async def quick(request: web.Request) -> dict[str, Any]:
        return {"data": DATA | {"slot": request.query["slot"]}}

    path = "/eth/v1/validator/attestation_data"
    slower = {path: slow, "/eth/v1/beacon/genesis": genesis}
    async with asking(slower, {path: quick}) as client:
        await client.attestation_data(33)
        before = len(asked)
        for slot in (34, 35):
            await asyncio.sleep(0.2)
            await client.attestation_data(slot)
        await ended.wait()
        assert len(asked) - before <= 1  # that of the first answer


async def test_what_is_sent_reaches_all_nodes() -> None:
    """Also those that answer later than the first."""
    reached, may_end, all_have = list[int](), asyncio.Event(), asyncio.Event()

    def taking(number: int) -> Any:
        async def take(request: web.Request) -> web.Response:
            if number:
                await may_end.wait()
            [message] = await request.json()
            assert codec(SyncCommitteeMessage).from_json(message).validator_index == 3
            reached.append(number)
            if len(reached) == 3:
                all_have.set()
            return web.Response()

        return take

    path = "/eth/v1/beacon/pool/sync_committees"
    async with asking({path: taking(0)}, {path: taking(1)}, {path: taking(2)}) as client:
        await client.send_sync_messages([SyncCommitteeMessage(33, bytes(32), 3, bytes(96))])
        assert reached == [0]
        may_end.set()
        await all_have.wait()


async def test_a_refusal_says_which_and_why() -> None:
    async def refuse(request: web.Request) -> web.Response:
        failures = [{"index": 0, "message": "bad"}, {"index": "2", "message": "bad"}]
        content = {"code": 400, "message": "some failed", "failures": failures}
        return web.Response(status=400, text=json.dumps(content), content_type="application/json")

    path = "/eth/v1/beacon/pool/sync_committees"
    async with asking({path: refuse}) as client:
        with pytest.raises(BeaconError, match=r"HTTP 400: some failed; bad \(at 0, 2\)") as caught:
            await client.send_sync_messages([])
        assert caught.value.refused
        assert caught.value.status == 400
        assert caught.value.refusals == {0: "bad", 2: "bad"}


async def test_health_says_why_a_node_is_of_no_use() -> None:
    syncing = {"head_slot": "7", "sync_distance": "3", "is_syncing": True, "el_offline": True}
    fine = {"head_slot": "10", "sync_distance": "0", "is_syncing": False}
    path = "/eth/v1/node/syncing"
    async with asking({path: {"data": syncing}}, {path: {"data": fine}}, {}) as client:
        behind, good, without = await client.health()
    assert (behind.problem, behind.head_slot) == ("it is syncing; its execution node is away", 7)
    assert (good.problem, good.head_slot, good.sync_distance) == ("", 10, 0)
    assert "HTTP 404" in without.problem


async def test_events_that_are_none_are_passed_over() -> None:
    async def lines() -> AsyncIterator[bytes]:
        stream = (
            b'event: head\r\ndata: {"slot":\r\ndata: "1"}\r\n\r\n:\n\nevent: head\ndata: [1]\n\n'
            b"event: head\ndata: {\n\ndata: {}\n\nevent: \xff\ndata: {}\n\n"
            b"event:block\ndata:{}\n\nevent: head\n"
        )
        for line in stream.split(b"\n"):
            yield line

    told = [(event.topic, event.data) async for event in read_events("node", lines())]
    assert told == [("head", {"slot": "1"}), ("\N{REPLACEMENT CHARACTER}", {}), ("block", {})]


def later(answer: Any) -> Any:
    async def handle(request: web.Request) -> Any:
        await asyncio.sleep(0.05)
        return answer

    return handle


LIED = DUTY | {"slot": "34"}
PROPOSER = {"pubkey": KEY, "validator_index": "3", "slot": "33"}


@pytest.mark.parametrize(
    ("kind", "true", "lies"),
    [
        ("attester", [DUTY], []),
        ("attester", [DUTY], [LIED]),
        ("proposer", [PROPOSER], []),
        ("sync", [MEMBER], []),
        ("sync", [MEMBER], [MEMBER | {"validator_sync_committee_indices": ["7"]}]),
    ],
)
async def test_of_three_nodes_a_fast_one_that_lies_decides_no_duties(
    kind: str, true: list[Any], lies: list[Any]
) -> None:
    path = f"/eth/v1/validator/duties/{kind}/1"
    honest = {path: later({"dependent_root": ROOT, "data": true})}
    liar = {path: {"dependent_root": ROOT, "data": lies}}
    async with asking(honest, liar, honest) as client:
        assert client.are_several
        for _ in range(3):
            if kind == "attester":
                [attester] = (await client.attester_duties(1, [3])).duties
                assert attester.slot == 33
            elif kind == "proposer":
                [proposer] = (await client.proposer_duties(1)).duties
                assert proposer.slot == 33
            else:
                [member] = await client.sync_duties(1, [3])
                assert member.seats == (0, 511)


async def test_of_three_nodes_a_fast_one_that_lies_decides_nobodys_index() -> None:
    """Balances are other ones with each head, and are no disagreement."""

    def validators(index: str, balance: str) -> Any:
        validator = {
            "pubkey": KEY,
            "withdrawal_credentials": ROOT,
            "effective_balance": "32000000000",
            "slashed": False,
            "activation_eligibility_epoch": "0",
            "activation_epoch": "0",
            "exit_epoch": "18446744073709551615",
            "withdrawable_epoch": "18446744073709551615",
        }
        found = {"index": index, "balance": balance, "status": "active_ongoing", "validator": validator}
        return {"execution_optimistic": False, "finalized": False, "data": [found]}

    path = "/eth/v1/beacon/states/head/validators"
    liar, *honest = (
        {path: validators("9", "1")},
        {path: later(validators("3", "1"))},
        {path: later(validators("3", "2"))},
    )
    key = bytes.fromhex(KEY[2:])
    async with asking(liar, *honest) as client:
        assert (await client.details([key], state="head"))[key].index == 3


async def test_who_is_alone_is_believed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody else answers, what one node says counts after a moment."""
    monkeypatch.setattr("dvtfast.services.chain.beacon.duties.DUTIES_AGREEMENT_SECONDS", 0.05)

    async def never(request: web.Request) -> web.Response:
        await asyncio.sleep(2 * ANSWER_SECONDS)
        raise AssertionError

    path = "/eth/v1/validator/duties/attester/1"
    told = {path: {"dependent_root": ROOT, "data": [DUTY]}}
    async with asking(told, {path: never}) as client:
        assert len((await client.attester_duties(1, [3])).duties) == 1
