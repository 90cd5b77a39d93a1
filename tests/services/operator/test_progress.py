"""What people see while it takes long."""

from __future__ import annotations

import sys

import pytest

from dvtfast.services.operator.progress import _Bar, no_report, reports_paused, showing_reports


def test_nothing_moves_while_a_person_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with showing_reports() as report:
        assert isinstance(report, _Bar)
        report("waiting", 1, 2)
        with reports_paused(report):
            assert not report.bar.live.is_started
        assert report.bar.live.is_started
    assert not report.bar.live.is_started


def test_elsewhere_there_is_nothing_to_stop() -> None:
    with showing_reports() as report, reports_paused(report), reports_paused(no_report):
        report("waiting", 1, 2)
