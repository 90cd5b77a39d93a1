"""A relayer beside a real execution node: used keys, the manager's signatures, the oracle config."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from structlog.testing import capture_logs

from dvtfast import HOODI, deposit_data_roots, deposit_signing_roots, sign
from dvtfast.protocol_config import read_oracle_config
from dvtfast.services import wire
from dvtfast.services.chain.clock import STALE_SLOTS
from dvtfast.services.chain.encoding import write_address
from dvtfast.services.chain.execution.scanner import CONFIRMATIONS
from dvtfast.services.relayer.manager.key import ManagerKey
from dvtfast.services.relayer.watches import chain_watch
from tests.services.chain.anvil import CHAIN_ID, Chain, ChainClock, Contract
from tests.services.chain.contracts.test_oracles import document
from tests.services.chain.ipfs.gateways import Blocks, gateway
from tests.services.chain.servers import RpcError, leaving_out, node_between, nodes_between
from tests.services.conftest import Cluster, Oracles, Relayer, Start, make_cluster
from tests.services.operator.scenes import sign_item
from tests.services.patience import PATIENCE_SECONDS

STALE_SECONDS = STALE_SLOTS * HOODI.seconds_per_slot
FINAL_BLOCKS = 70  # anvil's finalized block is 64 behind
GWEI = 32_000_000_000
MANAGER = Account.from_key("0x" + "11" * 32)


@dataclass(frozen=True)
class World:
    """Our contracts, and what a relayer needs to know of them."""

    chain: Chain
    deposit: Contract
    keeper: Contract
    vault: Contract

    @property
    def settings(self) -> dict[str, Any]:
        network = replace(
            HOODI,
            deposit_contract=write_address(self.deposit.address),
            keeper=write_address(self.keeper.address),
            keeper_genesis_block=0,
        )
        return {
            "network": network,
            "execution_endpoints": (self.chain.url,),
            "execution_timeout": 5.0,
            "vaults": (self.vault.address,),
        }

    async def announce(self, cid: object) -> None:
        await self.keeper.send("update_config(string)", str(cid))
        await self.chain.mine(FINAL_BLOCKS)

    async def deposit_of(self, cluster: Cluster, row: int) -> None:
        """What registers a validator of a cluster."""
        key, credentials = cluster.keys[row], b"\x01" + bytes(11) + self.vault.address
        roots = deposit_signing_roots([key], [credentials], [GWEI], HOODI)
        await self._deposit(key, credentials, sign(cluster.secret_keys[row], roots[0]).tobytes())

    async def strange_deposit_of(self, key: bytes) -> None:
        """What anybody can do."""
        await self._deposit(key, bytes(32), bytes(96))

    async def _deposit(self, key: bytes, credentials: bytes, signature: bytes) -> None:
        await self.deposit.send("deposit(bytes,bytes,uint256,bytes)", key, credentials, GWEI, signature)

    async def root(self) -> bytes:
        data = "0xc5f2892f"  # get_deposit_root()
        to = write_address(self.deposit.address)
        return bytes.fromhex((await self.chain.rpc("eth_call", {"to": to, "data": data}, "latest"))[2:])


@pytest.fixture
async def world(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(chain_watch, "DEPOSITS_SECONDS", 0.1)
    monkeypatch.setattr(chain_watch, "ORACLES_SECONDS", 0.1)
    deployed = [await chain.deploy(name) for name in ("deposit", "keeper", "vault")]
    world = World(chain, *deployed)
    await world.vault.send("set_manager(address)", MANAGER.address)
    return world


async def register(relayer: Relayer, world: World, index: int, count: int = 2) -> Any:
    body = {
        "vault": write_address(world.vault.address),
        "validators_start_index": index,
        "amounts": [GWEI] * count,
        "validator_type": "0x01",
    }
    status, answer = await relayer.raw("POST", "/register", json.dumps(body))
    assert status == 200, answer
    return answer


async def sign_all(relayer: Relayer, cluster: Cluster, world: World, index: int) -> None:
    """What three nodes do that see GET /validators, as soon as an operator got validators reserved."""

    async def reserved() -> Any:
        assert (await register(relayer, world, index))["validators"] == []
        _, answer = await relayer.raw("GET", "/validators")
        return answer["validators"] and answer

    answer = await until(reserved)
    for item in answer["validators"]:
        assert await sign_item(relayer, cluster, item) == [(200, {"rejected": []})] * 3


def oracles_of(validator: wire.ValidatorShares) -> int:
    """For how many oracles an exit is split."""
    shares = validator.oracles_exit_signature_shares
    assert shares is not None
    return len(shares.public_keys)


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := await look()):  # noqa: ASYNC110 - a relayer elsewhere
            await asyncio.sleep(0.05)
    return found


async def ready(relayer: Relayer, world: World, index: int, count: int = 2) -> Any:
    async def look() -> Any:
        answer = await register(relayer, world, index, count)
        return answer if answer["validators"] else None

    return await until(look)


def signer(answer: Any, world: World, root: bytes) -> str:
    """Who signed a registration over this root."""
    packed = b""
    for item in answer["validators"]:
        key, signature = (bytes.fromhex(item[name][2:]) for name in ("public_key", "deposit_signature"))
        credentials = b"\x01" + bytes(11) + world.vault.address
        rows = [np.frombuffer(each, np.uint8)[None] for each in (key, credentials, signature)]
        data_root = deposit_data_roots(rows[0], rows[1], [item["amount"]], rows[2])
        packed += key + signature + data_root.tobytes()
    vault = world.vault.address
    message = encode_typed_data(
        {"name": "VaultValidators", "version": "1", "chainId": CHAIN_ID, "verifyingContract": vault},
        {"VaultValidators": [
            {"name": "validatorsRegistryRoot", "type": "bytes32"}, {"name": "validators", "type": "bytes"},
        ]},
        {"validatorsRegistryRoot": root, "validators": packed},
    )  # fmt: skip
    recovered: str = Account.recover_message(message, signature=answer["validators_manager_signature"])
    return recovered


async def test_a_registration_is_signed_over_the_root_of_the_moment(start: Start, world: World) -> None:
    cluster = make_cluster()
    settings = world.settings | {"manager_key": ManagerKey(MANAGER)}
    async with start(cluster, **settings) as relayer:
        assert (await relayer.client.info()).validators_manager_address == bytes.fromhex(MANAGER.address[2:])
        assert await register(relayer, world, 5) == {"validators": [], "validators_manager_signature": None}
        await sign_all(relayer, cluster, world, 5)
        first = await ready(relayer, world, 5)
        assert [item["public_key"] for item in first["validators"]] == [k.to_wire() for k in cluster.keys[:2]]
        before = await world.root()
        assert signer(first, world, before) == MANAGER.address
        await world.strange_deposit_of(bytes([0x80]) + bytes(47))
        second = await register(relayer, world, 5)
        after = await world.root()
        assert after != before
        assert signer(second, world, after) == MANAGER.address
        shares = [[v["oracles_exit_signature_shares"] for v in a["validators"]] for a in (first, second)]
        assert shares[0] == shares[1]


async def test_nothing_is_signed_without_a_fresh_node(
    start: Start, world: World, chain_clock: ChainClock
) -> None:
    cluster = make_cluster()
    settings = world.settings | {"manager_key": ManagerKey(MANAGER), "allow": ("withdraw",)}
    async with start(cluster, **settings) as relayer:
        await sign_all(relayer, cluster, world, 5)
        await world.chain.mine()
        await ready(relayer, world, 5)

        chain_clock.stopped_at = chain_clock.stop() + 2 * STALE_SECONDS  # the node has no new block

        async def stopped() -> bool:
            answer = await register(relayer, world, 5)
            return answer == {"validators": [], "validators_manager_signature": None}

        await until(stopped)
        body = {
            "vault": write_address(world.vault.address),
            "public_keys": [cluster.keys[0].to_wire()],
            "amounts": [0],
        }
        assert (await relayer.raw("POST", "/withdraw", json.dumps(body)))[0] == 503
        chain_clock.stopped_at = None
        assert (await relayer.raw("POST", "/withdraw", json.dumps(body)))[0] == 200
        assert len((await register(relayer, world, 5))["validators"]) == 2


async def test_actions_of_the_manager(start: Start, world: World) -> None:
    cluster = make_cluster()
    foreign = make_cluster(1)
    settings = world.settings | {"manager_key": ManagerKey(MANAGER), "allow": ("withdraw",)}
    vault = write_address(world.vault.address)
    key = cluster.keys[0].to_wire()
    async with start(cluster, **settings) as relayer:

        async def ask(path: str, **body: Any) -> tuple[int, Any]:
            return await relayer.raw("POST", path, json.dumps({"vault": vault, **body}))

        status, answer = await ask("/withdraw", public_keys=[key], amounts=[0])
        assert status == 200
        assert len(answer["validators_manager_signature"]) == 2 + 130
        status, answer = await ask("/fund", public_keys=[key], amounts=[1])
        assert (status, "--allow fund" in answer["error"]) == (422, True)
        status, answer = await ask("/withdraw", public_keys=[foreign.keys[0].to_wire()], amounts=[0])
        assert (status, answer["field"]) == (422, "public_keys[0]")
        stranger = write_address(bytes(20))
        status, answer = await ask("/withdraw", vault=stranger, public_keys=[key], amounts=[0])
        assert (status, answer["field"]) == (422, "vault")
        status, answer = await ask("/consolidate", source_public_keys=[key], target_public_keys=[key])
        assert (status, "--allow consolidate" in answer["error"]) == (422, True)


async def test_without_a_manager_nothing_is_signed(start: Start, world: World) -> None:
    cluster = make_cluster()
    async with start(cluster, **world.settings) as relayer:
        status, body = await relayer.raw("GET", "/info")
        assert (status, body) == (200, {"network": "hoodi"})
        request = {"vault": write_address(world.vault.address), "public_keys": [cluster.keys[0].to_wire()]}
        status, answer = await relayer.raw("POST", "/withdraw", json.dumps(request | {"amounts": [0]}))
        assert (status, "--manager-keystore" in answer["error"]) == (422, True)
        await sign_all(relayer, cluster, world, 5)
        answer = await ready(relayer, world, 5)
        assert answer["validators_manager_signature"] is None


@pytest.mark.parametrize("with_scan", [False, True])
async def test_validators_with_deposits_are_used(
    start: Start, world: World, tmp_path: Path, with_scan: bool
) -> None:
    cluster = make_cluster(4)
    wanted = [key.to_wire() for key in cluster.keys]
    settings = world.settings | ({"deposits_database": tmp_path / "deposits.db"} if with_scan else {})
    async with start(cluster, **settings) as relayer:
        await sign_all(relayer, cluster, world, 5)
        first = await ready(relayer, world, 5)
        assert [v["public_key"] for v in first["validators"]] == wanted[:2]
        await world.strange_deposit_of(cluster.keys[2])
        await world.deposit_of(cluster, 0)
        await world.deposit_of(cluster, 1)

        async def listed() -> list[str]:
            await register(relayer, world, 7)
            _, answer = await relayer.raw("GET", "/validators")
            return [v["public_key"] for v in answer["validators"]]

        async def moved_on() -> bool:
            return await listed() == wanted[2:]

        await until(moved_on)
    async with start(cluster, **settings) as relayer:
        assert await until(listed) == wanted[2:]


@pytest.mark.parametrize("with_scan", [False, True])
async def test_a_node_that_leaves_out_a_deposit(
    start: Start, world: World, tmp_path: Path, with_scan: bool
) -> None:
    """The key stays used that it said was used, and nothing is reserved while it may be another one's."""
    cluster = make_cluster(4)
    wanted = [key.to_wire() for key in cluster.keys]
    await world.deposit_of(cluster, 0)
    lies = False

    def change(method: str, params: list[Any], value: Any) -> Any:
        return leaving_out(0, 1)(method, params, value) if lies else value

    async with nodes_between(world.chain.url, change) as urls:
        settings = world.settings | {"execution_endpoints": tuple(urls)}
        settings |= {"deposits_database": tmp_path / "deposits.db"} if with_scan else {}
        async with start(cluster, **settings) as relayer:

            async def listed() -> list[str]:
                await register(relayer, world, 7, count=4)
                _, answer = await relayer.raw("GET", "/validators")
                return [v["public_key"] for v in answer["validators"]]

            assert await until(listed) == wanted[1:]
            lies = True
            with capture_logs() as lines:

                async def refused() -> bool:
                    return any("expected 1 deposits up to block" in str(line) for line in lines)

                await until(refused)
            assert await listed() == wanted[1:]
        async with start(cluster, **settings) as relayer:
            with capture_logs() as lines:
                await until(refused)
            nothing = {"validators": [], "validators_manager_signature": None}
            assert await register(relayer, world, 7, count=4) == nothing


