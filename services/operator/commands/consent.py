"""A person's yes to an action."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Final

import click

from ...chain import units
from ..plan import Plan
from ..progress import ProgressReport, no_report, reports_paused
from ..sending.estimator import Estimate

ANSWERS: Final = {"y": True, "yes": True, "n": False, "no": False, "": False}  # the end of the file is none


@dataclass
class Consent:
    """A person's yes to an action; asked once, and for no more than was shown.

    Attributes:
        is_given: the person said so beforehand.
    """

    is_given: bool
    report: ProgressReport = no_report
    _up_to: tuple[int, ...] = ()

    async def to(self, plan: Plan, estimate: Estimate) -> bool:
        """Whether this is meant."""
        size = (*plan.size, estimate.most_wei)
        if self.is_given or (self._up_to and all(a <= b for a, b in zip(size, self._up_to, strict=True))):
            return True
        for line in plan.lines:
            click.echo(line, err=True)
        first, *more = plan.questions
        for question in (
            f"{first}, for at most {units.gas(estimate.most_wei, plan.network)} of gas?",
            *more,
        ):
            with reports_paused(self.report):
                if not await confirmed(question):
                    return False
        self._up_to = size
        return True


async def confirmed(question: str) -> bool:
    """Whether a person says yes.

    A read from a terminal cannot be broken off, so it begins when there is a line: Ctrl-C, or the end of the
    time, ends the program and not only the next line that somebody types.
    """
    if not sys.stdin.isatty():
        return await asyncio.to_thread(_confirm, question)
    while True:
        click.echo(f"{question} [y/N]: ", nl=False, err=True)
        await _readable(sys.stdin.fileno())
        if (answer := ANSWERS.get(sys.stdin.readline().strip().lower())) is not None:
            return answer
        click.echo("Error: expected y or n", err=True)


def _confirm(question: str) -> bool:
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        return False


async def _readable(file: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(file, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(file)
