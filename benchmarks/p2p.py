"""`make bench-p2p`: what a request between two hosts costs, beside go-libp2p, and whether memory stays flat.

Two processes on loopback, over one connection: requests of 300 bytes, each on a stream of its own as charon's
protocols have it, 16 at once. CPU time is that of both processes together. Go's figures are those of the peer
of `make build/go-libp2p/peer`, where it is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from dvtfast.services.p2p.host import Host, IdentityKey, Limits, Terms
from dvtfast.services.p2p.wire.addresses import Multiaddr
from dvtfast.services.p2p.wire.peers import peer_text
from tests.go_peer import GO_PEER, NO_GO

from .measure import ratio

ECHO = "/echo/1.0.0"
BYTES, AT_ONCE = 300, 16
WARM = 2_000
CPU_BOUND = 1.3  # times go to go: one and a half times what a prototype had, 48 us beside 55
MEMORY_BOUND_KIB = 8 * 1024  # more after all requests than after the first ones
TERMS = Terms(seconds=60.0)
# One peer that may send as much as it can; hosts hold theirs to less.
LIMITS = replace(Limits(), frames_per_second=1e9)


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.p2p", description=__doc__)
    parser.add_argument("--requests", type=int, default=160_000)
    parser.add_argument("--go-requests", type=int, default=32_000)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(bytes.fromhex(arguments.serve)))
    else:
        asyncio.run(measure(arguments.requests, arguments.go_requests))


async def serve(client: bytes) -> None:
    """The other process: answers, and says what it has used when it is asked."""

    async def echo(peer: bytes, message: bytes) -> bytes:
        return message

    async def usage(peer: bytes, message: bytes) -> bytes:
        return json.dumps(own_usage()).encode()

    key = IdentityKey.generate()
    async with Host.open(key, peers=[client], listen=[("127.0.0.1", 0)], limits=LIMITS) as host:
        host.handle(ECHO, echo, terms=TERMS)
        host.handle("/usage", usage)
        print(f"/ip4/127.0.0.1/tcp/{host.bound[0][1]}/p2p/{peer_text(host.public_key)}", flush=True)
        await asyncio.to_thread(sys.stdin.read)


def own_usage() -> tuple[float, int]:
    """CPU seconds, and KiB of memory now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return used.ru_utime + used.ru_stime, pages * resource.getpagesize() // 1024


async def many(host: Host, peer: bytes, requests: int) -> None:
    """So many, so many at once."""
    message = os.urandom(BYTES)

    async def some() -> None:
        for _ in range(requests // AT_ONCE):
            if await host.request(peer, ECHO, message, terms=TERMS) != message:
                raise RuntimeError("another answer than what was sent")

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def measure(requests: int, go_requests: int) -> None:
    """All of it."""
    key = IdentityKey.generate()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.p2p", "--serve", key.public_key.hex(),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    assert process.stdin
    place = Multiaddr.from_text((await process.stdout.readline()).decode())
    peer, endpoint = place.peer, place.endpoint
    assert peer
    assert endpoint
    async with Host.open(key, peers=[peer], addresses={peer: [endpoint]}, limits=LIMITS) as host:

        async def usage() -> tuple[float, int]:
            theirs = json.loads(await host.request(peer, "/usage", b"", terms=TERMS))
            ours = own_usage()
            return ours[0] + theirs[0], max(ours[1], theirs[1])

        await many(host, peer, WARM)
        cpu, memory = await usage()
        begin = time.perf_counter()
        await many(host, peer, requests)
        seconds = time.perf_counter() - begin
        cpu_after, memory_after = await usage()
        begin = time.perf_counter()
        await host.request(peer, ECHO, bytes(2_000_000), terms=TERMS)
        echo_seconds = time.perf_counter() - begin
    process.stdin.close()
    await process.wait()
    microseconds = (cpu_after - cpu) / requests * 1e6
    print(f"requests_per_second {requests / seconds:.0f}")
    print(f"cpu_us_per_request {microseconds:.1f}")
    print(f"echo_of_2_mb_ms {echo_seconds * 1e3:.1f}")
    grown = memory_after - memory
    print(f"memory_kib {memory_after}")
    verdict = "ok" if grown <= MEMORY_BOUND_KIB else "MISS"
    print(f"BOUND p2p_memory_growth_kib {grown} {MEMORY_BOUND_KIB} {verdict}", flush=True)
    if not GO_PEER.exists():
        print(f"# no figures of go: {NO_GO}")
        return
    go = await go_microseconds(go_requests)
    print(f"go_cpu_us_per_request {go:.1f}")
    ratio("p2p_cpu/go", microseconds / go, CPU_BOUND)


@asynccontextmanager
async def go_peer() -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A peer of go-libp2p, and its address."""
    process = await asyncio.create_subprocess_exec(
        GO_PEER, os.urandom(32).hex(), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout
        _, name, address = (await process.stdout.readline()).decode().split()
        yield process, f"{address}/p2p/{name}"
    finally:
        process.kill()
        await process.wait()


async def go_microseconds(requests: int) -> float:
    """The same requests from go to go."""
    async with go_peer() as (client, _), go_peer() as (server, place):

        async def do(*words: str) -> list[str]:
            assert client.stdin
            assert client.stdout
            client.stdin.write((" ".join(words) + "\n").encode())
            return (await client.stdout.readline()).decode().split()

        await do("connect", place)
        name = place.rpartition("/")[2]
        numbers = (str(BYTES), str(requests), str(AT_ONCE))
        await do("many", name, ECHO, str(BYTES), str(WARM), str(AT_ONCE))
        before = cpu_of(server.pid)
        said = await do("many", name, ECHO, *numbers)
        if said[0] != "ok":
            raise RuntimeError(" ".join(said))
        return float(said[2]) + (cpu_of(server.pid) - before) / requests * 1e6


def cpu_of(pid: int) -> float:
    """The CPU seconds of another process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
