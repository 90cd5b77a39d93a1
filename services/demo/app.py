"""The demo from nothing to proof: files, processes, the round, the check."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import perf_counter
from types import FrameType

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dvtfast import DvtfastError

from .. import wire
from ..settings import DemoSettings
from .cluster import DemoCluster, make_cluster
from .processes import ProcessDiedError, Service, Services
from .proof import ProofError, prove
from .ssv_cluster import make_ssv_cluster
from .summary import RELAYER_STAGES, SIDECAR_STAGES, Summary, stage_seconds

# Where the validators of the demo stand on the beacon chain; any number does.
START_INDEX = 1_000_000
POLL_SECONDS = "0.2"
RELAYER_TIMEOUT_SECONDS = "60"
STOPPED_BY_SIGNAL = 130


class StoppedError(Exception):
    """Somebody wants the demo to end."""


def run(settings: DemoSettings) -> int:
    """Run the demo; 0 when its result is proven."""
    console = Console(stderr=settings.json, highlight=False)
    try:
        with _directory(settings.workdir) as directory, _stopped_by_signals():
            summary = Demo(settings, directory, console).run()
    except StoppedError:
        console.print("stopped")
        return STOPPED_BY_SIGNAL
    except (ProcessDiedError, ProofError, DvtfastError, wire.WireError, TimeoutError, OSError) as error:
        console.print(f"the demo failed: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    if settings.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(summary.to_json())).decode() + "\n")
    else:
        summary.show(console)
    return 0


class Demo:
    """One demo in one directory."""

    def __init__(self, settings: DemoSettings, directory: Path, console: Console) -> None:
        self._settings = settings
        self._directory = directory
        self._console = console
        self._seconds: dict[str, float] = {}

    def run(self) -> Summary:
        """Everything in order.

        Raises:
            ProcessDiedError, ProofError, TimeoutError: it did not work.
        """
        settings = self._settings
        kind = "SSV" if settings.ssv else "Obol"
        with self._timed(f"make a {settings.nodes}-node {kind} cluster of {settings.validators} validators"):
            make = make_ssv_cluster if settings.ssv else make_cluster
            cluster: DemoCluster = make(settings, self._directory)
        self._console.print("its keystores have a key derivation of no cost: never deposit for these keys")
        with Services(self._directory, timeout_seconds=settings.timeout_seconds) as services:
            with self._timed("start the relayer, load keys in the sidecars"):
                relayer, url = self._start_relayer(services, cluster)
                sidecars = self._start_sidecars(services, cluster, url)
            with self._timed("registration round", spin=False):
                bundle_path = self._run_operator(services, cluster, url, relayer)
            relayer_seconds = stage_seconds([relayer], "batch", RELAYER_STAGES)
            sidecar_seconds = stage_seconds(sidecars, "shares posted", SIDECAR_STAGES)
        round_seconds = self._seconds["registration round"]
        with self._timed("prove the result"):
            bundle = wire.decode(bundle_path.read_bytes(), wire.RegistrationBundle)
            proof = prove(
                bundle,
                cluster,
                network=settings.network,
                start_index=START_INDEX,
                threshold=settings.oracle_threshold,
            )
        return Summary(
            validators=settings.validators,
            ready=len(bundle.validators),
            nodes=settings.nodes,
            threshold=settings.threshold,
            oracles=settings.oracles,
            oracle_threshold=settings.oracle_threshold,
            network=settings.network.name,
            round_seconds=round(round_seconds, 3),
            validators_per_second=round(len(bundle.validators) / round_seconds, 1),
            shares_proven=proof.shares,
            seconds={name: round(seconds, 3) for name, seconds in self._seconds.items()},
            relayer_seconds=relayer_seconds,
            sidecar_seconds=sidecar_seconds,
            proof=proof,
        )

    def _start_relayer(self, services: Services, cluster: DemoCluster) -> tuple[Service, str]:
        relayer = start_relayer(services, cluster, self._settings.network.name, port=0)
        port = services.wait_for(relayer, "listening")["port"]
        return relayer, f"http://127.0.0.1:{port}"

    def _start_sidecars(self, services: Services, cluster: DemoCluster, url: str) -> list[Service]:
        sidecars = [
            start_sidecar(services, cluster, self._settings.network.name, node, url)
            for node in range(self._settings.nodes)
        ]
        for sidecar in sidecars:
            services.wait_for(sidecar, "relayer found")
        return sidecars

    def _run_operator(self, services: Services, cluster: DemoCluster, url: str, relayer: Service) -> Path:
        output = self._directory / "registration.json"
        operator = start_operator(services, cluster, self._settings.network.name, url, output)
        with self._progress() as progress:
            task = progress.add_task("validators ready", total=self._settings.validators)
            while (code := operator.exit_code()) is None:
                services.pause(may_end=[operator])
                ready = sum(line["ready"] for line in relayer.events("batch"))
                progress.update(task, completed=ready)
            progress.update(task, completed=sum(line["ready"] for line in relayer.events("batch")))
        if code != 0:
            raise ProcessDiedError(f"the operator ended with {code}:\n{operator.last_lines()}")
        return output

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )

    @contextmanager
    def _timed(self, name: str, *, spin: bool = True) -> Iterator[None]:
        begin = perf_counter()
        with self._console.status(name) if spin else nullcontext():
            yield
        self._seconds[name] = perf_counter() - begin
        self._console.print(f"{name}: {self._seconds[name]:.2f} s")


def start_relayer(services: Services, cluster: DemoCluster, network: str, *, port: int) -> Service:
    """A relayer for the cluster; its database stays where it is."""
    return services.start(
        "relayer", "relayer",
        "--network", network, "--port", str(port),
        "--oracles", str(cluster.oracle_config), *cluster.relayer_options,
    )  # fmt: skip


def start_sidecar(services: Services, cluster: DemoCluster, network: str, node: int, url: str) -> Service:
    """The sidecar of one node."""
    return services.start(
        f"sidecar{node}", "sidecar",
        "--network", network, "--relayer", url, "--poll-interval", POLL_SECONDS,
        "--relayer-timeout", RELAYER_TIMEOUT_SECONDS,
        "--journal", str(cluster.directories[node] / "sidecar-journal.db"), *cluster.sidecar_options[node],
    )  # fmt: skip


def start_operator(services: Services, cluster: DemoCluster, network: str, url: str, output: Path) -> Service:
    """The operator, collecting the oracle shares of all validators of the cluster."""
    return services.start(
        "operator", "operator", "collect",
        "--network", network, "--relayer", url, "--poll-interval", POLL_SECONDS,
        "--relayer-timeout", RELAYER_TIMEOUT_SECONDS,
        "--deposit-data", str(cluster.deposit_data), "--oracles", str(cluster.oracle_config),
        "--start-index", str(START_INDEX), "--output", str(output),
    )  # fmt: skip


@contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    if given is None:
        with tempfile.TemporaryDirectory(prefix="dvtfast-demo-") as temporary:
            yield Path(temporary)
        return
    directory = given.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise OSError(f"--workdir: {directory} is not empty")
    yield directory


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # the services are being stopped, which ends soon
        raise StoppedError

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
