"""Tables for people, lines where there is no terminal, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import click
import msgspec
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from ..process import logs

STYLES = {"ok": "green", "fault": "bold red", "not checked": "yellow"}


def show(columns: Sequence[str], rows: Sequence[Mapping[str, str]], *, as_json: bool) -> None:
    """Print rows; what is of no column is in the JSON only. Names of files can have any letters."""
    rows = [{name: logs.printable(text) for name, text in row.items()} for row in rows]
    if as_json:
        click.echo(msgspec.json.encode(rows))
    elif sys.stdout.isatty():
        table = Table(
            *(Column(name, no_wrap=True, overflow="ellipsis") for name in columns[:-1]), columns[-1]
        )
        for row in rows:
            table.add_row(*(Text(row[name], STYLES.get(row[name], "")) for name in columns))
        Console().print(table)
    else:
        widths = [max(len(row[name]) for row in rows) for name in columns[:-1]] if rows else []
        for row in rows:
            cells = [row[name].ljust(width) for name, width in zip(columns, widths, strict=False)]
            click.echo("  ".join([*cells, row[columns[-1]]]))
