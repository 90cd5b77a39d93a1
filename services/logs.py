"""Log lines: one event with counts per outcome, for people or for machines. Never payloads or secrets."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


def configure(log_format: str, log_level: str) -> None:
    """Set up logging of the whole process, on stderr.

    Args:
        log_format: "plain" or "json".
        log_level: the least severe level shown, by name.
    """
    renderer: Any
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info if log_format == "json" else _unchanged,
    ]
    level = logging.getLevelNamesMapping()[log_level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)  # what libraries log looks like our own lines
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_drop_meta, renderer])
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def get(name: str) -> Any:
    """The logger of one part of a service; `name` appears in each line."""
    return structlog.get_logger(part=name)


def _unchanged(logger: Any, method: str, event: Any) -> Any:
    return event


def _drop_meta(logger: Any, method: str, event: Any) -> Any:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(logger, method, event)
