"""Many problems in few lines: what is wrong the same way is said once, with how often and a few names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dvtfast import FileError

SHOWN_NAMES = 3


def grouped(problems: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each reason, the most frequent first.

    Args:
        problems: what is concerned, and why.
    """
    by_reason: dict[str, list[str]] = {}
    for name, reason in problems:
        by_reason.setdefault(reason, []).append(name)
    ordered = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    return [_line(names, reason) for reason, names in ordered]


def in_directory(problems: Sequence[FileError]) -> list[str]:
    """The same of what is wrong with files of one directory, which is said in each line."""
    where = next((f"{problem.path.parent}/" for problem in problems if problem.path), "")
    lines = grouped((problem.path.name if problem.path else "", problem.reason) for problem in problems)
    return [f"{where}{line}" for line in lines]


def _line(names: list[str], reason: str) -> str:
    more = len(names) - SHOWN_NAMES
    shown = ", ".join(names[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f"{shown}: {reason}"
