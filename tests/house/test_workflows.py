"""What runs on others' machines is pinned and may do no more than it needs; actionlint: `make workflows`."""

import re

import pytest
import yaml

from tests.house.sources import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
# Who may write what, of all jobs.
WRITING = {
    ("release.yml", "publish", "id-token"),
    ("release.yml", "image", "packages"),
    ("release.yml", "images", "packages"),
    ("release.yml", "documents", "contents"),
}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.stem)
def test_actions_are_pinned_by_commit_and_named_by_version(workflow):
    for used in re.findall(r"uses: (.*)", workflow.read_text()):
        assert used.startswith("./") or re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used)


def test_an_action_has_one_version():
    used = {line for workflow in WORKFLOWS for line in re.findall(r"uses: ([^.].*)", workflow.read_text())}
    assert len(used) == len({line.split("@")[0] for line in used})


def test_jobs_may_do_no_more_than_they_need():
    writing = set()
    for workflow in WORKFLOWS:
        content = yaml.safe_load(workflow.read_text())
        assert content["permissions"] == {}, workflow.name
        for name, job in content["jobs"].items():
            writing |= {
                (workflow.name, name, what) for what, may in job["permissions"].items() if may == "write"
            }
    assert writing == WRITING
