"""Other oracles: what was not handed out is split anew, what was stays, and POST /rotate gives new shares."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from coincurve import PrivateKey
from sqlalchemy import Connection, select

from dvtfast import HOODI, exit_signing_roots
from dvtfast.services import wire
from dvtfast.services.relayer.judging import pipeline as pipeline_
from dvtfast.services.relayer.judging.current_oracles import CurrentOracles
from dvtfast.services.relayer.judging.judge import Judge
from dvtfast.services.relayer.judging.pipeline import Pipeline
from dvtfast.services.relayer.registrations import ANOTHER_VAULTS, ASKED_ELSEWHERE
from dvtfast.services.relayer.store.engine.database import Database
from dvtfast.services.relayer.store.judging.rotation import exits_to_rotate, hand_out_rotation
from dvtfast.services.relayer.store.judging.verdicts import (
    ReadyMessage,
    SplitExit,
    Verdicts,
    lease_due,
    record,
)
from dvtfast.services.relayer.store.operators import ownership
from dvtfast.services.relayer.store.operators.asked_validators import remember_validators
from dvtfast.services.relayer.store.operators.index_assignment import make_current
from dvtfast.services.relayer.store.operators.removal import forget
from dvtfast.services.relayer.store.operators.reservations import mark_registered
from dvtfast.services.relayer.store.subjects import Exit
from dvtfast.services.relayer.store.tables import MessageStatus, messages, oracle_shares

from ...conftest import (
    READY_SECONDS,
    START_INDEX,
    Cluster,
    Oracles,
    Relayer,
    Start,
    make_cluster,
)
from ...patience import PATIENCE_SECONDS
from ..test_register import ETH, OTHER_VAULT, VAULT, VAULTS, register, sign_all, until_ready, until_registered

INDICES = range(START_INDEX, START_INDEX + 3)


@pytest.fixture
def others() -> Oracles:
    """The oracles of tomorrow: one more of them."""
    return Oracles([PrivateKey() for _ in range(4)])


async def rotate(
    relayer: Relayer, keys: list[wire.PublicKey], indices: range, vault: wire.Address = VAULT
) -> tuple[int, dict[str, Any]]:
    items = [
        {"public_key": key.to_wire(), "validator_index": index}
        for key, index in zip(keys, indices, strict=False)
    ]
    body = {"vault": vault.to_wire(), "validators": items}
    return await relayer.raw("POST", "/rotate", json.dumps(body))


async def until_rotated(relayer: Relayer, keys: list[wire.PublicKey], indices: range) -> dict[str, Any]:
    async with asyncio.timeout(READY_SECONDS):
        while True:
            status, answer = await rotate(relayer, keys, indices)
            assert status == 200, answer
            if answer["ready"]:
                return answer
            await asyncio.sleep(0.02)


def verify(validators: list[dict[str, Any]], cluster: Cluster, oracles: Oracles, indices: range) -> None:
    """The shares are for these oracles, of these exits."""
    roots = exit_signing_roots(list(indices), HOODI)
    for row, validator in enumerate(validators):
        oracles.require_exit(validator["oracles_exit_signature_shares"], roots[row], cluster.secret_keys[row])


async def test_what_was_not_handed_out_is_split_anew(start: Start, others: Oracles) -> None:
    cluster = make_cluster(3)
    async with start(cluster, vaults=VAULTS) as relayer:
        await register(relayer)
        await sign_all(relayer, cluster, 1, 2, 3)
        await until_ready(relayer, 3)
    async with start(cluster, vaults=VAULTS, oracle_config=others.config) as relayer:
        verify(await until_registered(relayer), cluster, others, INDICES)


async def test_what_was_handed_out_stays(start: Start, oracles: Oracles, others: Oracles) -> None:
    cluster, of_era_a = make_cluster(3), make_cluster(2, name="era A")
    async with start(cluster, of_era_a, vaults=VAULTS) as relayer:
        await register(relayer)
        await sign_all(relayer, cluster, 1, 2, 3)
        before = await until_registered(relayer)
        await relayer.ask(of_era_a, 2000)
        await relayer.fill(of_era_a, range(2000, 2002), 1, 2, 3)
        answer = await relayer.until_ready(of_era_a)
    async with start(cluster, of_era_a, vaults=VAULTS, oracle_config=others.config) as relayer:
        assert await register(relayer) == before
        assert await relayer.ask(of_era_a) == answer
        verify(before, cluster, oracles, INDICES)


async def test_a_rotation_adds_shares_and_keeps_the_old(
    start: Start, oracles: Oracles, others: Oracles
) -> None:
    cluster = make_cluster(3)
    async with start(cluster, vaults=VAULTS) as relayer:
        await register(relayer)
        await sign_all(relayer, cluster, 1, 2, 3)
        before = await until_registered(relayer)
        status, same = await rotate(relayer, cluster.keys, INDICES)  # the oracles are the same still
        assert (status, same["ready"]) == (200, True)
        shares = "oracles_exit_signature_shares"
        assert [v[shares] for v in same["validators"]] == [v[shares] for v in before]
    async with start(cluster, vaults=VAULTS, oracle_config=others.config) as relayer:
        status, answer = await rotate(relayer, cluster.keys, INDICES)
        assert (status, answer["ready"]) == (200, True)
        assert [v["public_key"] for v in answer["validators"]] == [key.to_wire() for key in cluster.keys]
        verify(answer["validators"], cluster, others, INDICES)
        assert await rotate(relayer, cluster.keys, INDICES) == (200, answer)
        assert await register(relayer) == before
    async with start(cluster, vaults=VAULTS) as relayer:  # and back
        assert await rotate(relayer, cluster.keys, INDICES) == (200, same)
        assert await register(relayer) == before


async def test_a_missing_exit_is_collected_and_comes_later(start: Start, oracles: Oracles) -> None:
    cluster = make_cluster(3)
    indices = range(70, 73)
    async with start(cluster, vaults=VAULTS) as relayer:
        status, answer = await rotate(relayer, cluster.keys, indices)
        assert (status, answer["ready"]) == (200, False)
        assert all(v["oracles_exit_signature_shares"] is None for v in answer["validators"])
        await relayer.fill(cluster, range(70, 72), 1, 2, 3)  # of two
        await relayer.until(lambda e: sum(x.is_exit_signature_ready for x in e.values()) == 2)
        status, answer = await rotate(relayer, cluster.keys, indices)
        null = [v["oracles_exit_signature_shares"] is None for v in answer["validators"]]
        assert (answer["ready"], null) == (False, [False, False, True])
        await relayer.fill(cluster, indices, 1, 2, 3)
        answer = await until_rotated(relayer, cluster.keys, indices)
        verify(answer["validators"], cluster, oracles, indices)


@pytest.mark.parametrize("case", ["vault", "key", "twice", "index", "nothing"])
async def test_what_is_refused(start: Start, case: str) -> None:
    cluster, stranger = make_cluster(2), make_cluster(1)
    async with start(cluster, vaults=VAULTS, signature_threshold=3) as relayer:
        match case:
            case "vault":
                status, answer = await rotate(relayer, cluster.keys, INDICES, wire.Address(bytes(20)))
                field = "vault"
            case "key":
                keys = [*cluster.keys, *stranger.keys]
                status, answer = await rotate(relayer, keys, INDICES)
                field = "validators[2].public_key"
            case "twice":
                status, answer = await rotate(relayer, [cluster.keys[0]] * 2, INDICES)
                field = "validators[1]"
            case "index":
                status, answer = await rotate(relayer, cluster.keys, range(2**64, 2**64 + 2))
                field = "validators[0].validator_index"
            case _:
                status, answer = await rotate(relayer, [], INDICES)
                field = "validators"
        assert (status, answer["field"]) == (422, field), answer
        assert await relayer.exits() == {}


async def test_an_exit_that_somebody_else_asks_for_is_not_moved(start: Start) -> None:
    """An operator of v3 asks for it at 1000, and would be handed shares for index 7."""
    cluster = make_cluster(2)
    async with start(cluster, vaults=VAULTS) as relayer:
        await relayer.ask(cluster, START_INDEX)
        for _ in range(2):
            status, answer = await rotate(relayer, cluster.keys[:1], range(7, 8))
            assert (status, answer["field"]) == (422, "validators[0].public_key")
            assert answer["rejected"] == [
                {"public_key": cluster.keys[0].to_wire(), "reason": ASKED_ELSEWHERE}
            ]
            indices = [e.validator_index for e in (await relayer.exits()).values()]
            assert sorted(indices) == [START_INDEX, START_INDEX + 1]
            await relayer.fill(cluster, range(START_INDEX, START_INDEX + 2), 1, 2, 3)
            await relayer.until_ready(cluster)  # from now on it is handed out, too
        status, answer = await rotate(relayer, cluster.keys, range(START_INDEX, START_INDEX + 2))
        assert (status, answer["ready"]) == (200, True)  # where it is


async def test_a_registration_of_the_vault_is_not_moved(start: Start) -> None:
    cluster = make_cluster(3)
    async with start(cluster, vaults=VAULTS) as relayer:
        await register(relayer)
        status, answer = await rotate(relayer, cluster.keys, range(7, 10))
        assert (status, answer["field"]) == (422, "validators[0].public_key")
        status, answer = await rotate(relayer, cluster.keys, range(7, 10), OTHER_VAULT)
        assert (status, answer["rejected"][2]["reason"]) == (422, ANOTHER_VAULTS)
        await sign_all(relayer, cluster, 1, 2, 3)
        await until_registered(relayer)


async def test_a_rotation_may_correct_itself(start: Start) -> None:
    """Where the operator said another index first, and while nobody registers the validator."""
    cluster = make_cluster(2)
    async with start(cluster, vaults=VAULTS) as relayer:
        for indices in (range(7, 9), range(8, 10)):
            status, answer = await rotate(relayer, cluster.keys, indices)
            assert (status, answer["ready"]) == (200, False)
            assert sorted(e.validator_index for e in (await relayer.exits()).values()) == list(indices)
        status, answer = await rotate(relayer, cluster.keys, range(7, 9), OTHER_VAULT)
        assert (status, answer["field"]) == (422, "validators[0].public_key")
        await relayer.ask(cluster, START_INDEX)  # nothing says that it is registered
        assert (await rotate(relayer, cluster.keys, range(8, 10)))[0] == 422


async def test_a_registered_validator_is_its_vaults_to_rotate(
    start: Start, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster(2)
    async with start(cluster, vaults=VAULTS) as relayer:
        await relayer.ask(cluster, START_INDEX)
        database = await Database.open(database_url)
        await database.run(mark_registered, cluster.keys, block_number=None)
        await database.close()
        assert (await rotate(relayer, cluster.keys, range(7, 9)))[0] == 422  # it is asked for still
        monkeypatch.setattr(ownership, "ASKED_SECONDS", -5)
        assert (await rotate(relayer, cluster.keys, range(7, 9)))[0] == 200
        body = wire.encode(wire.ValidatorsRequest(cluster.keys, wire.UInt64(START_INDEX)))
        status, answer = await relayer.raw("POST", "/validators", body)
        assert (status, answer["field"]) == (422, "public_keys[0]")
        assert sorted(e.validator_index for e in (await relayer.exits()).values()) == [7, 8]


async def test_a_rotation_goes_on_in_pieces_and_rounds_come_between(
    start: Start,
    others: Oracles,
    running: list[tuple[CurrentOracles, Pipeline]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While one piece of a rotation is split, a round becomes due; it is worked on before the next piece."""
    monkeypatch.setattr(pipeline_, "ROTATED_TOGETHER", 2)
    cluster, round_ = make_cluster(6), make_cluster(1, name="round")
    worked: list[str] = []
    entered, go_on = threading.Event(), threading.Event()
    split, judge = Judge.split, Judge.judge

    def split_slowly(self: Judge, exits: Any, *more: Any) -> Any:
        worked.append(f"split {len(exits)}")
        if len(worked) == 1:
            entered.set()
            assert go_on.wait(PATIENCE_SECONDS)
        return split(self, exits, *more)

    def judge_and_tell(self: Judge, *arguments: Any) -> Any:
        worked.append("round")
        return judge(self, *arguments)

    async with start(cluster, vaults=VAULTS) as relayer:
        await register(relayer, amounts=[32 * ETH] * 6)
        await sign_all(relayer, cluster, 1, 2, 3)
        await until_ready(relayer, 6)
        await until_registered(relayer, amounts=[32 * ETH] * 6)
    indices = range(START_INDEX, START_INDEX + 6)
    async with start(cluster, round_, vaults=VAULTS, oracle_config=others.config) as relayer:
        await relayer.ask(round_, 2000)
        monkeypatch.setattr(Judge, "split", split_slowly)
        monkeypatch.setattr(Judge, "judge", judge_and_tell)
        rotating = asyncio.create_task(rotate(relayer, cluster.keys, indices))
        await asyncio.to_thread(entered.wait, PATIENCE_SECONDS)
        another = asyncio.create_task(rotate(relayer, cluster.keys[:1], indices))
        ((_, pipeline),) = running[1:]
        await relayer.fill(round_, [2000], 1, 2, 3)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while pipeline._workers.under_way < 2:  # noqa: ASYNC110 - until the round waits for the thread
                await asyncio.sleep(0.01)
        go_on.set()
        status, answer = await rotating
        assert (status, answer["ready"]) == (200, True)
        verify(answer["validators"], cluster, others, indices)
        assert (await another)[1]["ready"]
        await relayer.until_ready(round_)
        assert worked[:2] == ["split 2", "round"]
        assert worked.count("split 2") == 3


