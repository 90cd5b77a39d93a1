"""Shares that come late, after a move to another validator index."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from dvtfast.services import wire

from ...conftest import Start, make_cluster
from ..test_shares import wrong


@pytest.fixture
def database_url(each_database: str) -> str:
    return each_database


OLD, NEW = range(50, 53), range(60, 63)


async def test_a_late_share_is_not_bad(start: Start) -> None:
    cluster = make_cluster()
    async with start(cluster) as relayer:
        await relayer.ask(cluster, OLD[0])
        await relayer.fill(cluster, OLD, 1)
        await relayer.ask(cluster, NEW[0])
        late = cluster.exit_shares(2, OLD)
        assert await relayer.post(2, late) == []
        await relayer.fill(cluster, NEW, 1, 3)
        exits = await relayer.until(lambda e: all(x.share_indexes_ready == [1, 3] for x in e.values()))
        assert all(e.share_indexes_rejected == [] for e in exits.values())
        assert await relayer.post(2, late) == []  # late once more: held already
        await relayer.fill(cluster, NEW, 2)
        await relayer.until_ready(cluster)
        await relayer.ask(cluster, OLD[0])  # there the late shares count
        assert all(e.share_indexes_ready == [1, 2] for e in (await relayer.exits()).values())
        await relayer.fill(cluster, OLD, 4)
        await relayer.until_ready(cluster)


async def test_a_share_that_landed_at_the_wrong_exit_is_taken_again(start: Start) -> None:
    cluster = make_cluster()
    async with start(cluster) as relayer:
        await relayer.ask(cluster, OLD[0])
        await relayer.ask(cluster, NEW[0])
        await relayer.fill(cluster, OLD, 1)  # in flight when the index moved
        await relayer.ask(cluster, OLD[0])
        assert all(e.share_indexes_ready == [] for e in (await relayer.exits()).values())
        await relayer.fill(cluster, OLD, 1)
        assert all(e.share_indexes_ready == [1] for e in (await relayer.exits()).values())
        await relayer.fill(cluster, OLD, 2, 3)
        await relayer.until_ready(cluster)
        await relayer.ask(cluster, NEW[0])
        await relayer.fill(cluster, NEW, 2, 3)  # with those, what landed here turns out to be late
        await relayer.until(lambda e: all(x.share_indexes_ready == [2, 3] for x in e.values()))
        await relayer.fill(cluster, NEW, 1)
        await relayer.until_ready(cluster)


async def test_a_share_is_late_for_the_exits_that_were_current_last(start: Start) -> None:
    cluster = make_cluster(1)
    async with start(cluster) as relayer:
        for index in range(1000, 1020):
            await relayer.ask(cluster, index)
        await relayer.ask(cluster, 1000)
        await relayer.ask(cluster, 1019)
        await relayer.fill(cluster, [1000], 1)  # in flight when the index moved
        await relayer.fill(cluster, [1019], 2, 3)
        await relayer.until(lambda e: e[cluster.keys[0]].share_indexes_ready == [2, 3])
        await relayer.ask(cluster, 1000)
        assert (await relayer.exits())[cluster.keys[0]].share_indexes_ready == [1]


async def test_a_bad_share_after_a_move_is_bad(start: Start) -> None:
    cluster = make_cluster()
    async with start(cluster) as relayer:
        await relayer.ask(cluster, OLD[0])
        await relayer.ask(cluster, NEW[0])
        await relayer.post(2, wrong(cluster.exit_shares(2, NEW)))
        await relayer.fill(cluster, NEW, 1, 3)
        exits = await relayer.until(lambda e: all(x.share_indexes_rejected for x in e.values()))
        assert all(e.share_indexes_rejected == [2] for e in exits.values())


async def test_a_named_share_goes_to_the_exit_that_it_names(start: Start) -> None:
    cluster = make_cluster()
    async with start(cluster) as relayer:
        await relayer.ask(cluster, OLD[0])
        await relayer.ask(cluster, NEW[0])
        assert await relayer.post(2, cluster.exit_shares(2, OLD, named=True)) == []
        assert all(e.share_indexes_ready == [] for e in (await relayer.exits()).values())
        assert await relayer.post(2, cluster.exit_shares(2, NEW, named=True)) == []
        assert all(e.share_indexes_ready == [2] for e in (await relayer.exits()).values())
        await relayer.ask(cluster, OLD[0])
        assert all(e.share_indexes_ready == [2] for e in (await relayer.exits()).values())


async def test_who_names_an_index_and_signs_another_is_bad(start: Start) -> None:
    cluster = make_cluster()
    async with start(cluster) as relayer:
        await relayer.ask(cluster, OLD[0])
        await relayer.ask(cluster, NEW[0])
        lies = [
            wire.ExitShare(share.public_key, share.exit_signature, wire.UInt64(index))
            for share, index in zip(cluster.exit_shares(2, OLD), NEW, strict=True)
        ]
        await relayer.post(2, lies)
        await relayer.fill(cluster, NEW, 1, 3)
        exits = await relayer.until(lambda e: all(x.share_indexes_rejected for x in e.values()))
        assert all(e.share_indexes_rejected == [2] for e in exits.values())


class TestUnknownKeyShares:
    """Nobody can try a single share here: one that does not fit is asked for again, not called bad."""

    async def test_late_among_exactly_enough(self, start: Start) -> None:
        cluster = make_cluster()
        async with start(signature_threshold=3) as relayer:
            await relayer.ask(cluster, OLD[0])
            await relayer.ask(cluster, NEW[0])
            await relayer.fill(cluster, OLD, 2)  # in flight when the index moved
            await relayer.fill(cluster, NEW, 1, 3)
            exits = await relayer.until(lambda e: all(x.share_indexes_ready == [] for x in e.values()))
            assert all(e.share_indexes_rejected == [] for e in exits.values())
            await relayer.fill(cluster, NEW, 1, 2, 3)  # all are asked again
            await relayer.until_ready(cluster)

    async def test_late_among_more(self, start: Start) -> None:
        cluster = make_cluster(1)
        async with start(signature_threshold=3) as relayer:
            await relayer.ask(cluster, OLD[0])
            await relayer.ask(cluster, NEW[0])
            await relayer.fill(cluster, OLD[:1], 2)
            for share_index in (1, 3):
                await relayer.post(share_index, cluster.exit_shares(share_index, NEW[:1], named=True))
            await relayer.until(lambda e: all(x.share_indexes_ready == [] for x in e.values()))
            await relayer.fill(cluster, NEW[:1], 4)
            await relayer.until_ready(cluster)
            (exit_,) = (await relayer.exits()).values()
            assert exit_.share_indexes_rejected == []

    async def test_who_names_the_index_is_called_bad(self, start: Start) -> None:
        cluster = make_cluster(1)
        async with start(signature_threshold=3) as relayer:
            await relayer.ask(cluster, OLD[0])
            await relayer.ask(cluster, NEW[0])
            await relayer.post(2, wrong(cluster.exit_shares(2, NEW[:1], named=True)))
            for share_index in (1, 3, 4):
                await relayer.post(share_index, cluster.exit_shares(share_index, NEW[:1], named=True))
            await relayer.until_ready(cluster)
            (exit_,) = (await relayer.exits()).values()
            assert exit_.share_indexes_rejected == [2]

    async def test_asking_again_comes_to_an_end(self, start: Start) -> None:
        """Who sends the same again changes nothing: it is not judged again."""
        cluster = make_cluster(1)
        async with start(signature_threshold=3) as relayer:
            await relayer.ask(cluster, OLD[0])
            await relayer.ask(cluster, NEW[0])
            shares = {i: cluster.exit_shares(i, NEW[:1]) for i in (1, 2, 3)}
            shares[2] = wrong(shares[2])
            for share_index in (1, 2, 3):
                await relayer.post(share_index, shares[share_index])
            await relayer.until(lambda e: all(x.share_indexes_ready == [] for x in e.values()))
            with capture_logs() as lines:
                for share_index in (1, 2, 3):
                    assert await relayer.post(share_index, shares[share_index]) == []
                await asyncio.sleep(0.3)
            assert [line for line in lines if line["part"] != "http"] == []
            (exit_,) = (await relayer.exits()).values()
            assert exit_.share_indexes_ready == []
            await relayer.fill(cluster, NEW[:1], 4)
            await relayer.until_ready(cluster)
