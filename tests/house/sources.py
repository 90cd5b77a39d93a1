"""The sources of the repository, as the tests of the house read them."""

import ast
from collections.abc import Iterator
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


def module_name(file: Path) -> str:
    """The dotted name under which a file is installed."""
    base, prefix = (SERVICES, "dvtfast.services") if SERVICES in file.parents else (LIBRARY, "dvtfast")
    parts = file.relative_to(base).with_suffix("").parts
    return ".".join([prefix, *(part for part in parts if part != "__init__")])


def imports(file: Path) -> Iterator[Import]:
    """Everything a file imports when it runs, also inside functions; not what only types need."""
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
