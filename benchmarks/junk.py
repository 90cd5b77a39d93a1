"""`make bench-junk`: a round of 500 validators alone, and under 500 junk requests a second.

Real processes on loopback: a relayer with tokens, the sidecars of four nodes, an operator; in a process of
its own, who sends junk. Half of the junk has no token, or a wrong one; the other half has good ones: a
sidecar's that posts bad points, shares that do not fit, unknown validators and what is no JSON, and a
read-only one that asks for listings. The results of both rounds are proved as the demo proves its own.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp

from dvtfast.services import wire
from dvtfast.services.demo.app import START_INDEX, start_operator, start_relayer, start_sidecar
from dvtfast.services.demo.cluster import ObolCluster, make_cluster
from dvtfast.services.demo.processes import Services
from dvtfast.services.demo.proof import prove
from dvtfast.services.settings import DemoSettings

from .tokens import EVERYTHING, READ_ONLY, make_tokens, sidecar, with_token

LONGER_BOUND = 3.0  # times the round alone
SPARE_NODE = 4  # whose token is stolen; the round has enough without it
CONNECTIONS = 32
JUNK_SHARES = 20


def main() -> None:
    """Run both rounds, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.junk", description=__doc__)
    parser.add_argument("--validators", type=int, default=500)
    parser.add_argument("--rate", type=float, default=500, help="junk requests a second")
    parser.add_argument("--rounds", type=int, default=2, help="of each kind, in turn")
    arguments = parser.parse_args()
    alone, under = [], []
    for _ in range(arguments.rounds):
        alone.append(measure(arguments.validators, 0))
        under.append(measure(arguments.validators, arguments.rate))
    print(f"alone_seconds {min(alone):.3f}")
    print(f"under_junk_seconds {min(under):.3f}")
    ratio = min(under) / min(alone)
    print(f"BOUND junk_ratio {ratio:.3f} {LONGER_BOUND:.3f} {'ok' if ratio <= LONGER_BOUND else 'MISS'}")


def measure(validators: int, rate: float) -> float:
    """Seconds of one round, from the start of its operator to its last validator."""
    settings = DemoSettings.load({"validators": str(validators)}, {})
    network = settings.network.name
    with tempfile.TemporaryDirectory(prefix="dvtfast-junk-") as name:
        directory = Path(name)
        cluster = make_cluster(settings, directory)
        nodes = range(1, settings.nodes + 1)
        kinds = [EVERYTHING, READ_ONLY, *map(sidecar, nodes)]
        operator_token, read_only, *of_nodes = make_tokens(f"sqlite:///{directory}/relayer.db", kinds)
        with Services(directory, timeout_seconds=120) as services:
            relayer = start_relayer(services, cluster, network, port=0)
            url = f"http://127.0.0.1:{services.wait_for(relayer, 'listening')['port']}"
            for node in nodes:
                services.wait_for(
                    start_sidecar(services, cluster, network, node - 1, with_token(url, of_nodes[node - 1])),
                    "relayer found",
                )
            ours, theirs = multiprocessing.Pipe()
            junk = multiprocessing.get_context("spawn").Process(
                target=send_junk,
                args=(theirs, url, read_only, of_nodes[SPARE_NODE - 1], keys_of(cluster), rate),
            )
            if rate:
                junk.start()
                ours.recv()
            output = directory / "registration.json"
            begin = time.perf_counter()
            operator = start_operator(services, cluster, network, with_token(url, operator_token), output)
            services.wait_for(operator, "validators ready")
            seconds = time.perf_counter() - begin
            if rate:
                ours.send(None)
                counts, junk_seconds = ours.recv()
                junk.join()
                statuses = " ".join(f"{status}:{count}" for status, count in sorted(counts.items()))
                print(f"junk_a_second {sum(counts.values()) / junk_seconds:.0f} {statuses}", flush=True)
            while operator.exit_code() is None:
                services.pause(may_end=[operator])
        bundle = wire.decode(output.read_bytes(), wire.RegistrationBundle)
        prove(bundle, cluster, network=settings.network, start_index=START_INDEX, threshold=8)
    print(f"round_seconds {seconds:.3f} junk {rate:.0f}", flush=True)
    return seconds


def keys_of(cluster: ObolCluster) -> list[str]:
    """The public keys of the cluster, as they are sent."""
    return [wire.PublicKey(row.tobytes()).to_wire() for row in cluster.public_keys.encoded]


def send_junk(pipe: Connection, url: str, read_only: str, stolen: str, keys: list[str], rate: float) -> None:
    """Send junk until told to stop; then how many answers had which status, and how long it took."""
    asyncio.run(_send_junk(pipe, url, junk_requests(url, read_only, stolen, keys), rate))


def junk_requests(url: str, read_only: str, stolen: str, keys: list[str]) -> list[tuple[str, str, bytes]]:
    """Method, address and body of each kind; the first half without a right to anything."""
    point = "0x" + "a" + "b" * 191  # none of the curve, most likely
    unknown = "0x97" + "f1" * 47
    infinity = "0xc0" + "00" * 95  # a point, and never the right one
    some = random.sample(keys, min(JUNK_SHARES, len(keys)))

    def shares(signature: str, of: list[str]) -> bytes:
        items = ",".join(f'{{"public_key":"{key}","exit_signature":"{signature}"}}' for key in of)
        return f'{{"share_index":{SPARE_NODE},"shares":[{items}]}}'.encode()

    wrong = with_token(url, "dvtfast_00000000_" + "a" * 43)
    mine, looks = with_token(url, stolen), with_token(url, read_only)
    body = os.urandom(4096)
    return [
        ("GET", url + "/exits", b""),
        ("POST", url + "/exit-signature", shares(infinity, some)),
        ("GET", wrong + "/validators", b""),
        ("POST", wrong + "/validators", body),
        ("POST", wrong + "/withdraw", b"{}"),
        ("GET", url + "/nothing", b""),
        ("POST", mine + "/exit-signature", shares(point, some)),
        ("POST", mine + "/exit-signature", shares(infinity, some)),
        ("POST", mine + "/exit-signature", shares(infinity, [unknown] * JUNK_SHARES)),
        ("POST", mine + "/signatures", body),
        ("GET", mine + "/exits?window=1", b""),
        ("GET", looks + f"/exits?share_index={random.randint(1, 3)}", b""),
    ]


async def _send_junk(pipe: Connection, url: str, requests: list[tuple[str, str, bytes]], rate: float) -> None:
    counts: Counter[str] = Counter()
    begin = time.perf_counter()
    sent = 0
    headers = {"Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal sent
        while True:
            number, sent = sent, sent + 1
            await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
            method, address, body = requests[number % len(requests)]
            try:
                async with session.request(method, address, data=body or None, headers=headers) as answer:
                    await answer.read()
                    counts[str(answer.status)] += 1
            except aiohttp.ClientError as error:
                counts[type(error).__name__] += 1

    async with aiohttp.ClientSession(connector=connector) as session:
        tasks = [asyncio.create_task(work(session)) for _ in range(CONNECTIONS)]
        pipe.send(None)
        await asyncio.to_thread(pipe.recv)
        seconds = time.perf_counter() - begin
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    pipe.send((counts, seconds))


if __name__ == "__main__":
    main()
