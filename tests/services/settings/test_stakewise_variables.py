"""The first makers' programs on the wire: what they send, byte for byte, and what they get.

Each request is written out as their programs write it, nothing of ours encodes or reads it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dvtfast.deposit_data_tree import DepositDataTree
from dvtfast.deposits import sign_deposits
from dvtfast.networks import HOODI
from dvtfast.services.operator.plan import NotReadyError
from dvtfast.services.operator.registration.by_deposit_data import ByDepositData
from dvtfast.services.relayer_client.client import RelayerClient

from ..conftest import START_INDEX, Cluster, Oracles, Relayer, Start, make_cluster
from ..relayer.test_register import ETH, VAULT, signature_shares, until_registered, wanted_of
from ..sidecars import looping, signing_node
from ..stakewise_relayer import StakewiseRelayer

INDICES = range(START_INDEX, START_INDEX + 2)
NO_KEY, NO_SIGNATURE = "0x" + "ab" * 48, "0x" + "cd" * 96

Form = Callable[[str], str]
FORMS: dict[str, Form] = {
    "0x": lambda text: text,
    "no prefix": lambda text: text.removeprefix("0x"),
    "upper case": lambda text: "0x" + text.removeprefix("0x").upper(),
    "upper case, no prefix": lambda text: text.removeprefix("0x").upper(),
    "upper prefix": lambda text: text.replace("0x", "0X"),
}


async def call(relayer: Relayer, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """As aiohttp sends `json=`, and with a field that nobody knows."""
    data = None if body is None else json.dumps({**body, "field_of_tomorrow": {"a": [None]}})
    headers = {"Content-Type": "application/json"} if data else {}
    async with relayer.session.request(method, relayer.url + path, data=data, headers=headers) as answer:
        assert answer.content_type == "application/json"
        return answer.status, json.loads(await answer.read())


def is_like(value: Any, shape: Any) -> bool:
    """Whether a value has exactly the fields and types of a shape; a shape's list has one item for all."""
    if isinstance(shape, dict):
        return (
            isinstance(value, dict)
            and value.keys() == shape.keys()
            and all(is_like(value[name], shape[name]) for name in shape)
        )
    if isinstance(shape, list):
        return isinstance(value, list) and all(is_like(item, shape[0]) for item in value)
    if isinstance(shape, int):  # hex of so many bytes
        return (
            isinstance(value, str)
            and value.startswith("0x")
            and len(value) == 2 + 2 * shape
            and bytes.fromhex(value[2:]) is not None
        )
    return type(value) is shape if isinstance(shape, type) else bool(shape(value))


def is_time(value: Any) -> bool:
    return datetime.strptime(value, "%Y-%m-%d %H:%M:%S%z").utcoffset() is not None


ORACLE_SHARES = {"public_keys": [48], "encrypted_exit_signatures": [193]}
EXIT = {
    "public_key": 48,
    "validator_index": int,
    "is_exit_signature_ready": bool,
    "created_at_timestamp": int,
    "created_at_string": is_time,
    "share_indexes_ready": [int],
    "share_indexes_rejected": [int],  # ours
}
VALIDATOR = {
    "vault": 20,
    "public_key": 48,
    "amount": int,
    "validator_index": int,
    "validator_type": lambda value: value in ("0x01", "0x02"),
    "is_signatures_ready": bool,
    "created_at_timestamp": int,
    "created_at_string": is_time,
    "share_indexes_ready": [int],
    "share_indexes_rejected": [int],  # ours
}
REGISTERED = {
    "public_key": 48,
    "amount": int,
    "deposit_signature": 96,
    "exit_signature": lambda value: value is None,
    "oracles_exit_signature_shares": ORACLE_SHARES,
}


