"""The sidecar: its files, what it signs, and what relayers can do to it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from dvtfast import (
    HOODI,
    MAINNET,
    FileError,
    KeystoreError,
    check_signatures,
    exit_signing_roots,
    generate_secret_keys,
)
from dvtfast.clusters import ClusterShares, read_cluster_lock
from dvtfast.keystores import PBKDF2_INSECURE, load_keystores, write_keystores
from dvtfast.services import wire
from dvtfast.services.demo.cluster import DemoCluster
from dvtfast.services.keys.key_shares import NodeKeys, NoKeysError, match_keys, share_index_of
from dvtfast.services.process.offload import Workers
from dvtfast.services.relayer_client.client import RelayerClient, WrongNetworkError
from dvtfast.services.settings import SettingsError, SidecarSettings
from dvtfast.services.sidecar.journal.signing_journal import SigningJournal
from dvtfast.services.sidecar.metrics import SidecarMetrics
from dvtfast.services.sidecar.nodes.local import local_node
from dvtfast.services.sidecar.nodes.node import ExitMessages
from dvtfast.services.sidecar.nodes.obol import read_obol
from dvtfast.services.sidecar.polling import poll, questions
from dvtfast.services.sidecar.polling.loop import Sidecar
from dvtfast.services.sidecar.signing.deposit_policy import DepositPolicy
from dvtfast.services.sidecar.signing.signing import Signing
from dvtfast.services.web import http
from tests.services.patience import ANSWER_SECONDS

from .. import rounds
from ..conftest import Cluster, Start
from ..patience import PATIENCE_SECONDS

VALIDATORS = 6
NODE = 1


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> DemoCluster:
    """A lock, and the keystores of its four nodes."""
    return rounds.cluster_of(VALIDATORS, tmp_path_factory.mktemp("cluster"))


@pytest.fixture(scope="module")
def shares(files: DemoCluster) -> ClusterShares:
    return read_cluster_lock(files.lock)


@pytest.fixture
def cluster(files: DemoCluster, shares: ClusterShares) -> Cluster:
    """The same for the relayer of the other tests; nobody needs its key shares."""
    return Cluster(files.secret_keys, np.zeros((VALIDATORS, 4, 32), np.uint8), shares)


def keys_of(files: DemoCluster, shares: ClusterShares, node: int) -> NodeKeys:
    keys, problems = match_keys(shares, load_keystores(files.node_keystores[node]), node_index=None)
    assert problems == []
    return keys


# --- files ---


def copied(files: DemoCluster, directory: Path, order: list[int]) -> Path:
    """Keystores of the node under other numbers: `order[i]` becomes number i."""
    for new, old in enumerate(order):
        for suffix in ("json", "txt"):
            content = (files.node_keystores[NODE] / f"keystore-{old}.{suffix}").read_bytes()
            (directory / f"keystore-{new}.{suffix}").write_bytes(content)
    return directory


async def test_keystores_are_matched_by_their_keys_in_any_order(
    files: DemoCluster, shares: ClusterShares, tmp_path: Path
) -> None:
    directory = copied(files, tmp_path, [4, 2, 0, 5, 1, 3])
    keys, problems = match_keys(shares, load_keystores(directory), node_index=None)
    assert problems == []
    assert keys.share_index == share_index_of(NODE) == NODE + 1
    workers = Workers("signing", threads=1)
    node = local_node(keys, workers, threads=1)
    places = [node.places[key.tobytes()] for key in shares.public_keys.encoded]
    signed = await node.signer.sign(ExitMessages.of(places, range(VALIDATORS), HOODI))
    await workers.close()
    roots = exit_signing_roots(np.arange(VALIDATORS), HOODI)
    assert signed.ok.all()
    assert check_signatures(shares.public_key_shares[:, NODE], roots, signed.signatures).all()


def test_every_bad_keystore_is_named_and_the_others_serve(
    files: DemoCluster, shares: ClusterShares, tmp_path: Path
) -> None:
    directory = copied(files, tmp_path, [0, 1, 2])  # validators 3, 4, 5 have none
    write_keystores(tmp_path / "foreign", generate_secret_keys(1), kdf=PBKDF2_INSECURE)
    other_node = files.node_keystores[NODE + 1]
    for number, source in (
        (7, tmp_path / "foreign" / "keystore-insecure-0"),
        (8, other_node / "keystore-3"),
    ):
        for suffix in ("json", "txt"):
            (directory / f"keystore-{number}.{suffix}").write_bytes(
                source.with_suffix(f".{suffix}").read_bytes()
            )
    good = (directory / "keystore-0.json").read_bytes()
    (directory / "keystore-9.json").write_bytes(good)
    (directory / "keystore-9.txt").write_text("wrong")
    (directory / "keystore-10.json").write_bytes(good[:100])
    (directory / "keystore-10.txt").write_text("any")
    keys, problems = match_keys(shares, load_keystores(directory), node_index=None)
    assert len(keys.public_keys) == 3
    for number in (7, 8, 9, 10):
        assert sum(f"keystore-{number}.json" in problem for problem in problems) == 1
    assert "no share of the cluster" in next(p for p in problems if "keystore-7.json" in p)
    assert f"of node {NODE + 1}" in next(p for p in problems if "keystore-8.json" in p)
    assert "no keystore for 3 of 6 validators" in problems[-1]


def test_a_wrong_node_index_is_said(files: DemoCluster, shares: ClusterShares) -> None:
    loaded = load_keystores(files.node_keystores[NODE])
    assert match_keys(shares, loaded, node_index=NODE)[0].share_index == NODE + 1
    for wrong in (0, 4, 2**40):
        with pytest.raises(NoKeysError, match=f"node {wrong}"):
            match_keys(shares, loaded, node_index=wrong)


def settings_of(files: DemoCluster, url: str = "http://127.0.0.1:1", **others: Any) -> SidecarSettings:
    flags = {
        "network": "hoodi",
        "relayers": (url,),
        "poll_interval": "0.05",
        "cluster_lock": str(files.lock),
        "keystores": str(files.node_keystores[NODE]),
        "threads": "1",
    }
    return SidecarSettings.load({**flags, **others}, {})


def test_a_lock_of_another_network(files: DemoCluster) -> None:
    with pytest.raises(FileError, match=r"hoodi, not mainnet"):
        read_obol(settings_of(files, network="mainnet"))


def test_nothing_to_sign_with(files: DemoCluster, tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match=r"keystore"):
        read_obol(settings_of(files, keystores=str(tmp_path)))
    write_keystores(tmp_path, generate_secret_keys(2), kdf=PBKDF2_INSECURE)
    with pytest.raises(NoKeysError, match=r"none of 2 keystores"):
        read_obol(settings_of(files, keystores=str(tmp_path)))


def test_the_variables_of_the_first_makers(files: DemoCluster) -> None:
    environment = {
        "NETWORK": "hoodi",
        "RELAYER_ENDPOINT": "http://127.0.0.1:1",
        "OBOL_CLUSTER_LOCK_FILE": str(files.lock),
        "OBOL_KEYSTORES_DIR_TEMPLATE": str(
            files.node_keystores[0].parent.parent / "node{node_index}/validator_keys"
        ),
        "OBOL_NODE_INDEX": "3",
        "CLUSTER_TYPE": "OBOL",
    }
    settings = SidecarSettings.load({}, environment)
    assert settings.keystores_directories == [(3, files.node_keystores[3])]
    assert [keys.share_index for keys in read_obol(settings)] == [4]
    several = SidecarSettings.load({}, {**environment, "OBOL_NODE_INDEX": "", "OBOL_NODE_INDEXES": "2,0"})
    assert [keys.share_index for keys in read_obol(several)] == [3, 1]
    # Theirs starts with these, too.
    assert SidecarSettings.load({}, {**environment, "RELAYER_ENDPOINT": ""}).relayer_names == [
        "127.0.0.1:8000"
    ]
    assert SidecarSettings.load({}, {**environment, "REMOTE_SIGNER_URL": "http://127.0.0.1:2"})
    for more, problem in (
        ({"CLUSTER_TYPE": "SSV"}, "an SSV operator needs it"),
        ({"OBOL_NODE_INDEX": ""}, "OBOL_NODE_INDEX"),
        ({"OBOL_NODE_INDEX": "9"}, "no such directory"),
        ({"OBOL_NODE_INDEX": "1,1"}, "each integer once"),
        (
            {
                "OBOL_NODE_INDEX": "0,1",
                "OBOL_KEYSTORES_DIR": str(files.node_keystores[0]),
                "OBOL_KEYSTORES_DIR_TEMPLATE": "",
            },
            "several need",
        ),
        ({"OBOL_KEYSTORES_DIR_TEMPLATE": ""}, "OBOL_KEYSTORES_DIR"),
    ):
        with pytest.raises(SettingsError, match=problem):
            SidecarSettings.load({}, {**environment, **more})


def test_keys_are_wiped_and_never_shown(files: DemoCluster, shares: ClusterShares) -> None:
    keys = keys_of(files, shares, NODE)
    secrets = [row.tobytes() for row in keys.secret_keys]
    assert not any(secret.hex() in repr(keys) or repr(secret)[2:-1] in repr(keys) for secret in secrets)
    keys.wipe()
    assert not keys.secret_keys.any()


# --- against relayers ---


@asynccontextmanager
async def sidecar(
    url: str, keys: NodeKeys, network: Any = HOODI, *, journal: Path | None = None, **policy: Any
) -> AsyncIterator[asyncio.Task[None]]:
    """Run a sidecar in the background."""
    workers, book = Workers("signing", threads=1), SigningJournal(journal)
    signing = Signing(network, book, SidecarMetrics(), policy=DepositPolicy(**policy), exits_per_day=10**6)
    async with RelayerClient(url, timeout_seconds=ANSWER_SECONDS) as client:
        node = local_node(keys, workers, threads=1)
        running = Sidecar(client, node, signing, relayer="test", poll_seconds=0.02)
        task = asyncio.create_task(running.run())
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, WrongNetworkError):
                await task
            await workers.close()
            await book.close()


async def test_three_sidecars_make_exits_ready_and_follow_a_move(
    start: Start, files: DemoCluster, shares: ClusterShares, cluster: Cluster
) -> None:
    nodes = [keys_of(files, shares, node) for node in (0, 2, 3)]
    async with start(cluster) as relayer:
        await relayer.ask(cluster, 7)
        async with (
            sidecar(relayer.url, nodes[0]),
            sidecar(relayer.url, nodes[1]),
            sidecar(relayer.url, nodes[2]),
        ):
            first = await relayer.until_ready(cluster)
            await relayer.ask(cluster, 100)
            second = await relayer.until_ready(cluster)
        exits = await relayer.exits()
    assert {int(exit_.validator_index) for exit_ in exits.values()} == set(range(100, 100 + VALIDATORS))
    assert all(exit_.share_indexes_rejected == [] for exit_ in exits.values())
    assert (
        first.validators[0].oracles_exit_signature_shares
        != second.validators[0].oracles_exit_signature_shares
    )


async def test_it_goes_on_after_a_restart_of_the_relayer(
    start: Start, files: DemoCluster, shares: ClusterShares, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvtfast.services.relayer_client.client.RETRY_FIRST_SECONDS", 0.05)
    fake = Fake()
    async with fake.running() as url, sidecar(url, keys_of(files, shares, NODE)):
        await fake.until(lambda: fake.looks > 0)
    port = int(url.rpartition(":")[2])
    async with sidecar(url, keys_of(files, shares, NODE)):  # nobody listens there now
        await asyncio.sleep(0.2)
        fake.wanted = [(cluster.keys[0], 7)]
        async with fake.running(port):
            await fake.until(lambda: len(fake.posts) > 0)
    assert fake.posts[0].shares[0].validator_index == 7


class Fake:
    """A relayer that answers as it is told, and keeps what was posted.

    Attributes:
        wanted: (key, index) pairs in GET /exits.
        answers: bodies or statuses instead of the next answers to GET /exits.
    """

    def __init__(self, *, network: str = "hoodi") -> None:
        self.network = network
        self.wanted: list[tuple[bytes, int]] = []
        self.answers: Iterator[bytes | int] = iter(())
        self.looks = 0
        self.posts: list[wire.ExitSignatureRequest] = []
        self.reject = ""
        self.ready_indexes: list[int] = []
        self.is_ready = False

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator[str]:
        application = web.Application()
        application.router.add_get("/info", self._info)
        application.router.add_get("/exits", self._exits)
        application.router.add_post("/exit-signature", self._post)
        async with http.listening(application, "127.0.0.1", port) as listening_port:
            yield f"http://127.0.0.1:{listening_port}"

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():  # noqa: ASYNC110 - the sidecar makes it true
                await asyncio.sleep(0.01)

    async def _info(self, _: web.Request) -> web.Response:
        return http.json_answer(wire.InfoAnswer(self.network))

    async def _exits(self, _: web.Request) -> web.Response:
        self.looks += 1
        odd = next(self.answers, None)
        if isinstance(odd, int):
            return web.Response(status=odd)
        if odd is not None:
            return http.json_answer(odd)
        ready = [wire.ShareIndex(index) for index in self.ready_indexes]
        exits = [
            wire.ExitWanted(wire.PublicKey(key), wire.UInt64(index), self.is_ready, 0, "", ready)
            for key, index in self.wanted
        ]
        return http.json_answer(wire.ExitsAnswer(exits))

    async def _post(self, request: web.Request) -> web.Response:
        posted = wire.decode(await request.read(), wire.ExitSignatureRequest)
        self.posts.append(posted)
        rejected = [wire.Rejected(s.public_key.to_wire(), self.reject) for s in posted.shares if self.reject]
        return http.json_answer(wire.ExitSignatureAnswer(rejected))


async def test_it_signs_only_for_its_cluster_and_only_what_is_missing(
    files: DemoCluster, shares: ClusterShares, cluster: Cluster
) -> None:
    stranger = cluster.secret_keys[0].tobytes() + bytes(16)
    fake = Fake()
    fake.wanted = [(stranger, 1), (cluster.keys[2], 2**64 - 1), (stranger, 2)]
    async with fake.running() as url, sidecar(url, keys_of(files, shares, NODE)):
        await fake.until(lambda: fake.looks > 3)
        assert [[share.public_key for share in post.shares] for post in fake.posts] == [[cluster.keys[2]]]
        share = fake.posts[0].shares[0]
        assert (fake.posts[0].share_index, share.validator_index) == (NODE + 1, 2**64 - 1)
        root = exit_signing_roots([2**64 - 1], HOODI)
        assert check_signatures(shares.public_key_shares[2:3, NODE], root, [share.exit_signature]).all()
        # A share that is there, or an exit that is ready, is left alone, also at a new index.
        fake.wanted, fake.ready_indexes = [(cluster.keys[2], 5)], [NODE + 1]
        looks = fake.looks
        await fake.until(lambda: fake.looks > looks + 3)
        fake.ready_indexes, fake.is_ready = [], True
        await fake.until(lambda: fake.looks > looks + 6)
        assert len(fake.posts) == 1
        # And one that is wanted at another index is signed at once.
        fake.is_ready = False
        await fake.until(lambda: len(fake.posts) == 2)
        assert fake.posts[1].shares[0].validator_index == 5


async def test_what_is_rejected_is_tried_again_with_growing_pauses(
    files: DemoCluster, shares: ClusterShares, cluster: Cluster, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(poll, "FIRST_PAUSE_SECONDS", 0.1)
    fake = Fake()
    fake.wanted = [(key, i) for i, key in enumerate(cluster.keys)]
    fake.reject = "it does not fit"
    async with fake.running() as url, sidecar(url, keys_of(files, shares, NODE)):
        await fake.until(lambda: len(fake.posts) == 4)  # at 0, 0.1, 0.3 and 0.7 seconds
        assert fake.looks > 12
    assert [len(post.shares) for post in fake.posts] == [VALIDATORS] * 4
    output = "".join(capfd.readouterr())
    assert "it does not fit" in output
    assert f"count={VALIDATORS}" in output


@pytest.mark.parametrize(
    "odd",
    [
        b"", b"{", b"[]", b'{"exits": 7}', b'{"exits": [{"public_key": "0x00"}]}', b"\xff\xfe", 500, 503,
        404, 302,
        b'{"exits": [{"public_key": "0x' + b"aa" * 48 + b'", "validator_index": 18446744073709551616}]}',
    ],
)  # fmt: skip
async def test_it_outlives_odd_answers(
    odd: bytes | int,
    files: DemoCluster,
    shares: ClusterShares,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dvtfast.services.relayer_client.client.RETRY_FIRST_SECONDS", 0.05)
    fake = Fake()
    fake.wanted = [(cluster.keys[0], 7)]
    fake.answers = iter([odd, odd])
    async with fake.running() as url, sidecar(url, keys_of(files, shares, NODE)) as task:
        await fake.until(lambda: len(fake.posts) == 1)
        assert not task.done()


class Stumbling(Fake):
    """A relayer that stores what is posted, unless it stumbles over one of the validators.

    Attributes:
        poison: of such a validator, the status of the answer to all that is posted with its share.
    """

    def __init__(self, keys: Sequence[bytes], poison: dict[bytes, int]) -> None:
        super().__init__()
        self.wanted = [(key, index) for index, key in enumerate(keys)]
        self.poison = poison
        self.stored: set[bytes] = set()

    async def _exits(self, request: web.Request) -> web.Response:
        self.wanted = [(key, index) for key, index in self.wanted if key not in self.stored]
        return await super()._exits(request)

    async def _post(self, request: web.Request) -> web.Response:
        answer = await super()._post(request)
        keys = {share.public_key for share in self.posts[-1].shares}
        for key in keys & self.poison.keys():
            return web.Response(status=self.poison[key])
        self.stored |= keys
        return answer


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses, short requests."""
    monkeypatch.setattr("dvtfast.services.relayer_client.client.RETRY_FIRST_SECONDS", 0.01)
    monkeypatch.setattr(poll, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(poll, "LONGEST_PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(poll, "POST_SHARES", 4)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("culprits", [[0], [3], [5], [0, 1], [1, 2, 4], range(VALIDATORS)])
async def test_a_share_that_the_relayer_stumbles_over_is_isolated(
    culprits: Sequence[int], files: DemoCluster, shares: ClusterShares, cluster: Cluster
) -> None:
    """The first makers' relayers answer 500 to every post with a share of a validator they cannot handle."""
    bad = {cluster.keys[i] for i in culprits}
    fake = Stumbling(cluster.keys, dict.fromkeys(bad, 500))
    async with fake.running() as url, sidecar(url, keys_of(files, shares, NODE)):
        await fake.until(lambda: fake.looks == 2)
        assert fake.stored == set(cluster.keys) - bad
        fake.poison = {}
        await fake.until(lambda: fake.stored == set(cluster.keys))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("status", [502, 503, 429, 404, 422])
async def test_a_post_that_fails_does_not_hold_up_the_next(
    status: int, files: DemoCluster, shares: ClusterShares, cluster: Cluster
) -> None:
    fake = Stumbling(cluster.keys, {cluster.keys[1]: status})
    async with fake.running() as url, sidecar(url, keys_of(files, shares, NODE)):
        await fake.until(lambda: fake.looks > 5)
        assert fake.stored == set(cluster.keys[4:])
        # Only a 500 says that it may be about single shares; these stay together.
        assert {len(post.shares) for post in fake.posts} == {4, 2}
        fake.poison = {}
        await fake.until(lambda: fake.stored == set(cluster.keys))


@pytest.mark.usefixtures("quick")
async def test_a_relayer_that_stumbles_over_everything_is_not_flooded(
    files: DemoCluster, shares: ClusterShares, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll, "FAILURES_LIMIT", 3)
    monkeypatch.setattr(questions, "POST_ATTEMPTS", 1)
    fake = Stumbling(cluster.keys[:4], dict.fromkeys(cluster.keys, 500))
    async with fake.running() as url, sidecar(url, keys_of(files, shares, NODE)):
        await fake.until(lambda: len(fake.posts) > 3)
        sizes = [len(post.shares) for post in fake.posts]
        assert sizes[:3] == [4, 2, 1]
        assert sizes[3] >= 3  # a new look instead of the other half of two
        fake.poison = {}
        await fake.until(lambda: len(fake.stored) == 4)


async def test_a_relayer_of_another_network_is_refused(files: DemoCluster, shares: ClusterShares) -> None:
    fake = Fake(network="mainnet")
    keys = keys_of(files, shares, NODE)
    async with fake.running() as url, sidecar(url, keys) as task:
        async with asyncio.timeout(PATIENCE_SECONDS):
            with pytest.raises(WrongNetworkError, match="mainnet"):
                await task
    async with fake.running() as url, sidecar(url, keys, MAINNET):
        await fake.until(lambda: fake.looks > 0)


# --- as a process ---


async def test_as_a_process(files: DemoCluster, cluster: Cluster, tmp_path: Path) -> None:
    fake = Fake()
    fake.wanted = [(key, i) for i, key in enumerate(cluster.keys)]
    async with fake.running() as url:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dvtfast.services", "sidecar", "--network", "hoodi", "--relayer", url,
            "--cluster-lock", str(files.lock), "--keystores", str(files.node_keystores[NODE]),
            "--log-format", "json", stderr=asyncio.subprocess.PIPE, cwd=tmp_path,
        )  # fmt: skip
        assert process.stderr is not None
        output = b""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while b"shares posted" not in output and (line := await process.stderr.readline()):
                output += line
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            output += (await process.communicate())[1]
    assert process.returncode == 0
    events = {line["event"]: line for line in map(json.loads, output.splitlines())}
    assert events["keys loaded"]["count"] == VALIDATORS
    assert events["shares posted"]["count"] == VALIDATORS
    assert "stopped" in events
    loaded = load_keystores(files.node_keystores[NODE])
    assert not any(row.tobytes().hex().encode() in output for row in loaded.secret_keys)


async def test_a_process_with_wrong_files_says_so(files: DemoCluster, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dvtfast.services", "sidecar", "--network", "hoodi",
        "--relayer", "http://127.0.0.1:1", "--cluster-lock", str(files.deposit_data),
        "--keystores", str(files.node_keystores[NODE]), stderr=asyncio.subprocess.PIPE, cwd=tmp_path,
    )  # fmt: skip
    _, message = await process.communicate()
    assert process.returncode == 2
    assert str(files.deposit_data).encode() in message
    assert b"Traceback" not in message
