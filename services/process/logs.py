"""Log lines: one event with counts per outcome, for people or for machines. Never payloads or secrets."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import MutableMapping
from typing import Any

import structlog

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
told: Counter[tuple[str, str]] = Counter()
"""How many lines there were of each part and level."""

LINES = "\n\t"  # of a message; in a value they are shown as they are written in Python


def configure(log_format: str, log_level: str) -> None:
    """Set up logging of the whole process, on stderr.

    Args:
        log_format: "plain" or "json".
        log_level: the least severe level shown, by name.
    """
    renderers: list[Any]
    if log_format == "json":
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        plain = structlog.dev.plain_traceback  # the default one prints local variables, so payloads
        console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
        renderers = [_make_printable, console]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,  # the id of the request, see http.py
        structlog.stdlib.add_log_level,
        _count,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    level = logging.getLevelNamesMapping()[log_level.upper()]
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)  # what libraries log looks like our own lines
    formatter = structlog.stdlib.ProcessorFormatter
    handler.setFormatter(
        formatter(foreign_pre_chain=shared, processors=[formatter.remove_processors_meta, *renderers])
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def get(name: str) -> Any:
    """The logger of one part of a service; `name` appears in each line."""
    return structlog.get_logger(part=name)


def printable(text: str, *, also: str = "") -> str:
    """Without what a terminal may obey, or what is no letter; what others send goes into logs and tables."""
    shown = (letter if letter.isprintable() or letter in also else REPLACEMENT for letter in text)
    return text if text.isprintable() else "".join(shown)


def _count(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    told[str(event.get("part", "")), event["level"]] += 1
    return event


def _make_printable(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = printable(value, also=LINES)
    return event
