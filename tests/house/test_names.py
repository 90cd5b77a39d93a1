"""Public names: listed, sorted, complete, documented."""

import importlib
import inspect

import pytest

import dvtfast
from tests.house.sources import LIBRARY, imports, python_files

# Modules whose public names are names of dvtfast itself; the others are imported by their module.
AT_THE_TOP = (
    "errors",
    "keys",
    "networks",
    "oracles",
    "points",
    "recovery",
    "signatures",
    "signing_roots",
    "threshold",
)
MODULES = sorted(file.stem for file in LIBRARY.glob("[!_]*.py"))


def public_definitions(module):
    """Functions and classes that a module defines under a public name."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    }


def test_all_is_sorted_and_true():
    assert dvtfast.__all__ == sorted(
        dvtfast.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name)
    )
    assert len(set(dvtfast.__all__)) == len(dvtfast.__all__)
    for name in dvtfast.__all__:
        assert hasattr(dvtfast, name), name


def test_all_is_complete():
    """What a module defines in public is a name of dvtfast, or serves the other modules of the library."""
    defined = {
        name: value.__module__
        for module in AT_THE_TOP
        for name, value in public_definitions(importlib.import_module(f"dvtfast.{module}")).items()
    }
    shared = {i.name for file in python_files(LIBRARY) for i in imports(file)}
    unlisted = defined.keys() - set(dvtfast.__all__) - {"RowsError"}  # the base of three errors
    assert not [name for name in unlisted if f"{defined[name]}.{name}" not in shared]


@pytest.mark.parametrize("module", MODULES)
def test_what_is_public_is_documented_and_typed(module):
    module = importlib.import_module(f"dvtfast.{module}" if module != "__init__" else "dvtfast")
    assert module.__doc__
    for name, value in public_definitions(module).items():
        assert value.__doc__, name
        if inspect.isfunction(value):
            signature = inspect.signature(value)
            assert signature.return_annotation is not inspect.Signature.empty, name
            for parameter in signature.parameters.values():
                assert parameter.annotation is not inspect.Parameter.empty, f"{name}({parameter})"


@pytest.mark.parametrize("name", [n for n in dvtfast.__all__ if inspect.isfunction(getattr(dvtfast, n))])
def test_options_are_keyword_only(name):
    """What has a default is an option; threads is always one."""
    for parameter in inspect.signature(getattr(dvtfast, name)).parameters.values():
        if parameter.default is not inspect.Parameter.empty or parameter.name in ("threads", "threshold"):
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, parameter
