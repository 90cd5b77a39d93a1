"""`dvtfast operator status`: the journal, also while the operator runs."""

from __future__ import annotations

import asyncio

import click
import msgspec
from rich.console import Console

from ...files import paths
from ...settings import EXIT_CODE, StatusSettings
from ..sending.action import JournalEntry
from ..sending.journal import Journal, JournalError
from . import exit_codes
from .summary import as_json, as_table

WIDTH = 180  # where there is no terminal, so that no line is broken


def run(settings: StatusSettings) -> int:
    """Print the latest actions; the exit code says whether one is open."""
    try:
        entries = asyncio.run(_entries(settings))
    except JournalError as error:
        click.echo(f"error: {error}", err=True)
        return EXIT_CODE
    if settings.json:
        click.echo(msgspec.json.encode([as_json(entry) for entry in entries]))
    elif entries:
        console = Console()
        Console(width=None if console.is_terminal else WIDTH).print(as_table(entries))
    else:
        click.echo("nothing was sent yet")
    is_open = any(entry.conclusion is None for entry in entries)
    return exit_codes.OPEN if is_open else exit_codes.DONE


async def _entries(settings: StatusSettings) -> list[JournalEntry]:
    if problem := paths.no_file(settings.journal):
        raise JournalError(f"{problem}; --journal names the operator's")
    async with Journal(settings.journal, read_only=True) as journal:
        return await journal.entries(most=settings.last)
