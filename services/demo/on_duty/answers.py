"""What a service on this machine tells, as JSON."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from ...web.outgoing import OutgoingError, Session
from ..steps import DemoError

ANSWER_SECONDS: Final = 30.0
MOST_BYTES: Final = 16 * 1024**2
OK: Final = 200


def fetch(url: str) -> Any:
    """A JSON answer.

    Raises:
        DemoError: there is none.
    """
    return asyncio.run(_fetch(url))


async def _fetch(url: str) -> Any:
    async with Session(ANSWER_SECONDS, here_only=True) as session:
        try:
            answer = await session.ask("GET", url, limit_bytes=MOST_BYTES)
            if answer.status == OK:
                return msgspec.json.decode(answer.content)
        except (OutgoingError, msgspec.DecodeError) as error:
            raise DemoError(f"{url}: {error}") from None
    raise DemoError(f"{url}: answered with status {answer.status}")
