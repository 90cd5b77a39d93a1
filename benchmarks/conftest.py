"""Times a batch, and ends with what one row of it costs."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import cpuinfo
import pytest

from dvtfast._parallel import available_cores

from .cases import BATCHES

COSTS: dict[str, dict[int, float]] = {}  # row of the table -> batch -> microseconds per item


@pytest.fixture(params=BATCHES)
def n(request: pytest.FixtureRequest) -> int:
    """Rows in the batch."""
    return int(request.param)


@pytest.fixture
def timed(benchmark: Any, n: int, request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """Time a call for the whole batch."""
    yield benchmark
    microseconds = benchmark.stats.stats.median / n * 1e6
    benchmark.extra_info["microseconds_per_item"] = microseconds
    COSTS.setdefault(request.function.__name__.removeprefix("bench_"), {})[n] = microseconds


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One table: rows are steps of the round, columns are batches."""
    write = terminalreporter.write_line
    terminalreporter.section("microseconds per item, median")
    write(" " * 20 + "".join(f"{f'n = {n:,}':>12}" for n in BATCHES))
    for row, costs in COSTS.items():
        write(f"{row:20}" + "".join(f"{costs[n]:12.1f}" if n in costs else " " * 12 for n in BATCHES))
    write("")
    write(f"{available_cores()} threads, {cpuinfo.get_cpu_info()['brand_raw']}")
    write(f"Python {platform.python_version()}, dvtfast {version('dvtfast')}")
