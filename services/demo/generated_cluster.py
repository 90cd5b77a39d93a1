"""The same files of a cluster that makes its own keys: a ceremony of processes, through a relay of ours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from dvtfast import PublicKeys
from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.deposits import read_deposit_data
from dvtfast.obol import deposit_file_name

from ..ceremony.folder import KEYSHARES_FILE
from ..chain.encoding import write_address
from ..settings import DemoSettings
from .cluster import ADDRESS_BYTES, DemoCluster, Oracles, files_of_oracles, obol_cluster
from .processes import Service, Services
from .ssv_cluster import SsvOperators, make_operators, ssv_cluster

DEPOSIT = "32"  # of which the demo makes one for each validator
DEFINITION_FILE = "cluster-definition.json"
RECORD = "enr:"  # how a node's record begins
LOOPBACK = "127.0.0.1:0"


def make_generated_cluster(
    settings: DemoSettings, directory: Path, *, vault: bytes | None = None, oracles: Oracles | None = None
) -> DemoCluster:
    """Let the nodes make all files below `directory`, one folder each; the operator's are of the first.

    The arguments are those of `make_cluster`, and the keystores cost the same.

    Raises:
        ProcessDiedError, TimeoutError: there are no keys.
    """
    address = vault or os.urandom(ADDRESS_BYTES)
    if settings.ssv:
        operators = make_operators(settings, directory)
        terms = _ssv_terms(operators, directory)
        nodes = operators.folders
        _generate(settings, nodes, address, [[*terms, *options] for options in operators.key_options])
        files = _files_of(settings, nodes[0], oracles)
        return ssv_cluster(operators, nodes[0] / KEYSHARES_FILE, **files)
    nodes = tuple(directory / f"node{i}" for i in range(settings.nodes))
    _generate(settings, nodes, address, [["--one-derivation"]] * len(nodes))
    return obol_cluster(nodes, **_files_of(settings, nodes[0], oracles))


def _generate(
    settings: DemoSettings, nodes: Sequence[Path], address: bytes, options: Sequence[Sequence[str]]
) -> None:
    """The ceremony, with options of each node."""
    directory = nodes[0].parent
    with Services(directory, timeout_seconds=settings.timeout_seconds) as services:
        definition = agree(services, settings, nodes, address)
        relay = ("--p2p-relays", start_relay(services, directory))
        started = [
            services.start(
                f"{node.name}-dkg", "dkg",
                "--data-dir", str(node), "--definition-file", str(definition), "--json", *relay, *more,
            )
            for node, more in zip(nodes, options, strict=True)
        ]  # fmt: skip
        services.wait_for_end(*started)


def _files_of(settings: DemoSettings, node: Path, oracles: Oracles | None) -> dict[str, Any]:
    """Deposit data and oracle config, as attributes of a `DemoCluster`."""
    deposit_data = node / deposit_file_name(GWEI_PER_VALIDATOR)
    keys = read_deposit_data(deposit_data, network=settings.network).public_keys
    return {
        "deposit_data": deposit_data,
        "public_keys": PublicKeys(keys),
        **files_of_oracles(settings, node.parent, oracles),
    }


def _ssv_terms(operators: SsvOperators, directory: Path) -> tuple[str, ...]:
    """What all operators are told alike, of any owner."""
    listed = [{"id": each, "public_key": key.text} for each, key in operators.public_keys.items()]
    file = directory / "operators.json"
    file.write_bytes(msgspec.json.encode(listed))
    return "--ssv-operators", str(file), "--ssv-owner", write_address(os.urandom(ADDRESS_BYTES))


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


def _record(service: Service) -> str:
    """What `create enr` has printed."""
    return next(word for word in service.log.read_text().split() if word.startswith(RECORD))
