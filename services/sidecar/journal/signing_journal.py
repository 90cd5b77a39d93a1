"""What the sidecar signs, and for whom: on record, durably, before it is signed.

One SQLite file, plain `sqlite3`: ten thousand rows are one statement each, of some microseconds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ... import wire
from ...files.sqlite_files import SQLiteFile
from ...process.offload import UnavailableError, Workers
from .admission import Admission, DepositEntry, ExitEntry, Limits, Party, address, vault_of
from .retention import Retention
from .tables import KIND

NOT_UPGRADED = (
    "stop the sidecars of the older dvtfast, which would not go by what is written now, and start this one's,"
    " which brings it up to date"
)
FORGOTTEN_AT_ONCE = 1_000  # rows, or twice as many as were written


class SigningJournalError(Exception):
    """A file that no journal can be kept in."""


@dataclass(frozen=True)
class Binding:
    """A validator, the vault that deposits of it may be signed for, and those that were, by the journal."""

    network: str
    public_key: bytes
    vault: bytes
    deposits: int
    last_at: int


class SigningJournal:
    """A file of signatures that nothing of account is removed from; what its calls wrote is on disk.

    Signatures are not in it: whoever reads it cannot exit a validator.
    """

    def __init__(self, path: Path | None, *, only_looks: bool = False, upgrades: bool = True) -> None:
        """Open the file, or make it, which only its owner may read; without a path, forget all in the end.

        Args:
            only_looks: the file stays as it is, whatever its version: it is read into memory.
            upgrades: whether a file of an older version becomes one of this.

        Raises:
            SigningJournalError: neither is possible, or it is of an older version and is not to be upgraded.
        """
        self._file = SQLiteFile(
            path,
            KIND,
            refused=SigningJournalError,
            failed=UnavailableError,
            only_looks=only_looks,
            not_upgraded="" if upgrades else NOT_UPGRADED,
        )
        self._connection = self._file.connection
        self._forgetting = Retention(self._connection)
        self._workers = Workers("journal", threads=1, deadline_seconds=None)

    async def close(self) -> None:
        """Finish what is under way."""
        await self._workers.close()
        self._file.close()

    async def admit(
        self,
        party: Party,
        exits: Sequence[ExitEntry],
        deposits: Sequence[DepositEntry] | None = None,
        *,
        exit_limits: Limits,
        deposit_limits: Limits | None = None,
        write: bool = True,
    ) -> list[str]:
        """Put messages on record, all in one transaction; for each, why not, or "".

        An exit and the deposit beside it are on record together, or neither is. A validator is deposited to
        for one vault only, until it is released to another one. What is on record already for this relayer
        uses up nothing of a limit, and is admitted again though there is nothing left: exits of this share
        index, deposits of whichever.

        Args:
            deposits: one for each exit, of the same validator.
            write: off, nothing is written, and the answer is what it would be.

        Raises:
            UnavailableError: the file cannot be written.
        """
        admitting = Admission(self._connection, party, exit_limits, deposit_limits, int(time.time()))
        return await self._workers.run(self._admit, admitting, exits, deposits, write)

    async def bindings(self, *, vault: bytes | None = None) -> list[Binding]:
        """All validators that a deposit was signed of, or those that are bound to this vault."""
        return await self._workers.run(self._bindings, vault)

    async def release(self, public_keys: Sequence[bytes], *, from_vault: bytes, to_vault: bytes) -> None:
        """Bind validators to another vault than deposits were signed for; all of them, or none.

        Raises:
            ValueError: one is not bound to the vault that it is said to be.
            UnavailableError: the file cannot be written.
        """
        await self._workers.run(self._release, public_keys, from_vault, to_vault)

    def _admit(
        self,
        admitting: Admission,
        exits: Sequence[ExitEntry],
        deposits: Sequence[DepositEntry] | None,
        write: bool,
    ) -> list[str]:
        beside = [None] * len(exits) if deposits is None else deposits
        with self._file.transaction(keep=write):
            reasons = [admitting.admit(exit_, deposit) for exit_, deposit in zip(exits, beside, strict=True)]
            if write:
                self._forgetting.forget(admitting.at, max(FORGOTTEN_AT_ONCE, 2 * len(reasons)))
        return reasons

    def _bindings(self, vault: bytes | None) -> list[Binding]:
        query = (
            "SELECT network, public_key, count(*), max(at) FROM signatures WHERE kind = 'deposit'"
            " GROUP BY public_key ORDER BY min(id)"
        )
        found = []
        with self._file.transaction(keep=False):
            for network, key, count, last_at in self._connection.execute(query).fetchall():
                bound = vault_of(self._connection, key)
                if bound is not None and vault in (None, bound):
                    found.append(Binding(network, bytes(key), bound, count, last_at))
        return found

    def _release(self, public_keys: Sequence[bytes], from_vault: bytes, to_vault: bytes) -> None:
        at = int(time.time())
        with self._file.transaction():
            for key in public_keys:
                if (bound := vault_of(self._connection, key)) != from_vault:
                    to = f"bound to {address(bound)}" if bound else "bound to no vault"
                    raise ValueError(f"{wire.PublicKey(key).to_wire()}: {to}, not to {address(from_vault)}")
                self._connection.execute(
                    "INSERT INTO releases (at, public_key, from_vault, to_vault) VALUES (?, ?, ?, ?)",
                    (at, key, from_vault, to_vault),
                )
