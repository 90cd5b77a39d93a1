"""`make bench-sidecar`: what a sidecar costs beside the signatures that it makes.

A sidecar as the service runs it (client, policy, journal on disk, signing, loop) gets the exits of many
validators from a relayer in another process, on loopback. Its CPU time, from the first poll to the last
acknowledged post, stands beside that of blst's primitives called from C: hash to G2, and sign.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from aiohttp import web

from dvtfast import HOODI, derive_public_keys, generate_secret_keys
from dvtfast.services import wire
from dvtfast.services.keys.key_shares import NodeKeys
from dvtfast.services.process.offload import Workers
from dvtfast.services.relayer_client.client import RelayerClient
from dvtfast.services.sidecar.journal.signing_journal import SigningJournal
from dvtfast.services.sidecar.metrics import SidecarMetrics
from dvtfast.services.sidecar.nodes.local import local_node
from dvtfast.services.sidecar.polling.loop import Sidecar
from dvtfast.services.sidecar.signing.deposit_policy import DepositPolicy
from dvtfast.services.sidecar.signing.signed_once import SignedOnce
from dvtfast.services.sidecar.signing.signing import Signing
from dvtfast.services.web import http

from . import floor
from .cases import DISTINCT, OBOL_4, exits
from .measure import alternate

CPU_BOUND = 1.15  # times the primitives
SHARE_INDEX = 2
LOOK_SECONDS = 0.01


def main() -> None:
    """Run, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sidecar", description=__doc__)
    parser.add_argument("--validators", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=1, help="as many as the primitives have by default")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    arguments = parser.parse_args()
    before = primitives_microseconds()
    figures = measure(arguments.validators, arguments.threads)
    figures["primitives_us_per_exit"] = (before + primitives_microseconds()) / 2
    figures["cpu_ratio"] = figures["cpu_us_per_exit"] / figures["primitives_us_per_exit"]
    for name, value in figures.items():
        print(f"{name} {value:.3f}", flush=True)
    verdict = "ok" if figures["cpu_ratio"] <= CPU_BOUND else "MISS"
    print(f"BOUND cpu_ratio {figures['cpu_ratio']:.3f} {CPU_BOUND:.3f} {verdict}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def primitives_microseconds() -> float:
    """Of one exit: hash to G2, and sign in constant time."""
    ways = floor.primitives(exits(OBOL_4).first(DISTINCT), ("hash_to_g2", "sign_hash"))
    alternate(ways)
    return floor.of_sign(floor.costs(ways))


def measure(validators: int, threads: int) -> dict[str, float]:
    """The figures of one run."""
    keys = generate_secret_keys(validators)
    public_keys = derive_public_keys(keys)
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    relayer = context.Process(target=run_relayer, args=(theirs, public_keys.tobytes()), daemon=True)
    relayer.start()
    try:
        url = f"http://127.0.0.1:{ours.recv()}"
        with tempfile.TemporaryDirectory(prefix="dvtfast-sidecar-") as directory:
            journal = Path(directory) / "journal.db"
            return asyncio.run(_measure(url, keys, public_keys, ours, journal, threads))
    finally:
        relayer.terminate()


async def _measure(
    url: str, keys: np.ndarray, public_keys: np.ndarray, relayer: Connection, path: Path, threads: int
) -> dict[str, float]:
    n = len(keys)
    workers, journal, metrics = Workers("signing", threads=1), SigningJournal(path), SidecarMetrics()
    signing = Signing(HOODI, journal, metrics, policy=DepositPolicy(), exits_per_day=10**6)
    node = local_node(NodeKeys("bench", SHARE_INDEX, public_keys, keys), workers, threads=threads)
    node = replace(node, signer=SignedOnce(node.signer))
    assert len(node.places) == n
    async with RelayerClient(url, timeout_seconds=60) as client:
        sidecar = Sidecar(client, node, signing, relayer="bench", poll_seconds=0.05, wait_seconds=20)
        idle_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begin, cpu_begin = time.perf_counter(), time.process_time()
        task = asyncio.create_task(sidecar.run())
        while metrics.posted.labels("bench", "exit")._value.get() < n:  # noqa: ASYNC110 - counted by the loop
            await asyncio.sleep(LOOK_SECONDS)
        cpu, seconds = time.process_time() - cpu_begin, time.perf_counter() - begin
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await workers.close()
    await journal.close()
    relayer.send(None)
    assert relayer.recv() == n, "the relayer did not get every exit, once"
    return {
        "exits": n,
        "seconds": seconds,
        "cpu_us_per_exit": cpu / n * 1e6,
        "sign_us_per_exit_wall": metrics.sign_seconds.labels("exit")._value.get() / n * 1e6,
        "peak_kib_per_exit": (peak_kib - idle_kib) / n,
    }


def run_relayer(pipe: Connection, public_keys: bytes) -> None:
    """Answer one sidecar; in the end say how many different exits came."""
    asyncio.run(_relayer(pipe, wire.PublicKey.rows(public_keys)))


async def _relayer(pipe: Connection, keys: list[wire.PublicKey]) -> None:
    listing = b'{"exits":[%s]}' % b",".join(
        wire.encode(wire.OpenExit(key, wire.UInt64(1_200_000 + i))) for i, key in enumerate(keys)
    )
    posted: set[tuple[bytes, int | None]] = set()
    counted = 0

    async def info(_: web.Request) -> web.Response:
        return http.json_answer(wire.InfoAnswer("hoodi"))

    async def open_exits(request: web.Request) -> web.Response:
        if request.if_none_match:
            await asyncio.sleep(float(request.query.get("wait", "0")))
            return web.Response(status=304)
        response = http.json_answer(listing)
        response.headers["ETag"] = '"1"'
        return response

    async def validators(request: web.Request) -> web.Response:
        return web.Response(status=404)

    async def post(request: web.Request) -> web.Response:
        nonlocal counted
        shares = wire.decode(await request.read(), wire.ExitSignatureRequest).shares
        counted += len(shares)
        posted.update((share.public_key, share.validator_index) for share in shares)
        return http.json_answer(b'{"rejected":[]}')

    app = http.application()
    app.router.add_get("/info", info)
    app.router.add_get("/exits", open_exits)
    app.router.add_get("/validators", validators)
    app.router.add_post("/exit-signature", post)
    async with http.listening(app, "127.0.0.1", 0) as port:
        pipe.send(port)
        await asyncio.to_thread(pipe.recv)
        pipe.send(len(posted) if counted == len(posted) else -1)
        await asyncio.sleep(60)


if __name__ == "__main__":
    main()
