"""A question at a terminal: answered, or left."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

ASKS = """
import asyncio, sys
from dvtfast.services.process import running
from dvtfast.services.operator.commands.consent import confirmed

async def service(stop):
    asking, stopping = asyncio.create_task(confirmed("Meant")), asyncio.create_task(stop.wait())
    await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
    return 10 + asking.result() if asking.done() else 130

sys.exit(running.run(service))
"""


@contextmanager
def asked() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A program that asks at a terminal, and the other end of that."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ASKS], stdin=its, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stderr is not None
    try:
        assert process.stderr.read(len("Meant [y/N]: ")) == "Meant [y/N]: "
        yield process, ours
    finally:
        process.kill()
        process.communicate()
        os.close(ours)
        os.close(its)


@pytest.mark.parametrize(("typed", "code"), [(b"\n", 10), (b"\x04", 10), (b"what\nYES \n", 11)])
def test_an_answer(typed: bytes, code: int) -> None:
    with asked() as (process, terminal):
        os.write(terminal, typed)
        assert process.wait(timeout=200) == code


def test_a_signal_ends_the_question() -> None:
    """Nobody has to type anything any more."""
    with asked() as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=200) == 130
