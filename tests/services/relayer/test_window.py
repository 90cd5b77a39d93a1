"""--index-window: exits at the next validator indices are signed before they are wanted."""

from __future__ import annotations

from typing import Any

import pytest

from dvtfast.services import wire

from ..conftest import START_INDEX, Cluster, Relayer, Start, make_cluster
from .test_register import VAULTS, body_of, register, sign_all, until_registered, verify

WINDOW = 3


async def listed(relayer: Relayer, query: str = "?window=1") -> list[tuple[bytes, int]]:
    """Validators with indices, in the order of GET /exits."""
    status, answer = await relayer.raw("GET", "/exits" + query)
    assert status == 200
    return [(wire.PublicKey.from_wire(e["public_key"]), e["validator_index"]) for e in answer["exits"]]


async def post_at(relayer: Relayer, cluster: Cluster, first: int, *share_indices: int) -> None:
    """Named shares of all validators, the first of which is at this index."""
    indices = range(first, first + len(cluster.keys))
    for share_index in share_indices:
        shares = cluster.exit_shares(share_index, indices, named=True)
        assert await relayer.post(share_index, shares) == []


@pytest.mark.parametrize("query", ["", "?window=0", "?window=", "?window=yes", "?window=2"])
async def test_only_who_asks_sees_more_than_one(start: Start, query: str) -> None:
    cluster = make_cluster(2)
    async with start(cluster, index_window=WINDOW) as relayer:
        await relayer.ask(cluster)
        one = [(key, START_INDEX + row) for row, key in enumerate(cluster.keys)]
        assert await listed(relayer, query) == one
        assert await listed(relayer) == [
            (key, START_INDEX + row + ahead)
            for row, key in enumerate(cluster.keys)
            for ahead in range(WINDOW + 1)
        ]


async def test_without_a_window_there_is_only_one(start: Start) -> None:
    cluster = make_cluster(2)
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        assert await listed(relayer) == await listed(relayer, "")


async def test_a_shift_inside_the_window_needs_no_new_shares(start: Start) -> None:
    cluster = make_cluster(3)
    async with start(cluster, index_window=WINDOW) as relayer:
        await relayer.ask(cluster, 50)
        for ahead in range(WINDOW + 1):
            await post_at(relayer, cluster, 50 + ahead, 1, 2, 4)
        at_first = await relayer.until_ready(cluster)
        shown = await relayer.exits()  # plain: the prepared ones are not judged before their time
        assert [shown[key].validator_index for key in cluster.keys] == [50, 51, 52]
        for ahead in (2, 1, 3):
            await relayer.ask(cluster, 50 + ahead)
            answer = await relayer.until_ready(cluster)
            assert answer.validators != at_first.validators
        assert (await relayer.ask(cluster, 50)).validators == at_first.validators


async def test_the_window_moves_along(start: Start) -> None:
    cluster = make_cluster(1)
    async with start(cluster, index_window=WINDOW) as relayer:
        await relayer.ask(cluster, 50)
        for index in (51, 52, 60):
            await relayer.ask(cluster, index)
            assert [at for _, at in await listed(relayer)] == [*range(index, index + WINDOW + 1)]
        await relayer.ask(cluster, 2**64 - 2)
        assert [at for _, at in await listed(relayer)] == [2**64 - 2, 2**64 - 1]
        await relayer.ask(cluster, 2**64 - 1)
        assert [at for _, at in await listed(relayer)] == [2**64 - 1]


async def test_a_bad_share_ahead_is_named_when_its_time_comes(start: Start) -> None:
    cluster = make_cluster(1)
    async with start(cluster, index_window=WINDOW) as relayer:
        await relayer.ask(cluster, 50)
        lie = cluster.exit_shares(1, [51], signer=3, named=True)
        assert await relayer.post(1, lie) == []
        await post_at(relayer, cluster, 51, 2, 4)
        assert (await relayer.exits())[cluster.keys[0]].share_indexes_rejected == []
        await relayer.ask(cluster, 51)
        exits = await relayer.until(lambda e: e[cluster.keys[0]].share_indexes_rejected == [1])
        assert exits[cluster.keys[0]].share_indexes_ready == [2, 4]


async def test_beyond_the_window_nobody_asked(start: Start) -> None:
    cluster = make_cluster(1)
    async with start(cluster, index_window=WINDOW) as relayer:
        await relayer.ask(cluster, 50)
        (rejected,) = await relayer.post(1, cluster.exit_shares(1, [54], named=True))
        assert rejected.reason == "nobody asked for an exit at validator index 54"


async def test_prepared_shares_survive_a_restart(start: Start) -> None:
    cluster = make_cluster(2)
    async with start(cluster, index_window=WINDOW) as relayer:
        await relayer.ask(cluster, 50)
        await post_at(relayer, cluster, 51, 1, 2, 3)
    async with start(cluster) as relayer:  # without a window they count still
        await relayer.ask(cluster, 51)
        await relayer.until_ready(cluster)


async def test_a_registration_moves_without_a_new_round(start: Start, oracles: Any) -> None:
    cluster = make_cluster(3)
    async with start(cluster, vaults=VAULTS, index_window=WINDOW) as relayer:
        await register(relayer)
        await sign_all(relayer, cluster, 1, 2, 3)
        for ahead in range(1, WINDOW + 1):
            await post_at(relayer, cluster, START_INDEX + ahead, 1, 2, 3)
        for ahead in range(WINDOW + 1):
            validators = await until_registered(relayer, index=START_INDEX + ahead)
            verify(validators, cluster, oracles, body_of(START_INDEX + ahead))
