"""The fixture that times a row, and the report at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dvtfast
from dvtfast._parallel import available_cores

from . import floor, report
from .cases import OBOL_4, Exits, exits
from .measure import ROUNDS, Way
from .others import wall_clock

# From here on a second thread is measured, too.
LONG_BATCH = 64
RESULTS = Path(__file__).parent / "results"

Make = Callable[..., Callable[[], object]]
Cost = Callable[[str], float]


class Compare:
    """Times dvtfast in turn with others, under pytest-benchmark, and keeps the figures of the row."""

    def __init__(self, benchmark: Any) -> None:
        self._benchmark = benchmark

    def __call__(
        self,
        row: str,
        n: int,
        make: Make,
        batch: Exits,
        ways: dict[str, Way],
        floor_of: Callable[[Cost], float] | None = None,
        rounds: int = ROUNDS,
    ) -> None:
        """Time `make(batch)` and, between its rounds, `ways`; `floor_of` sums up primitives."""
        ways = {name: way for name, way in ways.items() if way.rounds}
        if n >= LONG_BATCH and available_cores() > 1:
            ways["2 threads, wall"] = Way(make(batch, threads=2), n, clock=wall_clock, rounds=rounds)
        primitives = floor.primitives(exits(OBOL_4)) if floor_of else {}
        own = Way(make(batch), n, rounds=rounds)
        own.time()  # finds out how often it is repeated
        own.seconds.clear()

        def others() -> None:
            for way in (ways | primitives).values():
                way.time()

        def repeated() -> None:
            for _ in range(own.repeats):
                own.run()

        self._benchmark.pedantic(repeated, setup=others, rounds=rounds)
        own.seconds = [seconds / own.repeats for seconds in self._benchmark.stats.stats.data]
        figures = {name: [way.microseconds, way.spread] for name, way in ({"dvtfast": own} | ways).items()}
        if floor_of:
            figures["floor"] = [floor_of(floor.costs(primitives)), 0.0]
        self._benchmark.extra_info.update(row=row, n=n, microseconds=figures)


@pytest.fixture
def compare(benchmark: Any) -> Compare:
    """See `Compare`."""
    return Compare(benchmark)


def pytest_configure(config: pytest.Config) -> None:
    """The results have a place."""
    RESULTS.mkdir(exist_ok=True)


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """What others need to know of this machine, and not its name."""
    cpu = machine_info.get("cpu", {})
    features = set(cpu.get("flags", ())) & report.FEATURES
    machine_info.clear()
    machine_info.update(
        cpu=cpu.get("brand_raw", "unknown"),
        cores=available_cores(),
        backend=dvtfast.backend_info().name,
        features=sorted(features),
        **report.versions(),
    )


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Beside the JSON: a table and a plot."""
    output_json.pop("commit_info", None)
    for benchmark in output_json["benchmarks"]:
        benchmark["stats"].pop("data", None)
    report.write(output_json, RESULTS)
