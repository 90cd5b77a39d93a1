"""What became of actions: JSON for programs, a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from dvtfast.networks import network_with_chain_id

from ...chain import units
from ...chain.encoding import write_address, write_data
from ..sending.action import JournalEntry

OPEN = "open"


def as_json(entry: JournalEntry) -> dict[str, Any]:
    """An action of the journal."""
    action, conclusion = entry.action, entry.conclusion
    shown: dict[str, Any] = {
        "action": entry.id,
        "kind": action.kind.value,
        "at": _time(entry.at),
        "chain_id": entry.chain_id,
        "account": write_address(entry.account),
        "nonce": entry.nonce,
        "vault": write_address(action.vault),
        "public_keys": [write_data(key) for key in action.public_keys],
        "details": dict(action.details),
        "transactions": [
            {
                "hash": write_data(each.hash),
                "at": _time(each.at),
                "max_fee_wei": str(each.max_fee_wei),
                "priority_fee_wei": str(each.priority_fee_wei),
                "is_cancel": each.is_cancel,
            }
            for each in entry.transactions
        ],
        "outcome": OPEN if entry.outcome is None else entry.outcome.value,
        "is_final": entry.is_final,
        "reopenings": [
            {
                "outcome": each.conclusion.outcome.value,
                "block": each.conclusion.block_number,
                "concluded_at": _time(each.conclusion.at),
                "at": _time(each.at),
                "why": each.why,
            }
            for each in entry.reopenings
        ],
    }
    if conclusion is not None:
        shown |= {
            "transaction": conclusion.transaction_hash and write_data(conclusion.transaction_hash),
            "block": conclusion.block_number,
            "gas_used": conclusion.gas_used,
            "fee_wei": str(conclusion.fee_wei),
            "concluded_at": _time(conclusion.at),
        }
    return shown


def as_table(entries: Sequence[JournalEntry]) -> Table:
    """Actions, the latest first."""
    table = Table("action", "at", "kind", "validators", "stake", "outcome", "gas paid", "transaction")
    for entry in entries:
        conclusion, transactions = entry.conclusion, entry.transactions
        network = network_with_chain_id(entry.chain_id)
        hash_ = (
            conclusion.transaction_hash if conclusion else (transactions[-1].hash if transactions else None)
        )
        table.add_row(
            str(entry.id),
            _time(entry.at),
            entry.action.kind.value,
            str(len(entry.action.public_keys)),
            units.stake(int(entry.action.details.get("amount_gwei", 0)), network),
            _outcome(entry),
            units.gas(conclusion.fee_wei, network) if conclusion else "",
            write_data(hash_) if hash_ else "",
        )
    return table


def _outcome(entry: JournalEntry) -> str:
    if entry.outcome is None:
        return f"{OPEN} again" if entry.reopenings else OPEN
    return entry.outcome.value + ("" if entry.is_final else ", not final")


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
