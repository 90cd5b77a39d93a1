"""Commands that are imported when they are called, and whose help has their options by subject."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click

PATH = click.Path(readable=False, path_type=Path)  # whose files these are the commands say, not click
FIRST = "Options"  # what everybody needs, and what has no subject
HYPHEN, UNBROKEN_HYPHEN = "-", "\N{NON-BREAKING HYPHEN}"
WHOLE_SENTENCE = 1000  # characters; what is longer than a line goes on in the next one

Elsewhere = Mapping[str, tuple[str, str]]
"""Commands by name: the module whose attribute of that name each is, with _ for -, and one line of help."""


class Formatter(click.HelpFormatter):
    """Lines end between words: the name of an option is one, for all its hyphens."""

    def write_text(self, text: str) -> None:
        """A paragraph."""
        super().write_text(_unbroken(text))

    def write_dl(self, rows: Iterable[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        """Names, and what they mean."""
        super().write_dl([(name, _unbroken(text)) for name, text in rows], *args, **kwargs)

    def getvalue(self) -> str:
        """All of it."""
        return super().getvalue().replace(UNBROKEN_HYPHEN, HYPHEN)


class Context(click.Context):
    """With lines that end so."""

    formatter_class = Formatter


class Command(click.Command):
    """A command whose help has its options by subject."""

    context_class = Context

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What everybody needs first."""
        _write_options(self, ctx, formatter)


class Commands(click.Group):
    """A group of commands, in the order in which they are defined.

    click itself would say "Aborted!" of what is interrupted, and end it as if it had failed.
    """

    context_class = Context
    command_class = Command
    group_class = type

    def __init__(self, *args: Any, elsewhere: Mapping[str, Elsewhere] | None = None, **kwargs: Any) -> None:
        """Args:
        elsewhere: by title, the commands that are imported when they are called.
        """
        super().__init__(*args, **kwargs)
        self.elsewhere = elsewhere or {}

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the command line."""
        with _interrupted():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _interrupted():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return [*(name for some in self.elsewhere.values() for name in some), *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them; it is imported now."""
        for some in self.elsewhere.values():
            if cmd_name in some:
                command = getattr(import_module(some[cmd_name][0]), cmd_name.replace(HYPHEN, "_"))
                assert isinstance(command, click.Command)
                return command
        return super().get_command(ctx, cmd_name)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands come first, which are few."""
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each on a line."""
        sections = {
            title: [(name, line) for name, (_, line) in some.items()]
            for title, some in self.elsewhere.items()
        }
        own = [(name, each.get_short_help_str(WHOLE_SENTENCE)) for name, each in self.commands.items()]
        width = max(map(len, self.list_commands(ctx)))
        for title, rows in {**sections, "Commands": own}.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl([(name.ljust(width), line.rstrip(".")) for name, line in rows])


def _write_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """The options of a command, by their subjects."""
    subjects: dict[str, list[tuple[str, str]]] = {FIRST: []}
    for option in command.get_params(ctx):
        if isinstance(option, click.Option) and (row := option.get_help_record(ctx)) is not None:
            subjects.setdefault(getattr(option, "subject", FIRST), []).append(row)
    for title, rows in subjects.items():
        with formatter.section(title):
            formatter.write_dl(rows)


def _unbroken(text: str) -> str:
    return text.replace(HYPHEN, UNBROKEN_HYPHEN)


@contextmanager
def _interrupted() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except click.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # at a question
            raise SystemExit(128 + signal.SIGINT) from None
        raise
