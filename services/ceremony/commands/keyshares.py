"""`dvtfast create keyshares`: this machine splits validators' keys for SSV operators, and knows them all."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from dvtfast import split_secret_keys, ssv
from dvtfast.constants import GWEI_PER_VALIDATOR, WITHDRAWAL_CREDENTIALS_BYTES
from dvtfast.deposits import sign_deposits
from dvtfast.obol import deposit_file_name

from ...settings import CreateKeysharesSettings
from ..errors import CeremonyError
from ..folder import KEYSHARES_FILE
from ..ssv_files import write_deposits, write_ssv_keyshares
from ..staging import Left, Staging
from .existing import STOP_THE_OLD, secret_keys_for
from .proposal import addresses_for
from .terminal import run

ORIGIN = b"dvtfast create keyshares"
# First byte of withdrawal credentials.
TO_AN_ADDRESS, COMPOUNDING = 1, 2
ONE_MACHINE_KNEW = """\
ONE MACHINE KNEW ALL KEYS: this one has had every validator's key whole. keyshares.json can be shown to
anybody: the shares in it are encrypted to the operators. Register the validators in its order, before any
other of this owner: each is signed for one nonce of the owner, from {first} to {last}."""


def create(settings: CreateKeysharesSettings) -> int:
    """Make keyshares.json and deposit data."""
    return run(lambda: _create(settings))


def _create(settings: CreateKeysharesSettings) -> int:
    staging = Staging(settings.output_dir, last=(KEYSHARES_FILE,))
    if staging.settle() is Left.PUBLISHED:
        click.echo(f"what was begun before is whole now, in {settings.output_dir}")
        return 0
    operators = ssv.read_operators(settings.ssv_operators)
    secret_keys = secret_keys_for(settings.split_keys_dir, settings.num_validators, settings.threads)
    n = len(secret_keys)
    if len(settings.withdrawal_addresses) not in (1, n):
        secret_keys.fill(0)
        raise CeremonyError(f"--withdrawal-addresses: expected 1 or {n} addresses, one a validator")
    staging.discard(ORIGIN)
    try:
        writing = staging.begin(ORIGIN)
        _write_keyshares(writing, settings, secret_keys, operators)
        _write_deposits(writing, settings, secret_keys)
        staging.complete()
        staging.publish()
    except BaseException:
        staging.discard(ORIGIN)
        raise
    finally:
        secret_keys.fill(0)
    click.echo(f"{n} validators on {settings.network.name}: {settings.output_dir / KEYSHARES_FILE}")
    first = settings.ssv_owner_nonce
    click.echo(ONE_MACHINE_KNEW.format(first=first, last=first + n - 1), err=True)
    if settings.split_keys_dir:
        click.echo(STOP_THE_OLD, err=True)
    return 0


def _write_keyshares(
    directory: Path,
    settings: CreateKeysharesSettings,
    secret_keys: NDArray[np.uint8],
    operators: dict[int, ssv.OperatorPublicKey],
) -> None:
    ids = tuple(operators)
    shares = split_secret_keys(
        secret_keys, threshold=ssv.threshold_of(len(ids)), share_indices=ids, threads=settings.threads
    )
    try:
        validators = ssv.build_key_shares(
            secret_keys,
            shares,
            operators,
            owner_address=settings.ssv_owner,
            first_nonce=settings.ssv_owner_nonce,
            threads=settings.threads,
        )
    finally:
        shares.fill(0)
    write_ssv_keyshares(directory / KEYSHARES_FILE, validators, operators)


def _write_deposits(
    directory: Path, settings: CreateKeysharesSettings, secret_keys: NDArray[np.uint8]
) -> None:
    addresses = addresses_for(settings.withdrawal_addresses, len(secret_keys))
    credentials = np.zeros((len(secret_keys), WITHDRAWAL_CREDENTIALS_BYTES), dtype=np.uint8)
    credentials[:, 0] = COMPOUNDING if settings.compounding else TO_AN_ADDRESS
    credentials[:, -addresses.shape[1] :] = addresses
    for amount in settings.deposit_amounts or (GWEI_PER_VALIDATOR,):
        deposits = sign_deposits(
            secret_keys,
            credentials,
            np.full(len(secret_keys), amount, dtype=np.uint64),
            settings.network,
            threads=settings.threads,
        )
        write_deposits(directory / deposit_file_name(amount), deposits, settings.network)
