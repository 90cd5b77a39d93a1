"""kill -9 while a node signs: whatever left the processes, there are no two values for one duty."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dvtfast.duties.duty_types import DutyType
from tests.house.sources import ROOT

KILLS = int(os.environ.get("DVTFAST_KILLS", "100"))
LONGEST_SECONDS = 0.02  # from the end of an epoch to a kill
FIRST_EPOCH = 3
KINDS = {DutyType.ATTESTER, DutyType.PROPOSER, DutyType.SYNC_MESSAGE, DutyType.SYNC_CONTRIBUTION}


class Spawner:
    """Starts processes that sign, and hears all that leaves them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.signatures: defaultdict[tuple[int, int, int, int], set[str]] = defaultdict(set)
        self.lines = 0  # signatures that left
        self.epoch = FIRST_EPOCH  # the last whole one

    def ask(self, path: Path, first: int, variant: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{path} {first} {variant}\n")
        self._process.stdin.flush()

    def hear(self) -> tuple[str, str]:
        """The next thing said that is no signature."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.startswith("{"):
                what, _, more = line.strip().partition(" ")
                if what == "epoch":
                    self.epoch = max(self.epoch, int(more))
                return what, more
            said = json.loads(line)
            of = said["type"], said["slot"], said["subcommittee"], said["validator"]
            self.signatures[of].add(said["signature"])
            self.lines += 1
        raise AssertionError("the spawner has ended")

    def until(self, *wanted: str) -> tuple[str, str]:
        while (heard := self.hear())[0] not in wanted:
            pass
        return heard

    def require_one_value_for_each_duty(self) -> None:
        # With that nothing can be slashed, either: votes are from one epoch to the next.
        assert not {of: values for of, values in self.signatures.items() if len(values) > 1}
        assert {kind for kind, *_ in self.signatures} == KINDS


@contextmanager
def spawning() -> Iterator[Spawner]:
    command = [sys.executable, "-m", "tests.services.node.signing.signing_process"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Spawner(process)
        finally:
            process.kill()


def test_whenever_a_node_is_killed_it_never_signs_two_values(tmp_path: Path) -> None:
    """It begins each time with duties that are done, and with other values for them."""
    moments = random.Random(8)
    path = tmp_path / "signing.sqlite"
    signed_between = 0
    with spawning() as spawner:
        for variant in range(1, KILLS + 1):
            before = spawner.lines
            spawner.ask(path, max(FIRST_EPOCH, spawner.epoch - 2), variant)
            child = int(spawner.until("process")[1])
            assert spawner.until("ready", "refused")[0] == "ready"
            for _ in range(moments.randrange(8)):
                spawner.until("epoch")
            time.sleep(moments.uniform(0, LONGEST_SECONDS))
            os.kill(child, signal.SIGKILL)
            spawner.until("over")
            signed_between += spawner.lines > before
        # Once more, until it is sure that all of them have something behind them.
        spawner.ask(path, FIRST_EPOCH, KILLS + 1)
        child, end = int(spawner.until("process")[1]), spawner.epoch + 3
        while spawner.epoch < end:
            spawner.until("epoch")
        os.kill(child, signal.SIGKILL)
        spawner.until("over")
    spawner.require_one_value_for_each_duty()
    assert signed_between > KILLS // 4
    assert len(spawner.signatures) >= 4 * len(KINDS) * 3


@pytest.mark.parametrize("lock_is_lost", [False, True], ids=["locked", "without its lock"])
def test_two_processes_with_one_record(tmp_path: Path, lock_is_lost: bool) -> None:
    """The second is refused; were it not, as on a disk that knows no locks, they would not contradict."""
    path = tmp_path / "signing.sqlite"
    with spawning() as spawner:
        spawner.ask(path, FIRST_EPOCH, 0)
        first = int(spawner.until("process")[1])
        spawner.until("ready")
        if lock_is_lost:
            path.with_name(path.name + ".lock").unlink()
        spawner.ask(path, FIRST_EPOCH, 1)
        second = int(spawner.until("process")[1])
        what, why = spawner.until("ready", "refused")
        if not lock_is_lost:
            assert what == "refused"
            assert "another node works with this slashing protection" in why
            spawner.until("over")
        else:
            assert what == "ready"
            while spawner.epoch < FIRST_EPOCH + 20:
                spawner.until("epoch")
            os.kill(second, signal.SIGKILL)
            spawner.until("over")
        os.kill(first, signal.SIGKILL)
    if lock_is_lost:
        spawner.require_one_value_for_each_duty()
