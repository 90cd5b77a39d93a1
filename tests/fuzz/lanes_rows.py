"""Rows for the functions of the lanes, the libraries that have these functions, and a count of what was run.

DVTFAST_FUZZ_OPERANDS is the number of operands of each function. A function that takes a millisecond on the
checked build has fewer there: the table at the end of the run says how many.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

import dvtfast._native as native
from tests.backends import lanes_named
from tests.fuzz import batches

Words = NDArray[np.uint64]
Integers = NDArray[Any]  # of Python integers

OPERANDS = int(os.environ.get("DVTFAST_FUZZ_OPERANDS", "4096"))
BUILDS = ("ifma", "checked")
# Rows of one call.
PIECE = 1 << 15
LEAST = 64

P = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
LANES, LIMBS, LIMB_BITS = 8, 8, 52
LIMB_MASK = np.uint64((1 << LIMB_BITS) - 1)
BYTES = LIMBS * LIMB_BITS // 8


@cache
def library(build: str) -> ctypes.CDLL:
    """The functions of this build, or of "blst"; skips the test where the processor has none."""
    if build != "blst":
        lanes_named(build)
        build = f"lanes_{build}"
    name = f"{build}_primitives"
    (path,) = [path for folder in native.__path__ for path in Path(folder).glob(f"{name}*")]
    return ctypes.CDLL(str(path))


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Arrays go as pointers, integers as size_t."""
    return function(
        *(
            argument.ctypes.data_as(ctypes.c_void_p)
            if isinstance(argument, np.ndarray)
            else ctypes.c_size_t(argument)
            if isinstance(argument, int)
            else argument
            for argument in arguments
        )
    )


Ran = Callable[[str, str, int, int], None]


def pieces(name: str, operands: int) -> Iterator[tuple[np.random.Generator, int]]:
    """Generators, and sizes that add up to so many operands; both builds draw the same first ones."""
    operands = max(operands, LEAST) // LANES * LANES
    for number, first in enumerate(range(0, operands, PIECE)):
        yield (
            np.random.default_rng([batches.SEED, crc32(name.encode()), number]),
            min(PIECE, operands - first),
        )


def to_limbs(values: list[int]) -> Words:
    """uint64[n, 8] of integers below 2^416."""
    rows = np.zeros((len(values), BYTES + 8), np.uint8)
    joined = b"".join(value.to_bytes(BYTES, "little") for value in values)
    rows[:, :BYTES] = np.frombuffer(joined, np.uint8).reshape(-1, BYTES)
    limbs = np.empty((len(values), LIMBS), np.uint64)
    for j in range(LIMBS):
        byte, bit = divmod(LIMB_BITS * j, 8)
        limbs[:, j] = np.ascontiguousarray(rows[:, byte : byte + 8]).view("<u8")[:, 0] >> np.uint64(bit)
    return limbs & LIMB_MASK


def of_limbs(limbs: Words) -> Integers:
    """The integers of uint64[n, 8]."""
    assert (limbs <= LIMB_MASK).all(), "a limb is not normalised"
    rows = np.zeros((len(limbs), BYTES), np.uint8)
    for j in range(0, LIMBS, 2):
        pair = np.empty((len(limbs), 2), "<u8")
        pair[:, 0] = limbs[:, j] | limbs[:, j + 1] << np.uint64(LIMB_BITS)
        pair[:, 1] = limbs[:, j + 1] >> np.uint64(64 - LIMB_BITS)
        rows[:, 13 * j // 2 : 13 * j // 2 + 13] = pair.view(np.uint8)[:, :13]
    joined = rows.tobytes()
    values = np.empty(len(limbs), object)
    values[:] = [int.from_bytes(joined[at : at + BYTES], "little") for at in range(0, len(joined), BYTES)]
    return values
