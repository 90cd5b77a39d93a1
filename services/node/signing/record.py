"""What a node has signed, on disk before it is signed, and so what it must not sign any more.

One file has slashing protection and the root of every duty; a duty's whole set is one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dvtfast.duties.slashing import SAFE, SignedAttestation, SignedBlock
from dvtfast.qbft.messages import Duty

from ..partial_signatures import Bytes, Positions
from .duty_roots import KEPT_SLOTS, DutyRoots
from .slashing_protection import KEPT_EPOCHS, SlashingProtection

# Who has the file for itself; who hands its content over has to be this, too.
ONE_WRITER: Final = "node"


class SigningRecord:
    """The record of one node, from any thread. No other process may have it open.

    A restart with the same file signs nothing that contradicts what was signed before.
    """

    def __init__(
        self,
        path: Path | None,
        genesis_validators_root: bytes,
        public_key_shares: Bytes,
        *,
        kept_epochs: int = KEPT_EPOCHS,
        kept_slots: int = KEPT_SLOTS,
    ) -> None:
        """Open the file, or make it; without a path, forget all in the end.

        Args:
            public_key_shares: uint8[m, 48], of this node, by position in the cluster.
            kept_epochs: of votes.
            kept_slots: of duties.

        Raises:
            SlashingProtectionError: neither is possible, it is of another chain, or another node has it.
        """
        self._keys = [row.tobytes() for row in public_key_shares]
        self._protection = SlashingProtection(
            path, genesis_validators_root, kept_epochs=kept_epochs, one_writer=ONE_WRITER
        )
        try:
            self._roots = DutyRoots(self._protection.file.connection, kept_slots=kept_slots)
            self._ids = self._protection.ids_of(self._keys)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._protection.close()

    def add(
        self,
        duty: Duty,
        validators: Positions,
        signing_roots: Sequence[bytes],
        *,
        subcommittees: Sequence[int] | None = None,
        blocks: Sequence[SignedBlock] = (),
        votes: Sequence[SignedAttestation] = (),
    ) -> list[str]:
        """Put what is to be signed for a duty on record.

        When it returns, that is on disk.

        Args:
            validators: positions in the cluster.
            subcommittees: of each, where a validator may sign for several of them.
            blocks: that these roots are of, if they are of such.
            votes: the same.

        Returns:
            For each, why it must not be signed, or "".

        Raises:
            SlashingProtectionError: the file cannot be written; nothing may be signed.
        """
        of = [0] * len(validators) if subcommittees is None else subcommittees
        ids = [self._ids[validator] for validator in validators.tolist()]
        signed = list(zip(ids, of, signing_roots, strict=True))
        with self._protection.file.transaction():
            problems = self._roots.problems(duty, signed)
            rows = [row for row, problem in enumerate(problems) if problem == SAFE]
            keys = [self._keys[validators[row]] for row in rows]
            if blocks:
                judged = self._protection.record_blocks(keys, [blocks[row] for row in rows])
            elif votes:
                judged = self._protection.record_attestations(keys, [votes[row] for row in rows])
            else:
                judged = [SAFE] * len(rows)
            for row, problem in zip(rows, judged, strict=True):
                problems[row] = problem
            rows = [row for row in rows if problems[row] == SAFE]
            if rows:
                self._roots.add(duty, [signed[row] for row in rows])
        return problems
