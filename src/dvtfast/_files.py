"""Reading JSON files that may be wrong, and writing files whole or not at all; see files.py for text.

A document is walked with `Field`s: each knows its place, so that every complaint names the file and the
field (`cluster.json: distributed_validators[3].public_shares[1]: expected 48 bytes of hex, got 3`).
Values are never quoted in messages: some are secrets.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from dvtfast._arrays import UINT64_MAX, Bytes
from dvtfast.errors import FileError
from dvtfast.files import decode_text, read_bytes

# Our documents have up to 7 levels.
MAX_DEPTH = 32
# A temporary file that is older was left by a process that was killed.
LEFT_SECONDS = 600.0
SUFFIX_BYTES = 8
NO_BRACKET = re.compile(r"[^][{}]+")
LOOKED_AT = 4096  # letters, for what a file is instead of JSON
WEB_PAGES = ("<!doctype", "<html", "<head", "<?xml")
# What Python's parser says, by how it begins, and what is said here.
JSON_PROBLEMS = {
    "Expecting value": "a value is missing",
    "Expecting property name": "the name of a field is missing",
    "Expecting ':'": "a colon is missing",
    "Expecting ','": "a comma is missing, or the end",
    "Illegal trailing comma": "a comma too much",
    "Unterminated string": "a text without an end",
    "Invalid control character": "a text with a line end or a control character in it",
    "Invalid \\": "a text with a backslash that means nothing",
    "Extra data": "more after the end",
}
JSON_NAMES = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "an integer"}


class _UnusableError(ValueError):
    """JSON that has two meanings, or none here."""


class Field:
    """A value of a JSON document, and where it stands."""

    __slots__ = ("_error", "_key", "_parent", "_path", "value")

    def __init__(
        self,
        value: Any,
        path: Path | None = None,
        error: type[FileError] = FileError,
        *,
        parent: Field | None = None,
        key: str | int = "",
    ) -> None:
        self.value = value
        self._path = path
        self._error = error
        self._parent = parent
        self._key = key

    def wrong(self, message: str) -> FileError:
        """The error to raise about this field."""
        place = self.place
        return self._error(f"{place}: {message}" if place else message, self._path)

    @property
    def place(self) -> str:
        """Such as `operators[2].enr`; empty for the document itself."""
        if self._parent is None:
            return ""
        before = self._parent.place
        if isinstance(self._key, int):
            return f"{before}[{self._key}]"
        return f"{before}.{self._key}" if before else self._key

    def __getitem__(self, name: str) -> Field:
        """The named field of an object; a missing one is an error."""
        field = self.get(name)
        if field is None:
            raise self._child(None, name).wrong("missing")
        return field

    def get(self, name: str) -> Field | None:
        """The named field of an object, None when it is missing or null."""
        value = self._typed(dict).get(name)
        return None if value is None else self._child(value, name)

    def items(self, *, fewest: int = 0, most: int) -> list[Field]:
        """The items of a list of `fewest` to `most`."""
        values = self._typed(list)
        if not fewest <= len(values) <= most:
            wanted = f"{most}" if fewest == most else f"{fewest} to {most}"
            raise self.wrong(f"expected {wanted} items, got {len(values)}")
        return [self._child(value, i) for i, value in enumerate(values)]

    def text(self, *, longest: int | None = None) -> str:
        """A text of at most `longest` bytes in UTF-8."""
        value: str = self._typed(str)
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise self.wrong("expected a text, got half of a surrogate pair") from None
        if longest is not None and size > longest:
            raise self.wrong(f"expected at most {longest} bytes, got {size}")
        return value

    def expect(self, text: str) -> None:
        """Refuse any other text."""
        if self._typed(str) != text:
            raise self.wrong(f"expected {text}")

    def flag(self) -> bool:
        """A JSON true or false."""
        value: bool = self._typed(bool)
        return value

    def integer(self, *, low: int = 0, high: int = UINT64_MAX) -> int:
        """An integer of low..high, as a number or as a text of decimal digits."""
        value = self.value
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(high)):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(f"expected an integer, got {_kind(value)}")
        if not low <= value <= high:
            raise self.wrong(f"expected an integer of {low}..{high}")
        return value

    def data(self, width: int | None = None, *, empty: bool = False) -> bytes:
        """Bytes given as hex, with or without 0x; `empty` allows none instead of `width`."""
        text = self._typed(str)
        text = text.removeprefix("0x")
        try:
            data = bytes.fromhex(text)
        except ValueError:
            raise self.wrong("expected hex") from None
        if len(data) * 2 != len(text):  # fromhex skips spaces
            raise self.wrong("expected hex")
        if width is not None and len(data) != width and not (empty and not data):
            raise self.wrong(f"expected {width} bytes of hex, got {len(data)}")
        return data

    def rows(self, width: int, *, count: int) -> Bytes:
        """A list of `count` hex texts, as uint8[count, width]."""
        return rows(self.items(fewest=count, most=count), width)

    def _typed(self, kind: type) -> Any:
        if not isinstance(self.value, kind):
            raise self.wrong(f"expected {JSON_NAMES[kind]}, got {_kind(self.value)}")
        return self.value

    def _child(self, value: Any, key: str | int) -> Field:
        return Field(value, self._path, self._error, parent=self, key=key)


def rows(fields: Iterable[Field], width: int, *, empty: bool = False) -> Bytes:
    """Fields with `width` bytes of hex each, as uint8[n, width]; `empty` reads none as zeros."""
    data = [field.data(width, empty=empty).rjust(width, b"\0") for field in fields]
    return np.frombuffer(b"".join(data), dtype=np.uint8).reshape(-1, width)


def read_json(path: Path | str, *, limit_bytes: int, error: type[FileError] = FileError) -> Field:
    """The content of a JSON file of at most `limit_bytes`.

    Raises:
        FileError: unreadable, too large, no text, not JSON, nested too deeply, or an object names a
            field twice.
    """
    path = Path(path)
    return parse_json(read_bytes(path, limit_bytes=limit_bytes, error=error), path, error=error)


def parse_json(content: bytes, path: Path, *, error: type[FileError] = FileError) -> Field:
    """What `read_json` makes of the content of a file, by a caller who has read it."""
    text = decode_text(content, path, error=error)
    # The parser recurses, and where a library has raised Python's recursion limit it would crash.
    if _nested_too_deeply(text):
        raise error("nested too deeply", path)
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except json.JSONDecodeError as problem:
        raise error(f"not JSON: {_in_words(text, problem)}", path) from None
    except _UnusableError as problem:
        raise error(f"not usable JSON: {problem}", path) from None
    except ValueError:  # Python reads no integer of more than some thousand digits
        raise error("not usable JSON: a number with too many digits", path) from None
    return Field(value, path, error)


def write_json(path: Path | str, value: Any, *, mode: int = 0o644, durable: bool = True) -> None:
    """Write a JSON document, indented by one space as the other tools do; see `write_text`."""
    write_text(path, json.dumps(value, indent=1) + "\n", mode=mode, durable=durable)


def write_text(path: Path | str, text: str, *, mode: int = 0o644, durable: bool = True) -> None:
    """Put a file in place, whole or not at all, never readable by more than `mode` says.

    Args:
        path: the file; one that exists is replaced.
        text: its content, written as UTF-8.
        mode: permissions.
        durable: wait until it is on the disk. A caller with many files syncs once at the end instead.
    """
    write_bytes(path, text.encode(), mode=mode, durable=durable)


def write_bytes(
    path: Path | str, data: bytes | bytearray | memoryview, *, mode: int = 0o644, durable: bool = True
) -> None:
    """The same for bytes."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(SUFFIX_BYTES)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_directory(path.parent)