@pytest.mark.parametrize("form", FORMS)
async def test_a_round_of_era_a(start: Start, form: str) -> None:
    cluster, as_sent = make_cluster(2), FORMS[form]
    keys = [as_sent(key.to_wire()) for key in cluster.keys]
    async with start(cluster) as relayer:
        assert await call(relayer, "GET", "/info") == (200, {"network": "hoodi"})
        assert await call(relayer, "GET", "/exits") == (200, {"exits": []})
        status, answer = await call(relayer, "POST", "/validators", {"public_keys": keys})
        assert status == 200
        assert answer == {
            "ready": False,
            "validators": [
                {"public_key": key.to_wire(), "oracles_exit_signature_shares": None} for key in cluster.keys
            ],
        }
        for share_index in (1, 2, 3):
            status, answer = await call(relayer, "GET", "/exits")
            assert (status, is_like(answer, {"exits": [EXIT]})) == (200, True)
            assert [exit_["validator_index"] for exit_ in answer["exits"]] == list(INDICES)
            assert all(exit_["share_indexes_ready"] == [*range(1, share_index)] for exit_ in answer["exits"])
            shares = [
                {
                    "public_key": as_sent(share.public_key.to_wire()),
                    "exit_signature": as_sent(share.exit_signature.to_wire()),
                }
                for share in cluster.exit_shares(share_index, INDICES)
            ]
            body = {"share_index": share_index, "shares": shares}
            status, answer = await call(relayer, "POST", "/exit-signature", body)
            assert (status, answer) == (200, {"rejected": []})
        await relayer.until_ready(cluster)
        status, answer = await call(relayer, "POST", "/validators", {"public_keys": keys})
        validator = {"public_key": 48, "oracles_exit_signature_shares": ORACLE_SHARES}
        assert is_like(answer, {"ready": lambda value: value is True, "validators": [validator]})
        _, answer = await call(relayer, "GET", "/exits")
        assert all(exit_["is_exit_signature_ready"] is True for exit_ in answer["exits"])


@pytest.mark.parametrize("form", FORMS)
async def test_a_round_of_v4(start: Start, form: str) -> None:
    cluster, as_sent = make_cluster(2), FORMS[form]
    body = {
        "vault": as_sent(VAULT.to_wire()),
        "validators_start_index": START_INDEX,
        "amounts": [32 * ETH, 32 * ETH],
        "validator_type": "0x01",
    }
    nothing = {"validators": [], "validators_manager_signature": None}
    async with start(cluster, vaults=(VAULT,)) as relayer:
        assert await call(relayer, "GET", "/info") == (200, {"network": "hoodi"})
        assert await call(relayer, "GET", "/validators") == (200, {"validators": []})
        assert await call(relayer, "POST", "/register", body) == (200, nothing)
        for share_index in (1, 2, 4):
            status, answer = await call(relayer, "GET", "/validators")
            assert (status, is_like(answer, {"validators": [VALIDATOR]})) == (200, True)
            assert [item["vault"] for item in answer["validators"]] == [VAULT.to_wire()] * 2
            items = [i for i in answer["validators"] if share_index not in i["share_indexes_ready"]]
            shares = [
                {name: as_sent(value) for name, value in share.items()}
                | {"public_key_shares": key_shares(cluster, share["public_key"], as_sent)}  # since v2.1.0
                for share in signature_shares(cluster, share_index, items)
            ]
            request = {"share_index": share_index, "shares": shares}
            assert await call(relayer, "POST", "/signatures", request) == (200, {"rejected": []})
        await until_registered(relayer, amounts=[32 * ETH] * 2)
        status, answer = await call(relayer, "POST", "/register", body)
        signature = answer.pop("validators_manager_signature")
        assert (status, signature, is_like(answer, {"validators": [REGISTERED]})) == (200, None, True)
        assert len(answer["validators"]) == 2
        assert all(item["is_signatures_ready"] is True for item in await wanted_of(relayer))


def key_shares(cluster: Cluster, public_key: str, as_sent: Form) -> list[dict[str, Any]]:
    row = [key.to_wire() for key in cluster.keys].index(public_key)
    return [
        {"share_index": int(index), "public_key_share": as_sent("0x" + share.tobytes().hex())}
        for index, share in zip(
            cluster.shares.share_indices, cluster.shares.public_key_shares.encoded[row], strict=True
        )
    ]


