"""Validators are forgotten: by the relayer when nobody asks for them, by a command at any time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import time

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection, func, select, update

from dvtfast.services import wire
from dvtfast.services.cli import main
from dvtfast.services.relayer.store.engine.database import Database
from dvtfast.services.relayer.store.tables import messages, oracle_shares, shares, signatures, validators

from ...conftest import START_INDEX, Cluster, Relayer, Start, make_cluster

INDICES = range(START_INDEX, START_INDEX + 3)
LIFETIME = 5.0  # it looks twice a second


@pytest.fixture
def database_url(each_database: str) -> str:
    return each_database


async def set_asked_at(url: str, keys: list[wire.PublicKey], seconds_ago: float) -> None:
    database = await Database.open(url)

    def write(connection: Connection) -> None:
        which = validators.c.public_key.in_(keys)
        connection.execute(update(validators).where(which).values(asked_at=int(time() - seconds_ago)))

    await database.run(write)
    await database.close()


async def rows(url: str) -> int:
    database = await Database.open(url)

    def read(connection: Connection) -> int:
        tables = validators, messages, shares, signatures, oracle_shares
        return sum(connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables)

    count = await database.read(read)
    await database.close()
    return count


async def forget(url: str, *arguments: str, answer: str | None = None) -> Result:
    return await asyncio.to_thread(
        CliRunner().invoke, main, ["relayer", "forget", "--database", url, *arguments], input=answer
    )


async def refused_as_unknown(relayer: Relayer, cluster: Cluster) -> bool:
    rejected = await relayer.post(1, cluster.exit_shares(1, INDICES))
    return [item.reason for item in rejected] == ["nobody asked for an exit of this validator"] * 3


class TestExpiry:
    async def test_what_nobody_asks_for_expires(self, start: Start, database_url: str) -> None:
        old, young, served = (make_cluster(name=name) for name in ("old", "young", "served"))
        clusters = old, young, served
        async with start(*clusters, validator_lifetime=LIFETIME) as relayer:
            for cluster in clusters:
                await relayer.ask(cluster)
            indices = [exit_.validator_index for exit_ in (await relayer.exits()).values()]
            await relayer.fill(old, indices[:3], 1)
            await relayer.fill(served, indices[6:], 1, 2, 3)
            answer = await relayer.until_ready(served)
            await set_asked_at(database_url, old.keys, 1000)
            await set_asked_at(database_url, served.keys, 1000)
            exits = await relayer.until(lambda e: not set(old.keys) & e.keys())
            assert exits.keys() == {*young.keys, *served.keys}
            assert await refused_as_unknown(relayer, old)
            assert await relayer.ask(served) == answer
            await relayer.ask(old)  # from the beginning
            await relayer.fill(old, indices[:3], 1, 2, 3)
            await relayer.until_ready(old)

    async def test_who_is_asked_for_again_lives_on(self, start: Start, database_url: str) -> None:
        cluster = make_cluster()
        async with start(cluster, validator_lifetime=36000) as relayer:
            await relayer.ask(cluster)
            await relayer.fill(cluster, INDICES, 1)
            await set_asked_at(database_url, cluster.keys, 1000)
            await relayer.ask(cluster)
        async with start(cluster, validator_lifetime=LIFETIME) as relayer:
            await asyncio.sleep(1.2)
            assert all(x.share_indexes_ready == [1] for x in (await relayer.exits()).values())
            assert len(await relayer.exits()) == 3

    async def test_nothing_expires_early(self, start: Start, database_url: str) -> None:
        """A poll notes the time seldom, so what is noted may be a minute old."""
        cluster = make_cluster()
        async with start(cluster, validator_lifetime=LIFETIME) as relayer:
            await relayer.ask(cluster)
            await set_asked_at(database_url, cluster.keys, LIFETIME + 30)
            await asyncio.sleep(1.2)
            assert len(await relayer.exits()) == 3

    async def test_at_start(self, start: Start, database_url: str) -> None:
        cluster = make_cluster()
        async with start(cluster) as relayer:
            await relayer.ask(cluster)
        await set_asked_at(database_url, cluster.keys, 700_000)
        async with start(cluster) as relayer:
            await relayer.until(lambda exits: not exits)


class TestForget:
    async def test_by_public_key_while_it_runs(self, start: Start, database_url: str) -> None:
        cluster, other = make_cluster(), make_cluster(name="another")
        async with start(cluster, other) as relayer:
            await relayer.ask(cluster)
            await relayer.ask(other)
            await relayer.fill(cluster, INDICES, 1, 2, 3)
            await relayer.until_ready(cluster)
            assert len(await relayer.exits()) == 6
            result = await forget(database_url, *(key.to_wire() for key in cluster.keys), answer="n\n")
            assert (result.exit_code, len(await relayer.exits())) == (1, 6)
            assert "Forget 3 validators" in result.output
            assert "of 3 of them were handed out" in result.output
            result = await forget(database_url, *(key.to_wire() for key in cluster.keys), "--yes")
            assert (result.exit_code, result.output) == (0, "3 validators are forgotten\n")
            assert (await relayer.exits()).keys() == set(other.keys)
            assert await refused_as_unknown(relayer, cluster)
        assert await rows(database_url) == 6  # of the other three: a validator and its exit each

    async def test_from_a_file(self, start: Start, database_url: str, tmp_path: Path) -> None:
        cluster = make_cluster()
        async with start(cluster) as relayer:
            await relayer.ask(cluster)
        stranger = wire.PublicKey(b"\xaa" * 48)
        file = tmp_path / "keys.txt"
        file.write_text("\n".join(key.to_wire() for key in [*cluster.keys[:2], stranger]))
        result = await forget(database_url, "--file", str(file), "--yes")
        assert result.exit_code == 0
        assert "1 of the public keys are not in the database" in result.output
        assert "2 validators are forgotten" in result.output
        async with start(cluster) as relayer:
            assert (await relayer.exits()).keys() == {cluster.keys[2]}

    async def test_all_expired(self, start: Start, database_url: str) -> None:
        fresh, old, served = (make_cluster(name=name) for name in ("fresh", "old", "served"))
        async with start(fresh, old, served) as relayer:
            for cluster in (fresh, old, served):
                await relayer.ask(cluster)
            indices = [exit_.validator_index for exit_ in (await relayer.exits()).values()]
            await relayer.fill(served, indices[6:], 1, 2, 3)
            await relayer.until_ready(served)
            await set_asked_at(database_url, [*old.keys, *served.keys], 1000)
            lifetime = "--all-expired", "--validator-lifetime", "100", "--yes"
            await forget(database_url, *lifetime)
            assert (await relayer.exits()).keys() == {*fresh.keys, *served.keys}
            await forget(database_url, *lifetime, "--with-handed-out")
            assert (await relayer.exits()).keys() == set(fresh.keys)

    async def test_what_is_wrong_is_told(self, database_url: str, tmp_path: Path) -> None:
        assert (await forget(database_url)).exit_code == 2
        (tmp_path / "keys.txt").write_text("0x12\n")
        result = await forget(database_url, "0xzz", "--file", str(tmp_path / "keys.txt"), "--yes")
        assert (result.exit_code, result.output.count("error: ")) == (2, 2)
        result = await forget(database_url, "--with-handed-out", "--yes", "0x" + "aa" * 48)
        assert (result.exit_code, "goes with --all-expired" in result.output) == (2, True)
