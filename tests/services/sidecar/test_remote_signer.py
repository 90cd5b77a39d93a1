"""Keys in a remote signer: a server with the API of web3signer that computes roots itself, and misbehaves."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from dvtfast import GNOSIS, HOODI, MAINNET, Network, check_signatures, derive_public_keys, sign
from dvtfast.clusters import ClusterShares, read_cluster_lock
from dvtfast.keystores import load_keystores
from dvtfast.services.demo.cluster import DemoCluster
from dvtfast.services.keys import key_share_files
from dvtfast.services.keys.key_shares import NoKeysError
from dvtfast.services.keys.locks import read_lock
from dvtfast.services.keys.remote_signer import remote_keys
from dvtfast.services.process.offload import UnavailableError, Workers
from dvtfast.services.settings import SidecarSettings
from dvtfast.services.sidecar.nodes import remote
from dvtfast.services.sidecar.nodes.node import DepositMessages, ExitMessages, Node
from dvtfast.services.sidecar.nodes.obol import RemoteKeys
from dvtfast.services.web import http
from tests.services.patience import ANSWER_SECONDS

from .. import rounds
from .test_sidecar import settings_of

NOWHERE = "http://127.0.0.1:1"

VALIDATORS = 12
NODE = 2


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> DemoCluster:
    return rounds.cluster_of(VALIDATORS, tmp_path_factory.mktemp("cluster"))


@pytest.fixture(scope="module")
def shares(files: DemoCluster) -> ClusterShares:
    return read_cluster_lock(files.lock)


@pytest.fixture(scope="module")
def secrets(files: DemoCluster) -> np.ndarray:
    """The key shares of one node."""
    return load_keystores(files.node_keystores[NODE]).secret_keys


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "RETRY_FIRST_SECONDS", 0.01)


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def signing_root(object_root: bytes, domain_type: str, version: bytes, genesis_root: bytes) -> bytes:
    fork_data = sha256(version.ljust(32, b"\0"), genesis_root)
    return sha256(object_root, bytes.fromhex(domain_type), fork_data[:28])


def unhex(text: str) -> bytes:
    assert text.startswith("0x")
    return bytes.fromhex(text[2:])


def chunk(text: str) -> bytes:
    return int(text).to_bytes(8, "little").ljust(32, b"\0")


def root_of(body: dict[str, Any]) -> bytes:
    """The signing root of a request, as the signer itself finds it."""
    if body["type"] == "DEPOSIT":
        deposit = body["deposit"]
        key = unhex(deposit["pubkey"]).ljust(64, b"\0")
        left = sha256(sha256(key[:32], key[32:]), unhex(deposit["withdrawal_credentials"]))
        right = sha256(chunk(deposit["amount"]), bytes(32))
        version = unhex(deposit["genesis_fork_version"])
        return signing_root(sha256(left, right), "03000000", version, bytes(32))
    assert body["type"] == "VOLUNTARY_EXIT"
    fork, exit_ = body["fork_info"]["fork"], body["voluntary_exit"]
    is_before = int(exit_["epoch"]) < int(fork["epoch"])
    version = unhex(fork["previous_version" if is_before else "current_version"])
    genesis_root = unhex(body["fork_info"]["genesis_validators_root"])
    object_root = sha256(chunk(exit_["epoch"]), chunk(exit_["validator_index"]))
    return signing_root(object_root, "04000000", version, genesis_root)


class RemoteSigner:
    """A signer.

    Attributes:
        faults: of key number i, what is wrong: a status, or bytes as its answer.
        most: the largest number of requests at a time.
        root_of: the signing root of a request.
    """

    root_of = staticmethod(root_of)

    def __init__(self, secret_keys: np.ndarray) -> None:
        public_keys = [row.tobytes() for row in derive_public_keys(secret_keys)]
        self.keys = dict(zip(public_keys, secret_keys, strict=True))
        self.order = list(self.keys)
        self.faults: dict[int, int | bytes] = {}
        self.is_plain = False
        self.requests: list[dict[str, Any]] = []
        self.under_way = self.most = 0
        self.more_keys: list[str] = []
        self.middlewares: list[Any] = []

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator[str]:
        app = web.Application(middlewares=self.middlewares)
        app.router.add_get("/api/v1/eth2/publicKeys", self._keys)
        app.router.add_post("/api/v1/eth2/sign/{key}", self._sign)
        async with http.listening(app, "127.0.0.1", port) as listening_port:
            yield f"http://127.0.0.1:{listening_port}/"

    async def _keys(self, _: web.Request) -> web.Response:
        return web.json_response(["0x" + key.hex() for key in self.order] + self.more_keys)

    async def _sign(self, request: web.Request) -> web.Response:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.01)
        self.under_way -= 1
        key, body = unhex(request.match_info["key"]), json.loads(await request.read())
        self.requests.append(body)
        fault = self.faults.get(self.order.index(key))
        if isinstance(fault, int):
            return web.Response(status=fault, text="the signer says no")
        if fault is not None:
            return web.Response(body=fault, content_type="application/json")
        root = self.root_of(body)
        if unhex(body["signing_root"]) != root:
            return web.Response(status=400)
        text = "0x" + sign(self.keys[key], root).tobytes().hex()
        return web.Response(text=text) if self.is_plain else web.json_response({"signature": text})


def settings(files: DemoCluster, url: str, **others: Any) -> SidecarSettings:
    return settings_of(files, keystores=None, remote_signer=url, remote_signer_timeout="2", **others)


@asynccontextmanager
async def node_of(files: DemoCluster, url: str, **others: Any) -> AsyncIterator[Node]:
    workers = Workers("signing", threads=1)
    source = RemoteKeys(settings(files, url, **others), url, workers)
    (node,) = await source.load()
    try:
        yield node
    finally:
        await node.signer.close()
        await workers.close()


def exits_of(node: Node, network: Network = HOODI) -> ExitMessages:
    indices = [2**64 - 1, *range(1, len(node.public_keys))]
    return ExitMessages.of(range(len(node.public_keys)), indices, network)


def deposits_of(node: Node, network: Network = HOODI) -> DepositMessages:
    n = len(node.public_keys)
    credentials = np.tile(np.frombuffer(b"\2" + bytes(11) + bytes(range(20)), np.uint8), (n, 1))
    return DepositMessages.of(node, range(n), credentials, [32 * 10**9 + i for i in range(n)], network)


@pytest.mark.parametrize("is_plain", [False, True], ids=["json", "text"])
async def test_exits_and_deposits(
    files: DemoCluster, shares: ClusterShares, secrets: np.ndarray, is_plain: bool
) -> None:
    signer = RemoteSigner(secrets)
    signer.is_plain = is_plain
    signer.more_keys = ["0x" + "ab" * 48]  # of somebody else's validator
    async with signer.running() as url, node_of(files, url) as node:
        assert (node.share_index, len(node.public_keys)) == (NODE + 1, VALIDATORS)
        for messages in (exits_of(node), deposits_of(node)):
            signed = await node.signer.sign(messages)
            assert signed.ok.all()
            keys = shares.public_key_shares[:, NODE]
            assert check_signatures(keys, messages.signing_roots, signed.signatures).all()
        empty = await node.signer.sign(ExitMessages.of([], [], HOODI))
        assert empty.signatures.shape == (0, 96)
    assert 1 < signer.most <= remote.PARALLEL_REQUESTS


@pytest.mark.parametrize("network", [MAINNET, GNOSIS], ids=lambda network: network.name)
async def test_other_networks(
    files: DemoCluster, shares: ClusterShares, secrets: np.ndarray, network: Network
) -> None:
    workers, signer = Workers("signing", threads=1), RemoteSigner(secrets)
    async with signer.running() as url:
        keys = shares.public_key_shares[:, NODE]
        signing = remote.RemoteSigner(url, keys, network, workers, timeout_seconds=ANSWER_SECONDS, threads=1)
        exits = ExitMessages.of(range(VALIDATORS), range(VALIDATORS), network)
        signed = await signing.sign(exits)
        await signing.close()
        await workers.close()
    assert check_signatures(keys, exits.signing_roots, signed.signatures).all()


async def test_what_a_signer_can_get_wrong(
    files: DemoCluster, shares: ClusterShares, secrets: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each fault costs its own signature only, and is told."""
    signer = RemoteSigner(secrets)
    other = sign(secrets[0], bytes(32)).tobytes().hex()
    wrong: list[int | bytes] = [
        404, 400, 412, 500, 302,
        b"", b"{", b'{"signature": "0x00"}', b'{"signature": 7}', b"\xff\xfe",
        f'{{"signature": "0x{other}"}}'.encode(),  # well-formed, and of something else
    ]  # fmt: skip
    async with signer.running() as url, node_of(files, url) as node:
        places = {row.tobytes(): i for i, row in enumerate(shares.public_key_shares.encoded[:, NODE])}
        signer.faults = dict(enumerate(wrong))
        good = {places[signer.order[i]] for i in range(len(wrong), VALIDATORS)}
        for messages in (exits_of(node), deposits_of(node)):
            signed = await node.signer.sign(messages)
            assert set(np.flatnonzero(signed.ok)) == good
        signer.faults = {}
        assert (await node.signer.sign(exits_of(node))).ok.all()
    output = "".join(capfd.readouterr())
    for reason in ("does not have the key", "HTTP 412", "HTTP 500", "no signature", "wrong signatures"):
        assert reason in output, reason


