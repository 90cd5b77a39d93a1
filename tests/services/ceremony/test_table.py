"""What a terminal shows of a ceremony: what peers say of themselves is text, whatever is in it."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from dvtfast.dkg.outputs import Phase
from dvtfast.services.ceremony.commands.table import CeremonyTable
from dvtfast.services.p2p.host import PeerState

KEYS = (bytes([2]) * 33, bytes([3]) * 33)


@pytest.mark.parametrize(
    "text", ["[/x]", "[bold]brackets[/]", "[link=https://example.org]", "\\[", "[@click=quit]"]
)
def test_brackets_are_no_markup(monkeypatch: pytest.MonkeyPatch, capsys: Any, text: str) -> None:
    peer = PeerState(KEYS[0], is_connected=False, is_relayed=False, agent=text, problem=text)
    host: Any = SimpleNamespace(states=lambda: [peer])
    agreement: Any = SimpleNamespace(definition=SimpleNamespace(name=text), node_keys=KEYS)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with CeremonyTable(agreement, 1, host) as table:
        table.phase(Phase("hello", (0,)))
    assert capsys.readouterr().err.count(text) >= 3, "title, connection and program"
