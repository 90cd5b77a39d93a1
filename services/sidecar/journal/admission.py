"""Whether a message may go on record: the limits of a day, and one vault for each validator."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from ... import wire
from .tables import DAY_SECONDS, DEPOSIT, EXIT

INSERT = (
    "INSERT INTO signatures (at, network, relayer, share_index, kind, public_key, validator_index, vault,"
    " validator_type, amount_gwei, signing_root) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True)
class Party:
    """For whom something is signed, and by which share index."""

    network: str
    relayer: str
    share_index: int


@dataclass(frozen=True)
class Limits:
    """How much of one kind one relayer gets in one day (UTC).

    Attributes:
        of_one: of one validator.
    """

    a_day: int
    of_one: int


@dataclass(frozen=True)
class ExitEntry:
    """An exit to be signed."""

    public_key: bytes
    validator_index: int
    signing_root: bytes


@dataclass(frozen=True)
class DepositEntry:
    """A deposit to be signed."""

    public_key: bytes
    vault: bytes
    validator_type: int
    amount_gwei: int
    signing_root: bytes


class Admission:
    """One answer of a relayer put on record, message by message, within a transaction."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        party: Party,
        exit_limits: Limits,
        deposit_limits: Limits | None,
        at: int,
    ) -> None:
        self.at = at
        self._connection = connection
        self._relayer = party.relayer
        self._share_index = str(party.share_index)
        self._who = at, party.network, party.relayer, self._share_index
        self._day = at // DAY_SECONDS
        self._days: tuple[int, ...] = ()
        self._exit_limits = exit_limits
        self._deposit_limits = deposit_limits

    def admit(self, exit_: ExitEntry, deposit: DepositEntry | None) -> str:
        """Why not, or "", and then it is on record."""
        reason = "" if deposit is None else self._refusal_of_deposit(deposit)
        reason = reason or self._refusal_of_exit(exit_)
        if reason:
            return reason
        index = str(exit_.validator_index)
        row = EXIT, exit_.public_key, index, None, None, None, exit_.signing_root
        self._connection.execute(INSERT, (*self._who, *row))
        if deposit is not None:
            subject = deposit.vault, deposit.validator_type, str(deposit.amount_gwei)
            row_of_deposit = DEPOSIT, deposit.public_key, None, *subject, deposit.signing_root
            self._connection.execute(INSERT, (*self._who, *row_of_deposit))
        return ""

    def _refusal_of_exit(self, exit_: ExitEntry) -> str:
        reason = self._over(EXIT, exit_.public_key, self._exit_limits)
        if not reason:
            return ""
        query = (
            "SELECT 1 FROM signatures WHERE signing_root = ? AND public_key = ? AND share_index = ?"
            " AND relayer = ?"
        )
        key = exit_.signing_root, exit_.public_key, self._share_index, self._relayer
        return reason if self._connection.execute(query, key).fetchone() is None else ""

    def _refusal_of_deposit(self, deposit: DepositEntry) -> str:
        bound = vault_of(self._connection, deposit.public_key)
        if bound not in (None, deposit.vault):
            return (
                f"a deposit of this validator was signed for another vault, {address(bound)}; if that was"
                " wrong, see `dvtfast sidecar release`"
            )
        assert self._deposit_limits is not None
        reason = self._over(DEPOSIT, deposit.public_key, self._deposit_limits)
        if not reason:
            return ""
        query = "SELECT 1 FROM signatures WHERE signing_root = ? AND public_key = ? AND relayer = ? LIMIT 1"
        key = deposit.signing_root, deposit.public_key, self._relayer
        return reason if self._connection.execute(query, key).fetchone() is None else ""

    def _over(self, kind: str, public_key: bytes, limits: Limits) -> str:
        """Which limit a new one would be above."""
        if self._count("totals", kind) >= limits.a_day:
            return f"the limit is {limits.a_day} {kind}s a day (UTC) for one relayer{self._told()}"
        if self._count("counts", kind, public_key) >= limits.of_one:
            return (
                f"the limit is {limits.of_one} {kind}s of one validator a day (UTC) for one relayer"
                f"{self._told()}"
            )
        return ""

    def _days_that_count(self) -> tuple[int, ...]:
        """Today, and days to come that a clock has put on record that was ahead."""
        if not self._days:
            query = "SELECT DISTINCT day FROM totals WHERE day > ? AND relayer = ? ORDER BY day"
            later = self._connection.execute(query, (self._day, self._relayer)).fetchall()
            self._days = (self._day, *(day for (day,) in later))
        return self._days

    def _told(self) -> str:
        later = len(self._days_that_count()) > 1
        return "; what a clock that was ahead has put on days to come counts, too" if later else ""

    def _count(self, table: str, kind: str, *public_key: bytes) -> int:
        days = self._days_that_count()
        query = (
            f"SELECT sum(count) FROM {table} WHERE day IN ({', '.join('?' * len(days))})"  # noqa: S608 - ours
            " AND relayer = ? AND kind = ?"
        )
        query += " AND public_key = ?" if public_key else ""
        (count,) = self._connection.execute(query, (*days, self._relayer, kind, *public_key)).fetchone()
        return int(count or 0)


def vault_of(connection: sqlite3.Connection, public_key: bytes) -> bytes | None:
    """Which vault deposits of a validator may be signed for; None when none was yet."""
    for query in (
        "SELECT to_vault FROM releases WHERE public_key = ? ORDER BY id DESC LIMIT 1",
        "SELECT vault FROM signatures WHERE kind = 'deposit' AND public_key = ? LIMIT 1",
    ):
        if row := connection.execute(query, (public_key,)).fetchone():
            return bytes(row[0])
    return None


def address(vault: bytes | None) -> str:
    """As people write it."""
    return wire.Address(vault or b"").to_wire()
