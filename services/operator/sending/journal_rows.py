"""Rows of the operator's journal as what they mean."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from .action import Action, ActionKind, Conclusion, JournalEntry, Outcome, Reopening, SignedTransaction

SELECT_ENTRIES = (
    "SELECT a.id, a.at, a.chain_id, a.account, a.nonce, a.kind, a.vault, a.target, a.data,"
    " a.value_wei, a.registry_root, a.deadline, a.details, a.block_number, c.is_final, c.is_shown, c.outcome,"
    " c.transaction_hash, c.block_number, c.block_hash, c.gas_used, c.fee_wei, c.at FROM actions a"
    " LEFT JOIN standing c ON c.action = a.id"
)
SELECT_REOPENINGS = (
    "SELECT r.why, r.at, c.outcome, c.transaction_hash, c.block_number, c.block_hash, c.gas_used,"
    " c.fee_wei, c.at FROM reopenings r JOIN conclusions c ON c.id = r.conclusion"
    " WHERE c.action = ? ORDER BY r.id"
)


def read_entry(connection: sqlite3.Connection, row: Sequence[object]) -> JournalEntry:
    """A row of SELECT_ENTRIES, with what other tables have of it."""
    (
        identity, at, chain_id, account, nonce, kind, vault, to, data, value, root, deadline, details,
        number, is_final, is_shown, *concluded,
    ) = row  # fmt: skip
    keys = connection.execute("SELECT public_key FROM action_keys WHERE action = ? ORDER BY id", (identity,))
    action = Action(
        ActionKind(str(kind)), _bytes(vault), _bytes(to), _bytes(data), int(str(value)),
        tuple(_bytes(key) for (key,) in keys), None if root is None else _bytes(root),
        None if deadline is None else int(str(deadline)), json.loads(str(details)), int(str(number)),
    )  # fmt: skip
    transactions = connection.execute(
        "SELECT hash, raw, max_fee_wei, priority_fee_wei, is_cancel, at, block_number FROM transactions"
        " WHERE action = ? ORDER BY id",
        (identity,),
    )
    return JournalEntry(
        id=int(str(identity)),
        at=int(str(at)),
        action=action,
        chain_id=int(str(chain_id)),
        account=_bytes(account),
        nonce=int(str(nonce)),
        transactions=tuple(
            SignedTransaction(hash_, raw, int(most), int(priority), bool(is_cancel), at, int(number))
            for hash_, raw, most, priority, is_cancel, at, number in transactions
        ),
        conclusion=_conclusion(concluded) if concluded[0] is not None else None,
        is_final=bool(is_final),
        is_shown=bool(is_shown),
        reopenings=tuple(
            Reopening(_conclusion(before), str(why), int(at))
            for why, at, *before in connection.execute(SELECT_REOPENINGS, (identity,))
        ),
    )


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value


def _conclusion(row: Sequence[object]) -> Conclusion:
    outcome, transaction_hash, number, block_hash, gas_used, fee, at = row
    return Conclusion(
        Outcome(str(outcome)),
        None if transaction_hash is None else _bytes(transaction_hash),
        None if number is None else int(str(number)),
        None if block_hash is None else _bytes(block_hash),
        int(str(gas_used)),
        int(str(fee)),
        int(str(at)),
    )
