"""The same files of a cluster that makes its own keys: a ceremony of processes, through a relay of ours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dvtfast import PublicKeys
from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.deposits import read_deposit_data
from dvtfast.obol import deposit_file_name

from ..chain.encoding import write_address
from ..settings import DemoSettings
from .cluster import ADDRESS_BYTES, ObolCluster, Oracles, files_of_oracles, obol_cluster
from .processes import Service, Services

DEPOSIT = "32"  # of which the demo makes one for each validator
DEFINITION_FILE = "cluster-definition.json"
RECORD = "enr:"  # how a node's record begins
LOOPBACK = "127.0.0.1:0"


def make_generated_cluster(
    settings: DemoSettings, directory: Path, *, vault: bytes | None = None, oracles: Oracles | None = None
) -> ObolCluster:
    """Let the nodes make all files below `directory`, one `node{i}` each; the operator's are of the first.

    The arguments are those of `make_cluster`, and the keystores cost the same.

    Raises:
        ProcessDiedError, TimeoutError: there are no keys.
    """
    nodes = tuple(directory / f"node{i}" for i in range(settings.nodes))
    with Services(directory, timeout_seconds=settings.timeout_seconds) as services:
        definition = agree(services, settings, nodes, vault or os.urandom(ADDRESS_BYTES))
        relay = ("--p2p-relays", start_relay(services, directory))
        started = [start_node(services, node, definition, relay) for node in nodes]
        services.wait_for_end(*started)
    deposit_data = nodes[0] / deposit_file_name(GWEI_PER_VALIDATOR)
    return obol_cluster(
        nodes,
        deposit_data=deposit_data,
        public_keys=PublicKeys(read_deposit_data(deposit_data, network=settings.network).public_keys),
        **files_of_oracles(settings, directory, oracles),
    )


def agree(services: Services, settings: DemoSettings, nodes: Sequence[Path], address: bytes) -> Path:
    """Make the node's keys, and the definition that all of them agree on."""
    keys = [services.start(f"{node.name}-enr", "create", "enr", "--data-dir", str(node)) for node in nodes]
    services.wait_for_end(*keys)
    directory, receiver = nodes[0].parent, write_address(address)
    proposal = services.start(
        "definition", "create", "dkg",
        "--network", settings.network.name, "--name", "dvtfast demo", "--output-dir", str(directory),
        "--operator-enrs", ",".join(map(_record, keys)), "--threshold", str(settings.threshold),
        "--num-validators", str(settings.validators), "--deposit-amounts", DEPOSIT,
        "--fee-recipient-addresses", receiver, "--withdrawal-addresses", receiver,
    )  # fmt: skip
    services.wait_for_end(proposal)
    return directory / DEFINITION_FILE


def start_relay(services: Services, directory: Path) -> str:
    """A relay for nodes that know nothing of each other's addresses; where they look it up."""
    relay = services.start(
        "p2p-relay", "p2p-relay",
        "--data-dir", str(directory / "p2p-relay"), "--p2p-tcp-address", LOOPBACK, "--http-address", LOOPBACK,
        "--p2p-advertise-private-addresses",
    )  # fmt: skip
    return f"http://127.0.0.1:{services.wait_for(relay, 'relaying')['http_port']}"


def start_node(services: Services, node: Path, definition: Path, options: Sequence[str]) -> Service:
    """The ceremony at one node, which is told with more options how it finds the others."""
    return services.start(
        f"{node.name}-dkg", "dkg",
        "--data-dir", str(node), "--definition-file", str(definition), "--one-derivation", "--json", *options,
    )  # fmt: skip


def _record(service: Service) -> str:
    """What `create enr` has printed."""
    return next(word for word in service.log.read_text().split() if word.startswith(RECORD))
