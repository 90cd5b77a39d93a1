"""From the figures of `make bench`: a table in Markdown and a plot in SVG."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# What the columns are, in this order.
COLUMNS = (
    "dvtfast", "2 threads, wall", "floor", "naive blst", "pyblst", "coincurve", "milagro", "blspy",
    "@chainsafe/blst", "eciespy", "py_ecc",
)  # fmt: skip
PACKAGES = ("dvtfast", "numpy", "pyblst", "milagro-bls-binding", "blspy", "py_ecc", "eciespy", "coincurve")
FEATURES = {"adx", "bmi2", "sha_ni", "avx2", "avx512f", "avx512ifma"}
PLOTTED = 512  # validators; loops from the largest batch that they were timed for


def versions() -> dict[str, str]:
    """Of what was measured."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write(results: dict[str, Any], folder: Path) -> None:
    """`table.md` and `plot.svg`."""
    folder.mkdir(exist_ok=True)
    rows = [b["extra_info"] for b in results["benchmarks"] if "row" in b["extra_info"]]
    (folder / "table.md").write_text(table(rows, results["machine_info"]), encoding="utf-8")
    plot(rows, folder / "plot.svg")


def table(rows: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    """All figures."""
    columns = [c for c in COLUMNS if any(c in row["microseconds"] for row in rows)]
    lines = [
        "# Microseconds of CPU time for each validator",
        "",
        f"{machine['cpu']}, {', '.join(machine['features'])}; one thread, "
        f"backend {machine.get('backend', 'blst')}. "
        + ", ".join(f"{name} {machine[name]}" for name in ("python", *PACKAGES) if name in machine)
        + ".",
        "",
        "The median of 7 rounds in turn with the other columns. Loops have no batch to gain from and stop at",
        "64; eciespy and py_ecc stop at 8, in one round. A second thread is timed by the clock on the wall.",
        "The spread, of dvtfast, is (slowest - fastest) / median.",
        "",
        "| step | n | " + " | ".join(columns) + " | spread |",
        "|---|--:|" + "--:|" * (len(columns) + 1),
    ]
    for row in rows:
        figures = row["microseconds"]
        cells = [f"{figures[c][0]:,.0f}" if c in figures else "" for c in columns]
        lines.append(
            f"| {row['row']} | {row['n']:,} | " + " | ".join(cells) + f" | {figures['dvtfast'][1]:.0%} |"
        )
    return "\n".join(lines) + "\n"


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """A bar for each column of each step, on a logarithmic axis."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "dvtfast"
    from matplotlib import pyplot

    steps: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["n"] <= PLOTTED and "bad" not in row["row"]:
            for column, (microseconds, _) in row["microseconds"].items():
                steps.setdefault(row["row"].removesuffix(", clean"), {})[column] = microseconds
    if not steps:
        return
    columns = [c for c in COLUMNS if any(c in step for step in steps.values())]
    figure, axes = pyplot.subplots(figsize=(9, 0.25 * sum(map(len, steps.values())) + 1))
    y, ticks, seen = 0.0, [], set()
    for step, figures in steps.items():
        begin = y
        for column in columns:
            if column in figures:
                color = f"C{columns.index(column)}"
                axes.barh(y, figures[column], color=color, label=None if column in seen else column)
                axes.text(figures[column] * 1.05, y, f"{figures[column]:,.0f}", va="center", fontsize=7)
                seen.add(column)
                y += 1
        ticks.append(((begin + y - 1) / 2, step))
        y += 1
    axes.set_xscale("log")
    axes.set_yticks([at for at, _ in ticks], [step for _, step in ticks], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("microseconds of CPU time for each validator, in a batch")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
