"""One process at a time: a lock that ends with it, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

FILE_MODE = 0o600


def lock_beside(path: Path) -> int | None:
    """Lock a file for this process, by whichever name it is called; what is locked is another one beside it.

    Closing the file itself would end the locks that SQLite has on it.

    Returns:
        A descriptor, which is to be closed in the end; None when another process has the lock.

    Raises:
        OSError: there can be no file beside it.
    """
    path = path.resolve()
    lock = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
