"""`make fuzz-relayer`: raw requests at a relayer process, 150,000 of them: does it live, and stay small?

Each part of them is another one; the same seed repeats them. Memory is that of the process (VmRSS), read
after each part. The first third fills caches and arenas; during the other two, a hundred thousand requests,
it may grow by 5 % and 4 MiB at most.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections import Counter
from pathlib import Path
from urllib.request import urlopen

from dvtfast.services.demo.app import start_relayer
from dvtfast.services.demo.cluster import make_cluster
from dvtfast.services.demo.processes import Services
from dvtfast.services.settings import DemoSettings
from tests.services.raw_requests import send_many

PARTS = 15
WARM_PARTS = 5
GROWTH, SLACK_KIB = 1.05, 4 * 1024


def main() -> None:
    """Send, look, print; fails when the relayer does."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.raw_requests", description=__doc__)
    parser.add_argument("--requests", type=int, default=150_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    settings = DemoSettings.load({"validators": "10"}, {})
    with tempfile.TemporaryDirectory(prefix="dvtfast-raw-") as name:
        directory = Path(name)
        cluster = make_cluster(settings, directory)
        with Services(directory, timeout_seconds=3600) as services:
            relayer = start_relayer(services, cluster, settings.network.name, port=0)
            port = int(services.wait_for(relayer, "listening")["port"])
            memory: list[int] = []
            statuses: Counter[int] = Counter()
            for part in range(PARTS):
                statuses += asyncio.run(
                    send_many(port, arguments.requests // PARTS, seed=arguments.seed + part)
                )
                memory.append(resident_kib(relayer.process_id))
                print(f"requests {(part + 1) * arguments.requests // PARTS} KiB {memory[-1]}", flush=True)
            with urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
                assert answer.status == 200
            assert relayer.exit_code() is None
            failures = [
                line
                for event in ("request failed", "Error handling request from 127.0.0.1")
                for line in relayer.events(event)
            ]
    print("answers", dict(sorted(statuses.items())))
    bound = memory[WARM_PARTS - 1] * GROWTH + SLACK_KIB
    print(f"BOUND memory_kib {max(memory[WARM_PARTS:])} {bound:.0f}")
    assert max(memory[WARM_PARTS:]) <= bound, "the memory grows"
    assert not failures, failures
    assert not any(status >= 500 for status in statuses)


def resident_kib(process_id: int) -> int:
    """The memory that a process holds now."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS")))


if __name__ == "__main__":
    main()