def remove_left(path: Path) -> None:
    """Remove what a process that was killed while it wrote this file has left beside it.

    Raises:
        OSError: the directory cannot be read or written.
    """
    is_ours = re.compile(re.escape(f".{path.name}.") + f"[0-9a-f]{{{2 * SUFFIX_BYTES}}}")
    with os.scandir(path.parent) as entries:
        left = [entry.name for entry in entries if is_ours.fullmatch(entry.name)]
    for name in left:
        temporary = path.with_name(name)
        with suppress(FileNotFoundError):
            if time.time() - temporary.lstat().st_mtime > LEFT_SECONDS:
                temporary.unlink()


def _sync_directory(directory: Path) -> None:
    """Wait until the names in a directory are on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def to_hex(data: bytes | Bytes) -> str:
    """Lower-case hex with 0x."""
    return "0x" + data.tobytes().hex() if isinstance(data, np.ndarray) else "0x" + data.hex()


def _nested_too_deeply(text: str) -> bool:
    """Whether lists and objects may be nested far deeper than MAX_DEPTH, found without parsing."""
    unescaped = text.replace("\\\\", "").replace('\\"', "")
    outside_texts = "".join(unescaped.split('"')[::2])
    brackets = NO_BRACKET.sub("", outside_texts)
    for _ in range(MAX_DEPTH):
        without_innermost = brackets.replace("[]", "").replace("{}", "")
        if without_innermost == brackets:
            break
        brackets = without_innermost
    return len(brackets) > MAX_DEPTH  # fewer are left of a document that just ends early


def _object(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _UnusableError("an object names a field twice")
    return value


def _refuse_constant(name: str) -> Iterator[Any]:
    raise _UnusableError(f"{name} is not a JSON number")


def _in_words(text: str, problem: json.JSONDecodeError) -> str:
    """What is wrong with a document, and where; it is not quoted."""
    if not (start := text[:LOOKED_AT].lstrip().lower()):
        return "the file is empty"
    if start.startswith(WEB_PAGES):
        return "it is a web page"
    wanted = next((words for said, words in JSON_PROBLEMS.items() if problem.msg.startswith(said)), "")
    return f"{wanted or 'not understood'} at line {problem.lineno}, column {problem.colno}"


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return next((name for kind, name in JSON_NAMES.items() if type(value) is kind), "a fraction")