async def test_a_signer_that_refused_is_not_asked_at_every_look(
    files: DemoCluster, secrets: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(remote, "monotonic", lambda: now[0])
    signer = RemoteSigner(secrets)
    signer.faults = {0: 412}
    async with signer.running() as url, node_of(files, url) as node:
        for _ in range(20):
            assert int((await node.signer.sign(exits_of(node))).ok.sum()) == VALIDATORS - 1
        assert len(signer.requests) - 20 * (VALIDATORS - 1) == 2
        assert int((await node.signer.sign(deposits_of(node))).ok.sum()) == VALIDATORS - 1  # something else
        signer.faults = {}
        now[0] += remote.REFUSED_FIRST_SECONDS
        assert (await node.signer.sign(exits_of(node))).ok.all()


async def test_a_query_of_a_signers_address_stays_at_its_end(files: DemoCluster, secrets: np.ndarray) -> None:
    signer = RemoteSigner(secrets)
    asked: list[str] = []

    async def seen(request: web.Request, handler: Any) -> web.StreamResponse:
        asked.append(request.path_qs)
        return await handler(request)  # type: ignore[no-any-return]  # as aiohttp has it

    signer.middlewares.append(web.middleware(seen))
    async with signer.running() as url, node_of(files, f"{url}?key=1") as node:
        assert (await node.signer.sign(exits_of(node))).ok.all()
    assert all(path.startswith("/api/v1/eth2/") and path.endswith("?key=1") for path in asked)


async def test_a_signer_that_is_away_and_comes_back(files: DemoCluster, secrets: np.ndarray) -> None:
    signer = RemoteSigner(secrets)
    async with signer.running() as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        workers = Workers("signing", threads=1)
        source = RemoteKeys(settings(files, url), url, workers)
        (node,) = await source.load()
    assert not (await node.signer.sign(exits_of(node))).ok.any()
    with pytest.raises(UnavailableError, match="remote signer"):
        await source.load()
    async with signer.running(port):
        assert (await node.signer.sign(exits_of(node))).ok.all()
    await node.signer.close()
    await workers.close()


async def test_while_a_signer_is_away_the_lock_is_verified_once(
    files: DemoCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes seconds with many validators, and a signer is asked again and again."""
    verified: list[Path] = []

    def counted(path: Path, **options: Any) -> Any:
        verified.append(path)
        return read_lock(path, **options)

    monkeypatch.setattr(key_share_files, "read_lock", counted)
    workers = Workers("signing", threads=1)
    told, lock = settings(files, NOWHERE), tmp_path / "cluster-lock.json"
    assert told.cluster_lock is not None
    lock.write_bytes(told.cluster_lock.read_bytes())
    source = RemoteKeys(dataclasses.replace(told, cluster_lock=lock), NOWHERE, workers)
    for _ in range(3):
        with pytest.raises(UnavailableError, match="remote signer"):
            await source.load()
    assert verified == [lock]
    lock.write_bytes(lock.read_bytes() + b"\n")
    with pytest.raises(UnavailableError, match="remote signer"):
        await source.load()
    assert verified == [lock, lock]
    await workers.close()


async def test_keys_that_it_lacks(
    files: DemoCluster, secrets: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    signer = RemoteSigner(secrets[:4])
    async with signer.running() as url, node_of(files, url) as node:
        assert len(node.public_keys) == 4
        assert (await node.signer.sign(exits_of(node))).ok.all()
    assert f"no remote key for {VALIDATORS - 4} of {VALIDATORS} validators" in "".join(capfd.readouterr())
    async with RemoteSigner(secrets[:0]).running() as url:
        with pytest.raises(NoKeysError, match="none of 0 remote keys"):
            async with node_of(files, url):
                pass
    async with signer.running() as url:
        with pytest.raises(NoKeysError, match="node 0"):
            async with node_of(files, url, node_indices="0"):
                pass


@pytest.mark.parametrize("answer", [b"{}", b"[1]", b'["0x00"]', b"<html>", b"[" * 100_000])
async def test_lists_of_keys_that_are_none(files: DemoCluster, answer: bytes, tmp_path: Path) -> None:
    app = web.Application()

    async def keys(_: web.Request) -> web.Response:
        return web.Response(body=answer)

    app.router.add_get("/api/v1/eth2/publicKeys", keys)
    async with http.listening(app, "127.0.0.1", 0) as port:
        with pytest.raises(UnavailableError, match="expected public keys"):
            await remote_keys(f"http://127.0.0.1:{port}", timeout_seconds=ANSWER_SECONDS)
