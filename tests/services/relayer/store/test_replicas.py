"""Two relayers on one PostgreSQL: they share the work, see each other's changes, and outlive each other."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic

import asyncpg
import pytest
from coincurve import PrivateKey
from sqlalchemy import Connection, func, select, text, update
from structlog.testing import capture_logs

from dvtfast import HOODI
from dvtfast.services import wire
from dvtfast.services.demo import processes
from dvtfast.services.demo.app import START_INDEX as ROUND_INDEX
from dvtfast.services.demo.app import start_operator, start_sidecar
from dvtfast.services.demo.processes import Service, Services
from dvtfast.services.demo.proof import prove
from dvtfast.services.demo.world.ports import free_port
from dvtfast.services.relayer.store.engine import postgres as postgresql
from dvtfast.services.relayer.store.engine.database import Database, latest_revision, touch
from dvtfast.services.relayer.store.judging.due import set_status, take_stock
from dvtfast.services.relayer.store.judging.leases import (
    LEASE_SECONDS,
    give_back,
    leased,
    renew,
    seconds_until_free,
)
from dvtfast.services.relayer.store.judging.verdicts import (
    HeldShare,
    ReadyMessage,
    SplitExit,
    Verdicts,
    lease_due,
    record,
)
from dvtfast.services.relayer.store.operators.asked_validators import remember_validators
from dvtfast.services.relayer.store.operators.index_assignment import make_current
from dvtfast.services.relayer.store.subjects import Exit
from dvtfast.services.relayer.store.tables import MessageStatus, messages, oracle_shares

from ... import postgres as postgres_
from ... import rounds
from ...conftest import START_INDEX, Oracles, Start, make_cluster
from ...patience import PATIENCE_SECONDS
from ...programs import SHORT_RETRIES, program_with
from ..test_kill_relayer import Node, require_consistent

INDICES = range(START_INDEX, START_INDEX + 3)
VALIDATORS = 200
LIFE_OF_A_LEASE_SECONDS = 5  # of the processes here: for so long nobody else takes what a killed one had
A, B = b"A" * 16, b"B" * 16


@pytest.fixture
async def database_url(postgres: postgres_.Server) -> str:
    return await postgres.database()


@pytest.fixture
async def pair(database_url: str) -> AsyncIterator[tuple[Database, Database]]:
    first, second = await asyncio.gather(Database.open(database_url), Database.open(database_url))
    yield first, second
    await first.close()
    await second.close()


async def make_due(database: Database, count: int) -> None:
    def work(connection: Connection) -> None:
        keys = [bytes([i]) * 48 for i in range(count)]
        remember_validators(connection, keys, 1)
        make_current(connection, {key: Exit(i) for i, key in enumerate(keys)}, 1)
        set_status(connection, list(connection.scalars(select(messages.c.id))), MessageStatus.DUE)

    await database.run(work)


async def lease(database: Database, holder: bytes, limit: int = 100) -> list[int]:
    due = await database.run(lease_due, holder, MessageStatus.DUE, limit, lambda key: key[0] < 100)
    return [message.id for message in due]


async def conclude(database: Database, holder: bytes, verdicts: Verdicts) -> None:
    digest = bytes(32)
    await database.run(record, holder, verdicts, config_digest=digest, threshold_of=lambda _: 3, now=1)


async def test_each_message_is_leased_once(pair: tuple[Database, Database]) -> None:
    await make_due(pair[0], 40)
    revision = await pair[0].read(latest_revision)
    leases = await asyncio.gather(*(lease(pair[i % 2], (A, B)[i % 2], 10) for i in range(2)))
    assert len({*leases[0], *leases[1]}) == 20
    assert await lease(pair[0], A, 10) == leases[0]  # a batch that failed is tried again
    assert await pair[1].read(latest_revision) == revision
    await pair[0].run(give_back, A)
    assert set(leases[0]) < set(await lease(pair[1], B))


async def test_leases_end(pair: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch) -> None:
    await make_due(pair[0], 2)
    ids = await lease(pair[0], A)
    assert LEASE_SECONDS - 2 <= (await pair[1].read(seconds_until_free, B) or 0) <= LEASE_SECONDS
    await pair[0].run(expire)
    assert await pair[1].read(seconds_until_free, B) is None
    await pair[0].run(renew, A, ids)  # late, but nobody took them
    assert await lease(pair[1], B) == []
    await pair[0].run(expire)
    assert await lease(pair[1], B) == ids
    await pair[0].run(renew, A, ids)
    assert await pair[0].read(leased, A, ids) == set()
    assert await pair[1].read(leased, B, ids) == set(ids)


def expire(connection: Connection) -> None:
    connection.execute(update(messages).values(leased_until=1))


async def test_who_was_too_slow_drops_what_it_found(pair: tuple[Database, Database]) -> None:
    await make_due(pair[0], 1)
    (message_id,) = await lease(pair[0], A)
    await pair[0].run(expire)
    assert await lease(pair[1], B) == [message_id]
    found = {
        name: Verdicts(ready=[ReadyMessage(message_id, name * 96, SplitExit(name * 48, name * 10))])
        for name in (b"a", b"b")
    }
    await conclude(pair[1], B, found[b"b"])
    slow = found[b"a"]
    slow.rejected = [HeldShare(message_id, 1)]
    await conclude(pair[0], A, slow)
    kept = await pair[0].read(lambda c: list(c.scalars(select(oracle_shares.c.encrypted_signatures))))
    assert kept == [b"b" * 10]


async def test_a_start_leaves_others_their_leases(pair: tuple[Database, Database]) -> None:
    await make_due(pair[0], 2)
    ids = await lease(pair[0], A, 1)
    await pair[1].run(take_stock, lambda _: 3, is_shared=True)
    statuses = dict(await pair[1].read(lambda c: c.execute(select(messages.c.id, messages.c.status)).all()))
    assert [statuses[i] == MessageStatus.DUE for i in sorted(statuses)] == [
        i in ids for i in sorted(statuses)
    ]
    assert await pair[0].read(leased, A, ids) == set(ids)


async def test_a_start_leaves_others_what_only_they_serve(pair: tuple[Database, Database]) -> None:
    await make_due(pair[0], 2)
    await pair[1].run(take_stock, lambda key: 3 if key[0] == 1 else None, is_shared=True)
    due = await pair[0].run(lease_due, A, MessageStatus.DUE, 2, lambda _: True)
    assert {message.public_key[0] for message in due} >= {0}


async def test_what_only_the_other_relayer_serves_is_left_to_it(pair: tuple[Database, Database]) -> None:
    await make_due(pair[0], 3)
    due = await pair[0].run(lease_due, A, MessageStatus.DUE, 1, lambda key: key[0] == 2)
    assert [message.public_key[0] for message in due] == [2]


async def test_revisions_rise_in_the_order_of_commits(pair: tuple[Database, Database]) -> None:
    """Otherwise a reader that saw the later one would never learn of the earlier."""
    await make_due(pair[0], 20)
    seen: list[int] = []

    def change(connection: Connection, message_id: int) -> int:
        touch(connection, [message_id])
        connection.execute(text("SELECT pg_sleep(0.005)"))
        return latest_revision(connection)

    async def watch() -> None:
        while len(seen) < 5 or seen[-1] < seen[0] + 40:
            seen.append(await pair[1].read(latest_revision))

    first = await pair[0].read(latest_revision)
    seen.append(first)
    watching = asyncio.create_task(watch())
    revisions = await asyncio.gather(*(pair[i % 2].run(change, 1 + i % 20) for i in range(40)))
    await watching
    assert sorted(revisions) == list(range(first + 1, first + 41))
    assert seen == sorted(seen)


async def test_who_waits_learns_what_the_other_commits(pair: tuple[Database, Database]) -> None:
    await make_due(pair[0], 1)
    revision = await pair[1].read(latest_revision)
    woken = asyncio.Event()
    pair[1].when_others_change(woken.set)
    waiting = asyncio.create_task(pair[1].wait_for_change(revision, 2 * PATIENCE_SECONDS))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    async with asyncio.timeout(PATIENCE_SECONDS):  # less than the wait
        await pair[0].run(touch, [1])
        await waiting
        await woken.wait()


async def test_nothing_is_missed_when_nobody_listened(
    pair: tuple[Database, Database], postgres: postgres_.Server, database_url: str
) -> None:
    await make_due(pair[0], 1)
    revision = await pair[1].read(latest_revision)
    async with asyncio.timeout(PATIENCE_SECONDS):  # less than one wait
        for _ in range(3):
            waiting = asyncio.create_task(pair[1].wait_for_change(revision, 2 * PATIENCE_SECONDS))
            await postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
                " OR (application_name = 'dvtfast' AND state = 'idle')",
                postgres_.name_of(database_url),
            )
            await pair[0].run(touch, [1])
            await waiting
            revision = await pair[1].read(latest_revision)


@pytest.mark.parametrize("is_in_the_middle_of_a_statement", [False, True])
async def test_who_hangs_while_it_writes_does_not_keep_the_others_from_writing(
    postgres: postgres_.Server,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    is_in_the_middle_of_a_statement: bool,
) -> None:
    monkeypatch.setattr(postgresql, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(postgresql, "HANG_SECONDS", 1.0)
    has_lock, is_over = threading.Event(), threading.Event()

    def rows() -> Iterator[tuple[bytes]]:
        for _ in range(1000):  # more than is sent at once
            yield (bytes(1000),)
        has_lock.set()
        is_over.wait()

    async def hang() -> None:
        connection = await postgres.connect(postgres_.name_of(database_url))
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError):
            async with connection.transaction():
                await connection.execute(f"SELECT pg_advisory_xact_lock({postgresql.WRITERS_LOCK})")
                await connection.execute("CREATE TABLE parts (part bytea)")
                if is_in_the_middle_of_a_statement:
                    await connection.executemany("INSERT INTO parts VALUES ($1)", rows())
                has_lock.set()
                is_over.wait()
        has_lock.set()  # it had, and was ended before it got so far
        connection.terminate()

    database = await Database.open(database_url)
    with capture_logs() as logs:
        hanging = asyncio.create_task(asyncio.to_thread(asyncio.run, hang()))
        await asyncio.to_thread(has_lock.wait)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await database.run(lambda connection: connection.execute(text("SELECT 1")))
        finally:
            is_over.set()
            await hanging
    await database.close()
    assert [entry["connections"] for entry in logs if "hung" in entry["event"]] == [1]


async def test_two_relayers_answer_the_same(start: Start) -> None:
    cluster = make_cluster()
    async with start(cluster) as first, start(cluster) as second:
        await first.ask(cluster)
        assert set(await second.exits()) == set(cluster.keys)
        await first.fill(cluster, INDICES, 1)
        await second.fill(cluster, INDICES, 2)
        await first.fill(cluster, INDICES, 3)
        answer = await second.until_ready(cluster)
        assert await first.ask(cluster) == answer
        assert await first.exits() == await second.exits()


async def test_relayers_with_other_oracles_do_not_fight(start: Start, database_url: str) -> None:
    """As while one is restarted with a new config before the other."""
    cluster, other = make_cluster(), Oracles([PrivateKey() for _ in range(4)])
    async with start(cluster) as first, start(cluster, oracle_config=other.config) as second:
        await first.ask(cluster)
        await first.fill(cluster, INDICES, 1, 2, 3)
        await first.until(lambda e: all(x.is_exit_signature_ready for x in e.values()))
        await asyncio.sleep(0.5)
        database = await Database.open(database_url)
        revision = await database.read(latest_revision)
        await asyncio.sleep(1.5)
        assert await database.read(latest_revision) == revision
        await database.close()
        answer = await second.until_ready(cluster)
        assert await first.ask(cluster) == answer  # what was handed out first


async def test_one_of_two_relayers_is_killed_in_the_middle(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When every share is in and it is at work on them; the other one has to find that out."""
    monkeypatch.setenv("DVTFAST_DATABASE", database_url)
    lease = {"relayer.store.judging.leases.LEASE_SECONDS": LIFE_OF_A_LEASE_SECONDS}
    monkeypatch.setattr(processes, "PROGRAM", program_with(SHORT_RETRIES | lease))
    cluster = rounds.cluster_of(VALIDATORS, tmp_path)
    node = Node(cluster)
    bundle_path = tmp_path / "registration.json"
    database = await Database.open(database_url)
    with Services(tmp_path, timeout_seconds=rounds.ROUND_SECONDS) as services:

        def start_relayer(name: str) -> tuple[Service, str]:
            port = free_port()
            relayer = services.start(
                *(name, "relayer", "--network", HOODI.name, "--port", str(port), "--threads", "1"),
                *("--oracles", str(cluster.oracle_config), "--cluster-lock", str(cluster.lock)),
            )
            return relayer, f"http://127.0.0.1:{port}"

        (first, first_url), (second, second_url) = start_relayer("first"), start_relayer("second")
        for relayer in (first, second):
            services.wait_for(relayer, "listening")
        for which, url in enumerate((first_url, second_url)):
            start_sidecar(services, cluster, HOODI.name, which, url)
        operator = start_operator(services, cluster, HOODI.name, second_url, bundle_path)
        async with rounds.client_of(first_url) as client, rounds.client_of(second_url) as other:

            async def two_nodes_are_done() -> bool:
                exits = (await other.exits()).exits
                return len(exits) == VALIDATORS and all(len(e.share_indexes_ready) == 2 for e in exits)

            await rounds.until(two_nodes_are_done)
            os.kill(second.process_id, signal.SIGSTOP)  # so that the first one gets the work
            await node.post(client, VALIDATORS)
            is_leased = select(func.count()).where(messages.c.leased_until > 0)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await database.read(lambda c: c.scalar(is_leased)):
                    pass
            services.forget(first)
            first.kill()
            os.kill(second.process_id, signal.SIGCONT)
            killed_at = monotonic()
            assert await database.read(lambda c: list(c.scalars(select(oracle_shares.c.message_id)))) == []
            while operator.exit_code() is None:
                services.pause(may_end=[operator])
            assert operator.exit_code() == 0, operator.last_lines()
            services.forget(operator)
            print(f"{VALIDATORS} validators ready {monotonic() - killed_at:.1f} s after the kill")
            third, third_url = start_relayer("third")
            services.wait_for(third, "listening")
            async with rounds.client_of(third_url) as again:
                request = wire.ValidatorsRequest([exit_.public_key for exit_ in (await other.exits()).exits])
                answers = [await each.post_validators(request) for each in (other, again)]
            assert answers[0] == answers[1]
    bundle = wire.decode(bundle_path.read_bytes(), wire.RegistrationBundle)
    served = {v.public_key: v.oracles_exit_signature_shares for v in answers[0].validators}
    assert {v.public_key: v.oracles_exit_signature_shares for v in bundle.validators} == served
    prove(bundle, cluster, network=HOODI, start_index=ROUND_INDEX, threshold=8)
    await database.read(partial(require_consistent, validators=VALIDATORS))
    await database.close()