async def test_nothing_is_reserved_before_the_deposits_are_read(start: Start, world: World) -> None:
    cluster = make_cluster(3)
    await world.deposit_of(cluster, 0)
    answers = False

    def change(method: str, _: Any, result: Any) -> Any:
        if method == "eth_getLogs" and not answers:
            raise RpcError({"code": -32005, "message": "try again later"})
        return result

    async with (
        node_between(world.chain.url, change) as (url, calls),
        start(cluster, **world.settings | {"execution_endpoints": (url,)}) as relayer,
    ):

        async def tried() -> bool:
            return any(method == "eth_getLogs" for method, _ in calls)

        await until(tried)
        nothing = {"validators": [], "validators_manager_signature": None}
        assert await register(relayer, world, 1) == nothing
        assert await relayer.raw("GET", "/validators") == (200, {"validators": []})
        answers = True

        async def listed() -> list[str]:
            await register(relayer, world, 1)
            _, answer = await relayer.raw("GET", "/validators")
            return [v["public_key"] for v in answer["validators"]]

        assert await until(listed) == [key.to_wire() for key in cluster.keys[1:]]


@pytest.mark.parametrize("with_scan", [False, True])
async def test_a_deposit_that_a_reorganisation_undoes(
    start: Start, world: World, tmp_path: Path, with_scan: bool
) -> None:
    cluster = make_cluster(2)
    await world.chain.mine(3)
    settings = world.settings | ({"deposits_database": tmp_path / "deposits.db"} if with_scan else {})
    async with start(cluster, **settings) as relayer:
        await world.deposit_of(cluster, 0)

        async def listed() -> list[str]:
            await register(relayer, world, 5, count=2)
            _, answer = await relayer.raw("GET", "/validators")
            return [v["public_key"] for v in answer["validators"]]

        async def sees(*keys: wire.PublicKey) -> None:
            async def look() -> bool:
                return sorted(await listed()) == sorted(key.to_wire() for key in keys)

            await until(look)

        await sees(cluster.keys[1])
        await world.chain.reorg(1)
        await sees(*cluster.keys)


