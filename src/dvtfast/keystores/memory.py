"""How much memory key derivations may take together: scrypt at its usual cost takes 256 MiB each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Of what is free, the other half stays for what else this process and others do meanwhile.
USED_PART = 0.5
MEMORY_INFO = Path("/proc/meminfo")
# cgroup v2 as a container sees its own: the limit, and what is used of it.
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
CGROUP_USED = Path("/sys/fs/cgroup/memory.current")
# Where neither is told: two scrypts of the usual cost.
UNKNOWN_BYTES = 2 * 256 * 1024**2


class MemoryBudget:
    """Lets as many threads work at once as half of the free memory is enough for, and always one.

    Args:
        limit_bytes: instead of half of the free memory.
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        self._limit = int(available_bytes() * USED_PART) if limit_bytes is None else limit_bytes
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def taking(self, size: int) -> Iterator[None]:
        """Wait until there is room for `size` bytes, or nobody else is at work."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + size <= self._limit)
            self._taken += size
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size
                self._changed.notify_all()


def available_bytes() -> int:
    """Memory that this process can still get, also as its cgroup sees it."""
    free = [size for size in (_free_on_machine(), _free_in_cgroup()) if size is not None]
    return min(free, default=UNKNOWN_BYTES)


def _free_on_machine() -> int | None:
    try:
        lines = MEMORY_INFO.read_text().splitlines()
        (kibibytes,) = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
        return int(kibibytes) * 1024
    except (OSError, ValueError):
        return None


def _free_in_cgroup() -> int | None:
    try:
        return max(0, int(CGROUP_LIMIT.read_text()) - int(CGROUP_USED.read_text()))
    except (OSError, ValueError):  # "max" is no limit
        return None
