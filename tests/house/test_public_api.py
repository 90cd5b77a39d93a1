"""The public surface is what the snapshot says, and has the types that it states."""

import ast
import os
import subprocess
import sys

import dvtfast
from tests.house.sources import LIBRARY, ROOT
from tests.public_api import SNAPSHOT, public_api

USES = ROOT / "tests" / "typed_uses.py"


def test_the_public_surface_changes_on_purpose_only():
    """After a change that is meant, `python -m tests.public_api` writes the snapshot anew."""
    recorded, found = SNAPSHOT.read_text().splitlines(), public_api()
    gone, new = set(recorded) - set(found), set(found) - set(recorded)
    changes = "\n".join([*(f"- {line}" for line in sorted(gone)), *(f"+ {line}" for line in sorted(new))])
    assert recorded == found, f"python -m tests.public_api would write:\n{changes}"


def test_every_exported_function_has_a_typed_use():
    functions = {name for name in dvtfast.__all__ if name[0].islower()}
    used = {
        node.func.attr
        for node in ast.walk(ast.parse(USES.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not functions - used


def test_typed_uses_have_the_types_that_they_state():
    """As a user's mypy sees the package. Installed in place it is found by its path alone."""
    # A cache of its own: that of `make types` is of other options.
    options = ["--strict", "--config-file=", "--cache-dir=build/typed_uses", "--no-error-summary"]
    environment = {**os.environ, "MYPYPATH": str(LIBRARY.parent)}
    command = [sys.executable, "-m", "mypy", *options, str(USES)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