async def test_the_oracles_of_the_chain(start: Start, world: World, oracles: Oracles) -> None:
    cluster, blocks = make_cluster(2), Blocks()
    await world.keeper.send("set_min_oracles(uint256)", 3)
    old, _ = document(5, 3)
    await world.announce(blocks.add(old))
    async with gateway(blocks) as (url, _):
        settings = world.settings | {"oracles": None, "ipfs_gateways": (url,)}
        async with start(cluster, **settings) as relayer:
            await relayer.ask(cluster)
            await relayer.fill(cluster, range(1000, 1002), 1, 2, 3)

            async def split_for(count: int) -> bool:
                _, body = await relayer.raw("GET", "/exits")
                return all(e["is_exit_signature_ready"] for e in body["exits"])

            await until(lambda: split_for(5))
            with capture_logs() as lines:
                new, _ = document(4, 2)
                await world.announce(blocks.add(new))
                await until(lambda: _seen(lines, "split anew"))
            answer = await relayer.ask(cluster)
            assert {oracles_of(validator) for validator in answer.validators} == {4}
            newest, _ = document(3, 2)
            with capture_logs() as lines:
                await world.announce(blocks.add(newest))
                await until(lambda: _seen(lines, "oracle config changed"))
            assert await relayer.ask(cluster) == answer  # what was handed out stays
            body = {
                "vault": write_address(world.vault.address),
                "validators": [
                    {"public_key": key.to_wire(), "validator_index": 1000 + i}
                    for i, key in enumerate(cluster.keys)
                ],
            }
            status, rotated = await relayer.raw("POST", "/rotate", json.dumps(body))
            assert status == 200
            shares = [v["oracles_exit_signature_shares"] for v in rotated["validators"]]
            assert {len(share["public_keys"]) for share in shares} == {3}
            assert await relayer.ask(cluster) == answer


