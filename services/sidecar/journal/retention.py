"""What the journal forgets, a few rows with each answer that it puts on record.

What must never be forgotten: for which vault a validator's deposit was signed first, and each vault after a
release, since stake that two vaults send to one validator is the first one's. These rows stay for ever; there
are as many as validators and vaults. All others only tell a person what happened, and bound what one day may
use up: neither exits nor deposits can be slashed for. They are forgotten after `KEPT_DAYS`, exits sooner
when they are more than `KEPT_EXITS`; the file's triggers let nothing else go.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from .tables import DAY_SECONDS, DEPOSIT, EXIT, KEPT_DAYS

COUNTED_DAYS = 3  # before today
KEPT_EXITS = 1_000_000  # before yesterday; some 400 bytes each


class Retention:
    """What one process has looked at."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._looked_at = 0, 0  # the last deposit of which it was decided whether it may go

    def forget(self, now: int, most: int) -> None:
        """Some of what may be forgotten: so many rows, so that nobody waits long for it."""
        execute = self._connection.execute
        if (newest := self._newest(EXIT)) is not None:
            today = min(now, newest) // DAY_SECONDS
            query = "SELECT day, sum(count) FROM totals WHERE kind = 'exit' GROUP BY day ORDER BY day DESC"
            first = first_day_kept(execute(query).fetchall(), today)
            execute(
                "DELETE FROM signatures WHERE id IN"
                " (SELECT id FROM signatures WHERE kind = 'exit' AND at < ? ORDER BY at LIMIT ?)",
                (first * DAY_SECONDS, most),
            )
            execute("DELETE FROM totals WHERE day < ?", (first,))
            # They count for a day only; those before, should the clock be ahead now and be set back.
            execute(
                "DELETE FROM counts WHERE (day, relayer, kind, public_key) IN"
                " (SELECT day, relayer, kind, public_key FROM counts WHERE day < ? LIMIT ?)",
                (today - COUNTED_DAYS, most),
            )
        if (newest := self._newest(DEPOSIT)) is not None:
            self._forget_deposits(min(now, newest) - KEPT_DAYS * DAY_SECONDS, most)

    def _forget_deposits(self, before: int, most: int) -> None:
        """Of each validator and vault, the first stays."""
        execute = self._connection.execute
        rows = execute(
            "SELECT at, id, EXISTS (SELECT 1 FROM signatures AS other WHERE other.kind = 'deposit'"
            " AND other.public_key = this.public_key AND other.vault = this.vault AND other.id < this.id)"
            " FROM signatures AS this WHERE kind = 'deposit' AND at >= ? AND at < ? AND (at, id) > (?, ?)"
            " ORDER BY at, id LIMIT ?",
            (self._looked_at[0], before, *self._looked_at, most),
        ).fetchall()
        for at, id_, is_repeated in rows:
            if is_repeated:
                execute("DELETE FROM signatures WHERE id = ?", (id_,))
            self._looked_at = at, id_

    def _newest(self, kind: str) -> int | None:
        query = "SELECT max(at) FROM signatures WHERE kind = ?"
        newest: int | None = self._connection.execute(query, (kind,)).fetchone()[0]
        return newest


def first_day_kept(days: Sequence[tuple[int, int]], today: int) -> int:
    """Exits from this day on are kept.

    Args:
        days: the last one first, each with the number of exits.
    """
    first, count = today - 1, 0
    for day, exits in days:
        if day < today - 1:
            count += exits
            if count > KEPT_EXITS or day < today - KEPT_DAYS:
                break
            first = day
    return first
