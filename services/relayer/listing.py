"""The answers that everybody polls: encoded once, mended where validators change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from .. import wire
from ..offload import Workers
from .store.changes import ListedMessage, ListedValidator, changes_since
from .store.database import Database
from .store.subjects import Deposit, Exit

Items = Callable[[ListedValidator], Iterator[wire.ExitWanted | wire.ValidatorWanted]]
"""What a listing has of a validator."""


class Listing:
    """All validators as JSON, in the order in which they were first asked for."""

    def __init__(self, database: Database, workers: Workers, *, name: str, items: Items) -> None:
        self._database = database
        self._workers = workers
        self._name = name
        self._items = items
        self._revision = 0
        self._encoded: dict[bytes, bytes] = {}  # by public key
        self._body = self._join()
        self._lock = asyncio.Lock()

    async def body(self) -> bytes:
        """The answer, with everything that was committed before the call."""
        async with self._lock:
            revision, changed = await self._database.read(changes_since, self._revision)
            if changed:
                self._body = await self._workers.run(self._mend, changed)
            self._revision = revision
            return self._body

    def _mend(self, changed: list[ListedValidator]) -> bytes:
        for validator in changed:
            if encoded := b",".join(map(wire.encode, self._items(validator))):
                self._encoded[validator.public_key] = encoded
            else:
                self._encoded.pop(validator.public_key, None)
        return self._join()

    def _join(self) -> bytes:
        return b'{"%s":[' % self._name.encode() + b",".join(self._encoded.values()) + b"]}"


def exits(validator: ListedValidator) -> Iterator[wire.ExitWanted]:
    """For `GET /exits`: the current exit."""
    return (_exit(validator, m) for m in validator.messages if isinstance(m.subject, Exit) and m.is_current)


def exits_ahead(validator: ListedValidator) -> Iterator[wire.ExitWanted]:
    """For `GET /exits?window=1`: the current exit, and those prepared at higher validator indices."""
    begun = False
    for message in validator.messages:  # by validator index
        begun |= isinstance(message.subject, Exit) and message.is_current
        if begun and isinstance(message.subject, Exit):
            yield _exit(validator, message)


def deposits(validator: ListedValidator) -> Iterator[wire.ValidatorWanted]:
    """For `GET /validators`: the exit and the deposit of a validator that is reserved for a vault."""
    current = [message for message in validator.messages if message.is_current]
    exit_ = next((m for m in current if isinstance(m.subject, Exit)), None)
    deposit = next((m for m in current if isinstance(m.subject, Deposit)), None)
    if validator.vault is None or exit_ is None or deposit is None:
        return
    assert isinstance(exit_.subject, Exit)
    assert isinstance(deposit.subject, Deposit)
    yield wire.ValidatorWanted(
        vault=wire.Address(validator.vault),
        public_key=wire.PublicKey(validator.public_key),
        amount=wire.UInt64(deposit.subject.amount_gwei),
        validator_index=wire.UInt64(exit_.subject.validator_index),
        validator_type=wire.ValidatorType.of(deposit.subject.validator_type),
        is_signatures_ready=exit_.is_ready and deposit.is_ready,
        created_at_timestamp=exit_.created_at,
        created_at_string=wire.timestamp_string(exit_.created_at),
        share_indexes_ready=[
            wire.ShareIndex(i)
            for i in sorted({*exit_.stored, *deposit.stored})
            if all(i in message.stored or message.is_ready for message in (exit_, deposit))
        ],
        share_indexes_rejected=[wire.ShareIndex(i) for i in sorted({*exit_.rejected, *deposit.rejected})],
    )


def _exit(validator: ListedValidator, message: ListedMessage) -> wire.ExitWanted:
    assert isinstance(message.subject, Exit)
    return wire.ExitWanted(
        public_key=wire.PublicKey(validator.public_key),
        validator_index=wire.UInt64(message.subject.validator_index),
        is_exit_signature_ready=message.is_ready,
        created_at_timestamp=message.created_at,
        created_at_string=wire.timestamp_string(message.created_at),
        share_indexes_ready=list(map(wire.ShareIndex, message.stored)),
        share_indexes_rejected=list(map(wire.ShareIndex, message.rejected)),
    )
