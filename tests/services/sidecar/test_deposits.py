"""Deposits: which the sidecar signs, with relayers of ours and of the first makers, and which it refuses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dvtfast import (
    GNOSIS,
    HOODI,
    MAINNET,
    Network,
    check_signatures,
    deposit_signing_roots,
    exit_signing_roots,
)
from dvtfast.services import wire
from dvtfast.services.sidecar.polling import poll
from dvtfast.services.sidecar.signing.deposit_policy import DepositPolicy
from dvtfast.services.web import http

from ..conftest import Cluster, Start, make_cluster
from ..relayer.test_register import ETH, VAULT, until_registered
from ..sidecars import looping, signing_node, until

OTHER = wire.Address(bytes(range(50, 70)))
EXECUTION, COMPOUNDING = wire.ValidatorType.EXECUTION, wire.ValidatorType.COMPOUNDING
VAULTS = DepositPolicy(frozenset({VAULT}))


def item(cluster: Cluster, row: int = 0, **others: Any) -> dict[str, Any]:
    """A validator as the first makers' relayer lists it."""
    return {
        "vault": VAULT.to_wire(),
        "public_key": cluster.keys[row].to_wire(),
        "amount": 32 * ETH,
        "validator_index": 70 + row,
        "validator_type": "0x01",
        "is_signatures_ready": False,
        "created_at_timestamp": 1_800_000_000,
        "created_at_string": "2027-01-15 08:00:00+0000",
        "share_indexes_ready": [],
        **others,
    }


class FirstMakers:
    """A relayer that knows only what the first makers' relayer of one generation knows.

    It ignores the query, has no ETag, and answers 404 to everything else, 405 where only the method is wrong.
    """

    def __init__(self, generation: str, items: Sequence[dict[str, Any]], network: str = "hoodi") -> None:
        self.generation = generation
        self.items = list(items)
        self.network = network
        self.posts: list[dict[str, Any]] = []
        self.asked: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/info", self._info)
        if self.generation == "v4":
            app.router.add_get("/validators", self._list)
            app.router.add_post("/signatures", self._post)
        else:
            app.router.add_get("/exits", self._list)
            app.router.add_post("/exit-signature", self._post)
            app.router.add_post("/validators", self._post)
        async with http.listening(app, "127.0.0.1", 0) as port:
            yield f"http://127.0.0.1:{port}"

    async def _info(self, _: web.Request) -> web.Response:
        return web.json_response({"network": self.network})

    async def _list(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        return web.json_response({"validators" if self.generation == "v4" else "exits": self.items})

    async def _post(self, request: web.Request) -> web.Response:
        posted = json.loads(await request.read())
        self.posts.append(posted)
        keys = {share["public_key"] for share in posted["shares"]}
        for each in self.items:
            if each["public_key"] in keys:
                each["share_indexes_ready"] = [posted["share_index"]]
        return web.json_response({})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(poll, "LONGEST_PAUSE_SECONDS", 0.1)


def assert_signed(
    cluster: Cluster, posted: dict[str, Any], items: Sequence[dict[str, Any]], network: Network
) -> None:
    """Each share is a signature by the key share of the node, over what the item says."""
    shares = {share["public_key"]: share for share in posted["shares"]}
    assert list(shares) == [each["public_key"] for each in items]
    rows = [cluster.keys.index(wire.PublicKey.from_wire(key)) for key in shares]
    column = cluster.shares.share_indices.tolist().index(posted["share_index"])
    keys = cluster.shares.public_key_shares[rows, column]
    credentials = [
        bytes.fromhex(each["validator_type"][2:]) + bytes(11) + bytes.fromhex(each["vault"][2:])
        for each in items
    ]
    deposits = deposit_signing_roots(
        [cluster.keys[row] for row in rows], credentials, [each["amount"] for each in items], network
    )
    exits = exit_signing_roots([each["validator_index"] for each in items], network)
    for name, roots in (("exit_signature", exits), ("deposit_signature", deposits)):
        signatures = [bytes.fromhex(share[name][2:]) for share in shares.values()]
        assert check_signatures(keys, roots, signatures).all()


@pytest.mark.parametrize("network", [HOODI, MAINNET, GNOSIS], ids=lambda network: network.name)
async def test_a_first_makers_relayer_of_v4(network: Network) -> None:
    cluster = make_cluster(2)
    items = [
        item(cluster, 0),
        item(cluster, 1, validator_type="0x02", amount=2048 * ETH, validator_index=2**63 + 1),
    ]
    relayer = FirstMakers("v4", items, network.name)
    async with (
        relayer.running() as url,
        signing_node(cluster, 2, policy=VAULTS, network=network) as (node, signing),
        looping(url, node, signing) as task,
    ):
        await until(lambda: bool(relayer.posts))
        looks = len(relayer.asked)
        await until(lambda: len(relayer.asked) > looks + 3)
        assert not task.done()
    assert len(relayer.posts) == 1
    assert relayer.posts[0]["share_index"] == 2
    assert_signed(cluster, relayer.posts[0], items, network)
    for row, share in enumerate(relayer.posts[0]["shares"]):  # as their sidecars do since v2.1.0
        assert share["public_key_shares"] == [
            {"share_index": index, "public_key_share": wire.PublicKey(key.tobytes()).to_wire()}
            for index, key in zip((1, 2, 3, 4), cluster.shares.public_key_shares.encoded[row], strict=True)
        ]


async def test_a_first_makers_relayer_of_era_a() -> None:
    cluster = make_cluster(2)
    items = [
        {name: value for name, value in item(cluster, row, is_exit_signature_ready=False).items()
         if name not in ("vault", "amount", "validator_type", "is_signatures_ready")}
        for row in range(2)
    ]  # fmt: skip
    relayer = FirstMakers("era A", items)
    async with (
        relayer.running() as url,
        signing_node(cluster, 3) as (node, signing),
        looping(url, node, signing),
    ):
        await until(lambda: bool(relayer.posts))
    assert relayer.posts[0]["share_index"] == 3
    keys = cluster.shares.public_key_shares[:, 2]
    signatures = [bytes.fromhex(share["exit_signature"][2:]) for share in relayer.posts[0]["shares"]]
    assert check_signatures(keys, exit_signing_roots([70, 71], HOODI), signatures).all()


async def test_a_relayer_that_learns_v4_while_the_sidecar_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "NOT_SPOKEN_SECONDS", 0.05)
    cluster = make_cluster(1)
    async with start_both(cluster) as (relayer, posts):
        await until(lambda: relayer["denied"] > 3)
        relayer["speaks"] = True
        await until(lambda: bool(posts))


