"""Which validators are reserved for vaults."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, exists, select

from .database import chunks
from .tables import registered_keys, validators


class ReservedError(Exception):
    """Validators that are reserved for vaults are asked for by somebody else.

    Attributes:
        public_keys: of these validators.
    """

    def __init__(self, public_keys: Iterable[bytes]) -> None:
        self.public_keys = frozenset(public_keys)
        super().__init__(f"{len(self.public_keys)} of these validators are reserved for vaults")


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
    return {
        key
        for chunk in chunks(public_keys)
        for key in connection.scalars(query.where(registered_keys.c.public_key.in_(chunk)))
    }


def vaults_of(
    connection: Connection, public_keys: Iterable[bytes], *which: ColumnElement[bool]
) -> dict[bytes, bytes]:
    """The vaults for which some of these validators are reserved."""
    query = select(validators.c.public_key, validators.c.vault).where(validators.c.vault.is_not(None), *which)
    return {
        key: vault
        for chunk in chunks(public_keys)
        for key, vault in connection.execute(query.where(validators.c.public_key.in_(chunk)))
    }


def is_unused() -> ColumnElement[bool]:
    """A condition: the validator has no deposit, and is not on the beacon chain."""
    return ~exists().where(registered_keys.c.public_key == validators.c.public_key)


def require_unreserved(connection: Connection, public_keys: Iterable[bytes]) -> None:
    """Refuse validators that an operator is about to register for a vault.

    Raises:
        ReservedError: with those that are.
    """
    if reserved := vaults_of(connection, public_keys, is_unused()):
        raise ReservedError(reserved)
