"""Shares that came too late to be needed are verified all the same, so that every bad node is named."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from ...conftest import READY_SECONDS, START_INDEX, Start, make_cluster
from ..test_shares import wrong


@pytest.fixture
def database_url(each_database: str) -> str:
    return each_database


INDICES = range(START_INDEX, START_INDEX + 3)


async def test_who_posts_a_bad_share_after_the_exit_is_ready_is_named(start: Start) -> None:
    cluster = make_cluster()
    with capture_logs() as lines:
        async with start(cluster) as relayer:
            await relayer.ask(cluster)
            await relayer.fill(cluster, INDICES, 1, 2, 3)
            before = await relayer.until_ready(cluster)
            mixed = cluster.exit_shares(4, INDICES)
            mixed[1:] = wrong(mixed[1:])
            assert await relayer.post(4, mixed) == []
            exits = await relayer.until(
                lambda e: sum(x.share_indexes_rejected == [4] for x in e.values()) == 2
            )
            assert exits[cluster.keys[0]].share_indexes_ready == [1, 2, 3, 4]
            assert all(exits[key].share_indexes_ready == [1, 2, 3] for key in cluster.keys[1:])
            assert await relayer.ask(cluster) == before
    (bad,) = (line for line in lines if line["event"] == "bad shares")
    assert (bad["share_index"], bad["count"]) == (4, 2)
    assert sorted(bad["validators"]) == sorted(key.to_wire() for key in cluster.keys[1:])


async def test_a_bad_share_that_was_not_used_is_named(start: Start) -> None:
    cluster = make_cluster()
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        await relayer.ask(cluster, START_INDEX + 9)  # so that all shares are there before the first verdict
        for share_index in (1, 2, 3):
            await relayer.post(share_index, cluster.exit_shares(share_index, INDICES, named=True))
        await relayer.post(4, wrong(cluster.exit_shares(4, INDICES, named=True)))
        await relayer.ask(cluster, START_INDEX)
        await relayer.until_ready(cluster)
        exits = await relayer.until(lambda e: all(x.share_indexes_rejected for x in e.values()))
        assert all(e.share_indexes_rejected == [4] for e in exits.values())


async def test_a_share_that_is_late_after_all_is_not_bad(start: Start) -> None:
    cluster = make_cluster()
    later = range(START_INDEX + 10, START_INDEX + 13)
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        await relayer.ask(cluster, later[0])
        await relayer.fill(cluster, later, 1, 2, 3)
        await relayer.until_ready(cluster)
        await relayer.fill(cluster, INDICES, 4)  # made for the earlier exits
        exits = await relayer.until(lambda e: all(x.share_indexes_ready == [1, 2, 3] for x in e.values()))
        assert all(e.share_indexes_rejected == [] for e in exits.values())
        await relayer.ask(cluster, START_INDEX)
        assert all(e.share_indexes_ready == [4] for e in (await relayer.exits()).values())


async def test_a_share_is_verified_once(start: Start) -> None:
    cluster = make_cluster()
    with capture_logs() as lines:
        async with start(cluster) as relayer:
            await relayer.ask(cluster)
            await relayer.fill(cluster, INDICES, 1, 2, 3)
            async with asyncio.timeout(READY_SECONDS):
                while sum(line.get("verified_shares", 0) for line in lines) < 9:  # noqa: ASYNC110 - log lines
                    await asyncio.sleep(0.02)
    with capture_logs() as lines:
        async with start(cluster) as relayer:
            await relayer.fill(cluster, INDICES, 1, 2, 3)
            await asyncio.sleep(1.5)
    assert [line for line in lines if line["part"] != "http"] == []


async def test_what_nobody_can_verify_stays_until_somebody_can(start: Start) -> None:
    cluster = make_cluster()
    async with start(signature_threshold=3) as relayer:
        await relayer.ask(cluster)
        await relayer.fill(cluster, INDICES, 1, 2, 3)
        await relayer.until_ready(cluster)
        await relayer.post(4, wrong(cluster.exit_shares(4, INDICES)))
        await asyncio.sleep(1.5)
        assert all(e.share_indexes_ready == [1, 2, 3, 4] for e in (await relayer.exits()).values())
    async with start(cluster) as relayer:
        await relayer.until(lambda e: all(x.share_indexes_rejected == [4] for x in e.values()))
