"""What is of `make fuzz` only; and a table of what was run on each build of the lanes, at the end."""

from __future__ import annotations

import os

import pytest

from tests.fuzz import batches
from tests.fuzz.lanes_rows import Ran

RAN = "ran on the lanes"
collect_ignore = [] if "DVTFAST_FUZZ_SLOTS" in os.environ else ["test_duties.py"]


@pytest.fixture
def ran(record_property: pytest.RecordProperty) -> Ran:
    """Tells the table of a function, the build, its operands, and how many of them are hostile."""

    def tell(function: str, build: str, operands: int, hostile: int) -> None:
        record_property(RAN, (function, build, operands, hostile))

    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = sorted(
        tuple(value)
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == RAN
    )
    if not rows:
        return
    terminalreporter.section(f"operands on the lanes, seed {batches.SEED}")
    for function, build, operands, hostile in rows:
        terminalreporter.line(f"{function:30}{build:9}{operands:>12,}{hostile:>12,} hostile")
    total, hostile = (sum(row[column] for row in rows) for column in (2, 3))
    terminalreporter.line(f"{f'{len(rows)} functions':39}{total:>12,}{hostile:>12,} hostile")
