"""The sidecar as a process: several nodes and relayers, keys read anew, no core files, the plan."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dvtfast.services.demo.cluster import DemoCluster
from dvtfast.services.demo.world.ports import free_port
from dvtfast.services.keys.key_shares import share_index_of

from .. import rounds
from ..patience import PATIENCE_SECONDS
from ..programs import DVTFAST, program_with
from ..sidecars import until
from .test_journal import make_journal_of_1, rows
from .test_sidecar import Fake

VALIDATORS = 4
NODES = (0, 1, 2, 3)
LOOK_SECONDS = 0.5  # between two looks at the files, of which a change needs two


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> DemoCluster:
    return rounds.cluster_of(VALIDATORS, tmp_path_factory.mktemp("cluster"))


class Running:
    """A sidecar and its log."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self._log = log

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self._log.read_bytes().splitlines()]
        return [line for line in lines if line["event"] == name]

    async def has(self, name: str, count: int = 1) -> None:
        await until(lambda: len(self.events(name)) >= count)


@asynccontextmanager
async def process(
    directory: Path, *arguments: str, program: Sequence[str] = DVTFAST
) -> AsyncIterator[Running]:
    log = directory / "sidecar.log"
    with log.open("wb") as file:
        started = await asyncio.create_subprocess_exec(
            *program, "sidecar", "--network", "hoodi", "--threads", "1",
            "--poll-interval", "0.05", "--log-format", "json", *arguments, cwd=directory, stderr=file,
        )  # fmt: skip
    try:
        yield Running(started, log)
    finally:
        if started.returncode is None:
            started.terminate()
        await started.wait()


def wanting(cluster: DemoCluster) -> Fake:
    fake = Fake()
    fake.wanted = [(row.tobytes(), i) for i, row in enumerate(cluster.public_keys.encoded)]
    return fake


def keys_posted(relayer: Fake, share_index: int) -> set[bytes]:
    return {s.public_key for post in relayer.posts if post.share_index == share_index for s in post.shares}


async def until_posted(relayer: Fake, share_index: int, keys: set[bytes]) -> None:
    await until(lambda: keys_posted(relayer, share_index) == keys)


async def test_several_nodes_for_several_relayers(files: DemoCluster, tmp_path: Path) -> None:
    """Also when one of the relayers is away, and one is of another network."""
    relayers, stranger = [wanting(files), wanting(files)], Fake(network="gnosis")
    template = str(files.node_keystores[0]).replace("node0", "node{node_index}")
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(relayer.running()) for relayer in (*relayers, stranger)]
        urls.append(f"http://user:secret@127.0.0.1:{free_port()}/token")
        flags = [flag for url in urls for flag in ("--relayer", url)]
        running = await stack.enter_async_context(
            process(
                tmp_path, *flags, "--cluster-lock", str(files.lock), "--journal", "record.db",
                "--keystores-template", template, "--node-index", "0,1,2,3",
            )
        )  # fmt: skip
        everything = {row.tobytes() for row in files.public_keys.encoded}
        for relayer in relayers:
            for node in NODES:
                await until_posted(relayer, share_index_of(node), everything)
        assert stranger.posts == []
        assert len(running.events("cannot run")) == 1
        assert running.process.returncode is None
    recorded = rows(tmp_path / "record.db", "relayer, share_index, public_key")
    assert len(recorded) == len(set(recorded)) == 2 * len(NODES) * VALIDATORS
    log = (tmp_path / "sidecar.log").read_text()
    assert "secret" not in log
    assert "token" not in log


async def test_relayers_of_other_networks_only(files: DemoCluster, tmp_path: Path) -> None:
    async with Fake(network="gnosis").running() as url, process(
        tmp_path, "--relayer", url, "--cluster-lock", str(files.lock),
        "--keystores", str(files.node_keystores[0]),
    ) as running:  # fmt: skip
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await running.process.wait() == 1


def copy_keystore(files: DemoCluster, number: int, directory: Path) -> None:
    for suffix in ("txt", "json"):
        name = f"keystore-{number}.{suffix}"
        shutil.copy(files.node_keystores[2] / name, directory / name)


@pytest.mark.parametrize("how", ["signal", "change"])
async def test_keys_are_read_anew(files: DemoCluster, tmp_path: Path, how: str) -> None:
    """New keystores are found without a stop; a directory without any keeps the old keys."""
    keystores, relayer = tmp_path / "keystores", wanting(files)
    keystores.mkdir()
    for number in (0, 1):
        copy_keystore(files, number, keystores)

    async def changed(running: Running, event: str) -> None:
        before = len(running.events(event))
        while len(running.events(event)) == before:
            if how == "signal":
                running.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.2)

    async with relayer.running() as url, process(
        tmp_path, "--relayer", url, "--cluster-lock", str(files.lock), "--keystores", str(keystores),
        program=program_with({"sidecar.nodes.reload.LOOK_SECONDS": LOOK_SECONDS}),
    ) as running:  # fmt: skip
        await until(lambda: len(keys_posted(relayer, 3)) == 2)
        for number in (2, 3):
            copy_keystore(files, number, keystores)
        await changed(running, "keys loaded")
        await until(lambda: len(keys_posted(relayer, 3)) == 4)
        for file in keystores.iterdir():
            file.unlink()
        await changed(running, "keys not read anew, going on with those before")
        relayer.wanted = [(key, 1_000) for key, _ in relayer.wanted]
        await until(lambda: {s.validator_index for s in relayer.posts[-1].shares} == {1_000})
        assert len(relayer.posts[-1].shares) == 4
        assert len(running.events("relayer found")) == 1  # nothing was started again


