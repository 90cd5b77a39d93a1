"""What `--help` says: whole lines and words, the few that everybody needs first, all others by subject."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from dvtfast.services.cli import ELSEWHERE, main
from dvtfast.services.settings.sources import Settings
from dvtfast.services.settings.subjects import FEW, NEEDED_FIRST, SUBJECTS, arranged

COLUMNS = 80
MOST_NEEDED = 24  # options of one command above its first heading


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield " ".join((*path, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


COMMANDS = {"": main, **dict(commands(main))}


def help_of(name: str, columns: int = COLUMNS) -> str:
    # click leaves two columns free, but not where the width is given.
    arguments = [*name.split(), "--help"]
    result = CliRunner().invoke(main, arguments, prog_name="dvtfast", terminal_width=columns - 2)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_lines_fit_and_end_between_words(name: str) -> None:
    narrow = help_of(name).splitlines()
    assert not [line for line in narrow if len(line) > COLUMNS]
    wide = help_of(name, 1000)
    words = set(wide.split())
    assert not [word for line in narrow for word in line.split() if word not in words and word != "\\"]


@pytest.mark.parametrize("name", [name for name, each in COMMANDS.items() if isinstance(each, click.Group)])
def test_each_command_has_one_line(name: str) -> None:
    group = COMMANDS[name]
    assert isinstance(group, click.Group)
    lines = help_of(name).splitlines()
    for command in group.list_commands(click.Context(group)):
        (place,) = [at for at, line in enumerate(lines) if re.fullmatch(rf"  {command} +[A-Z].*\w", line)]
        assert not lines[place + 1].startswith("   "), lines[place : place + 2]


def test_each_command_is_where_it_is_looked_for() -> None:
    names = [name for some in ELSEWHERE.values() for name in some]
    assert len(set(names)) == len(names)
    assert list(main.list_commands(click.Context(main))) == names
    assert all(COMMANDS[name].name == name for name in names)


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_required_comes_first(name: str) -> None:
    first = re.split(r"\n\n\S", help_of(name, 1000).partition("\nOptions:\n")[2])[0]
    assert first.count("\n  --") <= MOST_NEEDED
    assert help_of(name, 1000).count("; required]") == first.count("; required]")


def classes() -> list[type[Settings]]:
    found = [Settings]
    for cls in found:
        found += [each for each in cls.__subclasses__() if each not in found]
    return found


def test_each_option_of_a_long_list_has_one_place() -> None:
    placed = [*NEEDED_FIRST, *(flag for flags in SUBJECTS.values() for flag in flags)]
    assert len(set(placed)) == len(placed)
    flags = {cls: [source.flag for source in cls.sources().values()] for cls in classes()}
    assert {flag for some in flags.values() if len(some) > FEW for flag in some} <= set(placed)
    assert set(placed) <= {flag for some in flags.values() for flag in some}
    for cls in classes():
        assert len(arranged(cls.sources())) == len(cls.sources())


def test_help_is_quick() -> None:
    """Nothing of a service is imported to name it."""
    script = (
        "import sys; from dvtfast.services.cli import main; main(['--help'], standalone_mode=False);"
        "print([name for name in sys.modules if name.partition('.')[0] in {'aiohttp', 'sqlalchemy', 'rich'}"
        " or name.startswith('dvtfast.services.')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    imported = done.stdout.splitlines()[-1]
    assert imported == "['dvtfast.services.command', 'dvtfast.services.cli']"
