"""Validators that are asked for at one index after the other: what is left behind, and what is too often."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, func, select, update

from dvtfast.services.relayer.store.engine.database import Database
from dvtfast.services.relayer.store.judging.rotation import exits_to_rotate
from dvtfast.services.relayer.store.operators import moves
from dvtfast.services.relayer.store.operators.index_assignment import IndexRule, ask_for, current_subjects
from dvtfast.services.relayer.store.operators.moves import TooManyMovesError
from dvtfast.services.relayer.store.operators.ownership import ASKED_SECONDS, AskedByOthersError
from dvtfast.services.relayer.store.operators.pending import Asker
from dvtfast.services.relayer.store.operators.reservations import WantedRegistration, reserve
from dvtfast.services.relayer.store.subjects import Exit, to_bytes
from dvtfast.services.relayer.store.tables import (
    MessageKind,
    messages,
    oracle_shares,
    shares,
    signatures,
    validators,
)

from ...access import READ_ONLY, bearer, operator, tokens_of
from ...conftest import START_INDEX, Cluster, Relayer, Start, each_database, make_cluster
from ..access.test_access import send
from ..test_register import ETH, VAULT, VAULTS, body_of, register

__all__ = ["each_database"]

NOW = 1_700_000_000
KEYS = [bytes([0x80 + i]) * 48 for i in range(3)]


@pytest.fixture
def database_url(each_database: str) -> str:
    return each_database


async def rows(url: str) -> dict[str, int]:
    """How many rows there are, by table."""
    database = await Database.open(url)
    tables = messages, shares, signatures, oracle_shares

    def counted(connection: Connection) -> dict[str, int]:
        return {t.name: connection.scalar(select(func.count()).select_from(t)) or 0 for t in tables}

    try:
        return await database.read(counted)
    finally:
        await database.close()


@pytest.mark.parametrize("window", [0, 3])
async def test_what_nobody_signed_goes_at_once(start: Start, database_url: str, window: int) -> None:
    """But for the exit that was current just now: its shares may be on their way."""
    cluster = make_cluster(5)
    async with start(cluster, index_window=window) as relayer:
        for index in range(2000, 4000, 100):
            await relayer.ask(cluster, index)
        assert (await rows(database_url))["messages"] == 5 * (2 + window)
        for index in range(4000, 4020):  # which are next to each other
            await relayer.ask(cluster, index)
        assert (await rows(database_url))["messages"] == 5 * (2 + window)
        await relayer.fill(cluster, range(4018, 4023), 4)  # late by one move
        await relayer.fill(cluster, range(4019, 4024), 1, 2, 3)
        await relayer.until_ready(cluster)
        assert all(e.share_indexes_rejected == [] for e in (await relayer.exits()).values())


@pytest.mark.parametrize("given_back_each", [1, 3])
async def test_registrations_leave_nothing_either(
    start: Start, database_url: str, given_back_each: int
) -> None:
    """Neither other indices nor other amounts, nor validators that are given back in between."""
    cluster = make_cluster(3)
    async with start(cluster, vaults=VAULTS) as relayer:
        for step in range(20):
            amounts = [(32 + step) * ETH] * 3
            await register(relayer, index=START_INDEX + step, amounts=amounts, kind="0x02")
            if step % given_back_each == 0:
                await register(relayer, amounts=[])
        assert (await rows(database_url))["messages"] <= 3 * 2 * 2


async def test_what_was_signed_is_kept_for_a_while(
    start: Start, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "KEPT_WITH_SHARES", 3)
    cluster = make_cluster(1)
    async with start(cluster) as relayer:
        await relayer.ask(cluster, 10)
        await relayer.fill(cluster, [10], 1, 2, 3)
        at_first = await relayer.until_ready(cluster)  # which hands it out
        for index in range(20, 30):
            await relayer.ask(cluster, index)
            await relayer.fill(cluster, [index], 1, 2)
        counted = await rows(database_url)
        assert counted == {
            "messages": 1 + 3 + 1 + 1,
            "shares": 3 + 2 * 5,
            "signatures": 1,
            "oracle_shares": 1,
        }
        assert (await relayer.ask(cluster, 10)).validators == at_first.validators
        for index, ready in ((29, [1, 2]), (27, [1, 2]), (21, [])):
            await relayer.ask(cluster, index)
            assert (await relayer.exits())[cluster.keys[0]].share_indexes_ready == ready


async def ask(
    relayer: Relayer, cluster: Cluster, index: int, headers: dict[str, str]
) -> tuple[int, Any, dict[str, str]]:
    body = {"public_keys": [key.to_wire() for key in cluster.keys], "validators_start_index": index}
    status, answer, response = await send(relayer, "POST", "/validators", body, headers)
    return status, answer, dict(response.headers)


async def test_a_flood_of_indices(start: Start, database_url: str) -> None:
    cluster = make_cluster(4)
    async with tokens_of(database_url) as tokens:
        mine = bearer(await tokens.make(operator(VAULT, clusters=("test",))))
        looks = bearer(await tokens.make(READ_ONLY))
        async with start(cluster, requests_per_second=1000.0, vaults=VAULTS) as relayer:
            statuses = [(await ask(relayer, cluster, 2000 + 10 * i, mine))[0] for i in range(80)]
            assert set(statuses) == {200, 429}
            assert moves.OF_ONE_VALIDATOR <= statuses.index(429) - 1 <= moves.OF_ONE_VALIDATOR + 2
            status, answer, headers = await ask(relayer, cluster, 5, mine)
            assert (status, answer["field"]) == (429, "validators_start_index")
            assert 1 <= int(headers["Retry-After"]) <= moves.ONE_MORE_SECONDS
            assert (await rows(database_url))["messages"] == 4 * 2
            _, listed, _ = await send(relayer, "GET", "/exits", None, looks)
            indices = {item["validator_index"] for item in listed["exits"]}
            assert min(indices) > 2000 + 10 * moves.OF_ONE_VALIDATOR - 10


async def test_moves_of_one_token_in_a_day(start: Start, database_url: str) -> None:
    cluster = make_cluster(4)
    async with tokens_of(database_url) as tokens:
        mine = bearer(await tokens.make(operator(VAULT, clusters=("test",))))
        async with start(cluster, moves_per_day=6, vaults=VAULTS) as relayer:
            assert (await ask(relayer, cluster, 10, mine))[0] == 200  # the first time is no move
            assert (await ask(relayer, cluster, 20, mine))[0] == 200
            status, answer, _ = await ask(relayer, cluster, 30, mine)
            assert (status, "at most 6 moves" in answer["error"]) == (429, True)
            assert (await ask(relayer, cluster, 10, mine))[
                0
            ] == 200  # where they were, it costs nobody anything
        async with start(cluster, moves_per_day=6, vaults=VAULTS) as relayer:  # nor does a restart help
            assert (await ask(relayer, cluster, 30, mine))[0] == 429
            body = body_of(amounts=[32 * ETH] * 4)
            assert (await send(relayer, "POST", "/register", body, mine))[0] == 200


def asked(connection: Connection, index: int, asker: Asker, now: int = NOW, keys: list[bytes] = KEYS) -> None:
    digest = bytes(32)
    ask_for(
        connection,
        keys,
        IndexRule(index),
        window=0,
        config_digest=digest,
        now=now,
        asker=asker,
    )


async def test_what_wears_off(database_url: str) -> None:
    """Of a validator, and of a token, also where others look at another clock."""
    database = await Database.open(database_url)
    mine = Asker("11111111", 100, 300)
    await database.run(asked, 0, mine)
    for i in range(1, moves.OF_ONE_VALIDATOR + 1):
        await database.run(asked, 10 * i, mine)
    with pytest.raises(TooManyMovesError, match="to one more each 120 seconds") as caught:
        await database.run(asked, 9000, mine)
    assert caught.value.retry_after_seconds == moves.ONE_MORE_SECONDS
    await database.run(asked, 9000, mine, NOW + moves.ONE_MORE_SECONDS)
    others = [key[::-1][:1] + key[1:47] + b"\x01" for key in KEYS]
    await database.run(asked, 9500, mine, NOW, others)
    for i in range(35):
        await database.run(asked, 9600 + 10 * i, mine, NOW, others)
    with pytest.raises(TooManyMovesError, match="at most 300 moves") as caught:
        await database.run(asked, 20_000, mine, NOW, others)
    assert 0 < caught.value.retry_after_seconds <= moves.DAY_SECONDS / 100
    await database.run(asked, 20_000, mine, NOW + moves.DAY_SECONDS // 100, others)
    await database.run(asked, 30_000, Asker("11111111", None, None), NOW, others)  # without a limit
    await database.close()


async def test_given_back_and_taken_again_is_a_move(database_url: str) -> None:
    database = await Database.open(database_url)
    mine = Asker("11111111", 100, 1000)

    def taken(connection: Connection, index: int, count: int) -> None:
        wanted = WantedRegistration(bytes(VAULT), index, [32 * ETH] * count, 1)
        reserve(connection, wanted, KEYS, window=0, now=NOW, asker=mine)

    for index in range(moves.OF_ONE_VALIDATOR + 1):
        await database.run(taken, index, 3)
        await database.run(taken, index, 0)
    with pytest.raises(TooManyMovesError):
        await database.run(taken, 9000, 3)
    await database.close()


async def test_another_token_does_not_move_what_is_asked_for(database_url: str) -> None:
    database = await Database.open(database_url)
    one, two = Asker("11111111", 100, 1000), Asker("22222222", 100, 1000)

    def exits(connection: Connection) -> set[bytes]:
        return set(current_subjects(connection, KEYS, MessageKind.EXIT).values())

    await database.run(asked, 1000, one)
    before = await database.read(exits)
    with pytest.raises(AskedByOthersError) as caught:
        await database.run(asked, 7, two)
    assert caught.value.public_keys == frozenset(KEYS)
    with pytest.raises(AskedByOthersError):
        await database.run(exits_to_rotate, bytes(VAULT), {KEYS[0]: 7}, bytes(32), NOW, asker=two)
    assert await database.read(exits) == before
    await database.run(asked, 1000, two)  # the same is no move
    await database.run(asked, 7, two, NOW + ASKED_SECONDS + 61)  # the other one asks no more
    assert to_bytes(Exit(7)) in await database.read(exits)
    with pytest.raises(AskedByOthersError):
        await database.run(asked, 1000, one, NOW + ASKED_SECONDS + 70)
    await database.close()


async def test_the_database_of_before_is_brought_up_to_date(start: Start, database_url: str) -> None:
    """What was left behind before goes with the next move."""
    cluster = make_cluster(1)
    async with start(cluster) as relayer:
        await relayer.ask(cluster, 10)
    database = await Database.open(database_url)

    def age(connection: Connection) -> None:
        for index in range(100, 150):
            row = {"public_key": cluster.keys[0], "kind": MessageKind.EXIT, "subject": to_bytes(Exit(index))}
            row |= {"is_current": False, "was_current": True, "status": 0, "revision": index}
            connection.execute(messages.insert().values(row | {"created_at": NOW}))
        connection.execute(update(validators).values(asked_by=None, moves_until=None))

    await database.run(age)
    await database.close()
    assert (await rows(database_url))["messages"] == 51
    async with start(cluster) as relayer:
        await relayer.ask(cluster, 11)
        await relayer.fill(cluster, [11], 1, 2, 3)
        await relayer.until_ready(cluster)
    assert (await rows(database_url))["messages"] == 2
