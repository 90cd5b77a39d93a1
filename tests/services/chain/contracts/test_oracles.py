"""The oracle config: announced on a real chain, fetched through gateways that may lie."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from coincurve import PrivateKey

from dvtfast.networks import HOODI
from dvtfast.services.chain.contracts.oracle_config import (
    AnnouncedOracles,
    OracleConfigError,
    announced_oracles,
)
from dvtfast.services.chain.encoding import write_address, write_data
from dvtfast.services.chain.execution.node import NodeClient
from dvtfast.services.chain.execution.policies import NodesDisagreeError
from dvtfast.services.chain.ipfs.client import IpfsClient, IpfsContentError, IpfsError
from dvtfast.services.operator.chain import SETTLED_BLOCKS
from dvtfast.services.operator.chain import Chain as OperatorChain
from dvtfast.services.operator.sending.action import Action, ActionKind
from tests.services.chain.anvil import Chain
from tests.services.chain.ipfs.gateways import Blocks, gateway
from tests.services.chain.servers import node_between
from tests.services.patience import ANSWER_SECONDS


def document(oracles: int, threshold: int) -> tuple[bytes, list[bytes]]:
    keys = [PrivateKey().public_key.format(compressed=False)[1:] for _ in range(oracles)]
    listed = [{"public_key": write_data(key), "endpoints": ["http://oracle"]} for key in keys]
    content = {"oracles": listed, "exit_signature_recover_threshold": threshold, "more": 1}
    return json.dumps(content).encode(), keys


async def test_the_oracles_in_force(chain: Chain, node: NodeClient) -> None:
    keeper, blocks = await chain.deploy("keeper"), Blocks()
    network = replace(HOODI, keeper=write_address(keeper.address), keeper_genesis_block=0)
    async with gateway(blocks) as (url, asked), IpfsClient([url], timeout_seconds=ANSWER_SECONDS) as ipfs:

        async def look(known: AnnouncedOracles | None = None) -> AnnouncedOracles:
            return await announced_oracles(node, ipfs, network, at=await node.block("latest"), known=known)

        async def announce(content: bytes) -> None:
            await keeper.send("update_config(string)", str(blocks.add(content)))

        await keeper.send("set_min_oracles(uint256)", 3)
        with pytest.raises(OracleConfigError, match="no ConfigUpdated event in blocks 0 to 2"):
            await look()
        for threshold in (2, 3):
            content, keys = document(5, threshold)
            await announce(content)
            found = await look()
            assert found.config.public_keys.tobytes() == b"".join(keys)
            assert found.config.exit_signature_recover_threshold == threshold
            assert found.min_oracles == 3
            assert found.config.raw["more"] == 1

        requests = len(asked)
        await chain.mine(5)
        again = await look(found)
        assert again.pointer == found.pointer
        assert again.config is found.config
        assert len(asked) == requests
        await announce(document(5, 1)[0])
        newer = await look(found)
        assert newer.config.exit_signature_recover_threshold == 1
        assert not np.array_equal(newer.config.public_keys, found.config.public_keys)

        await keeper.send("set_min_oracles(uint256)", 1)
        await announce(document(5, 3)[0])
        with pytest.raises(OracleConfigError, match="expected at most the 1 oracles that approve, got 3"):
            await look(newer)


async def test_the_operator_searches_blocks_that_stay_once(chain: Chain) -> None:
    """A config is a year old at times, and the operator looks every minute; newer blocks may go again."""
    keeper, blocks = await chain.deploy("keeper"), Blocks()
    network = replace(HOODI, keeper=write_address(keeper.address), keeper_genesis_block=0)
    await keeper.send("set_min_oracles(uint256)", 3)

    async def announce(threshold: int) -> None:
        await keeper.send("update_config(string)", str(blocks.add(document(5, threshold)[0])))

    async with (
        gateway(blocks) as (gateway_url, _),
        IpfsClient([gateway_url], timeout_seconds=ANSWER_SECONDS) as ipfs,
        node_between(chain.url, lambda _method, _params, result: result) as (url, calls),
        NodeClient([url], timeout_seconds=ANSWER_SECONDS) as node,
    ):
        operator = OperatorChain(node, ipfs, network)

        async def look() -> tuple[int, int]:
            """The threshold, and how many blocks were searched."""
            calls.clear()
            config = await operator.oracle_config(await node.block("latest"))
            ranges = [params[0] for method, params in calls if method == "eth_getLogs"]
            searched = sum(int(each["toBlock"], 16) - int(each["fromBlock"], 16) + 1 for each in ranges)
            return config.exit_signature_recover_threshold, searched

        await announce(2)
        await chain.mine(200)
        threshold, searched = await look()
        assert threshold == 2
        assert searched > 200
        assert await look() == (2, SETTLED_BLOCKS)
        before = await chain.rpc("evm_snapshot")
        await announce(3)
        assert (await look())[0] == 3
        assert await chain.rpc("evm_revert", before)
        assert await look() == (2, SETTLED_BLOCKS)
        await announce(1)
        await chain.mine(SETTLED_BLOCKS + 10)
        assert (await look())[0] == 1
        assert await look() == (1, SETTLED_BLOCKS)


async def test_an_approval_is_too_old_for_the_next_block(chain: Chain, node: NodeClient) -> None:
    """The Keeper looks at the block that has the registration, which is a slot after the latest one."""
    await chain.mine()
    head = await node.block("latest")
    operator = OperatorChain(node, None, HOODI)
    for seconds, why in ((12, ""), (11, "the oracles' approval is too old"), (0, "too old")):
        action = Action(ActionKind.REGISTER, bytes(20), bytes(20), b"", deadline=head.timestamp + seconds)
        assert why in await operator.why_stale(action)
        assert bool(why) == bool(await operator.why_stale(action))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b'{"oracles": []}',
        document(3, 4)[0],
        document(3, 0)[0],
    ],
)
async def test_a_document_that_is_none(chain: Chain, node: NodeClient, content: bytes) -> None:
    keeper, blocks = await chain.deploy("keeper"), Blocks()
    network = replace(HOODI, keeper=write_address(keeper.address), keeper_genesis_block=0)
    await keeper.send("set_min_oracles(uint256)", 5)
    cid = str(blocks.add(content))
    await keeper.send("update_config(string)", cid)
    async with gateway(blocks) as (url, _), IpfsClient([url], timeout_seconds=ANSWER_SECONDS) as ipfs:
        with pytest.raises(OracleConfigError, match=f"^{cid}: "):
            await announced_oracles(node, ipfs, network, at=await node.block("latest"))


async def test_a_gateway_cannot_swap_the_oracles(chain: Chain, node: NodeClient) -> None:
    """Whoever could would read every exit signature."""
    keeper, blocks = await chain.deploy("keeper"), Blocks()
    network = replace(HOODI, keeper=write_address(keeper.address), keeper_genesis_block=0)
    await keeper.send("set_min_oracles(uint256)", 5)
    content, keys = document(3, 2)
    await keeper.send("update_config(string)", str(blocks.add(content)))
    forged, _ = document(3, 2)
    async with (
        gateway(blocks, lambda _cid, _block: web.Response(body=forged)) as (bad, _),
        gateway(blocks) as (good, _),
    ):
        at = await node.block("latest")
        async with IpfsClient([bad, good], timeout_seconds=ANSWER_SECONDS) as ipfs:
            found = await announced_oracles(node, ipfs, network, at=at)
            assert found.config.public_keys.tobytes() == b"".join(keys)
        async with IpfsClient([bad], timeout_seconds=ANSWER_SECONDS) as ipfs:
            with pytest.raises(IpfsError, match="gives another block"):
                await announced_oracles(node, ipfs, network, at=at)


async def test_a_config_that_is_announced_as_nonsense(chain: Chain, node: NodeClient) -> None:
    keeper = await chain.deploy("keeper")
    network = replace(HOODI, keeper=write_address(keeper.address), keeper_genesis_block=0)
    await keeper.send("set_min_oracles(uint256)", 5)
    await keeper.send("update_config(string)", "QmNothing")
    async with IpfsClient(["http://127.0.0.1:1"], timeout_seconds=ANSWER_SECONDS) as ipfs:
        with pytest.raises(IpfsContentError, match="expected a CID"):
            await announced_oracles(node, ipfs, network, at=await node.block("latest"))


@pytest.mark.parametrize("honest", [1, 2])
async def test_a_node_cannot_swap_the_oracles(chain: Chain, honest: int) -> None:
    """It names another config, which is in IPFS, too. One other node shows that; two prevail."""
    keeper, blocks = await chain.deploy("keeper"), Blocks()
    network = replace(HOODI, keeper=write_address(keeper.address), keeper_genesis_block=0)
    await keeper.send("set_min_oracles(uint256)", 5)
    content, keys = document(3, 2)
    true = str(blocks.add(content))
    forged = str(blocks.add(document(3, 2)[0]))
    await keeper.send("update_config(string)", true)

    def lie(method: str, _: list[Any], result: Any) -> Any:
        if method == "eth_getLogs":
            old, new = true.encode().hex(), forged.encode().hex()
            return [each | {"data": each["data"].replace(old, new)} for each in result]
        return result

    async with (
        gateway(blocks) as (url, _),
        IpfsClient([url], timeout_seconds=ANSWER_SECONDS) as ipfs,
        node_between(chain.url, lie) as (lying, _),
        node_between(chain.url, lambda _m, _p, result: result) as (other, _),
        NodeClient([lying, other, chain.url][: honest + 1], timeout_seconds=ANSWER_SECONDS) as node,
    ):
        at = await node.block("latest")
        if honest == 1:
            with pytest.raises(NodesDisagreeError, match=f"{lying} says .*{forged}"):
                await announced_oracles(node, ipfs, network, at=at)
        else:
            found = await announced_oracles(node, ipfs, network, at=at)
            assert found.config.public_keys.tobytes() == b"".join(keys)
    async with (
        gateway(blocks) as (url, _),
        IpfsClient([url], timeout_seconds=ANSWER_SECONDS) as ipfs,
        node_between(chain.url, lie) as (lying, _),
        NodeClient([lying], timeout_seconds=ANSWER_SECONDS) as node,
    ):
        found = await announced_oracles(node, ipfs, network, at=await node.block("latest"))
        assert found.pointer.cid == forged  # the lie is one that would be believed
