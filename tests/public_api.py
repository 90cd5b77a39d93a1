"""The public surface of the library as text: each name in a line, with what it takes and gives.

`python -m tests.public_api` writes tests/house/public_api.txt, which a test compares.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.house.sources import LIBRARY, ROOT

SNAPSHOT = ROOT / "tests" / "house" / "public_api.txt"
# Of what Python calls by itself, what a user writes without knowing.
OPERATORS = ("__init__", "__len__", "__getitem__", "__iter__", "__enter__", "__exit__")


def public_api() -> list[str]:
    """Sorted lines of what `dvtfast` and its packages list, and of what other modules of the reference have.

    Read from the sources: what Python itself shows of annotations differs from version to version.
    """
    told = re.findall(r"^::: ([\w.]+)$", (ROOT / "docs" / "reference.md").read_text(), re.MULTILINE)
    at_the_top = set(_imported("dvtfast").values())
    lines = [line for module in ("dvtfast", *told) if module not in at_the_top for line in _of_module(module)]
    assert len(set(lines)) == len(lines), "a name is public twice"
    return sorted(lines)


def _of_module(module: str) -> Iterator[str]:
    """What is public under the name of this module."""
    sources, path = _imported(module), _file(module)
    if path.name != "__init__.py":
        names = [name for node in _body(module) if (name := _name(node)) and name[0] != "_"]
    else:
        names = sorted(_listed(module))
    for name in dict.fromkeys(names):
        nodes = [node for node in _body(sources.get(name, module)) if _name(node) == name]
        assert nodes, f"{module}.{name} is nowhere"
        for node in nodes:
            yield from _lines(f"{module}.{name}", node, has_overloads=len(nodes) > 1)


def _lines(name: str, node: ast.stmt, *, has_overloads: bool = False) -> Iterator[str]:
    """A definition, and the members of a class."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        decorators = _decorators(node)
        # Of a function with overloads these are its types.
        if not has_overloads or "@overload" in decorators:
            returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            yield f"{name}({ast.unparse(node.args)}){returns}{decorators}"
    elif isinstance(node, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, node.bases))
        yield f"{name}: class({bases}){_decorators(node)}"
        members = [(own, member) for member in node.body if (own := _name(member))]
        for own, member in members:
            if own[0] != "_" or own in OPERATORS:
                yield from _lines(
                    f"{name}.{own}", member, has_overloads=[n for n, _ in members].count(own) > 1
                )
    elif isinstance(node, ast.AnnAssign):
        yield f"{name}: {ast.unparse(node.annotation)}{' = ...' if node.value else ''}"
    else:
        yield f"{name} = ..."


def _decorators(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    return "".join(f"  @{ast.unparse(each)}" for each in node.decorator_list)


def _name(node: ast.stmt) -> str | None:
    """What a statement defines, if anything."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return None


def _listed(module: str) -> list[str]:
    """`__all__`, where there is one."""
    for node in _body(module):
        if isinstance(node, ast.Assign) and _name(node) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def _imported(module: str) -> dict[str, str]:
    """The module of the library that each name is imported from."""
    return {
        alias.asname or alias.name: node.module
        for node in _body(module)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("dvtfast.")
        for alias in node.names
    }


def _body(module: str) -> list[ast.stmt]:
    return ast.parse(_file(module).read_text()).body


def _file(module: str) -> Path:
    path = LIBRARY.parent / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


if __name__ == "__main__":
    SNAPSHOT.write_text("".join(f"{line}\n" for line in public_api()))
