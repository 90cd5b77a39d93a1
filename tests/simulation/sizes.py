"""How much there is of what must not grow: memory, disks, and the collections in which nodes keep things."""

from __future__ import annotations

import gc
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from weakref import ReferenceType

from tests.simulation.disks import Disk

OURS: Final = "dvtfast."
COLLECTIONS: Final = (dict, set, list, deque)
MEMORY: Final = Path("/proc/self/statm")  # of Linux


def sizes(nodes: Iterable[object], disks: Iterable[Disk]) -> dict[str, int]:
    """All of it, by name; of what nodes keep, the most that one does."""
    gc.collect()
    kept: Counter[str] = Counter()
    for node in nodes:
        kept |= stores(node)
    return {
        # What has come since the beginning. sqlite3 looks after its weak references now and then only.
        "objects": sum(type(each) is not ReferenceType for each in gc.get_objects()),
        "rows on disks": sum(disk.rows for disk in disks),
        "pages of memory": int(MEMORY.read_text().split()[1]) if MEMORY.exists() else 0,
        **kept,
    }


def stores(root: object) -> Counter[str]:
    """Entries of the collections that objects of this program hold, by class and attribute.

    Whatever is reached from the root counts, so that no store is forgotten here.
    """
    found: Counter[str] = Counter()
    seen: set[int] = set()
    coming = [("", root)]
    while coming:
        name, each = coming.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, COLLECTIONS):
            found[name] += len(each)
            coming += [(name, part) for part in _parts(each)]
        elif isinstance(each, tuple):
            coming += [(name, part) for part in each]
        elif type(each).__module__.startswith(OURS):
            coming += [(f"{type(each).__name__}.{attribute}", part) for attribute, part in _attributes(each)]
    return found


def _parts(collection: Any) -> list[Any]:
    return [*collection, *collection.values()] if isinstance(collection, dict) else list(collection)


def _attributes(each: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(each, "__dict__", {}).items()
    for cls in type(each).__mro__:
        slots = getattr(cls, "__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if hasattr(each, name):
                yield name, getattr(each, name)
