"""A round while deposits of others arrive and shift the validator indices, with and without a window.

python -m benchmarks.foreign_deposits [WINDOW ...]

Four sidecars and the relayer are processes of their own. Each second somebody else deposits: the operator
asks for the same validators from the next index on, until all of them are ready at once. Printed are the
seconds until then, and the shares that were made for other indices than the last, or for none.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
from pathlib import Path
from time import monotonic, sleep

from dvtfast.services import wire
from dvtfast.services.client import RelayerClient
from dvtfast.services.demo.cluster import DemoCluster, make_cluster
from dvtfast.services.demo.processes import Services
from dvtfast.services.settings import DemoSettings

VALIDATORS = 200
START_INDEX = 1_000_000
DEPOSIT_SECONDS = 1.0
SIDECAR_POLL_SECONDS = "1.5"
OPERATOR_POLL_SECONDS = 0.2
PATIENCE_SECONDS = 45.0  # without a window there need not be an end
WINDOWS = (0, 8, 32)


def main() -> None:
    """Run a round for each window."""
    windows = [int(text) for text in sys.argv[1:]] or WINDOWS
    print(f"{VALIDATORS} validators, 4 sidecars polling every {SIDECAR_POLL_SECONDS} s,")
    print(f"a foreign deposit every {DEPOSIT_SECONDS:g} s, at most {PATIENCE_SECONDS:g} s")
    print(f"{'window':>6} {'ready':>8} {'deposits':>8} {'posted':>8} {'of use':>8} {'ahead':>8} {'vain':>8}")
    for window in windows:
        with tempfile.TemporaryDirectory() as directory:
            settings = DemoSettings.load({"validators": str(VALIDATORS)}, {})
            cluster = make_cluster(settings, Path(directory))
            run(Path(directory), cluster, window)


def run(directory: Path, cluster: DemoCluster, window: int) -> None:
    """One round."""
    with Services(directory, timeout_seconds=PATIENCE_SECONDS + 60) as services:
        # fmt: off
        relayer = services.start(
            "relayer", "relayer", "--network", "hoodi", "--port", str(port := free_port()),
            "--oracles", str(cluster.oracle_config), "--cluster-lock", str(cluster.lock),
            "--database", f"sqlite:///{directory}/relayer.db", "--index-window", str(window),
        )
        services.wait_for(relayer, "listening")
        url = f"http://127.0.0.1:{port}"
        sidecars = [
            services.start(
                f"sidecar{node}", "sidecar", "--network", "hoodi", "--relayer", url,
                "--cluster-lock", str(cluster.lock), "--keystores", str(keystores),
                "--poll-interval", SIDECAR_POLL_SECONDS,
            )
            for node, keystores in enumerate(cluster.node_keystores)
        ]
        # fmt: on
        for sidecar in sidecars:
            services.wait_for(sidecar, "relayer found")
        keys = [wire.PublicKey(row.tobytes()) for row in cluster.public_keys.encoded]
        seconds, deposits, useful, ahead = asyncio.run(operate(url, keys))
        sleep(1)  # what is under way is logged
        posted = sum(line["count"] for sidecar in sidecars for line in sidecar.events("shares posted"))
    shown = f"{seconds:.1f} s" if seconds is not None else "never"
    vain = max(posted - useful - ahead, 0)
    print(f"{window:6} {shown:>8} {deposits:8} {posted:8} {useful:8} {ahead:8} {vain:8}", flush=True)


def free_port() -> int:
    """One that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


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
