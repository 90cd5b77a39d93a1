"""`make bench-lanes`: the lanes beside blst, in turn. Needs AVX-512 IFMA."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dvtfast._parallel import available_cores

from . import ours
from .backends import has_ifma, on
from .cases import DISTINCT, OBOL_4, OBOL_10, Exits, exits
from .measure import Way, alternate, ratio
from .others import wall_clock

# Bounds of the ratio ifma / blst: for a processor that does two 512-bit products at a time, as Zen 5.
RECOVER = {1024: 0.17, 64: 0.22, 8: 0.45}
RECOVER_7_OF_10, VERIFY, SPLIT, SIGN, FEW = 0.20, 0.20, 0.30, 0.35, 1.05
FEW_ROWS = (1, 2, 3, 5, 7)
BAD = (0.01, 0.1, 1.0)
TWO_THREADS, LONG = 0.60, 2048
ROOT = Path(__file__).parent.parent


def main() -> None:
    """Measure and print."""
    if not has_ifma():
        print("ifma/blst: needs a processor with AVX-512 IFMA")
        return
    print_ratios(rounds=5)
    for name, (value, bound) in with_failures().items():
        ratio(f"{name}_ifma/blst", value, bound)
    if available_cores() > 1:
        ratio("two_threads_wall/one_ifma", two_threads(), TWO_THREADS)
    print(f"# code of the lanes: {code_bytes() or 'not built here'} bytes")


def print_ratios(rounds: int) -> None:
    """A line for each row."""
    for name, (value, bound) in ratios(rounds).items():
        ratio(f"{name}_ifma/blst", value, bound)


def ratios(rounds: int) -> dict[str, tuple[float, float]]:
    """Of each row: microseconds on lanes / microseconds on blst, and its bound."""
    cases = {
        f"recover_3_of_4_{n}": (ours.recover(exits(OBOL_4).first(n)), n, "ifma", bound)
        for n, bound in RECOVER.items()
    }
    batch, thousand = exits(OBOL_4), exits(OBOL_4, 1000)
    cases |= {
        "recover_7_of_10_512": (ours.recover(exits(OBOL_10)), DISTINCT, "ifma", RECOVER_7_OF_10),
        "verify_1000_from_bytes": (ours.verify_from_bytes(thousand), len(thousand), "ifma", VERIFY),
        "split_11_of_8": (ours.split(batch), DISTINCT, "ifma", SPLIT),
        "sign": (ours.sign(batch), DISTINCT, "ifma", SIGN),
    }
    for n in FEW_ROWS:
        few = batch.first(n)
        for name, run in (
            ("recover", ours.recover(few)),
            ("sign", ours.sign(few)),
            ("split", ours.split(few)),
        ):
            cases[f"{name}_{n}"] = (run, n, "auto", FEW)
    ways = {
        (name, backend): Way(on(backend, run), items, rounds=rounds)
        for name, (run, items, of_lanes, _) in cases.items()
        for backend in ("blst", of_lanes)
    }
    alternate(ways, rounds)
    return {
        name: (ways[name, of_lanes].microseconds / ways[name, "blst"].microseconds, bound)
        for name, (_, _, of_lanes, bound) in cases.items()
    }


def with_failures() -> dict[str, tuple[float, float]]:
    """ifma / blst where a fraction of the validators has a bad share, or meets an exception of the lanes.

    Public key shares say whose it is. The bound is 1, and the fraction that blst does again.
    """
    batch = exits(OBOL_4)
    cases = {f"recover_{fraction:.0%}_bad": (batch.with_bad_shares(fraction), fraction) for fraction in BAD}
    cases |= {
        f"recover_{fraction:.0%}_exceptional": (batch.with_equal_shares(fraction), fraction)
        for fraction in BAD
    }
    ways = {
        (name, backend): Way(on(backend, recover_named(failing)), DISTINCT, rounds=3)
        for name, (failing, _) in cases.items()
        for backend in ("blst", "ifma")
    }
    alternate(ways)
    return {
        name: (ways[name, "ifma"].microseconds / ways[name, "blst"].microseconds, 1 + fraction)
        for name, (_, fraction) in cases.items()
    }


def two_threads() -> float:
    """Wall time of two threads / of one."""
    batch = exits(OBOL_4).first(LONG)
    ways = {
        threads: Way(on("ifma", ours.recover(batch, threads)), LONG, clock=wall_clock, rounds=5)
        for threads in (1, 2)
    }
    alternate(ways)
    return min(ways[2].seconds) / min(ways[1].seconds)


def code_bytes() -> int | None:
    """Of the unit for AVX-512 IFMA, as the compiler left it in build/."""
    units = sorted(ROOT.glob("build/cp*/CMakeFiles/lanes_ifma.dir/native/c/*.o"))
    if not units or not (size := shutil.which("size")):
        return None
    table = subprocess.run([size, units[-1]], check=True, capture_output=True, text=True).stdout
    return int(table.splitlines()[1].split()[0])


def recover_named(batch: Exits) -> Callable[[], np.ndarray]:
    """Bad shares are named by the public key shares."""
    return ours.recover(batch, public_key_shares=batch.public_key_shares)


if __name__ == "__main__":
    main()
