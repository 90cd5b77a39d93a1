"""What of this process a simulation depends on, and has to itself while it runs."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog


@contextmanager
def no_surprises() -> Iterator[None]:
    """What is garbage ends at moments that are the same in each run: whoever runs it collects.

    What was there before stays as it is, garbage or not: all that other tests have made is not gone over.
    """
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


@contextmanager
def errors_to(tell: Callable[[Any], None]) -> Iterator[None]:
    """What is logged as an error comes here, anything else nowhere."""

    def take(_logger: object, _name: str, event: Any) -> Any:
        tell(event)
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.format_exc_info, take],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
    )
    try:
        yield
    finally:
        structlog.configure(**before)
