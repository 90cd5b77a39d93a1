"""The `dvtfast` command; where its packages are missing, or it is interrupted, one line and no traceback."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

from .extras import missing

INTERRUPTED = 128 + signal.SIGINT  # as shells have it


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    try:
        _when_interrupted(end_at_once)  # libraries may take a KeyboardInterrupt for a failed import
        from .cli import main as command_line

        _when_interrupted(signal.default_int_handler)
        command_line(prog_name="dvtfast")
    except ImportError as error:
        if (words := missing(error)) is None:
            raise
        sys.exit(f"dvtfast: {words}")
    except KeyboardInterrupt:
        end_at_once()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            end_at_once()
        raise


def end_at_once(number: int = signal.SIGINT, frame: FrameType | None = None) -> NoReturn:
    """End the process without waiting for threads; nothing is under way that must be finished."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os.write(2, b"dvtfast: interrupted\n")
    os._exit(INTERRUPTED)


def _when_interrupted(handler: Any) -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in the background of a shell
        signal.signal(signal.SIGINT, handler)


if __name__ == "__main__":
    main()
