"""The exceptions of dvtfast.

    DvtfastError
      InputError(ValueError)       shape, dtype, width or range of an argument: the caller's bug
      EncodingError                bytes that are no valid scalar or point    .indices .statuses
      SignatureError               well-formed, but does not verify           .indices
      ThresholdError               too few, duplicate or zero share indices   .indices
      BadDealerError               what a dealer of a key generation sent     .dealer .validator .coefficient
      FileError                    a file that cannot be used as it is        .path
        KeystoreError              unreadable keystore or wrong password      .path
      MissingExtraError(ImportError)  an optional dependency is not installed
      NativeError                  a code path that cannot happen; please report it

Messages are lower case, name the argument, say what was wanted and what came, and give the
first few indices. They never contain secret bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pathlib is a tenth of importing dvtfast
    from pathlib import Path

SHOWN_INDICES = 5


class DvtfastError(Exception):
    """Base of every error that dvtfast raises on purpose."""


class InputError(DvtfastError, ValueError):
    """An argument has the wrong shape, type, width or range."""


class RowsError(DvtfastError):
    """Base of the errors that concern some rows of a batch.

    Attributes:
        indices: positions of the rows concerned, ascending.
    """

    def __init__(self, message: str, indices: Sequence[int] = ()) -> None:
        self.indices = tuple(int(index) for index in indices)
        super().__init__(message + _at(self.indices))


class EncodingError(RowsError):
    """Bytes that are no valid scalar or point.

    Attributes:
        statuses: what is wrong with each row of `indices`, in words.
    """

    def __init__(self, message: str, indices: Sequence[int] = (), statuses: Sequence[str] = ()) -> None:
        self.statuses = tuple(statuses)
        if self.statuses:
            message = f"{message}: {', '.join(sorted(set(self.statuses)))}"
        super().__init__(message, indices)


class SignatureError(RowsError):
    """Well-formed signatures that do not verify."""


class ThresholdError(RowsError):
    """Share indices that are too few, repeated or out of range."""


class BadDealerError(DvtfastError):
    """What a dealer sent in a key generation is not what a dealer may send.

    Attributes:
        dealer: its position, from 0; None where only the dealers together are at fault.
        validator: the position of the first validator concerned.
        coefficient: which of its commitments, 0 for the key's; None for a share.
        reason: what is wrong.
    """

    def __init__(self, dealer: int | None, validator: int, coefficient: int | None, reason: str) -> None:
        self.dealer, self.validator, self.coefficient, self.reason = dealer, validator, coefficient, reason
        who = "all dealers together" if dealer is None else f"dealer {dealer}"
        what = "share" if coefficient is None else f"commitment {coefficient}"
        super().__init__(f"{who}: {what} of validator {validator}: {reason}")


class FileError(DvtfastError):
    """A file that cannot be used as it is.

    Attributes:
        path: the file, or None when the content did not come from one.
        reason: what is wrong, without the path.
    """

    def __init__(self, message: str, path: Path | None = None) -> None:
        self.path = path
        self.reason = message
        super().__init__(f"{path}: {message}" if path is not None else message)


class KeystoreError(FileError):
    """A keystore that is unreadable or does not open with its password."""


class MissingExtraError(DvtfastError, ImportError):
    """A function needs a package that comes with an extra of dvtfast."""


class NativeError(DvtfastError):
    """A kernel returned something it cannot return; please report it."""


def _at(indices: tuple[int, ...]) -> str:
    if not indices:
        return ""
    shown = ", ".join(map(str, indices[:SHOWN_INDICES]))
    more = len(indices) - SHOWN_INDICES
    return f" (at {shown}{f' and {more} more' if more > 0 else ''})"
