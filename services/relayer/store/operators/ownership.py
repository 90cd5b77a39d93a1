"""Which validators are reserved for vaults, or asked for by somebody else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import ColumnElement, Connection, exists, or_, select

from ..engine.bulk import rows_with
from ..subjects import Exit, to_bytes
from ..tables import MessageKind, messages, registered_keys, validators
from .pending import NOBODY, Asker

ASKED_SECONDS = 600  # for so long somebody is asking who asked; operators ask again each minute at least


class ReservedError(Exception):
    """Validators that are reserved for vaults are asked for by somebody else.

    Attributes:
        public_keys: of these validators.
    """

    def __init__(self, public_keys: Iterable[bytes]) -> None:
        self.public_keys = frozenset(public_keys)
        super().__init__(f"{len(self.public_keys)} of these validators are reserved for vaults")


class AskedByOthersError(Exception):
    """Validators would be moved away from the index that somebody else asks for.

    Attributes:
        public_keys: of these validators.
    """

    def __init__(self, public_keys: Iterable[bytes]) -> None:
        self.public_keys = frozenset(public_keys)
        super().__init__(f"{len(self.public_keys)} of these validators are asked for at another index")


class RegisteredError(Exception):
    """Validators with a deposit are asked for as if they had none.

    Attributes:
        public_keys: of these validators.
    """

    def __init__(self, public_keys: Iterable[bytes]) -> None:
        self.public_keys = frozenset(public_keys)
        super().__init__(f"{len(self.public_keys)} of these validators have a deposit")


def registered(connection: Connection, public_keys: Iterable[bytes]) -> set[bytes]:
    """Those of these validators that have a deposit, or are on the beacon chain."""
    query = select(registered_keys.c.public_key)
    return {key for (key,) in rows_with(connection, query, registered_keys.c.public_key, public_keys)}


def vaults_of(
    connection: Connection, public_keys: Iterable[bytes], *which: ColumnElement[bool]
) -> dict[bytes, bytes]:
    """The vaults for which some of these validators are reserved."""
    query = select(validators.c.public_key, validators.c.vault).where(validators.c.vault.is_not(None), *which)
    return dict(rows_with(connection, query, validators.c.public_key, public_keys))


def is_unused() -> ColumnElement[bool]:
    """A condition: the validator has no deposit, and is not on the beacon chain."""
    return ~exists().where(registered_keys.c.public_key == validators.c.public_key)


def require_unreserved(connection: Connection, public_keys: Iterable[bytes]) -> None:
    """Refuse validators that an operator is about to register for a vault, or that are registered, and
    rotated for one.

    Raises:
        ReservedError: with those that are.
    """
    reserved = {*vaults_of(connection, public_keys, is_unused())}
    query = select(validators.c.public_key).where(validators.c.rotated_for.is_not(None), ~is_unused())
    reserved.update(key for (key,) in rows_with(connection, query, validators.c.public_key, public_keys))
    if reserved:
        raise ReservedError(reserved)


def require_not_asked_by_others(
    connection: Connection, exits: Mapping[bytes, Exit], asker: Asker, now: int
) -> None:
    """Refuse to move validators away from where somebody else asks for them, with another token.

    Raises:
        AskedByOthersError: with those that are.
    """
    if asker.token_id is None:
        return
    is_others = (
        validators.c.asked_by.not_in([asker.token_id, NOBODY]),  # and not null
        validators.c.asked_at > now - ASKED_SECONDS,
        messages.c.kind == MessageKind.EXIT,
        messages.c.is_current,
    )
    if others := _elsewhere(connection, exits, *is_others):
        raise AskedByOthersError(others)


def require_rotatable(
    connection: Connection,
    vault: bytes,
    public_keys: Iterable[bytes],
    missing: Mapping[bytes, Exit],
    now: int,
) -> None:
    """Refuse to rotate validators for a vault that are another's, or to move their exits to other indices
    than an operator asks for: it is about to register them, unless they are registered and it has ended.

    Args:
        missing: exits of some of them that are not there to be split, and would be collected.

    Raises:
        ReservedError: with those that are another vault's.
        AskedByOthersError: with those that would be moved.
    """
    if foreign := {key for key, of in vaults_of(connection, public_keys).items() if of != vault}:
        raise ReservedError(foreign)
    is_others = (
        validators.c.rotated_for.is_distinct_from(vault),
        or_(is_unused(), validators.c.asked_at > now - ASKED_SECONDS),
        messages.c.kind == MessageKind.EXIT,
        messages.c.is_current,
    )
    if others := _elsewhere(connection, missing, *is_others):
        raise AskedByOthersError(others)


def _elsewhere(
    connection: Connection, exits: Mapping[bytes, Exit], *which: ColumnElement[bool]
) -> set[bytes]:
    """Those of these validators that have such a message, which is another than that."""
    query = (
        select(messages.c.public_key, messages.c.subject)
        .join(validators, validators.c.public_key == messages.c.public_key)
        .where(*which)
    )
    return {
        key
        for key, subject in rows_with(connection, query, messages.c.public_key, exits)
        if subject != to_bytes(exits[key])
    }
