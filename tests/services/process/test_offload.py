"""Work on threads: bounded, with a deadline."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Generator

import pytest

from dvtfast.services.process import offload
from dvtfast.services.process.offload import OverloadedError, StoppedError, Workers


async def test_results_and_errors_come_back() -> None:
    workers = Workers("test", threads=1)
    assert await workers.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await workers.run(divmod, 7, 0)
    await workers.close()


async def test_the_queue_is_bounded() -> None:
    workers = Workers("test", threads=1, queue_limit=1)
    go = threading.Event()
    tasks = [asyncio.create_task(workers.run(go.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await workers.run(go.wait)
    go.set()
    assert await asyncio.gather(*tasks) == [True, True]
    assert await workers.run(go.wait)  # there is room again
    await workers.close()


async def test_what_has_not_begun_at_the_deadline_never_does() -> None:
    workers = Workers("test", threads=1, deadline_seconds=0.1)
    go, begun = threading.Event(), threading.Event()
    first = asyncio.create_task(workers.run(go.wait))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await workers.run(begun.set)
    with pytest.raises(TimeoutError):
        await first
    go.set()
    await workers.close()
    assert not begun.is_set()


async def test_what_has_not_begun_at_the_end_is_told_so() -> None:
    workers = Workers("test", threads=1)
    begun, go = threading.Event(), threading.Event()

    def busy() -> bool:
        begun.set()
        return go.wait()

    under_way, waiting = (asyncio.create_task(workers.run(work)) for work in (busy, go.wait))
    await asyncio.to_thread(begun.wait)
    closing = asyncio.create_task(workers.close())
    with pytest.raises(StoppedError):
        await waiting
    with pytest.raises(StoppedError):
        await workers.run(go.wait)
    with pytest.raises(StoppedError):
        await workers.run_in_turn(1, go.wait)
    go.set()
    await closing
    assert await under_way


async def test_other_work_comes_between_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offload, "PIECE_SECONDS", 0.0)
    workers = Workers("test", threads=1)
    done: list[object] = []
    begun, go = threading.Event(), threading.Event()

    def long_work(last: int) -> Generator[None, None, int]:
        begun.set()
        go.wait()
        for step in range(last):
            done.append(step)
            yield
        return last

    task = asyncio.create_task(workers.run_in_pieces(long_work, 9))
    await asyncio.sleep(0)
    other = asyncio.create_task(workers.run(done.append, "other"))
    await asyncio.to_thread(begun.wait)
    go.set()
    assert await task == 9
    await other
    assert sorted(done, key=str) == [*range(9), "other"]
    assert done.index("other") < 3
    with pytest.raises(StoppedError):
        await workers.run_in_pieces(long_work, 9, stop=lambda: True)
    with pytest.raises(TypeError):
        await workers.run_in_pieces(long_work, "nine")
    await workers.close()


async def test_dropped_work_keeps_its_place_and_nothing_else() -> None:
    workers = Workers("test", threads=1, queue_limit=1)
    go = threading.Event()
    first = asyncio.create_task(workers.run(go.wait))
    await asyncio.sleep(0)
    given = threading.Event()
    kept = weakref.ref(given)
    second = asyncio.create_task(workers.run(given.set))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    assert workers.under_way == 2
    with pytest.raises(OverloadedError):
        await workers.run(go.wait)
    del given, second
    gc.collect()
    assert kept() is None
    go.set()
    assert await first
    await workers.close()
    assert workers.under_way == 0


async def test_many_of_one_keep_no_other_waiting() -> None:
    workers, go = Workers("test", threads=1), threading.Event()
    done: list[object] = []
    busy = asyncio.create_task(workers.run(go.wait))
    await asyncio.sleep(0)
    many = [asyncio.create_task(workers.run_in_turn("one", done.append, number)) for number in range(9)]
    await asyncio.sleep(0)
    other = asyncio.create_task(workers.run_in_turn("other", done.append, "other"))
    await asyncio.sleep(0)
    assert workers.under_way == 3  # what is busy, and one of each
    go.set()
    await asyncio.gather(busy, other, *many)
    assert done == [0, "other", *range(1, 9)]
    await workers.close()


async def test_what_waits_for_its_turn_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offload, "MOST_IN_TURN", 2)
    workers, go = Workers("test", threads=2), threading.Event()
    tasks = [asyncio.create_task(workers.run_in_turn("one", go.wait)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await workers.run_in_turn("one", go.wait)
    assert await workers.run_in_turn("other", int) == 0
    go.set()
    assert await asyncio.gather(*tasks) == [True] * 3
    assert await workers.run_in_turn("one", int) == 0
    await workers.close()


async def test_whoever_is_cut_off_keeps_its_turn_until_a_thread_has_come_by() -> None:
    """Or one whose work is slow would have all threads in the end, however soon it is cut off."""
    workers, go = Workers("test", threads=2), threading.Event()
    for _ in range(10):
        task = asyncio.create_task(workers.run_in_turn("one", go.wait))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert workers.under_way == 1
    assert await workers.run_in_turn("other", int) == 0
    go.set()
    assert await workers.run_in_turn("one", int) == 0
    await workers.close()


async def test_a_full_queue_ends_no_turn_for_good() -> None:
    workers, go = Workers("test", threads=1, queue_limit=0), threading.Event()
    busy = asyncio.create_task(workers.run(go.wait))
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await workers.run_in_turn("one", int)
    go.set()
    await busy
    assert await workers.run_in_turn("one", int) == 0
    await workers.close()


async def test_who_waits_for_a_place_gets_it() -> None:
    workers, go_on = Workers("test", threads=1, queue_limit=0), threading.Event()
    try:
        first = asyncio.create_task(workers.run(go_on.wait))
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await workers.run(int, "6")
        others = [asyncio.create_task(workers.run_when_free(int, str(each))) for each in (7, 8)]
        await asyncio.sleep(0)
        go_on.set()
        assert await asyncio.gather(*others) == [7, 8]
        await first
    finally:
        go_on.set()
        await workers.close()