@asynccontextmanager
async def start_both(cluster: Cluster) -> AsyncIterator[tuple[dict[str, Any], list[Any]]]:
    """A relayer with /exits, and with /validators once it `speaks`; and a sidecar of it."""
    state, posts = {"speaks": False, "denied": 0}, []
    app = web.Application()

    async def validators(_: web.Request) -> web.Response:
        if not state["speaks"]:
            state["denied"] += 1
            raise web.HTTPMethodNotAllowed("GET", ["POST"])
        return web.json_response({"validators": [item(cluster)]})

    async def post(request: web.Request) -> web.Response:
        posts.append(await request.json())
        return web.json_response({})

    async def info(_: web.Request) -> web.Response:
        return web.json_response({"network": "hoodi"})

    async def exits(_: web.Request) -> web.Response:
        return web.json_response({"exits": []})

    app.router.add_get("/info", info)
    app.router.add_get("/exits", exits)
    app.router.add_get("/validators", validators)
    app.router.add_post("/signatures", post)
    async with (
        http.listening(app, "127.0.0.1", 0) as port,
        signing_node(cluster, policy=VAULTS) as (node, signing),
        looping(f"http://127.0.0.1:{port}", node, signing),
    ):
        yield state, posts


async def test_our_relayer_registers_with_our_sidecars(start: Start) -> None:
    cluster = make_cluster(3)
    async with AsyncExitStack() as stack:
        relayer = await stack.enter_async_context(start(cluster, vaults=(VAULT,)))
        for share_index in (1, 3, 4):
            node, signing = await stack.enter_async_context(signing_node(cluster, share_index, policy=VAULTS))
            await stack.enter_async_context(looping(relayer.url, node, signing))
        validators = await until_registered(relayer)
    assert [validator["public_key"] for validator in validators] == [key.to_wire() for key in cluster.keys]
    roots = deposit_signing_roots(cluster.keys, [b"\1" + bytes(11) + VAULT] * 3, [32 * ETH] * 3, HOODI)
    signatures = [bytes.fromhex(validator["deposit_signature"][2:]) for validator in validators]
    assert check_signatures(cluster.shares.public_keys, roots, signatures).all()


