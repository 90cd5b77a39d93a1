"""Who handed in bad shares, in the log: once a round, for each kind of message, and not once a poll."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from dvtfast.services.relayer.clusters.served import Group
from dvtfast.services.relayer.judging import culprits as culprits_
from dvtfast.services.relayer.judging.culprits import SHOWN_VALIDATORS, Culprits
from dvtfast.services.relayer.store.judging.verdicts import DueMessage, HeldShare
from dvtfast.services.relayer.store.subjects import Deposit, Exit, Subject

from ...conftest import START_INDEX, Relayer, Start, make_cluster
from ..test_shares import wrong
from ..test_signatures import QUIET_SECONDS, culprits_in, until_named

GROUP = Group("one", 3, None)
DEPOSIT = Deposit(bytes(20), 1, 32)


@pytest.fixture
def database_url(each_database: str) -> str:
    return each_database


def message(number: int, subject: Subject) -> DueMessage:
    return DueMessage(number, 1, bytes([number % 40]) * 48, subject, ())


def test_batches_of_a_round_make_one_line() -> None:
    culprits = Culprits()
    batches = [[message(10 * batch + i, Exit(i)) for i in range(10)] for batch in range(5)]
    with capture_logs() as lines:
        for batch in batches:
            culprits.note(GROUP, batch, [HeldShare(m.id, 2) for m in batch])
            culprits.note(GROUP, batch, [HeldShare(m.id, 2) for m in batch])  # sent again
        deposit = message(99, DEPOSIT)
        culprits.note(GROUP, [deposit], [HeldShare(99, 2), HeldShare(99, 7)])
        assert not lines
        culprits.report()
        culprits.report()
        culprits.note(GROUP, batches[0], [HeldShare(0, 2)])
        culprits.report()
    assert [(line["kind"], line["share_index"], line["count"]) for line in lines] == [
        ("deposit", 2, 1),
        ("deposit", 7, 1),
        ("exit", 2, 50),
    ]
    shown = lines[2]["validators"]
    assert len(shown) == len(set(shown)) == SHOWN_VALIDATORS


def test_a_round_without_end_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    culprits = Culprits()
    assert not culprits.waited_long
    culprits.note(GROUP, [message(1, DEPOSIT)], [HeldShare(1, 2)])
    assert not culprits.waited_long
    monkeypatch.setattr(culprits_, "LONGEST_WAIT_SECONDS", 0.0)
    assert culprits.waited_long
    culprits.report()
    assert not culprits.waited_long


async def poll(relayer: Relayer) -> None:
    for _ in range(5):
        await relayer.exits()
        await relayer.client.info()


@pytest.mark.parametrize("late", [False, True])
async def test_polls_and_the_same_share_name_nobody_again(start: Start, late: bool) -> None:
    cluster = make_cluster()
    indices = range(START_INDEX, START_INDEX + 3)
    bad = wrong(cluster.exit_shares(1, indices))
    with capture_logs() as lines:
        async with start(cluster) as relayer:
            await relayer.ask(cluster)
            if not late:
                await relayer.post(1, bad)
            await relayer.fill(cluster, indices, 2, 3, 4)
            await relayer.until_ready(cluster)
            if late:
                await relayer.post(1, bad)
            (line,) = await until_named(lines)
            assert (line["share_index"], line["count"]) == (1, 3)
            for _ in range(2):
                await poll(relayer)
                await relayer.ask(cluster)
                await relayer.post(1, bad)
                await asyncio.sleep(QUIET_SECONDS / 2)
        assert len(culprits_in(lines)) == 1


async def test_what_is_not_named_yet_is_named_at_the_end(start: Start) -> None:
    cluster = make_cluster(1)
    with capture_logs() as lines:
        async with start(cluster) as relayer:
            await relayer.ask(cluster)
            await relayer.post(1, wrong(cluster.exit_shares(1, [START_INDEX])))
            await relayer.fill(cluster, [START_INDEX], 2, 3)
            await relayer.until(lambda e: e[cluster.keys[0]].share_indexes_rejected == [1])
    assert len(culprits_in(lines)) == 1
