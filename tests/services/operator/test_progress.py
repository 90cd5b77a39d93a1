"""What people see while it takes long."""

from __future__ import annotations

import sys

import pytest

from dvtfast.services.operator.progress import _Bar, quiet, tell_nobody, telling


def test_nothing_moves_while_a_person_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with telling() as told:
        assert isinstance(told, _Bar)
        told("waiting", 1, 2)
        with quiet(told):
            assert not told.bar.live.is_started
        assert told.bar.live.is_started
    assert not told.bar.live.is_started


def test_elsewhere_there_is_nothing_to_stop() -> None:
    with telling() as told, quiet(told), quiet(tell_nobody):
        told("waiting", 1, 2)
