"""Commands that end with the exit code of shells when they are interrupted, whatever they were doing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click


class Commands(click.Group):
    """A group of commands; click itself would say "Aborted!", and end them as if they had failed."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the command line."""
        with _interrupted():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _interrupted():
            return super().invoke(ctx)


@contextmanager
def _interrupted() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except click.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # at a question
            raise SystemExit(128 + signal.SIGINT) from None
        raise
