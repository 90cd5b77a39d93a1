"""SSV's events on a real chain: which validators they come to, whatever happens to nodes and files."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from dvtfast import generate_secret_keys, ssv
from dvtfast.clusters import ssv_clusters
from dvtfast.services.chain.execution.node import NodeClient, NodeError
from dvtfast.services.chain.execution.scanner import LogScanner
from dvtfast.services.ssv import follower as follower_
from dvtfast.services.ssv import registry as registry_
from dvtfast.services.ssv.follower import Follower
from dvtfast.services.ssv.registry import Registry, RegistryError
from tests.services.chain.anvil import Chain
from tests.services.chain.servers import DEAD, node_between, nodes_between, without_finality
from tests.services.patience import ANSWER_SECONDS
from tests.services.ssv.ssv_events import EXPECTED, IDS, OTHER_IDS, OURS, SsvContract, operator_key
from tests.vector_files import unhex

CONFIRMATIONS = 5


@dataclass
class World:
    """A contract, and a registry that follows it."""

    contract: SsvContract
    registry: Registry
    follower: Follower

    async def sees(self, *validators: ssv.KeyShares) -> None:
        """When all is final the registry has these, in this order."""
        await self.contract.finalize()
        await self.knows(*validators)

    async def knows(self, *validators: ssv.KeyShares) -> None:
        await self.follower.look()
        registered = self.registry.validators()
        assert [v.public_key for v in registered] == [v.public_key for v in validators]
        for got, wanted in zip(registered, validators, strict=True):
            assert got.shares_data == wanted.shares_data
            assert (got.operator_ids, got.owner_address) == (wanted.operator_ids, wanted.owner_address)
            assert got.owner_nonce == wanted.owner_nonce

    @property
    def reasons(self) -> list[str]:
        return [refused.reason for refused in self.registry.refused()]


@pytest.fixture
async def contract(chain: Chain) -> SsvContract:
    return await SsvContract.deployed(chain)


@pytest.fixture
def world(contract: SsvContract, node: NodeClient, tmp_path: Path) -> World:
    return following(contract, node, tmp_path / "ssv.db")


def following(contract: SsvContract, node: NodeClient, path: Path, **options: Any) -> World:
    registry = Registry(path, contract.source(), threads=1)
    return World(contract, registry, Follower(node, contract.source(), registry, **options))


async def test_events_as_the_network_has_them(world: World) -> None:
    """The vectors' events, byte by byte; their owner had seven additions before that nobody took."""
    owner = unhex(EXPECTED["owner"])
    for _ in range(EXPECTED["validators"][0]["owner_nonce"]):
        await world.contract.raw(owner, b"")
    for expected in EXPECTED["validators"]:
        await world.contract.raw(owner, unhex(expected["event"]["data"]))
    await world.contract.finalize()
    await world.follower.look()
    registered = world.registry.validators()
    assert [v.public_key for v in registered] == [unhex(v["public_key"]) for v in EXPECTED["validators"]]
    opened = ssv.open_key_shares(registered, OURS, operator_key(OURS))
    secrets = [unhex(v["shares"][str(OURS)]["secret"]) for v in EXPECTED["validators"]]
    assert [row.tobytes() for row in opened.key_shares] == secrets
    (cluster,) = ssv_clusters(registered)
    assert cluster.share_indices.tolist() == list(IDS)
    assert world.reasons == ["no such event: InsufficientDataBytes"] * 7


async def test_added_removed_and_added_again(world: World) -> None:
    owner, stranger = world.contract.owner(1), world.contract.owner(2)
    secret = generate_secret_keys(1)
    first = await owner.add(owner.validator(secret_key=secret))
    second = await owner.add()
    await stranger.remove(second)  # it is not the stranger's
    await world.sees(first, second)
    await owner.remove(first)
    await world.sees(second)
    await owner.add(first)  # at its old nonce
    again = await owner.add(owner.validator(secret_key=secret))
    await world.sees(second, again)
    await owner.remove(second)
    await owner.remove(second)
    await world.sees(again)
    assert world.reasons == ["its key did not sign for its owner at nonce 2"]


