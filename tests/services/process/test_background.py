"""Tasks that nobody waits for: none fails unseen, none is left behind."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from dvtfast.services.process import background
from dvtfast.services.process.background import Tasks, for_ever, in_background, start_task
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
    begun = 0

    async def third_time_good() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            await fails()
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await for_ever(third_time_good)
    assert begun == 3
    assert [line["log_level"] for line in lines] == ["error"] * 2


def test_all_tasks_of_a_node_are_told_of() -> None:
    """A group raises what fails in it; of all others these two ways tell."""
    found = []
    for file in python_files(SERVICES / "node"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Attribute(value=ast.Name(id="asyncio"), attr="create_task" | "ensure_future"):
                    found.append(f"{file}:{node.lineno}")
    assert not found
