"""How a result comes to rest, also where a validator client gets the key shares."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from dvtfast.keystores import load_keystores
from dvtfast.services.ceremony import keymanager
from dvtfast.services.ceremony.dealing import DealtCluster
from dvtfast.services.ceremony.errors import CeremonyError
from dvtfast.services.ceremony.folder import digest_of, verify_node_files
from dvtfast.services.ceremony.staging import CONFIRMED, WRITTEN, Left
from dvtfast.services.ceremony.storing import Keymanager, NodeStore
from dvtfast.services.process.offload import StoppedError

from .dealt import CHEAP, result_of
from .test_keymanager import TOKEN, Client

FILES = ["cluster-lock.json", "deposit-data-1eth.json", "deposit-data.json"]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_to_files(dealt: DealtCluster, tmp_path: Path) -> None:
    store = NodeStore(tmp_path, CHEAP)
    digest = store.write(result_of(dealt, 1))
    assert digest == digest_of(tmp_path / WRITTEN)
    assert store.settle() is Left.WRITTEN
    assert names(tmp_path) == [WRITTEN]
    asyncio.run(store.publish())
    assert names(tmp_path) == [*FILES, "validator_keys"]
    verify_node_files(tmp_path, result_of(dealt, 1), threads=1)
    assert store.settle() is Left.NOTHING


def test_a_restart_writes_anew(dealt: DealtCluster, tmp_path: Path) -> None:
    """Its passwords are others, so what was told to the others before counts no more."""
    first = NodeStore(tmp_path, CHEAP).write(result_of(dealt, 1))
    store = NodeStore(tmp_path, CHEAP)
    assert store.settle() is Left.WRITTEN
    assert store.write(result_of(dealt, 1)) != first
    store.discard()
    assert names(tmp_path) == []


def test_written_in_vain(dealt: DealtCluster, tmp_path: Path) -> None:
    """It ends between two keystores when nobody needs them any more."""
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return True

    with pytest.raises(StoppedError):
        NodeStore(tmp_path, CHEAP).write(result_of(dealt, 1), stop=stop)
    assert asked == 1
    assert NodeStore(tmp_path, CHEAP).settle() is Left.NOTHING


def with_client(client: Client, directory: Path, work: Callable[[NodeStore], object]) -> None:
    """Run `work` with a store whose validator client answers; its `publish` is run afterwards."""

    async def run() -> None:
        app = web.Application()
        app.router.add_post(keymanager.PATH, client.post)
        async with TestServer(app) as server:
            store = NodeStore(directory, CHEAP, keymanager=Keymanager(str(server.make_url("/")), TOKEN))
            work(store)
            await store.publish()

    asyncio.run(run())


def test_to_a_validator_client(dealt: DealtCluster, tmp_path: Path) -> None:
    client = Client()
    with_client(client, tmp_path, lambda store: store.write(result_of(dealt, 2)))
    assert names(tmp_path) == FILES
    assert client.secrets == [row.tobytes() for row in dealt.key_shares[:, 2]]
    assert TOKEN not in repr(Keymanager("http://host", TOKEN))


def test_a_validator_client_that_refuses(dealt: DealtCluster, tmp_path: Path) -> None:
    """The key shares are there until somebody has them."""
    client = Client()
    client.status = "error"
    with pytest.raises(CeremonyError, match="the keymanager did not take keystore-insecure-0"):
        with_client(client, tmp_path, lambda store: store.write(result_of(dealt, 2)))
    assert names(tmp_path) == [CONFIRMED]
    shares = load_keystores(tmp_path / CONFIRMED / "validator_keys").secret_keys
    np.testing.assert_array_equal(shares, dealt.key_shares[:, 2])
    client.status, client.secrets = "imported", []
    with_client(client, tmp_path, lambda store: None)  # asked again by a later process
    assert names(tmp_path) == FILES
    assert len(client.secrets) == 2


def test_killed_after_they_were_taken(dealt: DealtCluster, tmp_path: Path) -> None:
    NodeStore(tmp_path, CHEAP).write(result_of(dealt, 2))
    (tmp_path / WRITTEN / "validator_keys").rename(tmp_path / ".dvtfast-writing")
    client = Client()
    with_client(client, tmp_path, lambda store: store.settle())
    assert names(tmp_path) == FILES
    assert client.secrets == []
