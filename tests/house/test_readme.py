"""The README says what is true."""

import re
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_example_runs(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out == "True (100, 11, 96)\n"


def test_the_example_is_short():
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = [line for line in example.splitlines() if line.strip() and not line.startswith("#")]
    assert len(code) == 10


def test_every_path_in_the_map_is_there():
    root = Path(__file__).parents[2]
    for name in re.findall(r"^(\w+/)  ", README, re.MULTILINE) + re.findall(r"\]\((\w+\.md)\)", README):
        assert (root / name).exists(), name
