"""The sources of the repository, as the tests of the house read them."""

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
LIBRARY, SERVICES, NATIVE = ROOT / "src" / "dvtfast", ROOT / "services", ROOT / "native"


class Import(NamedTuple):
    """One imported name, absolute: `dvtfast.keys.PublicKeys`."""

    file: Path
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.name}"


def python_files(*folders: Path) -> list[Path]:
    """All Python files of these folders; none is a failure."""
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    assert files, f"no Python files in {folders}"
    return files


def for_each(files: Iterable[Path]) -> Callable[[Callable[[Path], None]], Callable[[], None]]:
    """A rule for each of these files as one test, which names all that break it.

    A test for each file and rule would be nearly half of all tests, and cost more than what they look at.
    """

    def decorate(rule: Callable[[Path], None]) -> Callable[[], None]:
        def test() -> None:
            broken = []
            for file in files:
                try:
                    rule(file)
                except AssertionError as error:
                    broken.append(f"{file.relative_to(ROOT)}: {error}")
            assert not broken, "\n".join(broken)

        test.__doc__ = rule.__doc__
        return test

    return decorate


def nodes_with(file: Path, words: Iterable[str]) -> list[ast.AST]:
    """All nodes of a file in which any of these words stands; none of others, which need not be parsed."""
    text = file.read_text()
    return list(ast.walk(ast.parse(text))) if any(word in text for word in words) else []


def module_name(file: Path) -> str:
    """The dotted name under which a file is installed."""
    base, prefix = (SERVICES, "dvtfast.services") if SERVICES in file.parents else (LIBRARY, "dvtfast")
    parts = file.relative_to(base).with_suffix("").parts
    return ".".join([prefix, *(part for part in parts if part != "__init__")])


@cache
def imports(file: Path) -> tuple[Import, ...]:
    """Everything a file imports when it runs, also inside functions; not what only types need."""
    return tuple(_imports(file))


def _imports(file: Path) -> Iterator[Import]:
    package = module_name(file).split(".")
    if file.name != "__init__.py":
        package = package[:-1]
    for node in _running_nodes(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (Import(file, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from (Import(file, node.lineno, f"{source}.{alias.name}") for alias in node.names)


def _running_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node
        yield from _running_nodes(node)
