"""Reading files as they are found: of a bounded size, and text as people's tools save it.

Text is UTF-8 or UTF-16, with or without a byte order mark, and its lines end as they like: editors and
shells of Windows write all of these. What is understood is returned without marks; the rest is refused
with the number of the line, and never read as something else.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from pathlib import Path
from typing import Final

from dvtfast.errors import FileError

# Longer marks first: that of UTF-32 begins as that of UTF-16 does.
ENCODINGS: Final = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
MARK: Final = "\ufeff"
# Files that were joined have marks inside, too.
MARKS: Final = re.compile(f"^{MARK}+", re.MULTILINE)
DO: Final = "save it as UTF-8"
PIECE_BYTES: Final = 1024 * 1024  # of what is longer than the system says
NO_FILE: Final = "no such file"


def read_text(path: Path, *, limit_bytes: int, error: type[FileError] = FileError) -> str:
    """The text of a regular file of at most `limit_bytes`, without byte order marks.

    Raises:
        FileError: it cannot be read, is too large, or a line of it is no text.
    """
    return decode_text(read_bytes(path, limit_bytes=limit_bytes, error=error), path, error=error)


def decode_text(content: bytes, path: Path | None = None, *, error: type[FileError] = FileError) -> str:
    """What `read_text` makes of the content of a file, by a caller who has read it."""
    mark = next((mark for mark in ENCODINGS if content.startswith(mark)), b"")
    encoding = ENCODINGS.get(mark, "utf-8")
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as problem:
        before = problem.object[: problem.start].decode(encoding, errors="replace")
        raise error(f"line {_line(before)}: not {encoding.upper()}; {DO}", path) from None
    if (zero := text.find("\0")) >= 0:
        line = _line(text[:zero])
        raise error(f"line {line}: a zero byte: UTF-16 without its mark, or no text; {DO}", path)
    return MARKS.sub("", text) if MARK in text else text


def read_bytes(
    path: Path, *, limit_bytes: int, error: type[FileError] = FileError, directory: int | None = None
) -> bytes:
    """The content of a regular file of at most `limit_bytes`.

    Args:
        directory: a descriptor of its directory, which opens faster where there are many.
    """
    data = _read(path, limit_bytes + 1, error, directory, is_all=True)
    if len(data) > limit_bytes:
        raise error(f"expected at most {limit_bytes} bytes", path)
    return data


def read_start(
    path: Path, *, most_bytes: int, error: type[FileError] = FileError, directory: int | None = None
) -> bytes:
    """The first `most_bytes` of a regular file, or all there are; see `read_bytes`."""
    return _read(path, most_bytes, error, directory, is_all=False)


def _read(
    path: Path, most_bytes: int, error: type[FileError], directory: int | None, *, is_all: bool
) -> bytes:
    try:
        name = path if directory is None else path.name
        # Without O_NONBLOCK, opening a pipe would wait.
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=directory)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise error("not a file", path)
            if is_all and status.st_size >= most_bytes:  # gigabytes are not read to find out
                raise error(f"expected at most {most_bytes - 1} bytes", path)
            # Python makes room for as much as is asked for, and one read may give less. Where the system says
            # that a file has nothing in it, as of those in /proc, there may be something.
            size = min(status.st_size, most_bytes)
            data = os.read(descriptor, min(size + 1, most_bytes))
            while len(data) not in (0, size, most_bytes):
                wanted = size if len(data) < size else min(most_bytes, len(data) + PIECE_BYTES)
                if not (more := os.read(descriptor, wanted - len(data))):
                    break
                data += more
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        raise error(NO_FILE, path) from None
    except (OSError, ValueError) as problem:
        raise error(f"cannot be read: {reason(problem, path)}", path) from None
    return data


def reason(problem: OSError | ValueError, path: Path) -> str:
    """Why a file or directory cannot be used, in one line; of one that is for others, whose it is."""
    said = getattr(problem, "strerror", None) or str(problem)
    return f"{said}{_whose(path)}" if isinstance(problem, PermissionError) else said


def _whose(path: Path) -> str:
    """The user and mode of what keeps this process from a path, as far as it can be seen."""
    seen = None
    for part in (*reversed(path.absolute().parents), path.absolute()):
        try:
            seen = part, os.stat(part)  # noqa: PTH116 - symbolic links to the end, in one call
        except OSError:
            break
    if seen is None:
        return ""
    part, status = seen
    name = "it" if part == path.absolute() else str(part)
    mode = stat.S_IMODE(status.st_mode)
    return f" ({name} is of user {status.st_uid}, mode {mode:03o}; this process is user {os.geteuid()})"


def _line(before: str) -> int:
    return before.count("\n") + 1
