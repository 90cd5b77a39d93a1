"""Write a node's folder in a process that is killed before its n-th change to the disk, for every n.

Run as a program with a directory to work in; it prints a line for each n: what was in place when the process
was dead, what `settle` made of it, and what is there in the end.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from dvtfast.services.ceremony.folder import staging_of, verify_node_files, write_node_files
from dvtfast.services.ceremony.staging import Left

from .dealt import CHEAP, a_cluster, result_of

CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate"}
WRITES = os.O_WRONLY | os.O_RDWR
ALL = {"cluster-lock.json", "deposit-data.json", "deposit-data-1eth.json", "validator_keys"}


def main(work: Path) -> None:
    """Until the process comes to its end."""
    result = result_of(a_cluster(), 1)
    for step in range(1, 1000):
        directory = work / f"step{step}"
        directory.mkdir()
        child = os.fork()
        if not child:
            _kill_at(step, directory)
            staging = staging_of(directory)
            write_node_files(staging.begin(b"here"), result, CHEAP)
            staging.complete()
            staging.confirm()
            staging.publish()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert was_killed or os.waitstatus_to_exitcode(status) == 0, status
        dead = _in_place(directory)
        staging = staging_of(directory)
        left = staging.settle()
        settled = _in_place(directory)
        if left in (Left.WRITTEN, Left.CONFIRMED):
            staging.publish()
        there = _in_place(directory)
        if there:
            verify_node_files(directory, result, threads=1)
        hidden = [path for path in directory.iterdir() if path.name.startswith(".")]
        print(step, int(was_killed), _shown(dead), left.name, _shown(settled), _shown(there), len(hidden))
        if not was_killed:
            return
    raise AssertionError("it never ends")


def _kill_at(step: int, directory: Path) -> None:
    count = 0

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event in CHANGES or (event == "open" and _writes(arguments)):
            if not any(str(directory) in str(each) for each in arguments):
                return
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hear)


def _writes(arguments: tuple[object, ...]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & WRITES)


def _in_place(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if not path.name.startswith(".")}


def _shown(names: set[str]) -> str:
    if names == ALL:
        return "all"
    return "with-lock" if "cluster-lock.json" in names else "some" if names else "none"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