SHARE = {"public_key": NO_KEY, "exit_signature": NO_SIGNATURE}
BOTH = {**SHARE, "deposit_signature": NO_SIGNATURE}
REGISTER = {
    "vault": VAULT.to_wire(),
    "validators_start_index": 5,
    "amounts": [32 * ETH],
    "validator_type": "0x01",
}
BAD: list[tuple[str, str, Any]] = [
    *(("POST", "/validators", body) for body in ({}, {"public_keys": []}, {"public_keys": None})),
    ("POST", "/validators", {"public_keys": NO_KEY}),
    ("POST", "/validators", {"public_keys": [NO_KEY[:-2]]}),
    ("POST", "/validators", {"public_keys": [NO_KEY]}),  # of nobody
    ("POST", "/validators", {"public_keys": [1]}),
    ("POST", "/validators", {"public_keys": [{}]}),
    ("POST", "/exit-signature", {}),
    ("POST", "/exit-signature", {"share_index": 1}),
    ("POST", "/exit-signature", {"share_index": 1, "shares": []}),
    ("POST", "/exit-signature", {"share_index": "1", "shares": [SHARE]}),
    ("POST", "/exit-signature", {"share_index": 0, "shares": [SHARE]}),
    ("POST", "/exit-signature", {"share_index": -1, "shares": [SHARE]}),
    ("POST", "/exit-signature", {"share_index": 1.5, "shares": [SHARE]}),
    ("POST", "/exit-signature", {"share_index": 1, "shares": [SHARE]}),  # no point
    ("POST", "/exit-signature", {"share_index": 1, "shares": {}}),
    ("POST", "/signatures", {}),
    ("POST", "/signatures", {"share_index": 1, "shares": []}),
    ("POST", "/signatures", {"share_index": "1", "shares": [BOTH]}),
    ("POST", "/signatures", {"share_index": None, "shares": [BOTH]}),
    ("POST", "/signatures", {"share_index": 2**64, "shares": [BOTH]}),
    ("POST", "/signatures", {"share_index": 1, "shares": [SHARE]}),  # no deposit
    ("POST", "/signatures", {"share_index": 1, "shares": [BOTH]}),  # no point
    ("POST", "/signatures", {"share_index": 1, "shares": [{**BOTH, "public_key_shares": [1]}]}),
    ("POST", "/signatures", {"share_index": 1, "shares": [{**BOTH, "public_key_shares": "x"}]}),
    ("POST", "/signatures", {"share_index": 1, "shares": [None]}),
    ("POST", "/register", {}),
    *(
        ("POST", "/register", {name: REGISTER[name] for name in REGISTER if name != left})
        for left in REGISTER
    ),
    ("POST", "/register", {**REGISTER, "amounts": ["32000000000"]}),
    ("POST", "/register", {**REGISTER, "amounts": 32 * ETH}),
    ("POST", "/register", {**REGISTER, "amounts": [1]}),
    ("POST", "/register", {**REGISTER, "validators_start_index": "5"}),
    ("POST", "/register", {**REGISTER, "validators_start_index": -5}),
    ("POST", "/register", {**REGISTER, "validator_type": "01"}),
    ("POST", "/register", {**REGISTER, "validator_type": 1}),
    ("POST", "/register", {**REGISTER, "vault": "0x" + "00" * 20}),
    ("POST", "/register", {**REGISTER, "vault": None}),
    ("POST", "/fund", {"vault": VAULT.to_wire(), "public_keys": [NO_KEY], "amounts": [1]}),
    ("POST", "/fund", {"vault": VAULT.to_wire(), "public_keys": [NO_KEY], "amounts": []}),
    ("POST", "/withdraw", {"vault": VAULT.to_wire(), "public_keys": [NO_KEY], "amounts": [0]}),
    ("POST", "/consolidate", {"vault": VAULT.to_wire(), "source_public_keys": []}),
    ("POST", "/rotate", {"vault": VAULT.to_wire(), "validators": []}),
]


