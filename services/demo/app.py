"""The demo up to the registration bundle: files, processes, the round, the check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import wire
from ..settings import DemoSettings
from .cluster import DemoCluster
from .processes import ProcessDiedError, Service, Services
from .proof import prove
from .sources import make_from, step_of
from .steps import Steps
from .summary import RELAYER_STAGES, SIDECAR_STAGES, Summary, stage_seconds

# Where the validators of the demo stand on the beacon chain; any number does.
START_INDEX = 1_000_000
POLL_SECONDS = "0.2"
RELAYER_TIMEOUT_SECONDS = "60"
NEVER_DEPOSIT = "the passwords lie beside the keys: never deposit for these keys"


class Demo:
    """One demo in one directory, up to the registration bundle."""

    def __init__(self, settings: DemoSettings, directory: Path, steps: Steps) -> None:
        self._settings = settings
        self._directory = directory
        self._steps = steps

    def run(self) -> Summary:
        """Everything in order.

        Raises:
            ProcessDiedError, ProofError, TimeoutError: it did not work.
        """
        settings, steps = self._settings, self._steps
        with steps.timed(step_of(settings)):
            cluster = make_from(settings, self._directory)
        steps.say(NEVER_DEPOSIT)
        with Services(self._directory, timeout_seconds=settings.timeout_seconds) as services:
            with steps.timed("start the relayer, load keys in the sidecars"):
                relayer = start_relayer(services, cluster, settings.network.name, port=0)
                url = address_of(services, relayer)
                sidecars = start_sidecars(services, cluster, settings.network.name, url)
            with steps.timed("registration round", spin=False):
                bundle_path = self._run_operator(services, cluster, url, relayer)
            relayer_seconds = stage_seconds([relayer], "batch", RELAYER_STAGES)
            sidecar_seconds = stage_seconds(sidecars, "shares posted", SIDECAR_STAGES)
        round_seconds = steps.seconds["registration round"]
        with steps.timed("prove the result"):
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
            seconds={name: round(seconds, 3) for name, seconds in steps.seconds.items()},
            relayer_seconds=relayer_seconds,
            sidecar_seconds=sidecar_seconds,
            proof=proof,
        )

    def _run_operator(self, services: Services, cluster: DemoCluster, url: str, relayer: Service) -> Path:
        output = self._directory / "registration.json"
        operator = start_operator(services, cluster, self._settings.network.name, url, output)
        with self._steps.progress("validators ready", total=self._settings.validators) as progress:
            while (code := operator.exit_code()) is None:
                services.pause(may_end=[operator])
                progress(sum(line["ready"] for line in relayer.events("batch")))
            progress(sum(line["ready"] for line in relayer.events("batch")))
        if code != 0:
            raise ProcessDiedError(f"the operator ended with {code}:\n{operator.last_lines()}")
        return output


def address_of(services: Services, service: Service) -> str:
    """Where a service listens, as soon as it does."""
    return f"http://127.0.0.1:{services.wait_for(service, 'listening')['port']}"


def start_relayer(
    services: Services, cluster: DemoCluster, network: str, *, port: int, more: Sequence[str] = ()
) -> Service:
    """A relayer for the cluster; its database stays where it is.

    Args:
        more: options; without any, it knows the oracles from their config file.
    """
    return services.start(
        "relayer", "relayer",
        "--network", network, "--port", str(port), *cluster.relayer_options,
        *(more or ("--oracles", str(cluster.oracle_config))),
    )  # fmt: skip


def start_sidecars(
    services: Services, cluster: DemoCluster, network: str, url: str, more: Sequence[str] = ()
) -> list[Service]:
    """The sidecars of all nodes, when they have found the relayer."""
    nodes = range(len(cluster.sidecar_options))
    sidecars = [start_sidecar(services, cluster, network, node, url, more) for node in nodes]
    for sidecar in sidecars:
        services.wait_for(sidecar, "relayer found")
    return sidecars


def start_sidecar(
    services: Services, cluster: DemoCluster, network: str, node: int, url: str, more: Sequence[str] = ()
) -> Service:
    """The sidecar of one node, with more options."""
    return services.start(
        f"sidecar{node}", "sidecar",
        "--network", network, "--relayer", url, "--poll-interval", POLL_SECONDS,
        "--relayer-timeout", RELAYER_TIMEOUT_SECONDS,
        "--journal", str(cluster.directories[node] / "sidecar-journal.db"), *cluster.sidecar_options[node],
        *more,
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
