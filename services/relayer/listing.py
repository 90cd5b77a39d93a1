"""The answer to GET /exits, which everybody polls: encoded once, mended where exits change."""

from __future__ import annotations

import asyncio

from .. import wire
from ..offload import Workers
from .store.changes import CurrentExit, changes_since
from .store.database import Database


class Listing:
    """All current exits as JSON, in the order in which their validators were first asked for."""

    def __init__(self, database: Database, workers: Workers) -> None:
        self._database = database
        self._workers = workers
        self._revision = 0
        self._encoded: dict[bytes, bytes] = {}  # by public key
        self._body = _join({})
        self._lock = asyncio.Lock()

    async def body(self) -> bytes:
        """The answer, with everything that was committed before the call."""
        async with self._lock:
            revision, changed = await self._database.run(changes_since, self._revision)
            if changed:
                self._body = await self._workers.run(_mend, self._encoded, changed)
            self._revision = revision
            return self._body


def _mend(encoded: dict[bytes, bytes], changed: list[CurrentExit]) -> bytes:
    for exit_ in changed:
        encoded[exit_.public_key] = wire.encode(
            wire.ExitWanted(
                public_key=wire.PublicKey(exit_.public_key),
                validator_index=wire.UInt64(exit_.validator_index),
                is_exit_signature_ready=exit_.is_ready,
                created_at_timestamp=exit_.created_at,
                created_at_string=wire.timestamp_string(exit_.created_at),
                share_indexes_ready=list(map(wire.ShareIndex, exit_.stored)),
                share_indexes_rejected=list(map(wire.ShareIndex, exit_.rejected)),
            )
        )
    return _join(encoded)


def _join(encoded: dict[bytes, bytes]) -> bytes:
    """`ExitsAnswer` from the encoded `ExitWanted`."""
    return b'{"exits":[' + b",".join(encoded.values()) + b"]}"
