"""When keys are read anew: what counts as a change, and what is tried again without one."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Hashable, Sequence
from pathlib import Path

import pytest

from dvtfast.services.keys.key_shares import NoKeysError
from dvtfast.services.process.background import in_background
from dvtfast.services.process.offload import UnavailableError
from dvtfast.services.sidecar.metrics import SidecarMetrics
from dvtfast.services.sidecar.nodes import reload
from dvtfast.services.sidecar.nodes.file_states import state_of
from dvtfast.services.sidecar.nodes.node import Node
from dvtfast.services.sidecar.nodes.reload import KeyReload
from dvtfast.services.sidecar.sidecars import Sidecars

from ..conftest import make_cluster
from ..sidecars import signing_node, until

TICK_SECONDS = 0.03  # longer than the kernel takes to give files another time


class Failing:
    """A source whose loads fail, one error after the other, until there is none left.

    Attributes:
        state: as it is shown.
        loads: how often it was asked.
    """

    def __init__(self, errors: Sequence[Exception]) -> None:
        self.state = 0
        self.loads = 0
        self._errors = list(errors)

    async def load(self) -> Sequence[Node]:
        self.loads += 1
        if self._errors:
            raise self._errors.pop(0)
        return []

    def fingerprint(self) -> Hashable:
        return self.state


@pytest.mark.parametrize(
    ("errors", "loads"),
    [
        ([], 1),
        ([NoKeysError("none")], 1),
        ([UnavailableError("away"), UnavailableError("away")], 3),
        ([UnavailableError("away"), NoKeysError("none")], 2),
    ],
)
async def test_what_is_away_is_asked_again(
    errors: list[Exception], loads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload, "LOOK_SECONDS", 0.005)
    source, asked = Failing(errors), asyncio.Event()
    async with signing_node(make_cluster(1)) as (_, signing):
        sidecars = Sidecars({}, signing, poll_seconds=1, wait_seconds=0)
        work = KeyReload([source], [source.fingerprint()], sidecars, SidecarMetrics(), asked=asked)
        async with in_background(work.run()):
            source.state += 1
            await until(lambda: source.loads == loads)
            await asyncio.sleep(0.2)
            assert source.loads == loads
            asked.set()
            await until(lambda: source.loads == loads + 1)


def test_what_is_a_change(tmp_path: Path) -> None:
    for name in ("keystore-0.json", "keystore-0.txt", "lock.json", "other"):
        (tmp_path / name).write_text("text")
    lock, states = tmp_path / "lock.json", set[Hashable]()
    states.add(state_of(lock, tmp_path))
    (tmp_path / "other").write_text("changed")
    (tmp_path / ".dvtfast-key-cache").write_text("written")
    assert state_of(lock, tmp_path) in states
    before = (tmp_path / "keystore-0.txt").stat()
    time.sleep(TICK_SECONDS)
    (tmp_path / "keystore-0.json").chmod(0o400)  # it may be read by now
    states.add(state_of(lock, tmp_path))
    (tmp_path / "keystore-0.txt").write_text("TEXT")
    os.utime(tmp_path / "keystore-0.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    states.add(state_of(lock, tmp_path))
    (tmp_path / "keystore-1.json").symlink_to("nowhere")  # what is being replaced counts when it is there
    assert state_of(lock, tmp_path) in states
    (tmp_path / "nowhere").write_text("there")
    states.add(state_of(lock, tmp_path))
    lock.unlink()
    states.add(state_of(lock, tmp_path))
    assert len(states) == 5


def test_what_cannot_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nowhere", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        assert state_of(path) == ()