async def test_a_change_while_it_runs(
    start: Start, others: Oracles, running: list[tuple[CurrentOracles, Pipeline]]
) -> None:
    cluster = make_cluster(3)
    async with start(cluster, vaults=VAULTS) as relayer:
        await register(relayer)
        await sign_all(relayer, cluster, 1, 2, 3)
        await until_ready(relayer, 3)
        ((oracles, pipeline),) = running
        oracles.replace(others.config)
        pipeline.wake()
        validators = await until_registered(relayer)
        verify(validators, cluster, others, INDICES)
        oracles.replace(replace(others.config, exit_signature_recover_threshold=3))
        pipeline.wake()
        await asyncio.sleep(0.2)
        assert await register(relayer) == validators


async def test_a_change_and_a_move_back(
    start: Start, others: Oracles, running: list[tuple[CurrentOracles, Pipeline]]
) -> None:
    """An exit that is not current when the oracles change is split anew once it is."""
    cluster = make_cluster(3)
    async with start(cluster, vaults=VAULTS) as relayer:
        await register(relayer)
        await sign_all(relayer, cluster, 1, 2, 3)
        await until_ready(relayer, 3)
        await register(relayer, index=START_INDEX + 5)
        ((oracles, pipeline),) = running
        oracles.replace(others.config)
        pipeline.wake()
        await asyncio.sleep(0.2)
        verify(await until_registered(relayer), cluster, others, INDICES)


