"""`make bench-crowd`: four sidecars post 5,000 shares in one request, while 200 clients poll.

A real relayer on SQLite with tokens, in a process of its own; clients in two other ones. Each round of posts
is for other validator indices, so that every share is new; each client asks once a second for what its node
has still to sign, with the ETag of what it knows. Times are those of the clients.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
import numpy as np

from dvtfast import exit_signing_roots, sign
from dvtfast.clusters import read_cluster_lock
from dvtfast.keystores import load_keystores
from dvtfast.services import wire
from dvtfast.services.demo.app import START_INDEX, start_relayer
from dvtfast.services.demo.cluster import ObolCluster, make_cluster
from dvtfast.services.demo.processes import Services
from dvtfast.services.keys.key_shares import match_keys
from dvtfast.services.relayer_client.client import RelayerClient
from dvtfast.services.settings import DemoSettings

from .tokens import EVERYTHING, make_tokens, sidecar, with_token

SHARES = 5_000
POLL_SECONDS = 1.0


def main() -> None:
    """Run, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crowd", description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    settings = DemoSettings.load({"validators": str(SHARES)}, {})
    with tempfile.TemporaryDirectory(prefix="dvtfast-crowd-") as name:
        directory = Path(name)
        cluster = make_cluster(settings, directory)
        nodes = range(1, settings.nodes + 1)
        places = [nodes[i % len(nodes)] for i in range(arguments.clients)]
        kinds = [EVERYTHING, *map(sidecar, nodes), *map(sidecar, places)]
        operator, *tokens = make_tokens(f"sqlite:///{directory}/relayer.db", kinds)
        bodies = [bodies_of(cluster, node, arguments.rounds) for node in nodes]
        with Services(directory, timeout_seconds=300) as services:
            relayer = start_relayer(services, cluster, settings.network.name, port=0)
            url = f"http://127.0.0.1:{services.wait_for(relayer, 'listening')['port']}"
            ours, theirs = multiprocessing.Pipe()
            polling = multiprocessing.get_context("spawn").Process(
                target=poll, args=(theirs, url, tokens[len(nodes) :], places), daemon=True
            )
            polling.start()
            ours.recv()
            begin = time.perf_counter()
            posts, errors = asyncio.run(post(url, operator, tokens[: len(nodes)], bodies, cluster))
            seconds = time.perf_counter() - begin
            ours.send(None)
            polls, poll_errors = ours.recv()
            polling.join()
    show("post", posts)
    show("poll", polls)
    print(f"seconds {seconds:.1f}")
    print(f"shares_a_second {len(posts) * SHARES / seconds:.0f}")
    print(f"BOUND errors {errors + poll_errors} 0 {'ok' if errors + poll_errors == 0 else 'MISS'}")


def show(name: str, seconds: Sequence[float]) -> None:
    """Print how many there were, and how long they took."""
    p50, p99 = np.percentile(seconds, (50, 99))
    print(f"{name}s {len(seconds)} p50_ms {p50 * 1000:.0f} p99_ms {p99 * 1000:.0f}", flush=True)


def bodies_of(cluster: ObolCluster, node: int, rounds: int) -> list[bytes]:
    """What a node posts in each round: shares of all validators at the indices of that round."""
    lock = read_cluster_lock(cluster.lock, check=False)
    keys = match_keys(lock, load_keystores(cluster.node_keystores[node - 1]), node_index=None)[0]
    order = {key.tobytes(): row for row, key in enumerate(cluster.public_keys.encoded)}
    places = np.array([order[key.tobytes()] for key in keys.public_keys])
    settings = DemoSettings.load({}, {})
    bodies = []
    for number in range(rounds):
        indices = START_INDEX + number * SHARES + places
        signatures = sign(keys.secret_keys, exit_signing_roots(indices, settings.network))
        shares = [
            wire.ExitShare(wire.PublicKey(key.tobytes()), wire.Signature(row.tobytes()))
            for key, row in zip(keys.public_keys, signatures, strict=True)
        ]
        bodies.append(wire.encode(wire.ExitSignatureRequest(wire.ShareIndex(keys.share_index), shares)))
    return bodies


async def post(
    url: str, operator: str, tokens: Sequence[str], bodies: Sequence[Sequence[bytes]], cluster: ObolCluster
) -> tuple[list[float], int]:
    """Seconds of each post, and how many did not succeed."""
    seconds: list[float] = []
    errors = 0
    keys = [wire.PublicKey(row.tobytes()) for row in cluster.public_keys.encoded]
    headers = {"Content-Type": "application/json"}

    async def one(session: aiohttp.ClientSession, token: str, body: bytes) -> None:
        nonlocal errors
        begin = time.perf_counter()
        address = with_token(url, token) + "/exit-signature"
        async with session.post(address, data=body, headers=headers) as answer:
            good = answer.status == 200 and await answer.read() == b'{"rejected":[]}'
        seconds.append(time.perf_counter() - begin)
        errors += not good

    async with (
        RelayerClient(with_token(url, operator), timeout_seconds=60) as client,
        aiohttp.ClientSession() as session,
    ):
        for number in range(len(bodies[0])):
            start = wire.UInt64(START_INDEX + number * SHARES)
            await client.post_validators(wire.ValidatorsRequest(keys, start))
            await asyncio.gather(
                *(one(session, token, of_node[number]) for token, of_node in zip(tokens, bodies, strict=True))
            )
    return seconds, errors


def poll(pipe: Connection, url: str, tokens: Sequence[str], places: Sequence[int]) -> None:
    """Poll until told to stop; then send the seconds of each poll, and how many did not succeed."""
    asyncio.run(_poll(pipe, url, tokens, places))


async def _poll(pipe: Connection, url: str, tokens: Sequence[str], places: Sequence[int]) -> None:
    seconds: list[float] = []
    errors = 0

    async def one(session: aiohttp.ClientSession, number: int) -> None:
        nonlocal errors
        address = f"{with_token(url, tokens[number])}/exits?share_index={places[number]}"
        etag = ""
        await asyncio.sleep(POLL_SECONDS * number / len(tokens))
        while True:
            begin = time.perf_counter()
            try:
                async with session.get(address, headers={"If-None-Match": etag} if etag else {}) as answer:
                    await answer.read()
                    etag = answer.headers.get("ETag", "")
                    errors += answer.status not in (200, 304)
            except aiohttp.ClientError:
                errors += 1
            took = time.perf_counter() - begin
            seconds.append(took)
            await asyncio.sleep(max(0.0, POLL_SECONDS - took))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        tasks = [asyncio.create_task(one(session, number)) for number in range(len(tokens))]
        await asyncio.sleep(2 * POLL_SECONDS)
        pipe.send(None)
        await asyncio.to_thread(pipe.recv)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    pipe.send((seconds, errors))


if __name__ == "__main__":
    main()
