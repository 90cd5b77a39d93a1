"""Operators of v3 that say no index: their validators get the next ones of the chain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dvtfast import HOODI
from dvtfast.services.chain.deposits import scan
from dvtfast.services.chain.encoding import write_address
from dvtfast.services.chain.index import by_beacon
from dvtfast.services.relayer.watches import beacon_watch, chain_watch
from dvtfast.services.relayer_client.client import RelayerRefusedError, RelayerUnavailableError
from dvtfast.services.settings import RelayerSettings, SettingsError
from tests.services.chain.anvil import Chain, Contract
from tests.services.chain.beacon.beacon_nodes import BeaconState, beacon_with
from tests.services.chain.deposits.deposit_events import Deposit, bad, signed
from tests.services.chain.servers import DEAD
from tests.services.conftest import Cluster, Relayer, Start, make_cluster
from tests.services.relayer.watches.test_chain_watch import until


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_beacon, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(scan, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(beacon_watch, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(chain_watch, "DEPOSITS_SECONDS", 0.1)


async def asked(relayer: Relayer, cluster: Cluster) -> list[int]:
    """The indices at which an operator's validators are wanted after it asked for them."""
    await relayer.ask(cluster)
    exits = await relayer.exits()
    return [exits[key].validator_index for key in cluster.keys]


async def test_the_beacon_node_tells_the_index(start: Start) -> None:
    cluster, late = make_cluster(3), make_cluster(2, name="late")
    state = BeaconState(1000, pending=[signed(1), bad(2, 3)])
    async with (
        beacon_with(state) as url,
        start(cluster, late, start_index=None, consensus_endpoints=(url,)) as relayer,
    ):
        assert await asked(relayer, cluster) == [1001, 1002, 1003]
        state.pending.append(signed(2))  # a foreign deposit
        assert await asked(relayer, cluster) == [1002, 1003, 1004]
        await relayer.fill(cluster, [1002, 1003, 1004], 1, 2, 3)
        answer = await relayer.until_ready(cluster)

        # They are registered; others are asked for, and nothing of theirs moves.
        state.count, state.pending = 1005, []
        state.keys |= {bytes(key): 1002 + place for place, key in enumerate(cluster.keys)}
        state.keys[bytes(late.keys[1])] = 77

        with pytest.raises(RelayerRefusedError, match="has a deposit already") as caught:
            await relayer.ask(late)
        assert caught.value.field == "public_keys[1]"
        assert await asked(relayer, cluster) == [1002, 1003, 1004]
        assert await relayer.ask(cluster) == answer


async def test_an_operator_that_says_an_index_is_obeyed(start: Start) -> None:
    cluster = make_cluster(2)
    async with (
        beacon_with(BeaconState(1000)) as url,
        start(cluster, start_index=None, consensus_endpoints=(url,)) as relayer,
    ):
        await relayer.ask(cluster, 5)
        assert {exit_.validator_index for exit_ in (await relayer.exits()).values()} == {5, 6}


async def test_a_given_index_goes_before_the_chain(start: Start) -> None:
    cluster = make_cluster(2)
    async with (
        beacon_with(BeaconState(1000)) as url,
        start(cluster, start_index=50, consensus_endpoints=(url,)) as relayer,
    ):
        assert await asked(relayer, cluster) == [50, 51]


async def test_no_index_while_the_beacon_node_is_away(start: Start) -> None:
    cluster = make_cluster(1)
    async with start(cluster, start_index=None, consensus_endpoints=(DEAD,)) as relayer:
        with pytest.raises(RelayerUnavailableError, match="503"):
            await relayer.ask(cluster)
        assert await relayer.exits() == {}


async def deposit_on(contract: Contract, *deposits: Deposit) -> None:
    for each in deposits:
        values = each.public_key, each.withdrawal_credentials, each.amount_gwei, each.signature
        await contract.send("deposit(bytes,bytes,uint256,bytes)", *values)


async def test_the_deposits_tell_the_index(start: Start, chain: Chain, tmp_path: Path) -> None:
    cluster, contract = make_cluster(2), await chain.deploy("deposit")
    await deposit_on(contract, signed(1), bad(2, 3), signed(1), signed(3))
    await chain.mine(3)
    address = write_address(contract.address)
    settings: dict[str, Any] = {
        "network": replace(HOODI, deposit_contract=address, has_validators_without_deposit=False),
        "execution_endpoints": (chain.url,),
        "deposits_database": tmp_path / "deposits.db",
        "start_index": None,
    }

    async def indices() -> list[int]:
        try:
            return await asked(relayer, cluster)
        except RelayerUnavailableError:
            return []  # deposits are being read

    async with start(cluster, **settings) as relayer:
        assert await until(indices) == [2, 3]
        await deposit_on(contract, bad(9, 0), signed(2))
        assert await asked(relayer, cluster) == [3, 4]
        await chain.reorg(1)
        assert await asked(relayer, cluster) == [2, 3]
    async with start(cluster, **settings) as relayer:
        assert await until(indices) == [2, 3]
    # On hoodi itself deposits alone do not tell it.
    settings["network"] = replace(HOODI, deposit_contract=address)
    async with start(cluster, **settings) as relayer:
        with pytest.raises(RelayerUnavailableError, match="503"):
            await relayer.ask(cluster)


def test_what_needs_what_else(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    flags = {"network": "hoodi", "oracles": str(tmp_path / "file"), "signature_threshold": "3"}
    with pytest.raises(SettingsError) as caught:
        RelayerSettings.load(flags | {"genesis_validators": str(tmp_path / "file")}, {})
    (problem,) = caught.value.problems
    assert problem.startswith("--genesis-validators")
    assert "needs --deposits-database" in problem
    with pytest.raises(SettingsError, match=r"--deposits-database .*needs --execution-endpoint"):
        RelayerSettings.load(flags | {"deposits_database": "deposits.db"}, {})
