"""How the operator's commands end; docs/operator.md says what to do."""

from __future__ import annotations

from typing import Final

from ..sending.action import Outcome

DONE: Final = 0
FAILED: Final = 1  # nothing was sent
WRONG_SETTINGS: Final = 2
NOTHING_TO_DO: Final = 3  # nothing was sent; later there may be something
NOT_READY: Final = 4  # nothing was sent; the relayer, oracles, nodes or the signer do not do their part
OPEN: Final = 5  # sent and not concluded; the next start goes on
NOT_DONE: Final = 6  # concluded, but not done: reverted, cancelled or superseded
SUBMITTED: Final = 7  # done as far as the vault can; the beacon chain does not show it
STOPPED: Final = 130  # as a shell says of a program that Ctrl-C ended; nothing was sent

OF_OUTCOME: Final = {
    Outcome.DONE: DONE,
    Outcome.SUBMITTED: SUBMITTED,
    Outcome.REVERTED: NOT_DONE,
    Outcome.CANCELLED: NOT_DONE,
    Outcome.SUPERSEDED: NOT_DONE,
    Outcome.UNSENT: FAILED,
}
