"""The only place that slices a batch over threads."""

from __future__ import annotations

import itertools
import math
import os
from _thread import LockType, allocate_lock, start_new_thread
from collections import deque
from collections.abc import Callable
from functools import cache

from dvtfast._arrays import as_count

# A kernel call holds scratch memory for its rows: long batches go in pieces of this many rows.
CHUNK_ROWS = 1024
# Below this many rows per thread the fixed cost of a batch outweighs the second core.
MIN_ROWS_PER_THREAD = 8


def available_cores() -> int:
    """Cores this process may use: its CPU affinity, capped by its cgroup quota."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        cores = os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, min(cores, math.ceil(quota)) if quota else cores)


@cache
def _cgroup_quota() -> float | None:
    """Cores granted by cgroup v2 or v1, None without a limit."""
    from pathlib import Path  # not at the top: it is a tenth of importing dvtfast

    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text()
            period = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return cores if cores > 0 else None


def for_slices(
    n: int,
    kernel: Callable[[slice], None],
    *,
    threads: int | None = None,
    chunk_rows: int = CHUNK_ROWS,
    rows_per_thread: int = MIN_ROWS_PER_THREAD,
) -> None:
    """Call `kernel` with slices that cover rows 0..n-1, on up to `threads` threads.

    Kernels release the GIL. The default is every core this process may use. After an exception of a slice, or
    Ctrl-C, no other slice begins; it is raised when the running ones have ended. A thread gets at least
    `rows_per_thread` rows.

    Raises:
        InputError: `threads` is no count.
    """
    threads = None if threads is None else as_count("threads", threads, least=1)
    workers = min(threads or available_cores(), max(1, n // rows_per_thread))
    # Equal pieces, a multiple of the workers, none longer than chunk_rows.
    pieces = workers * max(1, math.ceil(n / (workers * chunk_rows)))
    edges = [n * i // pieces for i in range(pieces + 1)]
    slices = [slice(start, stop) for start, stop in itertools.pairwise(edges) if stop > start]
    if workers == 1:
        for rows in slices:
            kernel(rows)
        return
    _on_threads(workers, deque(slices), kernel)


def _on_threads(workers: int, todo: deque[slice], kernel: Callable[[slice], None]) -> None:
    """Bare threads and locks: Ctrl-C in the middle of what `threading` is made of may leave that locked.

    A thread says that it works before it takes a slice. So nobody takes one whose end is not waited for:
    either its word is seen here, or it comes after all slices are gone.
    """
    working: list[LockType] = []
    failures: list[BaseException] = []

    def work(end: LockType) -> None:
        working.append(end)
        try:
            while todo:
                try:
                    rows = todo.popleft()
                except IndexError:  # another thread was faster
                    return
                kernel(rows)
        except BaseException as failure:
            failures.append(failure)
            todo.clear()
        finally:
            end.release()

    ends = [allocate_lock() for _ in range(workers)]
    try:
        for end in ends:
            end.acquire()
            start_new_thread(work, (end,))
        for end in ends:
            with end:
                pass
    except BaseException:
        todo.clear()
        for end in list(working):
            with end:
                pass
        raise
    if failures:
        try:
            raise failures[0]
        finally:
            failures.clear()  # which has this frame, and all that it refers to
