"""Whether the relayer's storage key is that of the database."""

from __future__ import annotations

from sqlalchemy import Connection, exists, insert, select, text

from ..engine.database import ForeignDatabaseError
from ..seals import StorageKey, key_name, sealed_under
from ..tables import shares, signatures, storage


class LockedDatabaseError(ForeignDatabaseError):
    """The database is sealed under another key than the one given, or the other way round."""


def unlock(connection: Connection, key: StorageKey | None) -> bool:
    """Make sure that the key is the database's; one without signatures takes any key.

    Returns:
        Whether all that was ever plaintext is gone from the files; see rewrite.py.

    Raises:
        LockedDatabaseError: it is not, with what to do.
    """
    if connection.dialect.name == "postgresql":  # two relayers with two keys; SQLite has one writer
        connection.execute(text("LOCK TABLE storage IN SHARE ROW EXCLUSIVE MODE"))
    holder = sealed_under(connection)
    if key is None:
        if holder is not None:
            raise LockedDatabaseError(
                f"the database is sealed under storage key {key_name(holder)}; name its file with"
                " --storage-key-file"
            )
        return True
    if holder is None:
        if holds_signatures(connection):
            raise LockedDatabaseError(
                "the database holds signatures in plaintext, and --storage-key-file is given; seal them"
                " with: dvtfast relayer encrypt-storage"
            )
        connection.execute(insert(storage).values(key_id=key.id, is_rewritten=True))
        return True
    if holder != key.id:
        raise LockedDatabaseError(
            f"the database is sealed under storage key {key_name(holder)}, and --storage-key-file holds"
            f" {key_name(key.id)}"
        )
    return bool(connection.scalar(select(storage.c.is_rewritten)))


def holds_signatures(connection: Connection) -> bool:
    """Whether there is anything to seal."""
    return any(connection.scalar(select(exists().select_from(table))) for table in (shares, signatures))
