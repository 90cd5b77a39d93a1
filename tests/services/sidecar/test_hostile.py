"""A hostile relayer beside a good one: the sidecar stays up, signs nothing wrong, and memory stays flat."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from dvtfast import HOODI, check_signatures, derive_public_keys, exit_signing_roots, generate_secret_keys
from dvtfast.clusters import ClusterShares, read_cluster_lock
from dvtfast.services import wire
from dvtfast.services.keys.key_shares import share_index_of
from dvtfast.services.web import http

from .. import rounds
from ..hostile_relayer import HostileRelayer
from ..sidecars import until
from .test_sidecar import Fake

VALIDATORS, NODE = 4, 1
VAULTS = ["0x" + "11" * 20, "0x" + "22" * 20]
MOST_MIB = 400  # of a process that has about 100 when it does nothing
ROUNDS = 4  # of all that the hostile relayer does
MORE_MIB = 40  # than after the first round; what a round leaves would be there in each of the others
SECONDS = 200.0


def mib(process_id: int, name: str) -> float:
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) / 1024


def assert_right(shares: ClusterShares, posts: list[tuple[str, Any]]) -> None:
    """All that was posted is for the cluster's validators, in our network, by this node."""
    keys = [row.tobytes() for row in shares.public_keys.encoded]
    rows, indices, signatures = [], [], []
    for _, post in posts:
        assert post["share_index"] == share_index_of(NODE)
        for share in post["shares"]:
            rows.append(keys.index(bytes.fromhex(share["public_key"][2:])))
            indices.append(share["validator_index"])
            signatures.append(bytes.fromhex(share["exit_signature"][2:]))
    roots = exit_signing_roots(indices, HOODI)
    assert check_signatures(shares.public_key_shares[rows, NODE], roots, signatures).all()


async def test_a_hostile_relayer_beside_a_good_one(tmp_path: Path) -> None:
    files = rounds.cluster_of(VALIDATORS, tmp_path)
    shares = read_cluster_lock(files.lock)
    keys = [row.tobytes() for row in shares.public_keys.encoded]
    strangers = [row.tobytes() for row in derive_public_keys(generate_secret_keys(3))]
    sent_elsewhere: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        sent_elsewhere.append(request.path)
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", elsewhere)
    good = Fake()
    async with http.listening(app, "127.0.0.1", 0) as trap, good.running() as good_url:
        hostile = HostileRelayer(
            [wire.PublicKey(key).to_wire() for key in keys],
            [wire.PublicKey(key).to_wire() for key in strangers],
            f"http://127.0.0.1:{trap}/",
            VAULTS,
        )
        async with hostile.running() as hostile_url:
            log_file = os.open(tmp_path / "log", os.O_CREAT | os.O_WRONLY)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "dvtfast.services", "sidecar", "--network", "hoodi",
                "--relayer", hostile_url, "--relayer", good_url, "--relayer", "http://127.0.0.1:1",
                "--poll-interval", "0.02", "--relayer-timeout", "1", "--allow-vault", VAULTS[0],
                "--cluster-lock", str(files.lock), "--keystores", str(files.node_keystores[NODE]),
                "--metrics-port", "0", "--log-format", "json", "--threads", "1",
                cwd=tmp_path, stderr=log_file,
            )  # fmt: skip
            os.close(log_file)
            try:
                async with asyncio.timeout(SECONDS):
                    number, resident = 0, list[float]()
                    while hostile.rounds < ROUNDS:
                        number += 1  # meanwhile the good relayer gets what it wants, every time
                        good.wanted = [(key, number) for key in keys]
                        await has_posts(good, len(good.posts) + 1)
                        await asyncio.sleep(0.2)
                        assert process.returncode is None
                        if hostile.rounds > len(resident):
                            resident.append(mib(process.pid, "VmRSS"))
                peak = mib(process.pid, "VmHWM")
                port = re.search(rb'"port": (\d+)', (tmp_path / "log").read_bytes())
                assert port is not None
                await assert_pages(int(port[1]))
            finally:
                process.terminate()
                await process.wait()
    assert process.returncode == 0
    assert sent_elsewhere == []
    shown = ", ".join(f"{each:.0f}" for each in resident)
    print(f"{shown} MiB, at most {peak:.0f}; {len(hostile.posts)} posts, {number} rounds of the good relayer")
    assert peak < MOST_MIB
    assert min(resident[-2:]) < resident[0] + MORE_MIB  # what is under way at one look is gone at another
    assert_right(shares, hostile.posts)
    assert {path for path, _ in hostile.posts} == {"/exit-signature", "/signatures"}
    log = (tmp_path / "log").read_bytes()
    assert len(log) < 4 * 1024 * 1024
    assert b"Traceback" not in log
    assert "for another vault" not in json.dumps(hostile.posts)


async def has_posts(relayer: Fake, count: int) -> None:
    await until(lambda: len(relayer.posts) >= count)


async def assert_pages(port: int) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            assert answer.status == 200
            metrics = await answer.text()
        async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
            assert answer.status == 200
            health = await answer.json()
    assert f'dvtfast_sidecar_keys{{share_index="{NODE + 1}"}} {VALIDATORS}.0' in metrics
    for name in ("posted", "rejected", "refused", "failures", "recorded"):
        assert re.search(rf"dvtfast_sidecar_{name}_total{{.*}} [1-9]", metrics), name
    assert re.search(r'failures_total{relayer="127.0.0.1:1"} [1-9]', metrics)  # which is away
    reached = [seconds for seconds in health["seconds_since_answer"].values() if seconds is not None]
    assert len(health["seconds_since_answer"]) == 3
    assert len(reached) == 2
