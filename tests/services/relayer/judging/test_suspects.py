"""A node that keeps failing: its shares are checked as they come, and slow down nobody."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from dvtfast.services.relayer.clusters.served import Group
from dvtfast.services.relayer.judging.suspects import GOOD_AGAIN, SUSPECTS_LIMIT, Suspects

from ...conftest import START_INDEX, Cluster, Relayer, Start, make_cluster
from ..test_shares import wrong
from ..test_signatures import culprits_in

VALIDATORS = 9
INDICES = range(START_INDEX, START_INDEX + VALIDATORS)
LATER = range(START_INDEX + 50, START_INDEX + 50 + VALIDATORS)


@pytest.fixture
def database_url(each_database: str) -> str:
    return each_database


def closer_looks(lines: Sequence[MutableMapping[str, Any]]) -> int:
    return sum(line["closer_looks"] for line in lines if line["event"] == "batch")


async def until_suspected(relayer: Relayer, cluster: Cluster) -> None:
    """The first validator has a bad share of node 1, and two good ones."""
    await relayer.ask(cluster)
    await relayer.post(1, wrong(cluster.exit_shares(1, INDICES[:1])))
    await relayer.fill(cluster, INDICES[:1], 2, 3)
    await relayer.until(lambda e: e[cluster.keys[0]].share_indexes_rejected == [1])


async def test_bad_shares_of_a_suspect_are_found_on_arrival(start: Start) -> None:
    cluster = make_cluster(VALIDATORS)
    with capture_logs() as lines:
        async with start(cluster) as relayer:
            await until_suspected(relayer, cluster)
            await relayer.post(1, wrong(cluster.exit_shares(1, INDICES))[1:])
            await relayer.until(lambda e: all(x.share_indexes_rejected == [1] for x in e.values()))
            await relayer.fill(cluster, INDICES, 2, 3, 4)
            await relayer.until_ready(cluster)
    assert closer_looks(lines) == 1
    named = culprits_in(lines)  # one, unless the machine is slow
    assert {(line["share_index"], line["kind"]) for line in named} == {(1, "exit")}
    assert sum(line["count"] for line in named) == VALIDATORS
    validators = [key for line in named for key in line["validators"]]
    assert sorted(validators) == sorted(key.to_wire() for key in cluster.keys)


async def test_a_suspect_that_makes_messages_due_costs_no_search(start: Start) -> None:
    """The others were there before, and the fourth node is late: each bad share completes three."""
    cluster = make_cluster(VALIDATORS)
    with capture_logs() as lines:
        async with start(cluster) as relayer:
            await until_suspected(relayer, cluster)
            await relayer.fill(cluster, INDICES, 2, 3)
            await relayer.post(1, wrong(cluster.exit_shares(1, INDICES))[1:])
            exits = await relayer.until(lambda e: all(x.share_indexes_rejected == [1] for x in e.values()))
            assert all(exit_.share_indexes_ready == [2, 3] for exit_ in exits.values())
            await relayer.fill(cluster, INDICES, 4)
            await relayer.until_ready(cluster)
    assert closer_looks(lines) == 1


async def test_shares_that_were_there_before_anybody_suspected(start: Start) -> None:
    cluster = make_cluster(VALIDATORS)
    with capture_logs() as lines:
        async with start(cluster) as relayer:
            await relayer.ask(cluster)
            await relayer.post(1, wrong(cluster.exit_shares(1, INDICES))[1:])
            await until_suspected(relayer, cluster)
            exits = await relayer.until(lambda e: all(x.share_indexes_rejected == [1] for x in e.values()))
            assert [len(exit_.share_indexes_ready) for exit_ in exits.values()].count(0) == VALIDATORS - 1
    assert closer_looks(lines) == 1


async def until_all_are_due(relayer: Relayer, cluster: Cluster, *, good: int, bad: int) -> None:
    """At a later index every node's shares are there before any of them is judged; 1 is a suspect."""
    await until_suspected(relayer, cluster)
    await relayer.ask(cluster, LATER[0])
    await relayer.ask(cluster, START_INDEX)
    for share_index in (2, 3, 4, 1):
        shares = cluster.exit_shares(share_index, LATER, named=True)
        assert await relayer.post(share_index, wrong(shares) if share_index == bad else shares) == []
    await relayer.ask(cluster, LATER[0])
    await relayer.until_ready(cluster)
    exits = await relayer.until(lambda e: all(x.share_indexes_rejected for x in e.values()))
    assert all(exit_.share_indexes_rejected == [bad] for exit_ in exits.values())
    assert all(good in exit_.share_indexes_ready for exit_ in exits.values())