async def test_all_in_one_look(world: World) -> None:
    """The same order of events, however they come in batches."""
    owner, other = world.contract.owner(1), world.contract.owner(2)
    secret = generate_secret_keys(1)
    await owner.add(owner.validator(secret_key=secret))
    refused = await other.add(other.validator(secret_key=secret))
    await owner.remove(refused)
    taken = await other.add(other.validator(secret_key=secret))
    await world.sees(taken)
    assert world.reasons == [f"registered already, by {ssv.checksum_address(owner.address)}"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda v: {"data": v.shares_data[:-1]}, "expected 1312 bytes for 4 operators, got 1311"),
        (lambda v: {"data": v.shares_data + b"\0"}, "shares_data: expected 1312 bytes"),
        (lambda v: {"data": b""}, "shares_data: expected 1312 bytes"),
        (lambda v: {"public_key": v.public_key[:-1]}, "public_key: expected 48 bytes, got 47"),
        (lambda v: {"public_key": b"\xab" * 48}, "its public key is no valid public key"),
        (lambda v: {"ids": IDS[:3]}, "operator_ids: expected 4, 7, 10, 13 operators, got 3"),
        (lambda v: {"ids": IDS[::-1]}, "operator_ids: expected ascending"),
        (lambda v: {"ids": (17, 17, 17, 17)}, "operator_ids: expected ascending"),
        (lambda v: {"ids": (0, 17, 242, 1093)}, "operator_ids: expected integers of 1"),
        (lambda v: {"ids": (6, 17, 242, 1093)}, "its public key shares do not give its public key"),
        (lambda v: {"data": bytes(96) + v.shares_data[96:]}, "its key did not sign for its owner at nonce 1"),
        (lambda v: {"data": v.shares_data[:96] + bytes(1216)}, "public key share of operator 5 is no valid"),
    ],
)  # fmt: skip
async def test_what_is_refused_counts_for_the_nonce(
    world: World, change: Callable[[ssv.KeyShares], dict[str, Any]], reason: str
) -> None:
    owner = world.contract.owner()
    first = await owner.add()
    bad = owner.validator()
    await owner.add(bad, **change(bad))
    last = await owner.add()
    with capture_logs() as lines:
        await world.sees(first, last)
    (refused,) = world.registry.refused()
    assert reason in refused.reason
    assert refused.owner == owner.address
    told = [line for line in lines if line["event"] == "SSV event refused"]
    assert [line["reason"] for line in told] == [refused.reason]
    assert told[0]["owner"] == ssv.checksum_address(owner.address)


@pytest.mark.parametrize("data", [b"", b"\xff" * 31, b"\xff" * 1024, bytes(1024)])
async def test_events_that_are_none(world: World, data: bytes) -> None:
    """What cannot be read is counted, too; a removal that cannot be read removes nothing."""
    owner = world.contract.owner()
    first = await owner.add()
    await world.contract.raw(owner.address, data)
    await world.contract.raw(owner.address, data, removes=True)
    owner.nonce += 1
    await world.sees(first, await owner.add())
    assert all("no such event" in reason for reason in world.reasons)


async def test_signed_for_another_owner_or_nonce(world: World) -> None:
    owner, thief = world.contract.owner(1), world.contract.owner(2)
    seen = owner.validator()
    await thief.add(seen)  # it saw the transaction before it was in a block
    await owner.add(seen)
    await owner.add(owner.validator(nonce=5))
    await world.sees(seen)
    reasons = [
        "its key did not sign for its owner at nonce 0",
        "its key did not sign for its owner at nonce 1",
    ]
    assert world.reasons == reasons


async def test_one_key_of_two_owners(world: World) -> None:
    """Signed for both by the key itself: the first has it, until it is removed."""
    first, second = world.contract.owner(1), world.contract.owner(2)
    secret = generate_secret_keys(1)
    mine = await first.add(first.validator(secret_key=secret))
    await second.add(second.validator(secret_key=secret))
    await first.add(first.validator(secret_key=secret))
    await world.sees(mine)
    whose = ssv.checksum_address(first.address)
    assert world.reasons == [f"registered already, by {whose}", "registered already, by it"]
    await first.remove(mine)
    await world.sees()
    await world.sees(await second.add(second.validator(secret_key=secret)))


async def test_validators_of_other_operators_are_counted_only(world: World) -> None:
    owner = world.contract.owner()
    await owner.add(owner.validator(ids=OTHER_IDS))
    mine = await owner.add()
    await owner.add(data=b"", ids=OTHER_IDS)
    await world.sees(mine, await owner.add())
    assert world.reasons == []


