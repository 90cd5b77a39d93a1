"""Tasks that nobody waits for: none fails unseen, none is left behind."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from dvtfast.services.process import background
from dvtfast.services.process.background import (
    Tasks,
    for_ever,
    in_background,
    repeat,
    result_of,
    start_task,
)
from dvtfast.services.process.offload import StoppedError
from tests.house.sources import SERVICES, python_files


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with capture_logs() as captured:
        yield captured


async def fails() -> None:
    raise ZeroDivisionError


def told(lines: list[Any]) -> list[tuple[str, str, type[BaseException]]]:
    return [(line["log_level"], line["task"], type(line["exc_info"])) for line in lines]


FAILED = ("error", "fails", ZeroDivisionError)


async def test_what_fails_is_told_though_nobody_waits(lines: list[Any]) -> None:
    tasks = Tasks()
    tasks.start(fails())
    assert len(tasks) == 1
    await asyncio.wait([start_task(fails())])
    await asyncio.sleep(0)
    assert told(lines) == [FAILED] * 2
    assert not tasks


async def test_what_is_cancelled_or_ends_is_not_told(lines: list[Any]) -> None:
    tasks = Tasks()
    for seconds in (0, 1000):
        tasks.start(asyncio.sleep(seconds))
    await asyncio.sleep(0)
    await tasks.close()
    assert not lines
    late = tasks.start(asyncio.sleep(1000))
    await asyncio.wait([late])
    assert late.cancelled()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_service_goes_on_where_something_beside_it_fails(lines: list[Any]) -> None:
    async with in_background(fails(), asyncio.sleep(1000)):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert told(lines) == [FAILED]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_never_ends_begins_anew(lines: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "FIRST_RETRY_SECONDS", 0.0)
    begun, is_good = 0, asyncio.Event()

    async def third_time_good() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            await fails()
        is_good.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(for_ever(third_time_good))
    await is_good.wait()
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert begun == 3
    assert [line["log_level"] for line in lines] == ["error"] * 2


async def test_what_never_ends_does_not_when_others_cancel_what_it_waits_for(
    lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for it by itself, or with others; only who cancels the loop ends it."""
    monkeypatch.setattr(background, "FIRST_RETRY_SECONDS", 0.0)
    cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    cancelled.cancel()
    begun_anew = asyncio.Event()

    async def wait() -> None:
        if ways:
            await ways.pop()
        begun_anew.set()
        await asyncio.Event().wait()

    for loop in (for_ever(wait), repeat("a file", wait, 0.0)):
        ways = [cancelled, asyncio.shield(cancelled), asyncio.gather(cancelled)]
        begun_anew.clear()
        running, looking = asyncio.create_task(loop), asyncio.create_task(begun_anew.wait())
        await asyncio.wait([running, looking], return_when=asyncio.FIRST_COMPLETED)
        looking.cancel()
        assert not running.done()
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
    assert [line["log_level"] for line in lines] == ["error"] * 3 + ["warning"] * 3


async def test_what_others_wait_for_goes_on_when_one_is_cancelled() -> None:
    work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    one, other = (asyncio.create_task(result_of(work)) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.wait([one])
    assert one.cancelled()
    work.set_result(7)
    assert await other == await result_of(work) == 7


async def test_what_is_cancelled_is_told_to_whoever_waits() -> None:
    task = asyncio.create_task(asyncio.sleep(1000))
    waiting = [asyncio.create_task(result_of(task)) for _ in range(2)]
    await asyncio.sleep(0)
    task.cancel()
    assert [type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)] == [
        StoppedError
    ] * 2
    failed = asyncio.create_task(fails())
    with pytest.raises(ZeroDivisionError):
        await result_of(failed)


def test_all_tasks_of_a_node_are_told_of() -> None:
    """A group raises what fails in it; of all others these two ways tell."""
    found = []
    for file in python_files(SERVICES / "node"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Attribute(value=ast.Name(id="asyncio"), attr="create_task" | "ensure_future"):
                    found.append(f"{file}:{node.lineno}")
    assert not found
