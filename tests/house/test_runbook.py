"""docs/runbook.md has every warning and error that the relayer can log, and every refusal."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.house.sources import ROOT, SERVICES, imports, module_name, python_files

RUNBOOK = re.sub(r"\s+", " ", (ROOT / "docs" / "runbook.md").read_text().replace("`", ""))
FILE_OF = {module_name(file): file for file in python_files(SERVICES)}
RELAYER = python_files(SERVICES / "relayer")
# What else refuses requests, settings' files and the start.
OTHERS = ("web/http.py", "web/tls.py", "keys/account_key.py", "process/offload.py")
REFUSING = [*RELAYER, *(SERVICES / name for name in OTHERS)]
LEVELS = {"warning", "error", "exception", "critical"}
HOLE = "\0"  # where a message has a value


class Message(NamedTuple):
    """A message, in the sources."""

    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} {self.text.replace(HOLE, '...')!r}"

    @property
    def is_in_the_runbook(self) -> bool:
        pieces = self.text.replace("`", "").split(HOLE)
        return max(pieces, key=len).strip() in RUNBOOK


def needed_by(files: Iterable[Path]) -> list[Path]:
    """These files, and all of the services that they import."""
    found: set[Path] = set()
    left = list(files)
    while left:
        if (file := left.pop()) in found:
            continue
        found.add(file)
        for each in imports(file):
            name = each.name
            while name and name not in FILE_OF:
                name = name.rpartition(".")[0]
            left += [FILE_OF[name]] if name else []
    return sorted(found)


def text_of(node: ast.expr, constants: dict[str, str]) -> str | None:
    """A string as it is written, with holes; None for what is none, or comes from elsewhere."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.IfExp):
        return text_of(node.body, constants)
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part, constants) or HOLE for part in node.values)
    return None


def constants_of(tree: ast.Module) -> dict[str, str]:
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }


def events() -> Iterator[Message]:
    """What is logged as a warning or worse."""
    for file in needed_by(RELAYER):
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr in LEVELS and ast.unparse(node.func.value) in ("log", "self._log"):
                text = text_of(node.args[0], {})
                assert text, f"{file}:{node.lineno}: expected an event that can be looked up"
                yield Message(file, node.lineno, text)


def refusals() -> Iterator[Message]:
    """What is raised with a text of its own; one that says what was expected explains itself."""
    for file in REFUSING:
        tree = ast.parse(file.read_text())
        constants = constants_of(tree)
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
                continue
            given = [*node.exc.args, *(word.value for word in node.exc.keywords if word.arg == "reason")]
            for text in (text_of(each, constants) for each in given):
                if text and " " in text.strip() and "expected " not in text:
                    yield Message(file, node.lineno, text)


EVENTS, REFUSALS = list(events()), list(refusals())


@pytest.mark.parametrize("message", EVENTS, ids=str)
def test_every_event(message: Message) -> None:
    assert message.is_in_the_runbook


@pytest.mark.parametrize("message", REFUSALS, ids=str)
def test_every_refusal(message: Message) -> None:
    assert message.is_in_the_runbook


def test_they_are_found() -> None:
    """Of each kind one that is there for sure: logged by what the relayer imports, written in a constant."""
    assert {"cannot run", "endpoint fails", "request failed", f"{HOLE} not read"} <= {e.text for e in EVENTS}
    texts = {message.text for message in REFUSALS}
    assert {"too often; slow down", "the body came too slowly", "this token is not for this vault"} <= texts
    assert any(message.text.startswith("this relayer signs for no vault") for message in REFUSALS)
