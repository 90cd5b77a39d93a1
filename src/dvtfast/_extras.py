"""What is said when an optional dependency is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from dvtfast.errors import MissingExtraError


def needs_files_extra() -> AbstractContextManager[None]:
    """`needs_extra` of `files`, which most are of."""
    return needs_extra("files")


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Turn a failed import inside the block into an error that says what to install.

    Raises:
        MissingExtraError: a package of the extra is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(f"{error.name} is not installed: pip install 'dvtfast[{extra}]'") from error
