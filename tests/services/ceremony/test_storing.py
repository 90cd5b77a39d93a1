"""How a result comes to rest, also where a validator client gets the key shares."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from dvtfast import FileError
from dvtfast.keystores import load_keystores
from dvtfast.services.ceremony import keymanager
from dvtfast.services.ceremony.dealing import DealtCluster
from dvtfast.services.ceremony.errors import CeremonyError, UnpublishedError
from dvtfast.services.ceremony.folder import digest_of, verify_node_files
from dvtfast.services.ceremony.staging import ASIDE, CONFIRMED, MOVING, WRITTEN, Left
from dvtfast.services.ceremony.staging import ORIGIN as STAGING_ORIGIN
from dvtfast.services.ceremony.storing import Keymanager, NodeStore, ResultOrigin
from dvtfast.services.process.offload import StoppedError

from .dealt import CHEAP, result_of
from .test_keymanager import TOKEN, Client

HASH = bytes([7]) * 32
ORIGIN = ResultOrigin.of(HASH, "attempt 2", bytes([9]) * 32)
FILES = ["cluster-lock.json", "deposit-data-1eth.json", "deposit-data.json"]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_to_files(dealt: DealtCluster, tmp_path: Path) -> None:
    store = NodeStore(tmp_path, CHEAP)
    digest = store.write(result_of(dealt, 1), ORIGIN)
    assert digest == digest_of(tmp_path / WRITTEN)
    assert store.settle() is Left.WRITTEN
    assert names(tmp_path) == [WRITTEN]
    asyncio.run(store.publish())
    assert names(tmp_path) == [*FILES, "validator_keys"]
    verify_node_files(tmp_path, result_of(dealt, 1), threads=1)
    assert store.settle() is Left.NOTHING


def test_a_restart_finds_what_was_written(dealt: DealtCluster, tmp_path: Path) -> None:
    """It was verified then, and is told to the others as it is."""
    first = NodeStore(tmp_path, CHEAP).write(result_of(dealt, 1), ORIGIN)
    store = NodeStore(tmp_path, CHEAP)
    assert store.settle() is Left.WRITTEN
    assert store.write(result_of(dealt, 1), ORIGIN) == first
    assert store.origin == ORIGIN


def test_nodes_that_have_signed_the_lock_another_time(dealt: DealtCluster, tmp_path: Path) -> None:
    """One was killed before it told anybody of its lock; what all have is written, the other one kept."""
    store = NodeStore(tmp_path, CHEAP)
    before = store.write(result_of(dealt, 1), ORIGIN)
    again = msgspec.structs.replace(ORIGIN, signed="0x" + "07" * 32)
    assert store.write(result_of(dealt, 1), again) == digest_of(tmp_path / WRITTEN) != before
    assert store.origin == again
    assert names(tmp_path) == [f"{ASIDE}1", WRITTEN]
    assert digest_of(tmp_path / f"{ASIDE}1") == before


@pytest.mark.parametrize("change", [{"way": "attempt 3"}, {"definition_hash": "0x01"}, {"lock_hash": "0x"}])
def test_what_another_ceremony_has_written(
    dealt: DealtCluster, tmp_path: Path, change: dict[str, str]
) -> None:
    """Nobody but itself takes it away, not even to where it is kept."""
    before = NodeStore(tmp_path, CHEAP).write(result_of(dealt, 1), ORIGIN)
    store, other = NodeStore(tmp_path, CHEAP), msgspec.structs.replace(ORIGIN, **change)
    with pytest.raises(FileError, match="has complete files of before"):
        store.write(result_of(dealt, 2), other)
    if "lock_hash" not in change:
        store.set_aside(bytes.fromhex(other.definition_hash[2:]), other.way)
    whose = "key shares of a ceremony that has not ended (definition 0x07070707, attempt 2)"
    assert store.waiting().startswith(f"{tmp_path / WRITTEN}: {whose}")
    assert names(tmp_path) == [WRITTEN]
    assert digest_of(tmp_path / WRITTEN) == before


def test_set_aside(dealt: DealtCluster, tmp_path: Path) -> None:
    """An attempt is over, and somebody may have its lock."""
    store = NodeStore(tmp_path, CHEAP)
    before = store.write(result_of(dealt, 1), ORIGIN)
    store.set_aside(HASH, "attempt 2")
    assert (names(tmp_path), store.waiting()) == ([".dvtfast-aside-1"], "")
    assert digest_of(tmp_path / ".dvtfast-aside-1") == before
    store.set_aside(HASH, "attempt 2")
    store.write(result_of(dealt, 1), ORIGIN)
    assert names(tmp_path) == [".dvtfast-aside-1", WRITTEN]


def test_what_a_process_before_has_confirmed(dealt: DealtCluster, tmp_path: Path) -> None:
    """It is put in its place for its own definition, and left alone for another's."""
    store = NodeStore(tmp_path, CHEAP)
    assert asyncio.run(store.finish(HASH)) is None
    store.write(result_of(dealt, 1), ORIGIN)
    assert asyncio.run(store.finish(HASH)) is None
    store.confirm()
    with pytest.raises(
        CeremonyError, match=r"\(definition 0x07070707, attempt 2\): start with its definition"
    ):
        asyncio.run(store.finish(bytes(32)))
    assert names(tmp_path) == [CONFIRMED]
    assert asyncio.run(NodeStore(tmp_path, CHEAP).finish(HASH)) == ORIGIN
    assert names(tmp_path) == [*FILES, "validator_keys"]
    assert asyncio.run(store.finish(HASH)) is None
    # Or it was being moved: that is gone on with in any case.
    (tmp_path / MOVING).mkdir()
    (tmp_path / MOVING / STAGING_ORIGIN).write_bytes(msgspec.json.encode(ORIGIN))
    (tmp_path / "validator_keys").rename(tmp_path / MOVING / "validator_keys")
    assert asyncio.run(store.finish(bytes(32))) is None
    assert names(tmp_path) == [*FILES, "validator_keys"]


