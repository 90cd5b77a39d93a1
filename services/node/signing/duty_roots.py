"""Which root each validator signed for a duty, of any type: never another one, also after a restart.

What validators of a set sign is mostly one root, so a row is a root, with all who signed it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.slashing import SAFE
from dvtfast.qbft.messages import Duty

from .slashing_protection import TOO_HIGH

KEPT_SLOTS: Final = 1024  # 32 epochs; no duty is open that long
HIGHEST_SLOT: Final = (1 << 63) - 1  # what SQLite keeps
# Their slot is when the exit counts, which may be long ago. There are as many as operators ask for.
KEPT_FOR_EVER: Final = DutyType.EXIT
OTHER: Final = "another value is signed for the duty"
IDS: Final = np.dtype("<u4")

SignedRoot: TypeAlias = tuple[int, int, bytes]  # a validator's id, a subcommittee, a signing root


class DutyRoots:
    """Within transactions of the file that the connection is of.

    Args:
        kept_slots: of so many slots at least all is kept; duties before them are no more signed. They are
            counted, so that a clock that was wrong for a while makes nothing forgotten.
    """

    def __init__(self, connection: sqlite3.Connection, *, kept_slots: int = KEPT_SLOTS) -> None:
        self._run = connection.execute
        self._kept_slots = kept_slots
        [self._slots] = self._run("SELECT count(DISTINCT slot) FROM duties").fetchone()

    def problems(self, duty: Duty, signed: Sequence[SignedRoot]) -> list[str]:
        """Why each must not be signed, or `SAFE`."""
        if duty.slot > HIGHEST_SLOT:
            return [TOO_HIGH] * len(signed)
        [forgotten] = self._run("SELECT forgotten_slot FROM chain").fetchone()
        if duty.slot < forgotten and duty.type != KEPT_FOR_EVER:
            return [f"duties before slot {forgotten} are no more signed"] * len(signed)
        first = {
            (validator, subcommittee): root
            for (subcommittee, root), validators in self._signers(duty).items()
            for validator in validators.tolist()
        }
        return [
            SAFE if first.setdefault((validator, subcommittee), root) == root else OTHER
            for validator, subcommittee, root in signed
        ]

    def add(self, duty: Duty, signed: Sequence[SignedRoot]) -> None:
        """These are to be signed."""
        is_first = not self._run("SELECT 1 FROM duties WHERE slot = ? LIMIT 1", (duty.slot,)).fetchone()
        new: dict[tuple[int, bytes], list[int]] = {}
        for validator, subcommittee, root in signed:
            new.setdefault((subcommittee, root), []).append(validator)
        before = self._signers(duty)
        for (subcommittee, root), validators in new.items():
            ids = np.array(validators, IDS)
            if (subcommittee, root) in before:
                ids = np.union1d(before[subcommittee, root], ids)
            self._run(
                "INSERT OR REPLACE INTO duties VALUES (?, ?, ?, ?, ?)",
                (duty.slot, int(duty.type), subcommittee, root, ids.astype(IDS).tobytes()),
            )
        if is_first and duty.type != KEPT_FOR_EVER:
            self._slots += 1
            if self._slots > 2 * self._kept_slots:  # many at once, so that it costs little
                self._forget_old()

    def _signers(self, duty: Duty) -> dict[tuple[int, bytes], NDArray[Any]]:
        """Of each subcommittee and root."""
        rows = self._run(
            "SELECT subcommittee, signing_root, validators FROM duties WHERE slot = ? AND type = ?",
            (duty.slot, int(duty.type)),
        )
        return {(subcommittee, root): np.frombuffer(ids, IDS) for subcommittee, root, ids in rows}

    def _forget_old(self) -> None:
        kept = self._run(
            "SELECT DISTINCT slot FROM duties WHERE type != ? ORDER BY slot DESC LIMIT ?",
            (int(KEPT_FOR_EVER), self._kept_slots),
        ).fetchall()
        [oldest], self._slots = kept[-1], len(kept)
        self._run("DELETE FROM duties WHERE slot < ? AND type != ?", (oldest, int(KEPT_FOR_EVER)))
        self._run("UPDATE chain SET forgotten_slot = max(forgotten_slot, ?)", (oldest,))
