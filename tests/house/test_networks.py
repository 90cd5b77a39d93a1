"""What differs between networks is a field of `Network`; no code asks which one it is, or says ETH."""

import ast
import re

import pytest

from dvtfast.networks import NETWORKS
from tests.house.sources import LIBRARY, ROOT, SERVICES, for_each, python_files

FILES = [file for file in python_files(LIBRARY, SERVICES) if file != LIBRARY / "networks.py"]
NAMES = {name.upper() for name in NETWORKS}
CHAIN_IDS = {network.chain_id for network in NETWORKS.values()}
SYMBOLS = {symbol for network in NETWORKS.values() for symbol in (network.stake_symbol, network.gas_symbol)}
SAYS_SYMBOL = re.compile(rf"\b({'|'.join(SYMBOLS)})\b")


def name_of(file):
    return file.relative_to(ROOT).as_posix()


def _is_one_network(node):
    """`GNOSIS`, `GNOSIS.chain_id`, `networks.GNOSIS`, `GNOSIS_CHAIN_ID`."""
    return any(
        re.fullmatch(rf"({'|'.join(NAMES)})(_\w+)?", name)
        for each in ast.walk(node)
        if (name := getattr(each, "id", "") or getattr(each, "attr", ""))
    )


def _is_identity(node):
    """`network.chain_id`, `network.name`."""
    return isinstance(node, ast.Attribute) and (
        node.attr == "chain_id" or (node.attr == "name" and "network" in ast.unparse(node.value))
    )


def _asks_which(node):
    """Whether a comparison decides by which network it is."""
    sides = [node.left, *node.comparators]
    if any(map(_is_one_network, sides)):
        return True
    constants = [each.value for each in sides if isinstance(each, ast.Constant)]
    return any(value in CHAIN_IDS or value in NETWORKS for value in constants) and any(
        map(_is_identity, sides)
    )


def _docstrings(tree):
    """All of them, those of attributes too."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


@for_each(FILES)
def test_no_code_asks_which_network_it_is(file):
    nodes = ast.walk(ast.parse(file.read_text()))
    offending = [node for node in nodes if isinstance(node, ast.Compare) and _asks_which(node)]
    assert not offending, [f"{name_of(file)}:{node.lineno} {ast.unparse(node)}" for node in offending]


@for_each(FILES)
def test_symbols_come_from_the_network(file):
    if not SAYS_SYMBOL.search(file.read_text()):
        return
    tree = ast.parse(file.read_text())
    docstrings = _docstrings(tree)
    offending = [
        f"{name_of(file)}:{node.lineno} {node.value!r}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
        and SAYS_SYMBOL.search(node.value)
    ]
    assert not offending, offending


@pytest.mark.parametrize(
    "line",
    [
        "network.chain_id == 100",
        "network.chain_id != GNOSIS_CHAIN_ID",
        "100 == chain.network.chain_id",
        "network is not GNOSIS",
        "network.name == 'gnosis'",
        "settings.network.chain_id != networks.GNOSIS.chain_id",
    ],
)
def test_what_would_be_found(line):
    (found,) = [node for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Compare)]
    assert _asks_which(found)
