"""The demo of a cluster on duty: it makes its keys, and performs its validators' duties on a beacon chain.

On the way a node is killed and comes back, and then one lies. The chain is the executable specification of
the beacon chain: whatever the cluster signs is accepted or refused by it alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from ...settings import DemoSettings
from ..app import NEVER_DEPOSIT
from ..beacon import process as beacon_process
from ..cluster import DemoCluster
from ..generated_cluster import start_relay
from ..processes import Services
from ..proof import ProofError
from ..sources import make_from, step_of
from ..steps import DemoError, Steps
from .nodes import LIAR, SECONDS_PER_SLOT, DemoBeacon, Nodes
from .summary import DutiesSummary

START_SECONDS: Final = 30  # until genesis: nodes decrypt their keystores and find each other before
EPOCHS: Final = 5
# When what happens, in epochs. The node that lies takes the place of an honest one, to the end.
KILLED_AT, BACK_AT, LYING_FROM = 1.5, 2.25, 3.0


def run(settings: DemoSettings, directory: Path, steps: Steps) -> DutiesSummary:
    """Everything in order.

    Raises:
        DemoError, ProcessDiedError, ProofError, TimeoutError: it did not work.
    """
    with steps.timed(step_of(settings)):
        cluster = make_from(settings, directory)
    steps.say(NEVER_DEPOSIT)
    with Services(directory, timeout_seconds=settings.timeout_seconds) as services, ExitStack() as stack:
        with steps.timed("start the chain and the nodes"):
            chain = stack.enter_context(_chain(cluster, directory))
            nodes = Nodes(services, cluster, chain, start_relay(services, directory))
            chain.wait_for(0.0, services)
        with steps.timed(f"{EPOCHS} epochs of duties", spin=False):
            _live(nodes, chain, services, steps)
        summary = DutiesSummary.of(settings, chain.report(), nodes.statuses(), steps.seconds, liar=LIAR)
    if summary.problems:
        raise ProofError("; ".join(summary.problems))
    return summary


def _live(nodes: Nodes, chain: DemoBeacon, services: Services, steps: Steps) -> None:
    """All epochs, with what happens in them."""
    turns: list[tuple[float, str, Callable[[], None]]] = [
        (KILLED_AT, "a node is killed", nodes.kill),
        (BACK_AT, "it is back", nodes.bring_back),
        (LYING_FROM, "another one lies from now on", nodes.lie),
    ]
    for epoch, what, turn in turns:
        chain.wait_for(epoch, services)
        steps.say(f"epoch {epoch:g}: {what}")
        turn()
    chain.wait_for(EPOCHS, services)


@contextmanager
def _chain(cluster: DemoCluster, directory: Path) -> Iterator[DemoBeacon]:
    genesis_time = int(time.time()) + START_SECONDS
    keys = [key.tobytes() for key in cluster.public_keys.encoded]
    options = ("--genesis-time", str(genesis_time), "--seconds-per-slot", str(SECONDS_PER_SLOT))
    try:
        with beacon_process.running(directory, keys, options) as urls:
            yield DemoBeacon(urls[0], genesis_time)
    except beacon_process.BeaconDiedError as error:
        raise DemoError(str(error)) from None
