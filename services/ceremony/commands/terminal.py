"""How the commands end, and what they ask."""

from __future__ import annotations

from collections.abc import Callable

import click

from dvtfast import DvtfastError

from ...files import paths
from ...process.hardening import forbid_dumps
from ...settings import SettingsError
from ..errors import CeremonyError

FAILED = 1
NOT_MEANT = 130  # as the operator ends when somebody says no


def run(command: Callable[[], int]) -> int:
    """The exit code of a command; what it cannot do is told."""
    forbid_dumps()
    try:
        return command()
    except (CeremonyError, DvtfastError, OSError, SettingsError) as error:
        click.echo(f"error: {paths.told(error)}", err=True)
        return FAILED


def is_meant(question: str) -> bool:
    """Whether a person says yes; the end of the input is none."""
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        return False


def typed(question: str) -> str:
    """What a person types; nothing at the end of the input."""
    try:
        answer: str = click.prompt(question, err=True, default="", show_default=False)
        return answer.strip()
    except click.Abort:
        return ""
