"""Deposit data files: the launchpad's list of records, which StakeWise and charon write too.

Source: staking-deposit-cli 2.7, credentials and settings.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dvtfast._arrays import Bools, Bytes, Rows, Uint64s, as_rows, as_uint64s, same_length
from dvtfast._files import Field, read_json, rows, write_json
from dvtfast.constants import (
    GWEI_PER_VALIDATOR,
    MAX_GWEI_PER_VALIDATOR,
    PUBLIC_KEY_BYTES,
    ROOT_BYTES,
    SECRET_KEY_BYTES,
    SIGNATURE_BYTES,
    WITHDRAWAL_CREDENTIALS_BYTES,
)
from dvtfast.errors import InputError
from dvtfast.keys import derive_public_keys, valid_public_keys
from dvtfast.networks import Network, as_network, network_with_fork_version
from dvtfast.signatures import check_signatures, sign
from dvtfast.signing_roots import (
    compute_signing_roots,
    deposit_data_roots,
    deposit_message_roots,
)

# A record has about 900 bytes.
MAX_RECORDS = 262_144
MAX_FILE_BYTES = 256 * 1024**2
FORK_VERSION_BYTES = 4
# The version of the tool whose layout this is; the launchpad wants to see one.
DEPOSIT_CLI_VERSION = "2.7.0"

ADDRESS_BYTES = 20
AMOUNT_PROBLEM = "amount: "  # how what is said of a wrong amount begins
GWEI_PER_ETHER = 10**9
# How much a vault deposits for one validator, by the first byte of its withdrawal credentials.
AMOUNTS_GWEI = {
    1: (GWEI_PER_VALIDATOR, GWEI_PER_VALIDATOR),
    2: (GWEI_PER_VALIDATOR, MAX_GWEI_PER_VALIDATOR),
}


@dataclass(frozen=True, eq=False)
class DepositData:
    """Records of one network, in the order of the file.

    Attributes:
        public_keys: uint8[n, 48].
        withdrawal_credentials: uint8[n, 32].
        amounts_gwei: uint64[n].
        signatures: uint8[n, 96].
        message_roots, data_roots: uint8[n, 32], as the file states them.
    """

    network: Network
    public_keys: Bytes
    withdrawal_credentials: Bytes
    amounts_gwei: Uint64s
    signatures: Bytes
    message_roots: Bytes
    data_roots: Bytes

    def __len__(self) -> int:
        return len(self.public_keys)


def read_deposit_data(path: Path | str, *, network: Network | None = None) -> DepositData:
    """Read a file of records that are all for one network; nothing else is checked yet.

    Args:
        path: JSON list of launchpad records.
        network: refuse another one.

    Raises:
        FileError: the file is no such list.
    """
    records = read_json(path, limit_bytes=MAX_FILE_BYTES).items(fewest=1, most=MAX_RECORDS)
    networks = [_parse_network(record) for record in records]
    expected = networks[0] if network is None else as_network(network)
    for record, found in zip(records, networks, strict=True):
        if found is not expected:
            raise record.wrong(f"expected a deposit for {expected.name}, got one for {found.name}")
    return DepositData(
        network=expected,
        public_keys=_column(records, "pubkey", PUBLIC_KEY_BYTES),
        withdrawal_credentials=_column(records, "withdrawal_credentials", WITHDRAWAL_CREDENTIALS_BYTES),
        amounts_gwei=np.array([record["amount"].integer() for record in records], dtype=np.uint64),
        signatures=_column(records, "signature", SIGNATURE_BYTES),
        message_roots=_column(records, "deposit_message_root", ROOT_BYTES),
        data_roots=_column(records, "deposit_data_root", ROOT_BYTES),
    )


def check_deposit_data(
    deposits: DepositData,
    *,
    vault: bytes | None = None,
    deposited: Collection[bytes] = frozenset(),
    threads: int | None = None,
) -> list[list[str]]:
    """What is wrong with each record: n lists, empty for a good one.

    Roots are recomputed, keys must not repeat, and all signatures are judged in one batch.

    Args:
        vault: an address, 20 bytes; stake must go back to it, and amounts must be those that it deposits.
        deposited: keys that have a deposit on chain already.
    """
    message_roots = deposit_message_roots(
        deposits.public_keys, deposits.withdrawal_credentials, deposits.amounts_gwei
    )
    data_roots = deposit_data_roots(
        deposits.public_keys, deposits.withdrawal_credentials, deposits.amounts_gwei, deposits.signatures
    )
    valid_key, signed = _check_signatures(
        deposits.public_keys, message_roots, deposits.signatures, deposits.network, threads
    )
    first_use = np.zeros(len(deposits), dtype=np.bool_)
    first_use[np.unique(deposits.public_keys, axis=0, return_index=True)[1]] = True
    verdicts = {
        "pubkey: not a valid public key": valid_key,
        "pubkey: repeated": first_use,
        "signature: does not verify": signed | ~valid_key,
        "deposit_message_root: does not fit": (message_roots == deposits.message_roots).all(axis=1),
        "deposit_data_root: does not fit": (data_roots == deposits.data_roots).all(axis=1),
    }
    if deposited:
        unused = [key.tobytes() not in deposited for key in deposits.public_keys]
        verdicts["pubkey: deposited already"] = np.array(unused, dtype=np.bool_)
    if vault is not None:
        verdicts |= _check_for_vault(deposits, vault)
    return [[problem for problem, good in verdicts.items() if not good[i]] for i in range(len(deposits))]


def check_deposit_signatures(
    public_keys: Rows,
    withdrawal_credentials: Rows,
    amounts_gwei: Any,
    signatures: Rows,
    network: Network,
    *,
    threads: int | None = None,
) -> Bools:
    """Which of n deposits prove possession of their key: what makes a validator of a new key.

    Anybody can deposit: a key or a signature that does not decode is False, as every other wrong one.

    Args:
        public_keys: uint8[n, 48].
        withdrawal_credentials: uint8[n, 32].
        amounts_gwei: uint64[n].
        signatures: uint8[n, 96].

    Source: consensus-specs electra, `is_valid_deposit_signature`.
    """
    keys, _ = as_rows("public_keys", public_keys, PUBLIC_KEY_BYTES)
    rows_of_signatures, _ = as_rows("signatures", signatures, SIGNATURE_BYTES)
    same_length(public_keys=keys, signatures=rows_of_signatures)
    message_roots = deposit_message_roots(keys, withdrawal_credentials, amounts_gwei)
    return _check_signatures(keys, message_roots, rows_of_signatures, as_network(network), threads)[1]


def sign_deposits(
    secret_keys: Rows,
    withdrawal_credentials: Rows,
    amounts_gwei: Any,
    network: Network,
    *,
    threads: int | None = None,
) -> DepositData:
    """Deposits of n validators, signed.

    Args:
        secret_keys: uint8[n, 32].
        withdrawal_credentials: uint8[n, 32].
        amounts_gwei: uint64[n].
    """
    secrets, _ = as_rows("secret_keys", secret_keys, SECRET_KEY_BYTES)
    credentials, _ = as_rows("withdrawal_credentials", withdrawal_credentials, WITHDRAWAL_CREDENTIALS_BYTES)
    amounts = as_uint64s("amounts_gwei", amounts_gwei)
    public_keys = derive_public_keys(secrets, threads=threads)
    message_roots = deposit_message_roots(public_keys, credentials, amounts)
    signatures = sign(secrets, compute_signing_roots(message_roots, network.deposit_domain), threads=threads)
    return DepositData(
        network=network,
        public_keys=public_keys,
        withdrawal_credentials=credentials,
        amounts_gwei=amounts,
        signatures=signatures,
        message_roots=message_roots,
        data_roots=deposit_data_roots(public_keys, credentials, amounts, signatures),
    )


def write_deposit_data(path: Path | str, deposits: DepositData, *, mode: int = 0o644) -> None:
    """Write the launchpad's list of records: hex without 0x."""
    columns = zip(
        deposits.public_keys,
        deposits.withdrawal_credentials,
        deposits.amounts_gwei.tolist(),
        deposits.signatures,
        deposits.message_roots,
        deposits.data_roots,
        strict=True,
    )
    write_json(
        path,
        [
            {
                "pubkey": public_key.tobytes().hex(),
                "withdrawal_credentials": credentials.tobytes().hex(),
                "amount": amount,
                "signature": signature.tobytes().hex(),
                "deposit_message_root": message_root.tobytes().hex(),
                "deposit_data_root": data_root.tobytes().hex(),
                "fork_version": deposits.network.genesis_fork_version.hex(),
                "network_name": deposits.network.name,
                "deposit_cli_version": DEPOSIT_CLI_VERSION,
            }
            for public_key, credentials, amount, signature, message_root, data_root in columns
        ],
        mode=mode,
    )


