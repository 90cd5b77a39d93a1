"""What is generated is as its script writes it."""

import runpy

from tests.house.sources import NATIVE


def test_constants_of_the_lanes():
    script = runpy.run_path(str(NATIVE / "c" / "testing" / "generate.py"), run_name="generate")
    assert (NATIVE / "c" / "constants.h").read_text() == script["constants"]()