async def test_larger_clusters(world: World) -> None:
    owner = world.contract.owner()
    sizes = [range(OURS, OURS + k) for k in (7, 10, 13)]
    await world.sees(*[await owner.add(owner.validator(ids=ids)) for ids in sizes])


async def test_what_is_not_final_does_not_count(world: World) -> None:
    owner = world.contract.owner()
    lost = await owner.add()
    await world.knows()
    await world.contract.chain.reorg(1)
    owner.nonce = 0
    kept = await owner.add()
    await world.sees(kept)
    assert kept.public_key != lost.public_key


@pytest.fixture
async def shallow(
    contract: SsvContract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """On two nodes that know of no finality: what has a few blocks on top counts as final."""
    monkeypatch.setattr(follower_, "LogScanner", partial(LogScanner, confirmations=CONFIRMATIONS))
    async with (
        nodes_between(contract.chain.url, without_finality, without_finality) as urls,
        NodeClient(urls, timeout_seconds=ANSWER_SECONDS) as node,
    ):
        yield following(contract, node, tmp_path / "ssv.db")


async def test_a_reorganisation_that_was_thought_impossible(shallow: World) -> None:
    """Additions, removals and nonces above the last block that stays are undone."""
    chain, owner = shallow.contract.chain, shallow.contract.owner()
    first, second = await owner.add(), await owner.add()
    await chain.mine(CONFIRMATIONS)
    await shallow.knows(first, second)
    await owner.remove(first)
    third = await owner.add()
    await owner.add(data=b"")
    await chain.mine(CONFIRMATIONS)
    await shallow.knows(second, third)
    assert len(shallow.reasons) == 1
    await chain.reorg(CONFIRMATIONS + 3)
    owner.nonce = 2
    with capture_logs() as lines:
        await shallow.knows(first, second)
    assert [line["event"] for line in lines].count("chain reorganised") == 1
    assert shallow.reasons == []
    other = await owner.add()
    await chain.mine(CONFIRMATIONS)
    await shallow.knows(first, second, other)


async def test_another_chain_begins_anew(shallow: World, tmp_path: Path) -> None:
    """No checkpoint holds: everything is read again."""
    first = await shallow.contract.owner().add()
    await shallow.contract.chain.mine(CONFIRMATIONS)
    await shallow.knows(first)
    sql(tmp_path / "ssv.db", "UPDATE checkpoints SET hash = zeroblob(32)")
    await shallow.knows(first)
    assert await count(shallow, "additions") == 1


async def count(world: World, table: str) -> int:
    (number,) = world.registry._connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(number)


async def test_a_restart_in_the_middle(contract: SsvContract, node: NodeClient, tmp_path: Path) -> None:
    """Each batch is kept as a whole or not at all; nothing is counted twice."""
    owner = contract.owner()
    validators = [await owner.add() for _ in range(6)]
    await owner.remove(validators[2])
    await contract.finalize()
    calls = 0

    class Killed(BaseException):
        pass

    world = following(contract, node, tmp_path / "ssv.db", span_blocks=2)
    learn, add = world.registry.learn, world.registry._add

    def dies_after_two_batches(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            world.registry._add = dies_inside  # type: ignore[method-assign]
        return learn(*arguments)

    def dies_inside(*arguments: Any) -> str:
        add(*arguments)
        raise Killed

    world.registry.learn = dies_after_two_batches  # type: ignore[method-assign]
    with pytest.raises(Killed):
        await world.follower.look()
    known = world.registry.validators()
    assert 0 < len(known) < 4
    checkpoint = world.registry.checkpoints()[-1]
    world.registry.close()

    world = following(contract, node, tmp_path / "ssv.db", span_blocks=3)
    assert [v.public_key for v in world.registry.validators()] == [v.public_key for v in known]
    assert world.registry.checkpoints()[-1] == checkpoint
    await world.knows(*validators[:2], *validators[3:])
    assert await count(world, "additions") == 6


async def test_a_node_that_is_away_for_a_while(contract: SsvContract, tmp_path: Path) -> None:
    away = False

    def answer(_method: str, _params: list[Any], value: Any) -> Any:
        return "away" if away else value

    owner = contract.owner()
    async with (
        node_between(contract.chain.url, answer) as (url, _),
        NodeClient([url, DEAD], timeout_seconds=ANSWER_SECONDS) as node,
    ):
        world = following(contract, node, tmp_path / "ssv.db")
        first = await owner.add()
        await world.sees(first)
        away = True
        second = await owner.add()
        await contract.finalize()
        for _ in range(2):
            with pytest.raises(NodeError):
                await world.follower.look()
        assert [v.public_key for v in world.registry.validators()] == [first.public_key]
        away = False
        await world.knows(first, second)


async def test_a_node_that_goes_away_in_the_middle(contract: SsvContract, tmp_path: Path) -> None:
    left = 3

    def answer(method: str, _params: list[Any], value: Any) -> Any:
        nonlocal left
        left -= method == "eth_getLogs"
        return value if left > 0 else "away"

    owner = contract.owner()
    validators = [await owner.add() for _ in range(5)]
    await contract.finalize()
    async with (
        node_between(contract.chain.url, answer) as (url, _),
        NodeClient([url], timeout_seconds=ANSWER_SECONDS) as node,
    ):
        world = following(contract, node, tmp_path / "ssv.db", span_blocks=2)
        with pytest.raises(NodeError):
            await world.follower.look()
        known = len(world.registry.validators())
        assert 0 < known < 5
        left = 1000
        await world.knows(*validators)


async def test_many_checkpoints_are_not_kept(contract: SsvContract, node: NodeClient, tmp_path: Path) -> None:
    world = following(contract, node, tmp_path / "ssv.db", span_blocks=1)
    await contract.chain.mine(40)
    await world.sees()
    kept = world.registry.checkpoints()
    assert len(kept) == registry_.KEPT_CHECKPOINTS
    assert kept[-1].number == (await node.block("finalized")).number


async def test_a_flood_of_refused_events(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_, "SHOWN_REFUSED", 2)
    owner = world.contract.owner()
    for _ in range(5):
        await owner.add(owner.validator(), data=b"")
    with capture_logs() as lines:
        await world.sees()
    events = [line["event"] for line in lines]
    assert events == ["SSV event refused"] * 2 + ["more SSV events refused", "SSV validators changed"]
    assert (lines[2]["count"], lines[3]["refused"]) == (3, 5)


# --- the file ---


@pytest.mark.parametrize(
    "change", [{"operator_ids": frozenset({5})}, {"first_block": 1}, {"contract": bytes(20)}, {"chain_id": 7}]
)
async def test_a_file_about_something_else_is_begun_anew(
    world: World, tmp_path: Path, change: dict[str, Any]
) -> None:
    owner = world.contract.owner()
    await world.sees(await owner.add())
    world.registry.close()
    same = Registry(tmp_path / "ssv.db", world.contract.source())
    assert len(same.validators()) == 1
    same.close()
    with capture_logs() as lines:
        other = Registry(tmp_path / "ssv.db", replace(world.contract.source(), **change))
    assert (other.validators(), other.checkpoints()) == ([], [])
    assert "anew" in lines[0]["event"]


async def test_two_processes_on_one_file(contract: SsvContract, node: NodeClient, tmp_path: Path) -> None:
    owner = contract.owner()
    first, second = (following(contract, node, tmp_path / "ssv.db", span_blocks=4) for _ in range(2))
    validators = [await owner.add() for _ in range(3)]
    await contract.finalize()
    await first.knows(*validators)
    batch = await anext(first.follower._scanner.batches())
    with pytest.raises(RegistryError, match="is another process using this file"):
        second.registry.learn(batch)  # type: ignore[arg-type]
    await second.knows(*validators)


def sql(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda path: path.write_bytes(b"no database" * 100), "file is not a database"),
        (
            lambda path: sql(path, "CREATE TABLE mine (x)"),
            "no SSV events can be kept in it: it holds tables of another program: mine",
        ),
        (lambda path: path.mkdir(), "something else"),
    ],
)
def test_files_of_others_are_left_alone(tmp_path: Path, make: Callable[[Path], Any], complaint: str) -> None:
    path = tmp_path / "other.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    source = registry_.ChainSource(1, bytes(20), 0, frozenset({1}))
    with pytest.raises(RegistryError, match=complaint) as caught:
        Registry(path, source)
    assert str(path) in str(caught.value)
    assert before == (path.read_bytes() if path.is_file() else b"")