def _parse_network(record: Field) -> Network:
    try:
        network = network_with_fork_version(record["fork_version"].data(FORK_VERSION_BYTES))
    except InputError as error:
        raise record.wrong(str(error)) from None
    name = record.get("network_name")
    if name and name.text() != network.name:
        raise name.wrong(f"expected {network.name}, as fork_version says")
    return network


def _check_signatures(
    public_keys: Bytes, message_roots: Bytes, signatures: Bytes, network: Network, threads: int | None
) -> tuple[Bools, Bools]:
    """Which keys are valid, and which signatures verify."""
    keys, valid = valid_public_keys(public_keys, threads=threads)
    signing_roots = compute_signing_roots(message_roots[valid], network.deposit_domain)
    signed = np.zeros(len(valid), dtype=np.bool_)
    signed[valid] = check_signatures(keys, signing_roots, signatures[valid], threads=threads)
    return valid, signed


def _check_for_vault(deposits: DepositData, vault: bytes) -> dict[str, Bools]:
    """What a vault demands, by what is said of records that do not meet it."""
    if len(vault) != ADDRESS_BYTES:
        raise InputError(f"vault: expected {ADDRESS_BYTES} bytes, got {len(vault)}")
    expected = np.frombuffer(bytes(WITHDRAWAL_CREDENTIALS_BYTES - 1 - ADDRESS_BYTES) + vault, np.uint8)
    types, rest = deposits.withdrawal_credentials[:, 0], deposits.withdrawal_credentials[:, 1:]
    is_vaults = np.isin(types, list(AMOUNTS_GWEI)) & (rest == expected).all(axis=1)
    lows, highs = np.zeros((2, len(deposits)), dtype=np.uint64)
    for type_, (low, high) in AMOUNTS_GWEI.items():
        lows[types == type_], highs[types == type_] = low, high
    fits = (lows <= deposits.amounts_gwei) & (deposits.amounts_gwei <= highs)
    return {
        "withdrawal_credentials: not those of the vault": is_vaults,
        _amounts_of_a_vault(deposits.network): fits | ~is_vaults,
    }


def _amounts_of_a_vault(network: Network) -> str:
    factor, symbol = GWEI_PER_ETHER * network.stake_factor, network.stake_symbol
    (least, _), (low, high) = (tuple(amount // factor for amount in AMOUNTS_GWEI[type_]) for type_ in (1, 2))
    return f"{AMOUNT_PROBLEM}a vault deposits {least} {symbol} for 0x01, {low} to {high} {symbol} for 0x02"


def _column(records: Sequence[Field], name: str, width: int) -> Bytes:
    return rows((record[name] for record in records), width)
