"""One word, one meaning: no two classes have one name, and files are named by nouns of the field."""

import ast
from collections import defaultdict

from tests.house.sources import LIBRARY, ROOT, SERVICES, for_each, python_files

FILES = python_files(LIBRARY, SERVICES)

# Protocols bring words of their own, which mean there what their specifications say.
PROTOCOLS = (
    "services/p2p/",
    "src/dvtfast/dkg/frost/",
    "src/dvtfast/dkg/dvtfast_dkg/",
    "src/dvtfast/duties/",
    "src/dvtfast/qbft/",
)

# What a file is not called: it says that something happens, not what or whose it is.
SOFT = {
    "asking",
    "changing",
    "choosing",
    "doing",
    "ending",
    "extra",
    "following",
    "forgetting",
    "known",
    "lacking",
    "many",
    "moving",
    "saying",
    "seen",
    "shown",
    "telling",
    "things",
    "whole",
}


def test_no_two_classes_have_one_name():
    """But for private ones, which no other file says, and for one of a protocol."""
    places = defaultdict(list)
    for file in FILES:
        path = file.relative_to(ROOT).as_posix()
        protocol = next((each for each in PROTOCOLS if path.startswith(each)), "")
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[protocol, node.name].append(f"{path}:{node.lineno}")
    assert not {name: where for (_, name), where in places.items() if len(where) > 1}


@for_each(FILES)
def test_files_are_named_by_nouns(file):
    assert file.stem not in SOFT
