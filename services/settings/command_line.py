"""The command line of settings, the environment and --env-file."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from dvtfast import FileError
from dvtfast.files import read_text

from ..extras import require
from ..process import logs
from . import parsing
from .sources import Settings, SettingsError, Source
from .subjects import arranged

EXIT_CODE = 2  # as click's usage errors
ENV_FILE = "Read variables from FILE (NAME=value lines); the environment goes before it."
ENV_FILE_BYTES = 1024 * 1024

S = TypeVar("S", bound=Settings)

log = logs.get("settings")


def options(cls: type[S]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a click command that takes its settings: adds the options, --env-file, and loads them.

    A group of commands that is one itself loads them only when none of its commands is called. What
    else the command has, such as click arguments, it gets after its settings.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(env_file: str | None, **flags: Any) -> Any:
            if (name := click.get_current_context().invoked_subcommand) is not None:
                if given := [source.flag for field, source in cls.sources().items() if flags.get(field)]:
                    raise click.UsageError(f"{', '.join(given)}: expected after the command {name!r}")
                return None
            arguments = {field: flags.pop(field) for field in flags.keys() - cls.sources().keys()}
            try:
                from_file = read_env_file(Path(env_file)) if env_file else {}
                environment = {**from_file, **os.environ}
                _adopt(from_file)
                settings = cls.load(flags, environment)
            except SettingsError as error:
                for problem in error.problems:
                    click.echo(f"error: {problem}", err=True)
                raise SystemExit(EXIT_CODE) from None
            require(settings.extras)
            logs.configure(settings.log_format, settings.log_level)
            if names := settings.not_read(flags, environment):
                page = f"docs/{cls.command.partition(' ')[0]}.md"
                log.warning("variables that are not read", names=", ".join(names), see=page)
            return command(settings, **arguments)

        wrapped: Callable[..., Any] = click.option("--env-file", metavar="FILE", help=ENV_FILE)(run)
        for subject, field, source in reversed(arranged(cls.sources())):
            wrapped = _option(subject, field, source)(wrapped)
        return wrapped

    return decorate


class Option(click.Option):
    """An option that knows the heading under which it stands in a command's help; without one, the first."""

    def __init__(self, *args: Any, subject: str | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if subject is not None:
            self.subject = subject


def _option(subject: str | None, field: str, source: Source) -> Callable[[Callable[..., Any]], Any]:
    """The click option of a setting; it takes plain text, so that `load` can report every problem."""
    of_all: dict[str, Any] = {"cls": Option, "subject": subject, "help": source.described}
    flags = (source.flag, *source.other_flags)
    if source.parse is parsing.switch:
        return click.option(*flags, field, flag_value="true", **of_all)
    return click.option(*flags, field, multiple=source.many, metavar=source.metavar, **of_all)


def _adopt(variables: Mapping[str, str]) -> None:
    """Proxies and certificates, for all that goes out."""
    from ..web import outgoing  # takes half a second to import, which help has no need of

    outgoing.adopt(variables)


def read_env_file(path: Path) -> dict[str, str]:
    """Read NAME=value lines; comments, quotes and a leading `export` are understood.

    Raises:
        SettingsError: the file is unreadable, or some of its lines are no such thing.
    """
    try:
        lines = read_text(path, limit_bytes=ENV_FILE_BYTES).splitlines()
    except FileError as error:
        raise SettingsError([f"--env-file: {error}"]) from None
    variables: dict[str, str] = {}
    problems = []
    for number, line in enumerate(lines, 1):
        line = line.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name.isidentifier():
            problems.append(f"--env-file: {path}:{number}: expected NAME=value")
        elif value[:1] in ("'", '"'):
            variables[name] = value[1:].partition(value[0])[0]
        else:
            variables[name] = value.partition(" #")[0].rstrip()
    if problems:
        raise SettingsError(problems)
    return variables