async def test_a_suspect_is_not_waited_for(start: Start) -> None:
    """Where the others are enough its shares are left alone until there is nothing else to do."""
    with capture_logs() as lines:
        async with start(cluster := make_cluster(VALIDATORS)) as relayer:
            await until_all_are_due(relayer, cluster, good=4, bad=1)
    assert closer_looks(lines) == 1
    judged = [line for line in lines if line["event"] == "batch" and line["ready"]]
    assert [line["bad_shares"] for line in judged] == [0] * len(judged)


async def test_a_suspect_that_is_right_where_another_is_not(start: Start) -> None:
    """Node 4 is bad for the first time: without it the suspect's share is needed after all."""
    async with start(cluster := make_cluster(VALIDATORS)) as relayer:
        await until_all_are_due(relayer, cluster, good=1, bad=4)


async def test_good_shares_of_a_suspect_count(start: Start) -> None:
    cluster = make_cluster(VALIDATORS)
    with capture_logs() as lines:
        async with start(cluster) as relayer:
            await until_suspected(relayer, cluster)
            good = cluster.exit_shares(1, INDICES)
            bad = wrong(good)
            mixed = [bad[1], *good[2:]]
            assert await relayer.post(1, mixed) == []
            await relayer.until(lambda e: e[cluster.keys[1]].share_indexes_rejected == [1])
            assert await relayer.post(1, mixed[1:]) == []  # the same again
            refused = await relayer.post(1, bad[2:])
            assert [item.public_key for item in refused] == [key.to_wire() for key in cluster.keys[2:]]
            await relayer.fill(cluster, INDICES, 2, 3)
            exits = await relayer.until(
                lambda e: sum(x.is_exit_signature_ready for x in e.values()) == VALIDATORS - 2
            )
            assert all(exits[key].share_indexes_ready == [1, 2, 3] for key in cluster.keys[2:])
            await relayer.fill(cluster, INDICES[:2], 1)  # mended
            await relayer.until_ready(cluster)
    assert closer_looks(lines) == 1


async def test_a_good_share_of_a_suspect_survives_a_restart(start: Start) -> None:
    cluster = make_cluster(VALIDATORS)
    async with start(cluster) as relayer:
        await until_suspected(relayer, cluster)
        await relayer.post(1, cluster.exit_shares(1, INDICES)[1:])
    async with start(cluster) as relayer:
        exits = await relayer.exits()
        assert all(exits[key].share_indexes_ready == [1] for key in cluster.keys[1:])
        await relayer.fill(cluster, INDICES, 3, 4)
        exits = await relayer.until(
            lambda e: sum(x.is_exit_signature_ready for x in e.values()) == VALIDATORS
        )
        assert exits[cluster.keys[0]].share_indexes_rejected == [1]


async def test_a_late_share_of_a_suspect_is_not_bad(start: Start) -> None:
    """It was made for the earlier exits; that it came alone, and early, makes no difference."""
    cluster = make_cluster(VALIDATORS)
    later = range(START_INDEX + 100, START_INDEX + 100 + VALIDATORS)
    async with start(cluster) as relayer:
        await until_suspected(relayer, cluster)
        await relayer.ask(cluster, later[0])
        await relayer.fill(cluster, INDICES, 1)  # in flight when the index moved
        await relayer.until(lambda e: all(x.share_indexes_ready == [] for x in e.values()))
        assert all(exit_.share_indexes_rejected == [] for exit_ in (await relayer.exits()).values())
        await relayer.ask(cluster, START_INDEX)
        exits = (await relayer.exits()).values()
        assert sum(1 in exit_.share_indexes_ready for exit_ in exits) == VALIDATORS


class TestSuspects:
    """Who is one, and for how long."""

    group = Group("one", 3, None)

    def test_until_it_was_good_for_a_while(self) -> None:
        suspects = Suspects()
        assert suspects.of(self.group) == frozenset()
        assert suspects.note(self.group, {}, [2, 7])
        assert not suspects.note(self.group, {2: GOOD_AGAIN - 1, 5: 9}, [])
        assert suspects.of(self.group) == {2, 7}
        assert not suspects.note(self.group, {2: 100}, [2])  # and a bad one: it begins anew
        assert not suspects.note(self.group, {2: GOOD_AGAIN - 1}, [])
        assert suspects.of(self.group) == {2, 7}
        assert not suspects.note(self.group, {2: 1}, [])
        assert suspects.of(self.group) == {7}
        assert suspects.of(Group("two", 3, None)) == frozenset()

    def test_made_up_indices_are_bounded(self) -> None:
        suspects = Suspects()
        for index in range(1, 2 * SUSPECTS_LIMIT):
            suspects.note(self.group, {}, [index])
        assert suspects.of(self.group) == set(range(SUSPECTS_LIMIT, 2 * SUSPECTS_LIMIT))
