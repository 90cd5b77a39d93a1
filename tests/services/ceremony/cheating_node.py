"""`dvtfast dkg` with a machine that deals operator 1 a wrong share, and signs all that it says.

Run as a program, with the arguments of `dvtfast dkg`.
"""

from __future__ import annotations

import sys
from typing import Any

from dvtfast.services.ceremony.running import running
from dvtfast.services.cli import main
from tests import cheaters

VICTIM = 1


def cheating(*arguments: Any, **more: Any) -> Any:
    """A machine as ours, but for the share."""
    machine = honest(*arguments, **more)
    cheaters.wrong_shares(VICTIM)(machine)
    return machine


if __name__ == "__main__":
    honest = running.Machine
    running.Machine = cheating  # type: ignore[assignment, misc]
    main(["dkg", *sys.argv[1:]])
