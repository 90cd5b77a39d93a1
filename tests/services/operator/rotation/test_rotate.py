"""Exits for other oracles than before: real relayer, oracles of both sets, node and contracts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest

from dvtfast.protocol_config import read_oracle_config
from dvtfast.services.demo.world import oracles
from dvtfast.services.demo.world.deployed_contracts import ETH, World
from dvtfast.services.demo.world.oracles import OracleSet, RunningOracle, make_oracles
from dvtfast.services.operator.commands import executor, exit_codes, rotate
from dvtfast.services.operator.commands.parts import open_rotation
from dvtfast.services.operator.commands.results import CommandResult
from dvtfast.services.operator.progress import no_report
from dvtfast.services.operator.rotation import planner as rotation_module
from dvtfast.services.operator.rotation import rotation_info
from dvtfast.services.operator.rotation.planner import PAUSE_SECONDS, NotFinalYetError
from dvtfast.services.operator.rotation.rotation_info import (
    OraclesAheadError,
    OraclesBehindError,
    RotationInfo,
)
from dvtfast.services.relayer.judging.current_oracles import CurrentOracles
from dvtfast.services.relayer.judging.pipeline import Pipeline
from dvtfast.services.relayer.store.engine.database import Database
from dvtfast.services.relayer.store.operators.removal import forget
from dvtfast.services.relayer_client.client import RelayerClient
from dvtfast.services.settings import RotateExitsSettings, SettingsError
from dvtfast.services.wire import PublicKey
from tests.services.chain.servers import node_finalizing
from tests.services.conftest import Relayer
from tests.services.operator.scenes import Scene, done, nodes, registered, registering
from tests.services.patience import PATIENCE_SECONDS

LIMIT = 2  # validators that the new oracles take at once


@pytest.fixture(scope="module")
def other_set(tmp_path_factory: pytest.TempPathFactory) -> OracleSet:
    """The oracles of tomorrow: four, of whom two recover an exit."""
    folder = tmp_path_factory.mktemp("others")
    return make_oracles(folder, 4, threshold=2, validators_exit_rotation_batch_limit=LIMIT)


@pytest.fixture(scope="module")
def other_oracles(deployed: World, other_set: OracleSet) -> Iterator[list[RunningOracle]]:
    with oracles.running(deployed, other_set) as processes:
        yield processes


@dataclass
class Change:
    """Three registered validators, and oracles that change when a test says so."""

    scene: Scene
    others: OracleSet
    relayers: list[tuple[CurrentOracles, Pipeline]]
    final_behind: int = 0  # blocks on top of the finalized one

    async def happen(self) -> None:
        """The Keeper announces other oracles, and the relayer follows it."""
        world = self.scene.world
        await world.set_oracles(self.others.addresses, min_oracles=2)
        await world.announce(self.others.config.read_bytes())
        for current, pipeline in self.relayers:
            current.replace(read_oracle_config(self.others.config))
            pipeline.wake()

    async def nonce(self) -> int:
        world = self.scene.world
        nonce: int = await world.keeper.call(
            "exitSignaturesNonces(address)", ["uint256"], world.vault.address
        )
        return nonce

    def settings(self, **others: Any) -> RotateExitsSettings:
        """What `dvtfast operator rotate` is told; deposits say who has which index."""
        sources = RotateExitsSettings.sources()
        told = {name: value for name, value in self.scene.settings.items() if name in sources}
        return RotateExitsSettings.load({**told, **others}, {})


@pytest.fixture
async def change(
    running: list[tuple[CurrentOracles, Pipeline]],
    scene: Scene,
    running_oracles: list[RunningOracle],
    other_set: OracleSet,
    other_oracles: list[RunningOracle],
) -> AsyncIterator[Change]:
    done(await registered(scene))
    change = Change(scene, other_set, running)
    async with node_finalizing(scene.world.chain.url, lambda: change.final_behind) as url:
        scene.settings["execution_endpoints"] = [url]
        yield change


async def rotated(settings: RotateExitsSettings) -> CommandResult:
    """What the command does, without its process."""
    async with open_rotation(settings, no_report) as (parts, planner):
        task = rotate.rotation_task(parts, planner)
        return await rotate.rotate_all(settings, task, planner)


async def test_nothing_to_rotate(change: Change) -> None:
    ended = await rotated(change.settings())
    assert ended.code == exit_codes.NOTHING_TO_DO
    assert "the oracles want no exits" in ended.problem


async def test_other_oracles(change: Change) -> None:
    """All exits in two batches: the oracles check their shares before they sign."""
    await change.happen()
    entry = done(await rotated(change.settings()))
    assert entry.action.details["approvals"] == 2
    assert len(entry.action.public_keys) == 1  # the last of three
    assert await change.nonce() == 2
    assert (await rotated(change.settings())).code == exit_codes.NOTHING_TO_DO
    # The vault goes on with the new oracles.
    await change.scene.world.stake(32 * ETH)
    assert (await registered(change.scene)).code == exit_codes.DONE


async def test_a_dry_run(change: Change) -> None:
    await change.happen()
    ended = await rotated(change.settings(dry_run="true"))
    assert ended.code == exit_codes.DONE
    assert ended.plan is not None
    assert ended.plan.shown()["validators"] == LIMIT
    assert await change.nonce() == 0


async def test_an_exit_that_the_relayer_lacks(change: Change, database_url: str) -> None:
    """It is signed anew by the nodes; until then the others go on without it."""
    await change.happen()
    last = (await change.scene.deposited())[2]
    database = await Database.open(database_url)
    await database.run(forget, [last])
    await database.close()
    ended = await rotated(change.settings(collect_seconds="0.001"))
    assert ended.code == exit_codes.NOT_READY
    assert "left out: 2: its exit was not signed within 0.001 s" in ended.problem
    assert await change.nonce() == 1
    url = change.scene.settings["relayer"]
    async with (
        RelayerClient(url, timeout_seconds=20) as client,
        aiohttp.ClientSession() as session,
        nodes(Relayer(url, client, session), change.scene.cluster),
    ):
        ended = await rotated(change.settings())
    entry = done(ended)
    assert entry.action.public_keys == (last,)
    assert await change.nonce() == 2


async def test_validators_that_nobody_knows(change: Change) -> None:
    """They are named, and the others are rotated."""
    await change.happen()
    keys = await change.scene.deposited()
    file = change.scene.folder / "indices.json"
    first, second = (PublicKey(key).to_wire() for key in keys[:2])
    items = [f'{{"validator_index": {i}, "public_key": "{key}"}}' for i, key in enumerate((first, second))]
    file.write_text(f"[{', '.join(items)}]")
    ended = await rotated(change.settings(validators_file=str(file), deposits_database=None))
    assert ended.code == exit_codes.NOT_READY
    assert "1 validators were left out: 2: nobody knows its public key" in ended.problem
    assert ended.entry is not None
    assert list(ended.entry.action.public_keys) == keys[:2]
    assert await change.nonce() == 1


async def test_a_validator_that_is_not_the_relayers(change: Change) -> None:
    """The relayer names it, and the others are rotated."""
    await change.happen()
    first, *others = await change.scene.deposited()
    stranger = first[:-1] + bytes([first[-1] ^ 1])
    rows = "\n".join(f"{i},{PublicKey(key).to_wire()}" for i, key in enumerate([stranger, *others]))
    file = change.scene.folder / "indices.csv"
    file.write_text(f"validator_index,public_key\n{rows}\n")
    ended = await rotated(change.settings(validators_file=str(file), deposits_database=None))
    assert ended.code == exit_codes.NOT_READY
    assert "0: the relayer refuses" in ended.problem
    assert await change.nonce() == 2


async def test_oracles_that_are_behind(change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they say of before a rotation is not believed: it would be paid for again."""
    await change.happen()
    read, asked = rotation_info._read_info, 0

    def of_before(content: bytes) -> RotationInfo:
        nonlocal asked
        asked += 1
        return read(content)._replace(block_number=None)

    monkeypatch.setattr(rotation_info, "_read_info", of_before)
    async with open_rotation(change.settings(), no_report) as (parts, planner):
        task = rotate.rotation_task(parts, planner)
        assert (await executor.perform(task, dry_run=False, yes=True, seconds=30)).code == exit_codes.DONE
        before = asked
        ended = await executor.perform(task, dry_run=False, yes=True, seconds=1)
        assert ended.code == exit_codes.NOT_READY
    assert asked == before + 4
    assert await change.nonce() == 1


