"""The Python in docs/ runs, and the reference has every public module of the library."""

import re

import pytest

from tests.house.sources import LIBRARY, ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))
WITH_PYTHON = [page for page in PAGES if "```python\n" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile("\n".join(blocks), page.name, "exec"), {})


def test_there_are_examples():
    assert "library" in [page.stem for page in WITH_PYTHON]


def test_the_reference_has_every_public_module():
    told = re.findall(r"^::: dvtfast\.(\w+)$", (ROOT / "docs/reference.md").read_text(), re.MULTILINE)
    modules = {path.stem for path in LIBRARY.iterdir() if path.suffix in ("", ".py")}
    assert {name for name in told if name != "_backend"} == {name for name in modules if name[0] != "_"}


def test_the_site_has_every_page():
    pages = re.findall(r"docs/([\w-]+)\.md", (ROOT / "mkdocs.yml").read_text())
    assert sorted(pages) == sorted(page.stem for page in PAGES)
