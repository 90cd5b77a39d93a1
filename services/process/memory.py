"""Memory that was freed goes back, however many threads used it."""

from __future__ import annotations

import ctypes
import sys

M_ARENA_MAX = -8  # malloc.h of glibc


def use_one_arena() -> None:
    """Let all threads allocate from one place; does nothing where the C library is not glibc.

    Otherwise each thread that ever had a large answer of a server keeps room for the next one.
    """
    if sys.platform.startswith("linux") and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(M_ARENA_MAX, 1)