async def test_oracles_that_are_a_moment_ahead(change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they tell of a block that our node lacks waits for that block; a lie stays one."""
    await change.happen()
    read, height, ahead = rotation_info._read_info, await change.scene.world.chain.height(), 1

    def of_later(content: bytes) -> RotationInfo:
        return read(content)._replace(block_number=height + ahead)

    monkeypatch.setattr(rotation_info, "_read_info", of_later)
    async with open_rotation(change.settings(), no_report) as (parts, planner):
        monkeypatch.setattr(parts.chain, "network", replace(parts.chain.network, seconds_per_slot=0))
        looks, look = 0, parts.chain.head

        async def mined(**options: Any) -> Any:
            nonlocal looks
            looks += 1
            if looks == 3:  # the second time that oracles answered
                await change.scene.world.chain.mine(1)
            return await look(**options)

        monkeypatch.setattr(parts.chain, "head", mined)
        assert (await planner.prepare()).action.details["indices"] == [0, 1]
        ahead = 1000
        with pytest.raises(OraclesAheadError, match="they lie, or these are behind"):
            await planner.prepare()


async def test_an_oracle_that_names_strangers_for_ever(
    change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation_module, "MOST_LEFT_OUT", 3 * LIMIT)
    await change.happen()
    read = rotation_info._read_info

    def of_many(content: bytes) -> RotationInfo:
        return read(content)._replace(validator_indices=tuple(range(1000, 2000)))

    monkeypatch.setattr(rotation_info, "_read_info", of_many)
    ended = await rotated(change.settings())
    assert ended.code == exit_codes.NOT_READY
    assert f"{3 * LIMIT} validators were left out: 1000: nobody knows its public key" in ended.problem
    assert await change.nonce() == 0


async def test_a_rotation_that_is_not_final_yet(change: Change) -> None:
    """Oracles do not count it before; that is waited for."""
    await change.happen()
    change.final_behind = 1000
    settings = change.scene.chosen()
    async with registering(settings) as registrar:
        codes = [(await registrar.look_after_exits()).code for _ in range(2)]
        assert codes == [exit_codes.DONE, exit_codes.NOTHING_TO_DO]
        assert registrar.rotation_planner is not None
        with pytest.raises(NotFinalYetError, match="is not final yet"):
            await registrar.rotation_planner.prepare()
        assert registrar.metrics.failures.labels("not rotated")._value.get() == 0
        change.final_behind = 0
        assert (await registrar.look_after_exits()).code == exit_codes.DONE


async def test_what_oracles_want_for_ever(change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each validator is paid for once within the hour, after a restart of the operator too."""
    await change.happen()
    read = rotation_info._read_info

    def of_all(content: bytes) -> RotationInfo:
        return read(content)._replace(validator_indices=(0, 1, 2))

    monkeypatch.setattr(rotation_info, "_read_info", of_all)
    done(await rotated(change.settings()))
    assert await change.nonce() == 2
    for _ in range(2):
        ended = await rotated(change.settings())
        assert ended.code == exit_codes.NOTHING_TO_DO
        assert "want exits of 3 validators that they were given within the hour" in ended.problem
    assert await change.nonce() == 2
    async with open_rotation(change.settings(), no_report) as (_, planner):
        planner.now = lambda: time.time() + PAUSE_SECONDS + 60
        rotation = await planner.prepare()
        assert rotation.action.details["indices"] == [0, 1]


async def test_oracles_that_are_out(change: Change, other_oracles: list[RunningOracle]) -> None:
    """One of four tells what is wanted, and two must sign."""
    await change.happen()
    for oracle in other_oracles[:3]:
        oracle.stop()
    try:
        ended = await rotated(change.settings())
        assert ended.code == exit_codes.NOT_READY
        assert "oracles" in ended.problem
        assert await change.nonce() == 0
    finally:
        for oracle in other_oracles[:3]:
            oracle.start()
        for oracle in other_oracles[:3]:
            oracle.wait()


async def test_a_process_that_ends_after_signing(change: Change) -> None:
    """The next one goes on with it, and then with the rest: each batch once."""
    await change.happen()
    async with open_rotation(change.settings(), no_report) as (parts, planner):
        entry = await executor.begin_next(rotate.rotation_task(parts, planner))
        assert entry is not None
    done(await rotated(change.settings()))
    assert await change.nonce() == 2


async def test_run_rotates_by_itself(change: Change) -> None:
    settings = change.scene.chosen()
    async with registering(settings) as registrar:
        assert (await registrar.look_after_exits()).code == exit_codes.NOTHING_TO_DO
        await change.happen()
        codes = [(await registrar.look_after_exits()).code for _ in range(3)]
    assert codes == [exit_codes.DONE, exit_codes.DONE, exit_codes.NOTHING_TO_DO]
    assert await change.nonce() == 2
    assert registrar.metrics.rotated._value.get() == 3


async def test_run_registers_between_two_rotations(change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of exits take hours; and oracles that were slower than the chain are no failure."""
    settings = replace(change.scene.chosen(), interval=0.1)
    done: list[str] = []
    await change.happen()
    async with registering(settings) as registrar:
        assert registrar.rotation_planner is not None
        prepare = registrar.rotation_planner.prepare

        async def slowly() -> Any:
            done.append("rotation")
            if done.count("rotation") == 3:
                raise OraclesBehindError("of block 7")
            return await prepare()

        async def looked(*_: object) -> CommandResult:
            done.append("look")
            if done.count("rotation") == 3:
                raise asyncio.CancelledError
            return CommandResult(exit_codes.NOTHING_TO_DO)

        monkeypatch.setattr(registrar.rotation_planner, "prepare", slowly)
        monkeypatch.setattr(registrar, "look", looked)
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await registrar.watch()
    assert done == ["look", "rotation"] * 3 + ["look"]
    assert registrar.metrics.failures.labels("not rotated")._value.get() == 0
    assert await change.nonce() == 2


async def test_settings_without_indices(change: Change) -> None:
    with pytest.raises(SettingsError, match="which validator has which index"):
        change.settings(deposits_database=None)
