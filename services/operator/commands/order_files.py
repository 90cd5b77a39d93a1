"""Files of validators: CSV with a header, or a JSON list of objects; each wrong line is named."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from dvtfast import FileError
from dvtfast.files import read_text

from ...settings import SettingsError, orders, parsing
from ...settings.orders import AmountOrder, ConsolidationOrder

FILE_LIMIT_BYTES: Final = 256 * 1024**2
SHOWN_PROBLEMS: Final = 20
AMOUNTS: Final = {f"amount_{unit}": unit for unit in (orders.GWEI, *orders.FACTORS)}  # columns
WRONG: Final = {"": "cells"}  # in a row that has more or fewer cells than the header

T = TypeVar("T")


def read_amounts(path: Path, *, all_of_it: bool = False) -> list[AmountOrder]:
    """Rows of `public_key` with `amount_gwei`, `amount_eth` or `amount_gno`.

    Args:
        all_of_it: there must be no amounts.

    Raises:
        SettingsError: with each line that is wrong.
    """

    def read(row: Mapping[str, str]) -> AmountOrder:
        key = orders.public_key(_cell(row, "public_key"))
        amounts = [row[name] + unit for name, unit in AMOUNTS.items() if row.get(name)]
        if all_of_it and amounts:
            raise ValueError(orders.exit_or_amount(exits=True))
        if all_of_it:
            return AmountOrder(key, None)
        if len(amounts) != 1:
            raise ValueError(f"expected one of {', '.join(AMOUNTS)}, got {len(amounts) or 'none'}")
        return orders.amount_of(key, amounts[0])

    return _read(path, read)


def read_pairs(path: Path) -> list[ConsolidationOrder]:
    """Rows of `source_public_key` and `target_public_key`; raises as `read_amounts`."""

    def read(row: Mapping[str, str]) -> ConsolidationOrder:
        names = ("source_public_key", "target_public_key")
        return ConsolidationOrder(*(orders.public_key(_cell(row, name)) for name in names))

    return _read(path, read)


def read_keys_by_index(path: Path) -> dict[int, bytes]:
    """Rows of `validator_index` and `public_key`, each once; raises as `read_amounts`."""

    def read(row: Mapping[str, str]) -> tuple[int, bytes]:
        index = parsing.validator_index(_cell(row, "validator_index"))
        return index, bytes(orders.public_key(_cell(row, "public_key")))

    rows = _read(path, read)
    found = dict(rows)
    if len(found) != len(rows) or len(set(found.values())) != len(rows):
        raise SettingsError([f"{path}: expected each validator_index and each public_key once"])
    return found


def _cell(row: Mapping[str, str], name: str) -> str:
    if WRONG.keys() <= row.keys():
        raise ValueError("expected as many cells as in the header")
    if not row.get(name):
        raise ValueError(f"{name}: missing")
    return row[name]


def _read(path: Path, read: Callable[[Mapping[str, str]], T]) -> list[T]:
    found, problems = [], []
    for where, row in _rows(path):
        try:
            found.append(read(row))
        except ValueError as error:
            problems.append(f"{path}: {where}: {error}")
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        raise SettingsError(problems[:SHOWN_PROBLEMS] + ([f"and {more} more"] if more > 0 else []))
    if not found:
        raise SettingsError([f"{path}: expected at least one validator, got none"])
    return found


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each row with the name of its place."""
    try:
        text = read_text(path, limit_bytes=FILE_LIMIT_BYTES)
    except FileError as error:
        raise SettingsError([str(error)]) from None
    if text.lstrip()[:1] in ("[", "{"):
        yield from _json_rows(path, text)
    else:
        yield from _csv_rows(path, text.splitlines())


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    try:
        items = msgspec.json.decode(text, type=list[dict[str, Any]])
    except (msgspec.DecodeError, RecursionError) as error:
        raise SettingsError([f"{path}: expected a list of objects: {error}"]) from None
    for position, item in enumerate(items):
        texts = {name: str(value) for name, value in item.items() if isinstance(value, str | int | float)}
        yield f"item {position}", texts


def _csv_rows(path: Path, lines: Sequence[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    rows = csv.reader(lines, strict=True)
    header: list[str] = []
    try:
        for cells in rows:
            cells = [cell.strip() for cell in cells]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if not header:
                header = [cell.lower() for cell in cells]
                continue
            where = f"line {rows.line_num}"
            yield where, dict(zip(header, cells, strict=False)) | ({} if len(cells) == len(header) else WRONG)
    except csv.Error as error:
        raise SettingsError([f"{path}: line {rows.line_num}: {error}"]) from None
