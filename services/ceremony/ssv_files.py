"""The same keys for SSV's contract: keyshares.json, whole or not at all, and verified from the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvtfast import FileError, Network, ssv
from dvtfast.deposits import DepositData, check_deposit_data, read_deposit_data, write_deposit_data
from dvtfast.obol import deposit_file_name
from dvtfast.signing_roots import deposit_data_roots, deposit_message_roots

from ..files import paths
from .folder import FILE_MODE, KEYSHARES_FILE
from .ssv_terms import SsvTerms

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SsvResult:
    """What a node has when its cluster of SSV has keys: all of it public, but to its operator.

    Attributes:
        validators: as they are registered.
        deposits: by amount in gwei.
        operator_id: of this node.
        key: of its operator, which opens its shares.
    """

    terms: SsvTerms
    network: Network
    validators: Sequence[ssv.KeyShares]
    deposits: Mapping[int, DepositData]
    operator_id: int
    key: ssv.OperatorKey = field(repr=False)


def write_ssv_files(directory: Path, result: SsvResult, *, threads: int | None = None) -> None:
    """Write keyshares and deposits to an empty directory, read them again, and verify what was read.

    Raises:
        FileError: what is on the disk is not what was to be written, or this node's shares do not open.
        OSError: it cannot be written.
    """
    for amount, deposits in result.deposits.items():
        write_deposits(directory / deposit_file_name(amount), deposits, result.network)
    path = directory / KEYSHARES_FILE
    write_ssv_keyshares(path, result.validators, result.terms.operators)
    verify_own_shares(path, ssv.read_keyshares(path), result.operator_id, result.key, threads)


def verify_own_shares(
    path: Path,
    validators: Sequence[ssv.KeyShares],
    operator_id: int,
    key: ssv.OperatorKey,
    threads: int | None,
) -> None:
    """Verify that an operator's key opens its shares of the validators in a file.

    Raises:
        FileError: it does not, or they are not what they are to be.
    """
    opened = ssv.open_key_shares(validators, operator_id, key, threads=threads)
    opened.key_shares.fill(0)
    if opened.problems:
        raise FileError(opened.problems[0], path)


def is_for(path: Path, terms: SsvTerms, validators: int) -> bool:
    """Whether a keyshares file has so many validators of this owner, at its nonces, for these operators.

    Raises:
        FileError: it cannot be read.
    """
    found = ssv.read_keyshares(path)
    wanted = [(terms.ids, terms.owner, terms.first_nonce + place) for place in range(validators)]
    return [
        (each.operator_ids, each.owner_address, each.owner_nonce) for each in found
    ] == wanted and not any(ssv.check_key_shares(found))


def write_deposits(path: Path, deposits: DepositData, network: Network) -> None:
    """Write a deposit data file, and verify what is on the disk.

    Raises:
        FileError: a deposit is wrong.
    """
    write_deposit_data(path, deposits, mode=FILE_MODE)
    read_deposits(path, network)


def read_deposits(path: Path, network: Network) -> DepositData:
    """A deposit data file that is right.

    Raises:
        FileError: a deposit is wrong.
    """
    written = read_deposit_data(path, network=network)
    if problems := [line for lines in check_deposit_data(written) for line in lines]:
        raise FileError(problems[0], path)
    return written


def signed_deposits(
    public_keys: Bytes, credentials: Bytes, amount_gwei: int, signatures: Bytes, network: Network
) -> DepositData:
    """Deposits of one amount that are signed already, of uint8[n, 48], uint8[n, 32] and uint8[n, 96]."""
    amounts = np.full(len(public_keys), amount_gwei, dtype=np.uint64)
    return DepositData(
        network=network,
        public_keys=public_keys,
        withdrawal_credentials=credentials,
        amounts_gwei=amounts,
        signatures=signatures,
        message_roots=deposit_message_roots(public_keys, credentials, amounts),
        data_roots=deposit_data_roots(public_keys, credentials, amounts, signatures),
    )


def write_ssv_keyshares(
    path: Path, validators: Sequence[ssv.KeyShares], operator_keys: Mapping[int, ssv.OperatorPublicKey]
) -> None:
    """Write a new keyshares file v1.2 of validators that are right.

    Raises:
        FileError: a file is there, or a validator is wrong.
    """
    if paths.is_there(path):
        raise FileError("is there already", path)
    _require_right(path, validators)
    ssv.write_keyshares(path, validators, operator_keys)
    written = ssv.read_keyshares(path)
    _require_right(path, written)
    if [each.shares_data for each in written] != [each.shares_data for each in validators]:
        raise FileError("not what was to be written", path)


def _require_right(path: Path, validators: Sequence[ssv.KeyShares]) -> None:
    for validator, problem in zip(validators, ssv.check_key_shares(validators), strict=True):
        if problem:
            raise FileError(f"validator with nonce {validator.owner_nonce}: {problem}", path)
