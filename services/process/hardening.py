"""Keys that are in memory do not reach a core file, or a debugger of the same user."""

from __future__ import annotations

import ctypes
import os
import sys

from . import logs

PR_SET_DUMPABLE = 4  # linux/prctl.h

log = logs.get("process")


def forbid_dumps() -> None:
    """Make this process one of which nothing is dumped; does nothing where there is no such call."""
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        log.warning("core files are not forbidden", error=os.strerror(ctypes.get_errno()))
