"""What is wrong with a deposit data file that validators of a vault are to be registered with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from dvtfast.deposits import AMOUNT_PROBLEM, DepositData, check_deposit_data

from .. import wire

GWEI_PER_ETHER = 10**9
SHOWN_AMOUNTS = 5


def vault_in(deposits: DepositData) -> bytes:
    """The address that the first record's stake goes back to."""
    return deposits.withdrawal_credentials[0, -wire.Address.width :].tobytes()


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
            f" whole, {_of_stake(32 * GWEI_PER_ETHER, deposits)}, is the one to take"
        )
    addresses = dict.fromkeys(row[-wire.Address.width :].tobytes() for row in deposits.withdrawal_credentials)
    if len(addresses) > 1:
        first, second = (wire.Address(address).to_wire() for address in list(addresses)[:2])
        about_file.append(
            f"{path}: stake goes back to {len(addresses)} addresses, such as {first} and {second}"
        )
    return found, about_file


def _amounts(deposits: DepositData) -> str:
    counts = Counter(deposits.amounts_gwei.tolist()).most_common()
    shown = [f"{_of_stake(amount, deposits)} ({count})" for amount, count in sorted(counts[:SHOWN_AMOUNTS])]
    more = [f"{len(counts) - SHOWN_AMOUNTS} other amounts"] if len(counts) > SHOWN_AMOUNTS else []
    return " and of ".join(shown + more)


def _of_stake(gwei: int, deposits: DepositData) -> str:
    network = deposits.network
    return f"{gwei / GWEI_PER_ETHER / network.stake_factor:.9g} {network.stake_symbol}"
