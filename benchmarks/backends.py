"""The same work on each backend, in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from dvtfast import _backend

Result = TypeVar("Result")


def has_ifma() -> bool:
    """Whether this build and processor have the lanes."""
    return _backend.find("ifma") is not None


_choose = cache(_backend.choose)  # asking a virtual processor for its features takes long


@contextmanager
def using(name: str) -> Iterator[None]:
    """Within it DVTFAST_BACKEND=name, as far as the library knows."""
    before = _backend._BACKEND
    _backend._BACKEND = _choose(name)
    try:
        yield
    finally:
        _backend._BACKEND = before


def on(name: str, run: Callable[[], Result]) -> Callable[[], Result]:
    """`run` on the backend of this name."""

    def on_backend() -> Result:
        with using(name):
            return run()

    return on_backend