async def test_a_file_of_other_oracles_than_the_chains_is_named(
    start: Start, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_watch, "ORACLES_SECONDS", 0.05)
    event = "the file's oracles are not those that the Keeper announces"
    blocks, file = Blocks(), tmp_path / "oracles.json"
    old, new = document(5, 3)[0], document(4, 2)[0]
    file.write_bytes(old)
    await world.keeper.send("set_min_oracles(uint256)", 3)
    await world.announce(blocks.add(old))
    async with gateway(blocks) as (url, served):
        settings = world.settings | {"oracles": file, "ipfs_gateways": (url,)}
        with capture_logs() as lines:
            async with start(make_cluster(1), oracle_config=read_oracle_config(file), **settings):
                await until(lambda: _was_asked(served))
                assert not await _seen(lines, event)
                await world.announce(blocks.add(new))
                await until(lambda: _seen(lines, event))
        told = [line for line in lines if line["event"] == event]
        assert [line["file"] for line in told] == [str(file)]


async def _was_asked(served: Any) -> bool:
    return bool(served)


async def test_the_oracles_of_a_node_without_finality(start: Start, world: World) -> None:
    def change(_: str, params: list[Any], result: Any) -> Any:
        if params[:1] == ["finalized"]:
            raise RpcError({"code": -32602, "message": "unknown block tag"})
        return result

    cluster, blocks = make_cluster(1), Blocks()
    await world.keeper.send("set_min_oracles(uint256)", 3)
    await world.announce(blocks.add(document(5, 3)[0]))
    await world.chain.mine(CONFIRMATIONS)
    async with gateway(blocks) as (ipfs, _), node_between(world.chain.url, change) as (url, _):
        settings = {"oracles": None, "ipfs_gateways": (ipfs,), "execution_endpoints": (url,)}
        async with start(cluster, **world.settings | settings) as relayer:
            assert not (await relayer.ask(cluster)).ready


async def _seen(lines: list[Any], event: str) -> bool:
    return any(line["event"] == event for line in lines)


async def test_an_oracle_file_is_followed(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvtfast.services.relayer.watches.oracle_file.LOOK_SECONDS", 0.05)
    file = tmp_path / "oracles.json"
    file.write_bytes(document(5, 3)[0])
    cluster = make_cluster(2)
    with capture_logs() as lines:
        async with start(cluster, oracles=file) as relayer:
            file.write_text("{")
            await until(lambda: _seen(lines, "oracle config not usable, the one before stays"))
            file.write_bytes(document(4, 2)[0])
            await until(lambda: _seen(lines, "oracle config changed"))
            await relayer.ask(cluster)
            await relayer.fill(cluster, range(1000, 1002), 1, 2, 3)
            answer = await relayer.until_ready(cluster)
            assert {oracles_of(validator) for validator in answer.validators} == {4}