REFUSED: dict[str, tuple[dict[str, Any], DepositPolicy]] = {
    "no vault allowed": ({}, DepositPolicy()),
    "another vault": ({"vault": OTHER.to_wire()}, VAULTS),
    "more than 32 with 0x01": ({"amount": 32 * ETH + 1}, VAULTS),
    "less than 32 with 0x01": ({"amount": 32 * ETH - 1}, VAULTS),
    "more than 2048 with 0x02": ({"amount": 2048 * ETH + 1, "validator_type": "0x02"}, VAULTS),
    "less than 32 with 0x02": ({"amount": ETH, "validator_type": "0x02"}, VAULTS),
    "nothing": ({"amount": 0}, VAULTS),
    "2^64 - 1": ({"amount": 2**64 - 1}, VAULTS),
    "a type that is off": (
        {"validator_type": "0x02"},
        DepositPolicy(frozenset({VAULT}), frozenset({EXECUTION})),
    ),
    "a day without deposits": ({}, DepositPolicy(frozenset({VAULT}), most_a_day=0)),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_not_allowed_is_refused_and_said_once(
    case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The other validator gets its signatures."""
    wrong, policy = REFUSED[case]
    cluster = make_cluster(2)
    good = case not in ("no vault allowed", "a day without deposits")
    relayer = FirstMakers("v4", [item(cluster, 0, **wrong), *([item(cluster, 1)] if good else [])])
    async with (
        relayer.running() as url,
        signing_node(cluster, policy=policy) as (node, signing),
        looping(url, node, signing),
    ):
        await until(lambda: len(relayer.asked) > 20)
    assert {s["public_key"] for post in relayer.posts for s in post["shares"]} == (
        {cluster.keys[1].to_wire()} if good else set()
    )
    assert "".join(capfd.readouterr()).count("not signed") == 1


async def test_never_for_two_vaults(tmp_path: Path) -> None:
    """Not later, not after a restart, not for another relayer, not by another node of the same process."""
    cluster, journal = make_cluster(2), tmp_path / "journal.db"
    both = DepositPolicy(frozenset({VAULT, OTHER}))
    first = FirstMakers("v4", [item(cluster, 0)])
    async with (
        first.running() as url,
        signing_node(cluster, policy=both, journal=journal) as (node, signing),
        looping(url, node, signing),
    ):
        await until(lambda: bool(first.posts))
    second = FirstMakers(
        "v4", [item(cluster, 0, vault=OTHER.to_wire()), item(cluster, 1, vault=OTHER.to_wire())]
    )
    async with (
        second.running() as url,
        signing_node(cluster, 2, policy=both, journal=journal) as (node, signing),
        looping(url, node, signing),
    ):
        await until(lambda: len(second.asked) > 10)
    assert {s["public_key"] for post in second.posts for s in post["shares"]} == {cluster.keys[1].to_wire()}


async def test_so_many_exits_a_day(capfd: pytest.CaptureFixture[str]) -> None:
    """Alone or with deposits."""
    cluster = make_cluster(1)
    async with signing_node(cluster, policy=VAULTS, exits_per_day=3) as (node, signing):
        exits = [wire.ExitWanted(cluster.keys[0], wire.UInt64(index)) for index in range(6)]
        with_deposit = wire.decode(json.dumps(item(cluster)).encode(), wire.ValidatorWanted)
        for _ in range(3):  # what a relayer loses and asks for again uses nothing up
            assert (await signing.admit_exits(node, "a", exits[:2])).items == exits[:2]
        assert (await signing.admit_exits(node, "a", exits[1:4])).items == exits[1:3]
        assert (await signing.admit_exits(node, "a", exits)).items == exits[:3]
        assert len((await signing.admit_validators(node, "a", [with_deposit])).items) == 0
        admitted = await signing.admit_exits(node, "b", exits)  # the limit is each relayer's own
        assert len(admitted.items) == 3
        assert all(await signing.exits(admitted))
    assert "3 exits a day" in "".join(capfd.readouterr())


async def test_nothing_is_signed_off_the_record(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cluster, journal = make_cluster(2), tmp_path / "journal.db"
    relayer = FirstMakers("v4", [item(cluster, 0)])
    async with (
        relayer.running() as url,
        signing_node(cluster, policy=VAULTS, journal=journal) as (node, signing),
        looping(url, node, signing) as task,
    ):
        await until(lambda: bool(relayer.posts))
        journal.unlink()
        relayer.items.append(item(cluster, 1))
        looks = len(relayer.asked)
        await until(lambda: len(relayer.asked) > looks + 2)
        assert not task.done()
    assert len(relayer.posts) == 1
    assert "cannot sign now" in "".join(capfd.readouterr())
