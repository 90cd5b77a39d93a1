"""The files of a cluster and its oracles, in the formats that real ones have."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from coincurve import PrivateKey
from numpy.typing import NDArray

from dvtfast import PublicKeys, derive_public_keys, generate_secret_keys
from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.deposits import sign_deposits, write_deposit_data
from dvtfast.obol import make_cluster_definition
from dvtfast.protocol_config import OracleConfig, write_oracle_config

from ..ceremony.dealing import deal, new_node_keys, operators_of, write_folders
from ..ceremony.folder import KEYSTORES, LOCK_FILE, Cost
from ..settings import DemoSettings
from .protocol_policy import POLICY

ADDRESS_BYTES = 20
# Withdrawal credentials to an execution address: type, padding, address.
EXECUTION_CREDENTIALS = b"\x01" + bytes(11)
# Nobody listens there: a round that ends with a bundle calls no oracle.
ORACLE_ENDPOINT = "http://127.0.0.1:1"


@dataclass(frozen=True, eq=False)
class Oracles:
    """The protocol config, and what each oracle in it decrypts with."""

    config: Path
    secrets: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, eq=False, kw_only=True)
class DemoCluster:
    """Where the files are, and the secrets that only a demo knows.

    Attributes:
        directories: of the nodes.
        relayer_options: what a relayer is told of the cluster.
        sidecar_options: what the sidecar of each node is told.
        secret_keys: uint8[n, 32], of the validators, where a dealer made them; None where nobody has them.
        oracle_secrets: of the oracles, in the order of the config.
    """

    deposit_data: Path
    oracle_config: Path
    directories: tuple[Path, ...]
    relayer_options: tuple[str, ...]
    sidecar_options: tuple[tuple[str, ...], ...]
    public_keys: PublicKeys
    secret_keys: NDArray[np.uint8] | None = field(repr=False, default=None)
    oracle_secrets: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, eq=False, kw_only=True)
class ObolCluster(DemoCluster):
    """The same of an Obol cluster."""

    lock: Path
    node_keystores: tuple[Path, ...]


def make_cluster(
    settings: DemoSettings, directory: Path, *, vault: bytes | None = None, oracles: Oracles | None = None
) -> ObolCluster:
    """Make all files below `directory`: one `node{i}` for each node as charon writes it, and the operator's.

    The keystores cost what charon's cost, so that all programs read them; those of a node have one password
    and one salt, so that it is paid once.

    Args:
        vault: the address that gets withdrawals; any when None.
        oracles: those there are; new ones, which nobody runs, when None.
    """
    secret_keys = generate_secret_keys(settings.validators)
    withdrawal_address = vault or os.urandom(ADDRESS_BYTES)
    addresses = np.tile(np.frombuffer(withdrawal_address, np.uint8), (settings.validators, 1))
    node_keys = new_node_keys(settings.nodes)
    definition = make_cluster_definition(
        network=settings.network,
        operators=operators_of(node_keys),
        threshold=settings.threshold,
        fee_recipients=addresses,
        withdrawal_addresses=addresses,
        name="dvtfast demo",
    )
    dealt = deal(definition, secret_keys, node_keys, settings.network)
    nodes = write_folders(directory, dealt, Cost(one_derivation=True))
    files = files_of_operator(settings, directory, secret_keys, withdrawal_address, oracles)
    return obol_cluster(nodes, secret_keys=secret_keys, **files)


def obol_cluster(nodes: tuple[Path, ...], **others: Any) -> ObolCluster:
    """The cluster whose nodes have these folders.

    Args:
        others: attributes of it that do not come of the folders.
    """
    lock_file = nodes[0] / LOCK_FILE
    keystores = tuple(node / KEYSTORES for node in nodes)
    return ObolCluster(
        lock=lock_file,
        node_keystores=keystores,
        directories=nodes,
        relayer_options=("--cluster-lock", str(lock_file)),
        sidecar_options=tuple(
            ("--cluster-lock", str(lock_file), "--keystores", str(each)) for each in keystores
        ),
        **others,
    )


def files_of_operator(
    settings: DemoSettings,
    directory: Path,
    secret_keys: NDArray[np.uint8],
    withdrawal_address: bytes,
    oracles: Oracles | None = None,
) -> dict[str, Any]:
    """Deposit data and oracle config, written, as attributes of a `DemoCluster`."""
    deposits = sign_deposits(
        secret_keys,
        np.tile(np.frombuffer(EXECUTION_CREDENTIALS + withdrawal_address, np.uint8), (len(secret_keys), 1)),
        np.full(len(secret_keys), GWEI_PER_VALIDATOR, dtype=np.uint64),
        settings.network,
    )
    write_deposit_data(directory / "deposit-data.json", deposits)
    return {
        "deposit_data": directory / "deposit-data.json",
        "public_keys": PublicKeys(derive_public_keys(secret_keys)),
        **files_of_oracles(settings, directory, oracles),
    }


def files_of_oracles(
    settings: DemoSettings, directory: Path, oracles: Oracles | None = None
) -> dict[str, Any]:
    """Those there are, or new ones, as attributes of a `DemoCluster`."""
    oracles = oracles or _invented_oracles(settings, directory)
    return {"oracle_config": oracles.config, "oracle_secrets": oracles.secrets}


def _invented_oracles(settings: DemoSettings, directory: Path) -> Oracles:
    secrets = [PrivateKey() for _ in range(settings.oracles)]
    rows = [secret.public_key.format(compressed=False)[1:] for secret in secrets]
    config = OracleConfig(
        public_keys=np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1),
        endpoints=((ORACLE_ENDPOINT,),) * len(rows),
        exit_signature_recover_threshold=settings.oracle_threshold,
        raw=POLICY,
    )
    write_oracle_config(directory / "protocol-config.json", config)
    return Oracles(directory / "protocol-config.json", tuple(secret.secret for secret in secrets))
