"""A JSON document with one field wrong, for every field in turn."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

# Of another kind than each; an integer may be a text of digits, so no text is an integer here.
OTHER_KIND: dict[type, Any] = {str: {}, int: "x", bool: "yes", list: {}, dict: []}


def fields(value: Any, places: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """All fields of a document, its objects and lists too, with where they are."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for name, each in inner:
        yield (*places, name), each
        yield from fields(each, (*places, name))


def changed(document: Any, places: tuple[str | int, ...], value: Any) -> Any:
    """A copy in which one field has another value."""
    copied = copy.deepcopy(document)
    parent = copied
    for place in places[:-1]:
        parent = parent[place]
    parent[places[-1]] = value
    return copied


def written(places: tuple[str | int, ...]) -> str:
    """Such as `operators[2].enr`."""
    text = "".join(f"[{place}]" if isinstance(place, int) else f".{place}" for place in places)
    return text.removeprefix(".")
