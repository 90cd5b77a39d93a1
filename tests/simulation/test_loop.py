"""The virtual loop, and programs that are killed, stopped and put to sleep on it."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from tests.simulation.loop import Program, StillError, VirtualLoop


@pytest.fixture
def loop():
    made = VirtualLoop(Random(1))
    yield made
    made.close()


def test_an_hour_costs_what_happens_in_it(loop):
    async def wait():
        await asyncio.sleep(3600)
        return loop.time()

    assert loop.run_until_complete(wait()) == 3600
    assert loop.steps < 10


def test_what_waits_for_ever_is_an_error(loop):
    with pytest.raises(StillError):
        loop.run_until_complete(asyncio.Event().wait())


def test_work_on_threads_runs_at_once_and_takes_a_moment(loop):
    async def work():
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        return await asyncio.to_thread(lambda: loop.time()), loop.time()

    called, known = loop.run_until_complete(work())
    assert called < known


async def count(found, seconds=1.0):
    while True:
        await asyncio.sleep(seconds)
        found.append(asyncio.get_running_loop().time())


def test_a_killed_program_tidies_up_unseen(loop):
    program, ends = Program(loop, "a"), []

    async def work():
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(0)
            ends.append(program.is_alive)

    async def main():
        program.run(work())
        await asyncio.sleep(1)
        program.kill()
        await program.gone()

    loop.run_until_complete(main())
    assert ends == [False]
    assert not program.tasks


@pytest.mark.parametrize("steps", range(6))
def test_a_program_is_killed_after_so_many_steps(loop, steps):
    program, found = Program(loop, "a"), []

    async def main():
        program.steps_left = steps
        program.run(count(found))
        await asyncio.sleep(10)
        assert not program.is_alive
        await program.gone()

    loop.run_until_complete(main())
    assert len(found) <= steps


@pytest.mark.parametrize(("with_clock", "expected"), [(False, [1, 2, 5, 6]), (True, [1, 2, 5.5, 6.5])])
def test_a_stopped_program_goes_on(loop, with_clock, expected):
    program, found = Program(loop, "a"), []

    async def main():
        program.run(count(found))
        await asyncio.sleep(2.5)
        program.stop(2.5, with_clock=with_clock)
        await asyncio.sleep(4.3)
        program.kill()
        await program.gone()

    loop.run_until_complete(main())
    assert found == expected


def test_sets_of_tasks_have_one_order():
    def order():
        loop = VirtualLoop(Random(1))

        async def main():
            tasks = {asyncio.create_task(asyncio.sleep(1), name=str(n)) for n in range(100)}
            names = [task.get_name() for task in tasks]
            await asyncio.wait(tasks)
            return names

        try:
            return loop.run_until_complete(main())
        finally:
            loop.close()

    assert order() == order()
