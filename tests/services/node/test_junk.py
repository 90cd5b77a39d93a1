"""Lines about junk: few, whatever peers send."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from dvtfast.protobuf import ProtobufError
from dvtfast.services.node.junk import PAUSE_SECONDS, Junk, NotNowError
from dvtfast.services.process.offload import OverloadedError


def test_one_line_for_each_peer_reason_and_minute() -> None:
    lines: list[tuple[str, dict[str, object]]] = []
    junk = Junk(lambda event, **fields: lines.append((event, fields)), "of no use")
    for number in range(500):
        junk.tell(1, ProtobufError(str(number)), now=number / 100)
    assert lines == [("of no use", {"node": 1, "why": "0", "times": 1})]
    junk.tell(1, ValueError(), now=5.0)
    junk.tell(2, ProtobufError("x"), now=5.0)
    assert len(lines) == 3
    junk.tell(1, ProtobufError("last"), now=PAUSE_SECONDS)
    assert lines[3:] == [("of no use", {"node": 1, "why": "last", "times": 500})]


@pytest.mark.parametrize("error", [NotNowError("late"), OverloadedError("too much to do"), TimeoutError()])
def test_who_is_late_or_is_not_read_sent_no_junk(error: Exception) -> None:
    told: list[str] = []
    with capture_logs() as lines:
        Junk(lambda event, **_: told.append(event), "of no use").tell(1, error, now=0.0)
    assert not told
    assert [line["node"] for line in lines] == [1]