async def test_a_validator_that_is_forgotten_while_its_exit_is_split(database_url: str) -> None:
    """SQLite gives the ids of removed rows to new ones; nobody may get another validator's exit."""
    database = await Database.open(database_url)
    old, new = bytes([1]) * 48, bytes([2]) * 48
    await database.run(_make_ready, old)
    (exit_,) = await database.run(exits_to_rotate, VAULT, {old: 5}, bytes(32), 1)
    await database.run(forget, [old])
    await database.run(_make_ready, new)
    split = {exit_.public_key: SplitExit(b"old" * 16, b"old")}
    handed_out = await database.run(hand_out_rotation, {old: 5, new: 5}, split, bytes(32), 1)
    assert [validator.public_key_shares for validator in handed_out] == [None, None]
    assert await database.read(lambda c: c.execute(select(oracle_shares)).all()) == []
    await database.close()


def _make_ready(connection: Connection, key: bytes) -> None:
    remember_validators(connection, [key], 1)
    make_current(connection, {key: Exit(5)}, 1)
    lease_due(connection, bytes(16), MessageStatus.COLLECTING, 1, lambda _: True)
    (message_id,) = connection.scalars(select(messages.c.id).where(messages.c.public_key == key))
    verdicts = Verdicts(ready=[ReadyMessage(message_id, bytes(96), None)])
    record(connection, bytes(16), verdicts, config_digest=bytes(32), threshold_of=lambda _: 1, now=1)
