"""A round while deposits of others arrive and shift the validator indices, with and without a window.

python -m benchmarks.foreign_deposits [WINDOW ...]

Four sidecars and the relayer are processes of their own; whatever a sidecar asks for reaches it late, as
if it polled seldom. Each second somebody else deposits: the operator
asks for the same validators from the next index on, until all of them are ready at once. Printed are the
seconds until then, and the shares that were made for other indices than the last, or for none.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic

import aiohttp
from aiohttp import web

from dvtfast.services import wire
from dvtfast.services.demo.cluster import DemoCluster, make_cluster
from dvtfast.services.demo.processes import Services
from dvtfast.services.demo.world.ports import free_port
from dvtfast.services.relayer_client.client import RelayerClient
from dvtfast.services.settings import DemoSettings

VALIDATORS = 200
START_INDEX = 1_000_000
DEPOSIT_SECONDS = 1.0
LATE_SECONDS = 1.5  # for each answer to a sidecar
OPERATOR_POLL_SECONDS = 0.2
PATIENCE_SECONDS = 20.0  # without a window there need not be an end
WINDOWS = (0, 8, 32)


def main() -> None:
    """Run a round for each window."""
    windows = [int(text) for text in sys.argv[1:]] or WINDOWS
    print(f"{VALIDATORS} validators, 4 sidecars that are answered {LATE_SECONDS:g} s late,")
    print(f"a foreign deposit every {DEPOSIT_SECONDS:g} s, at most {PATIENCE_SECONDS:g} s")
    print(f"{'window':>6} {'ready':>8} {'deposits':>8} {'posted':>8} {'of use':>8} {'ahead':>8} {'vain':>8}")
    for window in windows:
        with tempfile.TemporaryDirectory() as directory:
            settings = DemoSettings.load({"validators": str(VALIDATORS)}, {})
            cluster = make_cluster(settings, Path(directory))
            asyncio.run(run(Path(directory), cluster, window))


async def run(directory: Path, cluster: DemoCluster, window: int) -> None:
    """One round."""
    async with AsyncExitStack() as stack:
        services = stack.enter_context(Services(directory, timeout_seconds=PATIENCE_SECONDS + 60))
        # fmt: off
        relayer = services.start(
            "relayer", "relayer", "--network", "hoodi", "--port", str(port := free_port()),
            "--oracles", str(cluster.oracle_config), "--cluster-lock", str(cluster.lock),
            "--database", f"sqlite:///{directory}/relayer.db", "--index-window", str(window),
        )
        services.wait_for(relayer, "listening")
        url = f"http://127.0.0.1:{port}"
        late = await stack.enter_async_context(answering_late(url))
        sidecars = [
            services.start(
                f"sidecar{node}", "sidecar", "--network", "hoodi", "--relayer", late,
                "--cluster-lock", str(cluster.lock), "--keystores", str(keystores),
                "--journal", str(keystores.parent / "sidecar-journal.db"),
            )
            for node, keystores in enumerate(cluster.node_keystores)
        ]
        # fmt: on
        while not all(sidecar.events("relayer found") for sidecar in sidecars):  # noqa: ASYNC110 - processes
            await asyncio.sleep(0.1)
        keys = [wire.PublicKey(row.tobytes()) for row in cluster.public_keys.encoded]
        seconds, deposits, useful, ahead = await operate(url, keys)
        await asyncio.sleep(1)  # what is under way is logged
        posted = sum(line["count"] for sidecar in sidecars for line in sidecar.events("shares posted"))
    shown = f"{seconds:.1f} s" if seconds is not None else "never"
    vain = max(posted - useful - ahead, 0)
    print(f"{window:6} {shown:>8} {deposits:8} {posted:8} {useful:8} {ahead:8} {vain:8}", flush=True)


@asynccontextmanager
async def answering_late(url: str) -> AsyncIterator[str]:
    """The address of a gateway to the relayer that holds back what it lists."""
    async with aiohttp.ClientSession() as session:

        async def forward(request: web.Request) -> web.Response:
            names = ("Content-Type", "If-None-Match")
            headers = {name: request.headers[name] for name in names if name in request.headers}
            target, body = url + request.path_qs, await request.read()
            async with session.request(request.method, target, data=body, headers=headers) as answer:
                content = await answer.read()
            if request.method == "GET":
                await asyncio.sleep(LATE_SECONDS)
            kept = {name: answer.headers[name] for name in ("ETag",) if name in answer.headers}
            return web.Response(
                status=answer.status, body=content, headers=kept, content_type="application/json"
            )

        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{tail:.*}", forward)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


async def operate(url: str, keys: list[wire.PublicKey]) -> tuple[float | None, int, int, int]:
    """Ask until all is ready; the seconds, foreign deposits, shares held at the last index and above it."""
    async with RelayerClient(url, timeout_seconds=20, attempts=1) as client:
        begin = monotonic()
        while True:
            elapsed = monotonic() - begin
            deposits = int(elapsed / DEPOSIT_SECONDS)
            request = wire.ValidatorsRequest(keys, wire.UInt64(START_INDEX + deposits))
            is_ready = (await client.post_validators(request)).ready
            if is_ready or elapsed > PATIENCE_SECONDS:
                break
            await asyncio.sleep(OPERATOR_POLL_SECONDS)
        place = {key: START_INDEX + deposits + row for row, key in enumerate(keys)}
        exits = (await client.exits(ahead=True)).exits
        held = [(len(e.share_indexes_ready), e.validator_index == place[e.public_key]) for e in exits]
        useful = sum(count for count, is_current in held if is_current)
        ahead = sum(count for count, is_current in held if not is_current)
        return (elapsed if is_ready else None), deposits, useful, ahead


if __name__ == "__main__":
    main()
