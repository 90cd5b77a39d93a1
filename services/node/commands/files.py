"""What a node is told by files: its key, its cluster; of which chain that is, and where the others are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dvtfast.errors import InputError
from dvtfast.networks import NETWORKS, network_with_fork_version
from dvtfast.obol import read_node_key
from dvtfast.qbft.quorums import quorum
from dvtfast.secp256k1 import IdentityKey

from ...chain.beacon.chain_constants import ExpectedChain
from ...chain.encoding import write_data
from ...files import paths
from ...p2p.errors import WireError
from ...p2p.wire.peers import key_of_name
from ...process import logs
from ...settings import ExitChainSettings, NodeSettings, SettingsError
from ...settings.ceremony import INSECURE_NETWORKS
from ..cluster import NodeCluster, read_cluster

OVERRIDES_FILE = "builder_registrations_overrides.json"
SHOWN = 24  # letters of a peer's name

log = logs.get("node")


@dataclass(frozen=True, eq=False)
class NodeFiles:
    """What files and settings say of a node.

    Attributes:
        key_file: of the node's key.
        chain: on which beacon nodes have to be.
        addresses: where other nodes listen, by their keys of 33 bytes.
    """

    key_file: Path
    identity: IdentityKey = field(repr=False)
    cluster: NodeCluster
    chain: ExpectedChain
    addresses: Mapping[bytes, Sequence[tuple[str, int]]]


def read_files(settings: NodeSettings) -> NodeFiles:
    """Read and verify all of it. Slow.

    Raises:
        FileError: a file is not there, or wrong.
        SettingsError: settings and files do not go together.
    """
    identity = IdentityKey(read_node_key(settings.key_path))
    cluster = read_cluster(
        settings.lock_path, identity.public_key, verify=not settings.no_verify, threads=settings.threads
    )
    overrides = settings.data_dir / OVERRIDES_FILE
    if paths.is_there(overrides):
        log.warning("fee recipients are those of the lock, and not of this file", file=str(overrides))
    require_quorum(cluster)
    return NodeFiles(
        settings.key_path, identity, cluster, chain_of(settings, cluster), _addresses(settings, cluster)
    )


def require_quorum(cluster: NodeCluster) -> None:
    """That no two values of a duty can have as many signatures as are needed; of a test network it is told.

    The consensus decides one value as long as less than a third of the nodes lie or have forgotten what they
    said. Signatures of fewer nodes than a quorum may make whole ones of two values as soon as one more does.

    Raises:
        SettingsError: they can, where stake has worth.
    """
    members = cluster.members
    nodes, threshold = len(members.operators), members.keys.threshold
    if threshold >= quorum(nodes):
        return
    why = (
        f"the lock wants signatures of {threshold} of {nodes} nodes, expected at least {quorum(nodes)}:"
        " with fewer, nodes that lie, or forget at a restart, can have its validators slashed"
    )
    if any(
        network.genesis_fork_version == cluster.fork_version and network.name not in INSECURE_NETWORKS
        for network in NETWORKS.values()
    ):
        raise SettingsError([why])
    log.warning("the threshold is too low", why=why)


def chain_of(settings: NodeSettings | ExitChainSettings, cluster: NodeCluster) -> ExpectedChain:
    """The chain of a lock, or the one that the settings describe.

    Raises:
        SettingsError: they are not the same, or nobody knows it, or nothing may be signed for it yet.
    """
    shown = write_data(cluster.fork_version)
    if settings.testnet_fork_version is not None and settings.testnet_name is not None:
        if settings.testnet_fork_version != cluster.fork_version:
            raise SettingsError([f"--testnet-fork-version: the lock is of {shown}"])
        return ExpectedChain(
            settings.testnet_name,
            cluster.fork_version,
            genesis_time=settings.testnet_genesis_timestamp,
            capella_fork_version=settings.testnet_capella_hard_fork,
            chain_id=settings.testnet_chain_id,
        )
    try:
        network = network_with_fork_version(cluster.fork_version)
    except InputError:
        raise SettingsError(
            [f"the lock is of a network with fork version {shown}, which is unknown here: --testnet-name,"
             " --testnet-chain-id, --testnet-fork-version and --testnet-genesis-timestamp tell of it"]
        ) from None  # fmt: skip
    if network.name not in INSECURE_NETWORKS:
        raise SettingsError(
            [f"{network.name}: `dvtfast node` is new, and only for where stake is worth nothing yet:"
             f" {', '.join(INSECURE_NETWORKS)}, and networks of your own; charon is for the others"]
        )  # fmt: skip
    return ExpectedChain.of(network)


def _addresses(settings: NodeSettings, cluster: NodeCluster) -> dict[bytes, list[tuple[str, int]]]:
    found: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    problems = []
    for name, host, port in settings.peers:
        shown = f"--peer {name if len(name) <= SHOWN else f'{name[:SHOWN]}...'}"
        try:
            key = key_of_name(name)
        except WireError as error:
            problems.append(f"{shown}: {error}")
            continue
        if key not in cluster.members.operators:
            problems.append(f"{shown}: no node of the cluster {cluster.name!r} has this key")
        found[key].append((host, port))
    if problems:
        raise SettingsError(problems)
    return found
