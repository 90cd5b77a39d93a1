"""Long work on the thread that rounds need is done in pieces, and a round that comes meanwhile goes first."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from typing import Any

import pytest

from dvtfast.services.process import offload
from dvtfast.services.relayer.judging import judge as judge_
from dvtfast.services.relayer.judging.judge import Judge
from dvtfast.services.relayer.judging.pipeline import Pipeline

from .conftest import START_INDEX, Cluster, Relayer, Start, make_cluster
from .patience import PATIENCE_SECONDS
from .relayer.test_shares import wrong

ROUND_INDEX = 5000
MANY_SHARES = 32


class Held:
    """Work in steps that begins, waits until it is let go, and then notes each of its steps."""

    def __init__(self, worked: list[str]) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self._worked = worked

    def hold(self, steps: Generator[None, None, Any]) -> Generator[None, None, Any]:
        if self.begun.is_set():
            return (yield from steps)
        self.begun.set()
        assert self.go_on.wait(PATIENCE_SECONDS)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                self._worked.append("end")
                return end.value
            self._worked.append("step")
            yield


async def search(relayer: Relayer, cluster: Cluster) -> None:
    """Without key shares, and with bad shares alone, it is a long one."""
    await relayer.ask(cluster)
    for share_index in range(1, MANY_SHARES + 1):
        await relayer.post(share_index, wrong(cluster.exit_shares(1, [START_INDEX])))


async def fit(relayer: Relayer, cluster: Cluster) -> None:
    """A share may be late for any of the exits that were asked for before."""
    starts = range(1000, 1024, 2)
    for start in starts:
        await relayer.ask(cluster, start)
        await relayer.fill(cluster, range(start, start + 2), 4)  # without a share it would be forgotten
    await relayer.fill(cluster, range(1000, 1002), 1)  # in flight when the index moved
    await relayer.fill(cluster, range(starts[-1], starts[-1] + 2), 2)


async def verify(relayer: Relayer, cluster: Cluster) -> None:
    """Shares that came when others had been enough are verified in the end."""
    await relayer.ask(cluster)
    indices = range(START_INDEX, START_INDEX + len(cluster.keys))
    await relayer.fill(cluster, indices, 1, 2, 3)
    await relayer.until_ready(cluster)
    await relayer.fill(cluster, indices, 4)


@pytest.mark.parametrize("work", ["judge", "fitting", "check"])
async def test_a_round_comes_between_the_pieces(
    start: Start, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    monkeypatch.setattr(offload, "PIECE_SECONDS", 0.0)
    monkeypatch.setattr(judge_, "CHECKED_TOGETHER", 1)
    worked: list[str] = []
    pipelines: list[Pipeline] = []
    held = Held(worked)
    judge, long_work, wired = Judge.judge, getattr(Judge, work), Pipeline.__init__
    round_ = make_cluster(1, name="round")

    def keep(self: Pipeline, *arguments: Any) -> None:
        wired(self, *arguments)
        pipelines.append(self)

    def judge_and_tell(self: Judge, group: Any, due: Any, *more: Any) -> Generator[None, None, Any]:
        if work == "judge" and more[-1] is not None and len(due[0].shares) == MANY_SHARES:
            return (yield from held.hold(judge(self, group, due, *more)))
        judged = yield from judge(self, group, due, *more)
        if due[0].public_key in round_.keys:
            worked.append("round")
        return judged

    monkeypatch.setattr(Pipeline, "__init__", keep)
    monkeypatch.setattr(Judge, work, lambda self, *arguments: held.hold(long_work(self, *arguments)))
    monkeypatch.setattr(Judge, "judge", judge_and_tell)
    prepare, cluster = {
        "judge": (search, make_cluster(1)),
        "fitting": (fit, make_cluster(2, name="known")),
        "check": (verify, make_cluster(24, name="known")),
    }[work]
    named = (round_,) if work == "judge" else (round_, cluster)
    async with start(*named, signature_threshold=3) as relayer:
        await relayer.ask(round_, ROUND_INDEX)
        await prepare(relayer, cluster)
        assert await asyncio.to_thread(held.begun.wait, PATIENCE_SECONDS)
        worked.clear()
        await relayer.fill(round_, [ROUND_INDEX], 1, 2, 3)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while pipelines[0]._workers.under_way < 2:  # noqa: ASYNC110 - until the round waits for the thread
                await asyncio.sleep(0.01)
        held.go_on.set()
        await relayer.until(lambda exits: exits[round_.keys[0]].is_exit_signature_ready)
        await relayer.until(lambda _: worked.count("step") >= 12)
    done = worked.index("round")
    assert "end" not in worked[:done]
    assert "step" in worked[done:]
    assert worked[:done].count("step") <= 12  # one for each piece of the round
