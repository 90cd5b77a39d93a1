"""What is said when the packages of the extra `manager` are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dvtfast import MissingExtraError


@contextmanager
def needs_manager_extra() -> Iterator[None]:
    """Turn a failed import inside the block into an error that says what to install.

    Raises:
        MissingExtraError: a package of the extra `manager` is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(f"{error.name} is not installed: pip install 'dvtfast[manager]'") from error
