"""Files that docstrings and comments name are there; a reader who is sent to one finds it."""

import re

from tests.house.sources import LIBRARY, ROOT, SERVICES, for_each, python_files

FILES = python_files(SERVICES, LIBRARY)
THERE = [file.relative_to(ROOT).as_posix() for file in python_files(SERVICES, LIBRARY, ROOT / "tests")]
NAME = re.compile(r"(?<![\w/.`])[a-z_][\w/]*\.py\b")  # in backticks stands what is of others


@for_each(FILES)
def test_files_that_are_named_are_there(file):
    named = set(NAME.findall(file.read_text()))
    assert not {name for name in named if not any(f"/{there}".endswith(f"/{name}") for there in THERE)}
