"""Who is let in, in whose keys it is answered, and what of requests is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from dvtfast.services.node.validator_api import bodies
from tests.services.node.flows.flow_parts import EPOCH, FIRST_INDEX, KEYS, SLOT
from tests.services.node.validator_api.client_before_node import (
    FULU_HEADER,
    GROUP_KEYS,
    SHARE_KEYS,
    client_before_node,
)
from tests.services.node.validator_api.handed_in import (
    BLOCK,
    MESSAGES,
    VOTES,
)


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
        while left._left:  # noqa: ASYNC110 - the test's own time limit
            await asyncio.sleep(0.01)
        told = await found.send("POST", path, data=long, headers=BLOCK, status=503)
        assert told["message"] == "there is too much to read, try again"
        await found.send("POST", path, data=b"{", headers=BLOCK, status=400)
        go_on.set()
        await first
        assert left._left == bodies.TOGETHER_BYTES
        await found.send("POST", path, data=long, headers=BLOCK, status=400)


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
