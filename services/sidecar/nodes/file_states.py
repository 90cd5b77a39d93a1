"""Whether files that keys are read from have changed."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator
from contextlib import suppress
from pathlib import Path

KEYSTORE_PREFIX = "keystore-"  # of the password files, too


def state_of(*paths: Path | None) -> Hashable:
    """Differs when one of these files, or a keystore in one of these directories, is another one.

    That a file may be read by now is a change, too.
    """
    state: list[Hashable] = []
    for path in filter(None, paths):
        with suppress(OSError):  # it is being replaced, or is for others only
            is_directory = path.is_dir()
            state += sorted(_states_in(path)) if is_directory else [(str(path), *_times(path.stat()))]
    return tuple(state)


def _states_in(directory: Path) -> Iterator[tuple[str, int, int, int]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(KEYSTORE_PREFIX):
                with suppress(OSError):
                    yield (entry.path, *_times(entry.stat()))


def _times(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size
