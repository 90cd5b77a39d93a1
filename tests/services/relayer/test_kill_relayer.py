"""kill -9 of the relayer in the middle of a round: what it acknowledged is there, what it served stays.

`DVTFAST_KILLS=20 DVTFAST_KILL_VALIDATORS=500` makes it the longer one that issue 4 asks for.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Connection, func, select, text

from dvtfast import HOODI, sign_exits
from dvtfast.clusters import read_cluster_lock
from dvtfast.keystores import load_keystores
from dvtfast.services import wire
from dvtfast.services.demo import processes
from dvtfast.services.demo.app import START_INDEX, start_operator, start_relayer, start_sidecar
from dvtfast.services.demo.cluster import ObolCluster
from dvtfast.services.demo.processes import Services
from dvtfast.services.demo.proof import prove
from dvtfast.services.demo.world.ports import free_port
from dvtfast.services.keys.key_shares import NodeKeys, match_keys
from dvtfast.services.relayer.store.engine.database import Database
from dvtfast.services.relayer.store.tables import MessageStatus, messages, oracle_shares, signatures
from dvtfast.services.relayer_client.client import RelayerClient, RelayerUnavailableError

from .. import rounds
from ..programs import SHORT_RETRIES, program_with

VALIDATORS = int(os.environ.get("DVTFAST_KILL_VALIDATORS", "100"))
KILLS = int(os.environ.get("DVTFAST_KILLS", "5"))
PER_LIFE = VALIDATORS // KILLS
LONGEST_LIFE_SECONDS = 0.4  # from when it listens
SECONDS = rounds.ROUND_SECONDS + 10 * KILLS

pytestmark = pytest.mark.timeout(SECONDS + 120)


class Node:
    """The third node, played by the test: it decides when exits complete, and keeps what was acknowledged."""

    def __init__(self, cluster: ObolCluster) -> None:
        lock, loaded = read_cluster_lock(cluster.lock), load_keystores(cluster.node_keystores[2])
        self.keys: NodeKeys = match_keys(lock, loaded, node_index=2)[0]
        self.acknowledged: set[bytes] = set()

    async def post(self, client: RelayerClient, most: int) -> None:
        exits = (await client.exits()).exits
        wanted = [exit_ for exit_ in exits if exit_.public_key not in self.acknowledged][:most]
        if wanted:
            places = {key.tobytes(): row for row, key in enumerate(self.keys.public_keys)}
            secret_keys = self.keys.secret_keys[[places[exit_.public_key] for exit_ in wanted]]
            indices = [exit_.validator_index for exit_ in wanted]
            shares = [
                wire.ExitShare(exit_.public_key, wire.Signature(row.tobytes()), exit_.validator_index)
                for exit_, row in zip(wanted, sign_exits(secret_keys, indices, HOODI, threads=1), strict=True)
            ]
            share_index = wire.ShareIndex(self.keys.share_index)
            answer = await client.post_exit_shares(wire.ExitSignatureRequest(share_index, shares))
            assert answer.rejected == []
            self.acknowledged.update(exit_.public_key for exit_ in wanted)


@pytest.mark.parametrize(
    "each_database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.thorough)], indirect=True
)
async def test_kills_lose_nothing_and_change_nothing(
    tmp_path: Path, each_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVTFAST_DATABASE", each_database)
    monkeypatch.setattr(processes, "PROGRAM", program_with(SHORT_RETRIES))
    random = Random()
    cluster = rounds.cluster_of(VALIDATORS, tmp_path)
    node = Node(cluster)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    served: dict[bytes, wire.OraclesExitSignatureShares] = {}
    bundle_path = tmp_path / "registration.json"

    async def look(client: RelayerClient) -> None:
        """What was acknowledged must be there; what was served must be the same."""
        exits = {exit_.public_key: exit_ for exit_ in (await client.exits()).exits}
        for key in node.acknowledged:
            assert node.keys.share_index in exits[key].share_indexes_ready
        if not exits:
            return
        answer = await client.post_validators(wire.ValidatorsRequest(list(exits)))
        for validator in answer.validators:
            if validator.oracles_exit_signature_shares is not None:
                first = served.setdefault(validator.public_key, validator.oracles_exit_signature_shares)
                assert first == validator.oracles_exit_signature_shares

    with Services(tmp_path, timeout_seconds=SECONDS) as services:
        relayer = start_relayer(services, cluster, HOODI.name, port=port)
        services.wait_for(relayer, "listening")
        for which in (0, 1):
            start_sidecar(services, cluster, HOODI.name, which, url)
        operator = start_operator(services, cluster, HOODI.name, url, bundle_path)
        async with rounds.client_of(url, attempts=1) as client:

            async def all_asked_for() -> bool:
                return len((await client.exits()).exits) == VALIDATORS

            await rounds.until(all_asked_for)

            async def live() -> None:
                await look(client)
                await node.post(client, PER_LIFE)
                await look(client)
                await asyncio.sleep(LONGEST_LIFE_SECONDS)

            for _ in range(KILLS):
                task = asyncio.create_task(live())
                await asyncio.sleep(random.uniform(0, LONGEST_LIFE_SECONDS))
                services.forget(relayer)
                relayer.kill()
                with suppress(RelayerUnavailableError):  # it may have died in the middle of a request
                    await task
                relayer = start_relayer(services, cluster, HOODI.name, port=port)
                while not relayer.events("listening"):
                    services.pause(may_end=[operator])
            while operator.exit_code() is None:
                await look(client)
                await node.post(client, VALIDATORS)
                services.pause(may_end=[operator])
            await look(client)
        assert operator.exit_code() == 0, operator.last_lines()

    assert len(served) == VALIDATORS
    bundle = wire.decode(bundle_path.read_bytes(), wire.RegistrationBundle)
    assert {v.public_key: v.oracles_exit_signature_shares for v in bundle.validators} == served
    prove(bundle, cluster, network=HOODI, start_index=START_INDEX, threshold=8)
    print(f"{KILLS} kills, {VALIDATORS} validators, {len(node.acknowledged)} shares acknowledged to the test")
    database = await Database.open(each_database)
    await database.read(require_consistent)
    await database.close()


def require_consistent(connection: Connection, validators: int = VALIDATORS) -> None:
    """Each message is ready, with one signature and one split."""
    if connection.dialect.name == "sqlite":
        assert connection.scalar(text("PRAGMA integrity_check")) == "ok"
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    ready = select(messages.c.id).where(messages.c.status == MessageStatus.READY)
    ids = sorted(connection.scalars(ready))
    assert len(ids) == validators == connection.scalar(select(func.count()).select_from(messages))
    assert sorted(connection.scalars(select(signatures.c.message_id))) == ids
    assert sorted(connection.scalars(select(oracle_shares.c.message_id))) == ids
