"""The stories in tests/stories/qbft go as they are written, to the letter.

To write one, leave out what the nodes do, and run `python -m tests.unit.qbft.test_stories`; then read it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.qbft_stories import replay

STORIES = sorted((Path(__file__).parents[2] / "stories/qbft").glob("*.txt"))


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.stem)
def test_story(story):
    assert replay(story.read_text()) == story.read_text()


def test_there_are_stories():
    assert len(STORIES) >= 10


if __name__ == "__main__":
    for story in STORIES:
        story.write_text(replay(story.read_text()))
