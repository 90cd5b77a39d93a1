"""Where the `dvtfast` command begins: the library takes a while to import, which may be interrupted, too."""

from __future__ import annotations

import os
import signal
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT  # as shells have it


def main() -> None:
    """Import the command line, and run it."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in the background of a shell
        signal.signal(signal.SIGINT, _end)
    from dvtfast.services.__main__ import main as run

    run()


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, b"dvtfast: interrupted\n")
    os._exit(INTERRUPTED)