def test_what_is_in_the_way(dealt: DealtCluster, tmp_path: Path) -> None:
    """The keys are there; that they are not in their place is told apart from that there are none."""
    store = NodeStore(tmp_path, CHEAP)
    store.write(result_of(dealt, 1), ORIGIN)
    (tmp_path / "deposit-data.json").touch()
    with pytest.raises(
        UnpublishedError, match=r"deposit-data\.json: is there already, and new files wait in"
    ):
        asyncio.run(store.publish())
    assert names(tmp_path) == [CONFIRMED, "deposit-data.json"]
    (tmp_path / "deposit-data.json").unlink()
    assert asyncio.run(store.finish(HASH)) == ORIGIN


def test_written_in_vain(dealt: DealtCluster, tmp_path: Path) -> None:
    """It ends between two keystores when nobody needs them any more."""
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return True

    with pytest.raises(StoppedError):
        NodeStore(tmp_path, CHEAP).write(result_of(dealt, 1), ORIGIN, stop=stop)
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
    with_client(client, tmp_path, lambda store: store.write(result_of(dealt, 2), ORIGIN))
    assert names(tmp_path) == FILES
    assert client.secrets == [row.tobytes() for row in dealt.key_shares[:, 2]]
    assert TOKEN not in repr(Keymanager("http://host", TOKEN))


def test_a_validator_client_that_refuses(dealt: DealtCluster, tmp_path: Path) -> None:
    """The key shares are there until somebody has them."""
    client = Client()
    client.status = "error"
    with pytest.raises(UnpublishedError, match="the keymanager did not take keystore-insecure-0"):
        with_client(client, tmp_path, lambda store: store.write(result_of(dealt, 2), ORIGIN))
    assert names(tmp_path) == [CONFIRMED]
    shares = load_keystores(tmp_path / CONFIRMED / "validator_keys").secret_keys
    np.testing.assert_array_equal(shares, dealt.key_shares[:, 2])
    client.status, client.secrets = "imported", []
    with_client(client, tmp_path, lambda store: None)  # asked again by a later process
    assert names(tmp_path) == FILES
    assert len(client.secrets) == 2


def test_killed_after_they_were_taken(dealt: DealtCluster, tmp_path: Path) -> None:
    NodeStore(tmp_path, CHEAP).write(result_of(dealt, 2), ORIGIN)
    (tmp_path / WRITTEN / "validator_keys").rename(tmp_path / ".dvtfast-writing")
    client = Client()
    with_client(client, tmp_path, lambda store: store.settle())
    assert names(tmp_path) == FILES
    assert client.secrets == []
