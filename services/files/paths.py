"""Whether a path can be used by this process, in one place: a reason in words, never an exception.

`Path.exists`, `is_file` and `is_dir` raise PermissionError where a directory on the way is for others, and
say that what nobody but they may read is fine. A house test sees to it that nobody else calls them.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

from dvtfast.files import reason

DENIED = PermissionError(0, "Permission denied")


def no_file(path: Path, *, noun: str = "file") -> str:
    """Why a path is no file that this process can read; empty when it is one."""
    return _unusable(path, noun, stat.S_IFREG, os.R_OK)


def no_directory(path: Path) -> str:
    """Why a path is no directory whose files this process can read; empty when it is one."""
    return _unusable(path, "directory", stat.S_IFDIR, os.R_OK | os.X_OK)


def no_place(path: Path) -> str:
    """Why no file can be made at a path, or replaced there; empty when one can."""
    if problem := _unusable(path.parent, "directory", stat.S_IFDIR, os.W_OK | os.X_OK):
        return problem
    return "" if no_directory(path) else f"{path} is a directory"


def is_there(path: Path) -> bool:
    """Whether something may be there: what this process may not look at is, and says so when it is opened."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        return True
    return True


def is_empty(directory: Path) -> bool:
    """Whether nothing is in a directory, or nothing is there yet.

    Raises:
        OSError: it cannot be looked at.
    """
    try:
        with os.scandir(directory) as entries:
            return next(entries, None) is None
    except FileNotFoundError:
        return True
    except NotADirectoryError:
        return False


def told(error: BaseException) -> str:
    """What an error says, without the numbers and quotes of one of the system; with whose file it is."""
    if isinstance(error, OSError) and error.strerror and isinstance(error.filename, str | os.PathLike):
        path = Path(error.filename)
        return f"{path}: {reason(error, path)}"
    return str(error)


def of_database(error: OSError | sqlite3.Error, path: Path) -> str:
    """What is wrong with a SQLite file; where it cannot be opened or made, SQLite itself does not say why."""
    if isinstance(error, OSError):
        return reason(error, path)
    problem = no_file(path) if is_there(path) else no_place(path)
    return f"{error} ({problem})" if problem else str(error)


def _unusable(path: Path, noun: str, kind: int, wanted: int) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116 - it raises what Path.is_file and is_dir may hide
    except (FileNotFoundError, NotADirectoryError):
        return f"no such {noun}: {path}"
    except (OSError, ValueError) as error:
        return f"cannot read {path}: {reason(error, path)}"
    if stat.S_IFMT(status.st_mode) != kind:
        return f"no such {noun}: {path}, which is something else"
    if not os.access(path, wanted, effective_ids=True):
        verb = "write to" if wanted & os.W_OK else "read"
        return f"cannot {verb} {path}: {reason(DENIED, path)}"
    return ""
