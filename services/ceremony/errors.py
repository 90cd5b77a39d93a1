"""What a ceremony cannot go on with."""

from __future__ import annotations

from dvtfast.dkg.outputs import Aborted


class CeremonyError(Exception):
    """Why nothing was made; the message is for people, and says what to do."""


class UnpublishedError(CeremonyError):
    """All nodes have stored their keys; this one's are on its disk, and not yet where they are to be."""


class CeremonyFailedError(Exception):
    """There are no keys.

    Attributes:
        aborts: why, and who is at fault, where it is known.
        attempt: which one it was; None for a charon ceremony, which cannot be gone on with.
        is_unconfirmed: this node has stored all, and others may have finished.
    """

    def __init__(self, aborts: list[Aborted], attempt: int | None) -> None:
        super().__init__("; ".join(dict.fromkeys(abort.reason for abort in aborts)))
        self.aborts = aborts
        self.attempt = attempt
        self.is_unconfirmed = any(abort.unconfirmed for abort in aborts)

    @property
    def culprits(self) -> list[int]:
        """Positions of those at fault."""
        return sorted({abort.culprit for abort in self.aborts if abort.culprit is not None})
