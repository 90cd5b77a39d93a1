"""What beacon nodes tell as it happens.

Sources: beacon API, `GET /eth/v1/events`; WHATWG HTML, "Server-sent events".
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

LINE_LIMIT_BYTES: Final = 64 * 1024
KEPT_LINES: Final = 64  # of the data of one event


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        node: who tells, by its name.
        topic: such as `head`.
        data: what its JSON was read into.
    """

    node: str
    topic: str
    data: dict[str, Any]


async def read_events(node: str, lines: AsyncIterable[bytes]) -> AsyncIterator[Event]:
    """The events in a stream; what is none is passed over, so that one bad line costs one event."""
    topic, data = "", list[bytes]()
    async for line in lines:
        line = line.removesuffix(b"\r")
        if not line:
            if topic and data and (event := _event(node, topic, b"\n".join(data))) is not None:
                yield event
            topic, data = "", []
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            topic = value.decode(errors="replace")
        elif name == b"data" and len(data) < KEPT_LINES:
            data.append(value)


def _event(node: str, topic: str, data: bytes) -> Event | None:
    try:
        content = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Event(node, topic, content) if isinstance(content, dict) else None