@pytest.mark.parametrize("case", range(len(BAD)))
async def test_a_bad_request_is_refused_with_a_reason(start: Start, case: int) -> None:
    method, path, body = BAD[case]
    async with start(make_cluster(1), vaults=(VAULT,)) as relayer:
        status, answer = await call(relayer, method, path, body)
        assert 400 <= status < 500, answer
        assert isinstance(answer["error"], str)
        assert answer["error"]
        assert answer.keys() <= {"error", "field", "rejected"}
        assert await call(relayer, "GET", "/exits") == (200, {"exits": []})
        assert await call(relayer, "GET", "/validators") == (200, {"validators": []})


@pytest.mark.parametrize("path", ["/validators", "/exit-signature", "/signatures", "/register", "/rotate"])
@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b"\xff", b'"text"', b"1e999"])
async def test_what_is_no_object_is_refused(start: Start, path: str, body: bytes) -> None:
    async with start(make_cluster(1), vaults=(VAULT,)) as relayer:
        status, answer = await relayer.raw("POST", path, body)
        assert status in (400, 422), answer


async def test_unknown_validators_among_known_ones_are_skipped(start: Start) -> None:
    """The first makers' relayer answers 200 and skips them; ours says which, too."""
    cluster, stranger = make_cluster(1), make_cluster(1)
    async with start(cluster, vaults=(VAULT,)) as relayer:
        await call(relayer, "POST", "/register", {**REGISTER, "validators_start_index": START_INDEX})
        items = await wanted_of(relayer)
        foreign = [{**item, "public_key": stranger.keys[0].to_wire()} for item in items]
        shares = signature_shares(cluster, 1, items) + signature_shares(stranger, 1, foreign)
        status, answer = await call(relayer, "POST", "/signatures", {"share_index": 1, "shares": shares})
        assert status == 200
        assert {item["public_key"] for item in answer["rejected"]} == {stranger.keys[0].to_wire()}
        assert [item["share_indexes_ready"] for item in await wanted_of(relayer)] == [[1]]


async def test_a_second_share_of_a_node_is_no_error(start: Start) -> None:
    cluster = make_cluster(1)
    async with start(cluster, vaults=(VAULT,)) as relayer:
        await call(relayer, "POST", "/register", {**REGISTER, "validators_start_index": START_INDEX})
        body = {"share_index": 1, "shares": signature_shares(cluster, 1, await wanted_of(relayer))}
        for _ in range(3):
            assert await call(relayer, "POST", "/signatures", body) == (200, {"rejected": []})


async def test_our_sidecars_and_operator_beside_their_relayer(oracles: Oracles) -> None:
    """More nodes than it takes: each further share splits the exits anew. The index is its own."""
    cluster, relayer = make_cluster(4), StakewiseRelayer(oracles.config, threshold=3, next_index=1000)
    credentials = np.zeros((4, 32), np.uint8)
    credentials[:, 0] = 1
    deposits = sign_deposits(cluster.secret_keys, credentials, np.full(4, 32 * ETH, np.uint64), HOODI)
    keys = [row.tobytes() for row in deposits.public_keys]
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(relayer.running())
        for share_index in (1, 2, 3, 4):
            node, signing = await stack.enter_async_context(signing_node(cluster, share_index))
            await stack.enter_async_context(looping(url, node, signing))
        client = await stack.enter_async_context(RelayerClient(url, timeout_seconds=20))
        way = ByDepositData(
            SimpleNamespace(network=HOODI),  # type: ignore[arg-type] # not asked for shares
            client,
            VAULT,
            deposits,
            DepositDataTree(deposits),
            poll_seconds=0.01,
            relayer_wait_seconds=0,
            wait_seconds=30,
        )
        assert list(await way._shares(keys, 1000)) == keys
        with pytest.raises(NotReadyError, match="signed for validator index 1000, not 1001"):
            await way._shares(keys, 1001)
        relayer.next_index = 1001  # somebody deposited: all begins anew, at the index that is wanted now
        assert list(await way._shares(keys, 1001)) == keys
    assert relayer.splits >= 2 * 4
