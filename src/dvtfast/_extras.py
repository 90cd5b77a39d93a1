"""What is said when an optional dependency is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dvtfast.errors import MissingExtraError


@contextmanager
def needs_files_extra() -> Iterator[None]:
    """Turn a failed import inside the block into an error that says what to install.

    Raises:
        MissingExtraError: a package of the extra `files` is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(f"{error.name} is not installed: pip install 'dvtfast[files]'") from error
