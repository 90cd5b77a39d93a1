"""`make bench-lanes`: the lanes beside blst, in turn. Needs AVX-512 IFMA."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import ours
from .backends import has_ifma, on
from .cases import DISTINCT, OBOL_4, OBOL_10, Exits, exits
from .measure import Way, alternate, ratio

# Bounds of the ratio ifma / blst: for a processor that does two 512-bit products at a time, as Zen 5.
RECOVER = {1024: 0.17, 64: 0.22, 8: 0.45}
RECOVER_7_OF_10, VERIFY, SPLIT, SIGN, FEW = 0.20, 0.20, 0.30, 0.35, 1.05
FEW_ROWS = (1, 2, 3, 5, 7)
BAD = (0.01, 0.1, 1.0)


def main() -> None:
    """Measure and print."""
    if not has_ifma():
        print("ifma/blst: needs a processor with AVX-512 IFMA")
        return
    for name, (value, bound) in ratios().items():
        ratio(f"{name}_ifma/blst", value, bound)
    for name, value in with_bad_shares().items():
        print(f"# {name}_ifma/blst {value:.3f}")


def ratios() -> dict[str, tuple[float, float]]:
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
        (name, backend): Way(on(backend, run), items, rounds=5)
        for name, (run, items, of_lanes, _) in cases.items()
        for backend in ("blst", of_lanes)
    }
    alternate(ways)
    return {
        name: (ways[name, of_lanes].microseconds / ways[name, "blst"].microseconds, bound)
        for name, (_, _, of_lanes, bound) in cases.items()
    }


def with_bad_shares() -> dict[str, float]:
    """ifma / blst where a fraction of the validators has a bad share, and public key shares say which."""
    batch = exits(OBOL_4)
    ways = {
        (fraction, backend): Way(
            on(backend, recover_named(batch.with_bad_shares(fraction))), DISTINCT, rounds=3
        )
        for fraction in BAD
        for backend in ("blst", "ifma")
    }
    alternate(ways)
    return {
        f"recover_{fraction:.0%}_bad": ways[fraction, "ifma"].microseconds
        / ways[fraction, "blst"].microseconds
        for fraction in BAD
    }


def recover_named(batch: Exits) -> Callable[[], np.ndarray]:
    """Bad shares are named by the public key shares."""
    return ours.recover(batch, public_key_shares=batch.public_key_shares)


if __name__ == "__main__":
    main()
