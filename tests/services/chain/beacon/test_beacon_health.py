"""How a beacon node is, as far as it says; and what is counted of its answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from dvtfast import HOODI, MAINNET
from dvtfast.services.chain.beacon.chain_constants import ExpectedChain
from dvtfast.services.chain.beacon.client import BeaconError
from dvtfast.services.chain.beacon.duties import DutiesClient
from dvtfast.services.chain.beacon.health import health_of
from dvtfast.services.chain.beacon.nodes import name_of
from dvtfast.services.chain.endpoints import EndpointError

from ..servers import serving

SYNCED = {"head_slot": "70", "sync_distance": "2", "is_syncing": False}


def told(**answers: Any) -> Any:
    """Answers by the last part of the path; there is none to others."""

    async def ask(path: str) -> bytes:
        name = path.rpartition("/")[2]
        if name not in answers:
            raise EndpointError(f"{path}: HTTP 404")
        return json.dumps({"data": answers[name]}).encode()

    return ask


async def test_what_it_says() -> None:
    ask = told(syncing=SYNCED, peer_count={"connected": "55"}, version={"version": "Beacon/v1\x1b[31m"})
    health = await health_of("node", ask)
    assert (health.problem, health.head_slot, health.sync_distance) == ("", 70, 2)
    assert (health.peers, health.answers) == (55, True)
    assert health.version == "Beacon/v1\N{REPLACEMENT CHARACTER}[31m"


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"peer_count": {"connected": "many"}, "version": {"version": "v"}},
        {"peer_count": {}, "version": {}},
        {"peer_count": {"connected": "1"}, "version": {"version": 5}},
    ],
)
async def test_peers_and_version_matter_less(answers: dict[str, Any]) -> None:
    health = await health_of("node", told(syncing=SYNCED, **answers))
    assert (health.problem, health.peers, health.version) == ("", None, "")


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"is_syncing": True}, "it is syncing"),
        ({"is_optimistic": True}, "its execution node is behind"),
        ({"el_offline": True, "is_syncing": True}, "it is syncing; its execution node is away"),
    ],
)
async def test_what_is_the_matter(said: dict[str, bool], problem: str) -> None:
    assert (await health_of("node", told(syncing=SYNCED | said))).problem == problem


@pytest.mark.parametrize("said", [{"head_slot": "-1"}, {"sync_distance": 3}, {"is_syncing": "no"}])
async def test_what_is_no_answer(said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected|Expected"):
        await health_of("node", told(syncing=SYNCED | said))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("eth/v1/validator/duties/attester/123", "validator_duties_attester"),
        ("eth/v3/validator/blocks/77", "validator_blocks"),
        ("eth/v1/beacon/states/head/validators", "beacon_validators"),
        ("eth/v1/beacon/states/0x12ab/validators", "beacon_validators"),
        ("eth/v1/beacon/blocks/head/root", "beacon_blocks_root"),
        ("eth/v2/beacon/pool/attestations", "beacon_pool_attestations"),
    ],
)
def test_what_is_counted_has_few_names(path: str, name: str) -> None:
    assert name_of(path) == name


CHAIN: dict[str, Any] = {
    "/eth/v1/beacon/genesis": {
        "genesis_time": str(HOODI.genesis_time),
        "genesis_validators_root": "0x" + HOODI.genesis_validators_root.hex(),
        "genesis_fork_version": "0x" + HOODI.genesis_fork_version.hex(),
    },
    "/eth/v1/config/fork_schedule": [{"current_version": "0x10000910", "epoch": "0"}],
    "/eth/v1/config/spec": {
        "SECONDS_PER_SLOT": "12",
        "SLOTS_PER_EPOCH": "32",
        "DEPOSIT_CHAIN_ID": "560048",
        "CAPELLA_FORK_VERSION": "0x40000910",
        "EPOCHS_PER_SYNC_COMMITTEE_PERIOD": "256",
        "SYNC_COMMITTEE_SIZE": "512",
    },
}


async def answer(request: web.Request) -> web.Response:
    if (data := CHAIN.get(request.path)) is None:
        return web.json_response({"code": 404, "message": "NOT_FOUND"}, status=404)
    return web.json_response({"data": data})


async def test_who_watches_hears_of_each_answer() -> None:
    heard: list[tuple[str, bool]] = []
    async with serving(answer) as url, DutiesClient([url], expected=ExpectedChain.of(HOODI)) as nodes:
        nodes.watcher = lambda name, seconds, is_error: heard.append((name, is_error))
        await nodes.learn()
        assert not nodes.are_elsewhere
        (health,) = await nodes.health()
    assert heard[-1] == ("node_syncing", True)
    assert ("config_spec", False) in heard
    assert not health.answers


async def test_all_are_on_another_chain() -> None:
    async with serving(answer) as url, DutiesClient([url], expected=ExpectedChain.of(MAINNET)) as nodes:
        assert not nodes.are_elsewhere
        with pytest.raises(BeaconError, match="a beacon node of mainnet, of genesis fork version 0x0"):
            await nodes.learn()
        assert nodes.are_elsewhere
