"""`make bench-round`: a registration round on this machine, and what the relayer's part of it costs.

Real processes on loopback: a relayer on SQLite, the sidecars of four nodes, an operator. The relayer's CPU
time, from the operator's first request to the last answer, stands beside that of the kernels alone for the
same number of validators, over blst, measured right after on the same machine in one thread. The relayer has
the backend that DVTFAST_BACKEND says.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import msgspec

from dvtfast.services import wire
from dvtfast.services.demo.app import START_INDEX, start_operator, start_relayer, start_sidecar
from dvtfast.services.demo.cluster import DemoCluster, make_cluster
from dvtfast.services.demo.processes import Service, Services
from dvtfast.services.demo.proof import prove
from dvtfast.services.demo.summary import RELAYER_STAGES, stage_seconds
from dvtfast.services.settings import DemoSettings

from . import ours
from .backends import using
from .cases import DISTINCT, OBOL_4, exits

CPU_BOUND = 1.35  # times the kernels
MEMORY_BOUND = (300 * 1024, 20)  # KiB, and KiB for each validator
LAG_BOUND_SECONDS = 0.05  # of 99.9 % of the samples
TICKS = os.sysconf("SC_CLK_TCK")
TIMINGS = "relayer-timings.json"


@dataclass(frozen=True)
class Process:
    """A process as the kernel of the machine accounts for it."""

    process_id: int

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        fields = Path(f"/proc/{self.process_id}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_kib(self) -> int:
        """The most memory that it ever held."""
        lines = Path(f"/proc/{self.process_id}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


def main() -> None:
    """Run the round, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.round", description=__doc__)
    parser.add_argument("--validators", type=int, default=10_000)
    parser.add_argument("--workdir", type=Path, help="where files, database and logs stay")
    parser.add_argument("--viewers", type=int, default=0, help="who look at the status page meanwhile")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument("--timeout-seconds", type=float, default=1800)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        directory = arguments.workdir
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dvtfast-round-")))
        else:
            directory.mkdir(parents=True)  # what an earlier round left would be taken for this one's
        seconds, viewers = arguments.timeout_seconds, arguments.viewers
        figures = measure(arguments.validators, directory.resolve(), seconds, viewers)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def measure(validators: int, directory: Path, timeout_seconds: float, viewers: int = 0) -> dict[str, float]:
    """The figures of one round; each is printed as soon as it is known."""
    settings = DemoSettings.load({"validators": str(validators)}, {})
    cluster = make_cluster(settings, directory)
    os.environ["DVTFAST_TIMINGS_FILE"] = str(directory / TIMINGS)
    figures: dict[str, float] = {"validators": validators}
    with Services(directory, timeout_seconds=timeout_seconds) as services:
        relayer, process = _start(services, cluster, settings)
        over = Event()
        for _ in range(viewers):
            Thread(target=_look, args=(f"{_url(services, relayer)}/status.json", over), daemon=True).start()
        idle_kib = process.peak_kib()
        begin, cpu_begin = time.perf_counter(), process.cpu_seconds()
        operator = start_operator(services, cluster, settings.network.name, _url(services, relayer),
                                  directory / "registration.json")  # fmt: skip
        services.wait_for(operator, "validators ready")
        figures["round_seconds"] = time.perf_counter() - begin
        figures["relayer_cpu_us_per_validator"] = (process.cpu_seconds() - cpu_begin) / validators * 1e6
        figures["relayer_peak_mib"] = process.peak_kib() / 1024
        figures["relayer_peak_kib_per_validator"] = (process.peak_kib() - idle_kib) / validators
        over.set()
        while operator.exit_code() is None:
            services.pause(may_end=[operator])
        stages = stage_seconds([relayer], "batch", RELAYER_STAGES)
        figures["batches"] = len(relayer.events("batch"))
    figures |= {f"stage_{stage}_us_per_validator": s / validators * 1e6 for stage, s in stages.items()}
    figures["kernel_us_per_validator"] = kernel_seconds(validators) / validators * 1e6
    figures["cpu_ratio"] = figures["relayer_cpu_us_per_validator"] / figures["kernel_us_per_validator"]
    figures |= _timings(directory / TIMINGS)
    bundle = wire.decode((directory / "registration.json").read_bytes(), wire.RegistrationBundle)
    prove(bundle, cluster, network=settings.network, start_index=START_INDEX, threshold=8)
    for name, value in figures.items():
        print(f"{name} {value:.3f}", flush=True)
    base, each = MEMORY_BOUND
    _held("cpu_ratio", figures["cpu_ratio"], CPU_BOUND)
    _held("peak_mib", figures["relayer_peak_mib"], (base + each * validators) / 1024)
    _held("lag_p999_seconds", figures.get("lag_p999_seconds", float("nan")), LAG_BOUND_SECONDS)
    return figures


def _look(url: str, over: Event) -> None:
    """As the status page does: ask, and again as soon as it changed."""
    etag = ""
    while not over.is_set():
        headers = {"If-None-Match": etag, "Accept-Encoding": "gzip"}
        try:
            with urlopen(Request(f"{url}?wait=20", headers=headers), timeout=60) as answer:
                etag = answer.headers["ETag"]
                answer.read()
        except HTTPError as error:
            if error.code != 304:
                raise
        over.wait(1)


def kernel_seconds(validators: int) -> float:
    """CPU time of recovery, check, split and encryption of so many exits, by blst in one thread."""
    batch = exits(OBOL_4)
    seconds = 0.0
    with using("blst"):
        for start in range(0, validators, DISTINCT):
            part = ours.relayer(batch.first(min(DISTINCT, validators - start)))
            begin = time.process_time()
            part()
            seconds += time.process_time() - begin
    return seconds


def _start(services: Services, cluster: DemoCluster, settings: DemoSettings) -> tuple[Service, Process]:
    network = settings.network.name
    relayer = start_relayer(services, cluster, network, port=0)
    url = _url(services, relayer)
    sidecars = [start_sidecar(services, cluster, network, node, url) for node in range(settings.nodes)]
    for sidecar in sidecars:
        services.wait_for(sidecar, "relayer found")
    return relayer, Process(relayer.process_id)


def _url(services: Services, relayer: Service) -> str:
    return f"http://127.0.0.1:{services.wait_for(relayer, 'listening')['port']}"


def _timings(path: Path) -> dict[str, float]:
    """What the relayer wrote of itself when it was stopped; nothing when it cannot."""
    if not path.exists():
        return {}
    timings = msgspec.json.decode(path.read_bytes(), type=dict[str, float | str])
    return {name: value for name, value in timings.items() if isinstance(value, float | int)}


def _held(name: str, value: float, bound: float) -> None:
    print(f"BOUND {name} {value:.3f} {bound:.3f} {'ok' if value <= bound else 'MISS'}", flush=True)


if __name__ == "__main__":
    main()