async def test_keystores_of_another_node(files: DemoCluster, tmp_path: Path) -> None:
    """The loops of the node that is gone end, those of the new one begin."""
    keystores, relayer = tmp_path / "keystores", wanting(files)
    shutil.copytree(files.node_keystores[0], keystores)
    async with relayer.running() as url, process(
        tmp_path, "--relayer", url, "--cluster-lock", str(files.lock), "--keystores", str(keystores),
    ) as running:  # fmt: skip
        await running.has("shares posted")
        shutil.rmtree(keystores)
        shutil.copytree(files.node_keystores[3], keystores)
        running.process.send_signal(signal.SIGHUP)
        await until(lambda: len(keys_posted(relayer, 4)) == VALIDATORS)
        posts, looks = len(relayer.posts), relayer.looks
        relayer.wanted = [(key, 1_000) for key, _ in relayer.wanted]
        await until(lambda: relayer.looks > looks + 5 and len(relayer.posts) > posts)
        assert {post.share_index for post in relayer.posts[posts + 1 :]} <= {4}


async def test_it_stops_while_it_waits_for_a_remote_signer(files: DemoCluster, tmp_path: Path) -> None:
    async with process(
        tmp_path, "--relayer", "http://127.0.0.1:1", "--cluster-lock", str(files.lock),
        "--remote-signer", f"http://127.0.0.1:{free_port()}",
    ) as running:  # fmt: skip
        await running.has("no keys yet")
        running.process.send_signal(signal.SIGHUP)  # which changes nothing yet
        await running.has("no keys yet", 2)
        running.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await running.process.wait() == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the call is Linux's")
def test_nothing_of_it_is_dumped(files: DemoCluster, tmp_path: Path) -> None:
    """PR_GET_DUMPABLE is 0 in a process that ran a sidecar, here one without keys."""
    program = (
        "import ctypes, sys; from dvtfast.services.settings import SidecarSettings as Settings;"
        "from dvtfast.services.sidecar.app import run;"
        "urls = ('http://127.0.0.1:1',);"
        "flags = dict(relayers=urls, network='hoodi', cluster_lock=sys.argv[1], keystores='.');"
        "run(Settings.load(flags, {})); print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    command = [sys.executable, "-c", program, str(files.lock)]
    done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, check=True)
    assert done.stdout.splitlines()[-1] == b"0"


async def planned(directory: Path, *arguments: str) -> tuple[int, bytes, bytes]:
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dvtfast.services", "sidecar", "plan", "--network", "hoodi", *arguments,
        cwd=directory, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "COLUMNS": "400"},
    )  # fmt: skip
    output, errors = await started.communicate()
    assert started.returncode is not None
    return started.returncode, output, errors


async def test_the_plan_says_what_would_be_signed(files: DemoCluster, tmp_path: Path) -> None:
    relayer = wanting(files)
    relayer.wanted.append((bytes(48), 7))  # of somebody else
    flags = ["--cluster-lock", str(files.lock), "--keystores", str(files.node_keystores[1])]
    async with relayer.running() as url:
        code, output, _ = await planned(tmp_path, "--relayer", url, *flags, "--json")
        document = json.loads(output)
        assert (code, document["problems"]) == (0, [])
        assert {(each["kind"], each["subject"], each["refused"]) for each in document["planned"]} == {
            ("exit", f"validator index {i}", "") for i in range(VALIDATORS)
        }
        assert {each["share_index"] for each in document["planned"]} == {2}
        code, output, _ = await planned(tmp_path, "--relayer", url, *flags)
        assert (code, output.count(b"would be signed")) == (0, VALIDATORS + 1)
        nowhere = f"http://127.0.0.1:{free_port()}"
        code, output, errors = await planned(tmp_path, "--relayer", url, "--relayer", nowhere, *flags)
        assert (code, output.count(b"would be signed")) == (1, VALIDATORS + 1)
        assert errors.count(b"error: relayer") == 1
        journal = tmp_path / "sidecar-journal.db"
        assert not journal.exists()
        make_journal_of_1(journal, 1_800_000_000)
        before = journal.read_bytes()
        code, output, _ = await planned(tmp_path, "--relayer", url, *flags)
        assert (code, output.count(b"would be signed")) == (0, VALIDATORS + 1)
        assert journal.read_bytes() == before  # an older sidecar may be at work with it
    assert relayer.posts == []
