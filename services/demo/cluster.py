"""The files of a cluster and its oracles, in the formats that real ones have."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from coincurve import PrivateKey
from numpy.typing import NDArray

from dvtfast import PublicKeys, derive_public_keys, generate_secret_keys, split_secret_keys
from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.deposits import sign_deposits, write_deposit_data
from dvtfast.keystores import PBKDF2_INSECURE, write_keystores
from dvtfast.obol import build_cluster_lock, write_cluster_lock
from dvtfast.protocol_config import OracleConfig, write_oracle_config

from ..settings import DemoSettings

ADDRESS_BYTES = 20
# Withdrawal credentials to an execution address: type, padding, address.
EXECUTION_CREDENTIALS = b"\x01" + bytes(11)
# Nobody listens there: nothing in the round calls an oracle yet.
ORACLE_ENDPOINT = "http://127.0.0.1:1"


@dataclass(frozen=True, eq=False)
class DemoCluster:
    """Where the files are, and the secrets that only a demo knows.

    Attributes:
        secret_keys: uint8[n, 32], of the validators.
        oracle_secrets: of the oracles, in the order of the config.
    """

    lock: Path
    deposit_data: Path
    oracle_config: Path
    node_keystores: tuple[Path, ...]
    public_keys: PublicKeys
    secret_keys: NDArray[np.uint8] = field(repr=False)
    oracle_secrets: tuple[bytes, ...] = field(repr=False)


def make_cluster(settings: DemoSettings, directory: Path) -> DemoCluster:
    """Make all files below `directory`: one `node{i}` for each node as charon writes it, and the operator's.

    The keystores have a key derivation of almost no cost, as charon's insecure ones for tests.
    """
    secret_keys = generate_secret_keys(settings.validators)
    share_indices = range(1, settings.nodes + 1)
    key_shares = split_secret_keys(secret_keys, threshold=settings.threshold, share_indices=share_indices)
    withdrawal_address = os.urandom(ADDRESS_BYTES)
    lock = build_cluster_lock(
        secret_keys,
        key_shares,
        threshold=settings.threshold,
        network=settings.network,
        node_secret_keys=[PrivateKey().secret for _ in share_indices],
        withdrawal_address=withdrawal_address,
        fee_recipient=withdrawal_address,
        name="dvtfast demo",
    )
    nodes = [directory / f"node{i}" for i in range(settings.nodes)]
    for i, node in enumerate(nodes):
        write_keystores(
            node / "validator_keys",
            key_shares[:, i],
            public_keys=lock.public_key_shares[:, i],
            kdf=PBKDF2_INSECURE,
        )
        write_cluster_lock(node / "cluster-lock.json", lock)
    deposits = sign_deposits(
        secret_keys,
        np.tile(np.frombuffer(EXECUTION_CREDENTIALS + withdrawal_address, np.uint8), (len(secret_keys), 1)),
        np.full(len(secret_keys), GWEI_PER_VALIDATOR, dtype=np.uint64),
        settings.network,
    )
    write_deposit_data(directory / "deposit-data.json", deposits)
    oracle_secrets = [PrivateKey() for _ in range(settings.oracles)]
    write_oracle_config(directory / "protocol-config.json", _oracle_config(settings, oracle_secrets))
    return DemoCluster(
        lock=nodes[0] / "cluster-lock.json",
        deposit_data=directory / "deposit-data.json",
        oracle_config=directory / "protocol-config.json",
        node_keystores=tuple(node / "validator_keys" for node in nodes),
        public_keys=PublicKeys(derive_public_keys(secret_keys)),
        secret_keys=secret_keys,
        oracle_secrets=tuple(secret.secret for secret in oracle_secrets),
    )


def _oracle_config(settings: DemoSettings, secrets: list[PrivateKey]) -> OracleConfig:
    rows = [secret.public_key.format(compressed=False)[1:] for secret in secrets]
    return OracleConfig(
        public_keys=np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1),
        endpoints=((ORACLE_ENDPOINT,),) * len(rows),
        exit_signature_recover_threshold=settings.oracle_threshold,
    )
