"""What is wrong with a deposit data file that validators of a vault are to be registered with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.deposits import AMOUNT_PROBLEM, DepositData, check_deposit_data

from ... import wire
from ...chain import units

SHOWN_AMOUNTS = 5


def vault_in(deposits: DepositData) -> bytes:
    """The address that the first record's stake goes back to."""
    return _addresses(deposits)[0]


def vaults_in(deposits: DepositData) -> list[bytes]:
    """The addresses that stake goes back to of records that are right but for that; each once.

    Of a file that has one address alone, it is that one.
    """
    each = _addresses(deposits)
    if len(set(each)) > 1:
        found = check_deposit_data(deposits)
        each = [address for address, problems in zip(each, found, strict=True) if not problems]
    return list(dict.fromkeys(each))


def problems_in(
    path: Path, deposits: DepositData, *, vault: bytes, threads: int | None = None
) -> tuple[list[list[str]], list[str]]:
    """What is wrong with each record, and what with the file, in words for who looks for the right one."""
    found = check_deposit_data(deposits, vault=vault, threads=threads)
    about_file = []
    if any(problem.startswith(AMOUNT_PROBLEM) for record in found for problem in record):
        about_file.append(
            f"{path}: it has deposits of {_amounts(deposits)}. What a vault registers a validator with is"
            " one deposit; charon writes a file for each amount of a deposit in parts, and the one with the"
            f" whole, {units.stake(GWEI_PER_VALIDATOR, deposits.network)}, is the one to take"
        )
    addresses = list(dict.fromkeys(_addresses(deposits)))
    if len(addresses) > 1:
        about_file.append(f"{path}: stake goes back to {shown_vaults(addresses)}")
    return found, about_file


def shown_vaults(addresses: Sequence[bytes]) -> str:
    """Several addresses: their number, and two of them."""
    first, second = (wire.Address(address).to_wire() for address in addresses[:2])
    return f"{len(addresses)} addresses, such as {first} and {second}"


def _addresses(deposits: DepositData) -> list[bytes]:
    """What each record's stake goes back to."""
    return [row[-wire.Address.width :].tobytes() for row in deposits.withdrawal_credentials]


def _amounts(deposits: DepositData) -> str:
    counts, network = Counter(deposits.amounts_gwei.tolist()).most_common(), deposits.network
    shown = [f"{units.stake(gwei, network)} ({count})" for gwei, count in sorted(counts[:SHOWN_AMOUNTS])]
    more = [f"{len(counts) - SHOWN_AMOUNTS} other amounts"] if len(counts) > SHOWN_AMOUNTS else []
    return " and of ".join(shown + more)
