"""The deposits of a lock as the launchpad's files, one for each amount, as charon writes them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np

from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.deposits import DepositData, write_deposit_data
from dvtfast.networks import Network
from dvtfast.obol.lock import ClusterLock
from dvtfast.obol.signing import GWEI_PER_ETHER
from dvtfast.signing_roots import deposit_data_roots, deposit_message_roots

DEPOSIT_FILES = "deposit-data"  # how their names begin


def deposit_file_name(amount_gwei: int) -> str:
    """`deposit-data.json` for 32 ETH, `deposit-data-1.5eth.json` for another amount."""
    if amount_gwei == GWEI_PER_VALIDATOR:
        return f"{DEPOSIT_FILES}.json"
    ether = Decimal(amount_gwei) / GWEI_PER_ETHER
    return f"{DEPOSIT_FILES}-{ether:f}eth.json"


def deposit_data_of(lock: ClusterLock, network: Network) -> dict[int, DepositData]:
    """By amount in gwei, the deposits of a lock, sorted by public key."""
    deposits = lock.deposits
    found = {}
    for amount in np.unique(deposits.amounts_gwei).tolist():
        rows = np.flatnonzero(deposits.amounts_gwei == amount)
        rows = np.array(sorted(rows.tolist(), key=lambda row: deposits.public_keys[row].tobytes()), np.int64)
        keys, credentials = deposits.public_keys[rows], deposits.withdrawal_credentials[rows]
        signatures, amounts = deposits.signatures[rows], deposits.amounts_gwei[rows]
        found[amount] = DepositData(
            network=network,
            public_keys=keys,
            withdrawal_credentials=credentials,
            amounts_gwei=amounts,
            signatures=signatures,
            message_roots=deposit_message_roots(keys, credentials, amounts),
            data_roots=deposit_data_roots(keys, credentials, amounts, signatures),
        )
    return found


def write_deposit_files(
    directory: Path | str, lock: ClusterLock, network: Network, *, mode: int = 0o644
) -> tuple[str, ...]:
    """Write a file for each amount; their names."""
    names = []
    for amount, deposits in deposit_data_of(lock, network).items():
        names.append(deposit_file_name(amount))
        write_deposit_data(Path(directory) / names[-1], deposits, mode=mode)
    return tuple(names)
