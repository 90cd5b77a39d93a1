"""A database is for one network: messages of two would be taken for each other."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from ..tables import made_for
from .database import ForeignDatabaseError


def keep_for(connection: Connection, network: str) -> None:
    """Keep the database for this network; the first one that asks has it.

    Raises:
        ForeignDatabaseError: it is another network's.
    """
    holder = connection.scalar(select(made_for.c.network))
    if holder is None:
        connection.execute(insert(made_for).values(network=network))
    elif holder != network:
        raise ForeignDatabaseError(f"the database is for {holder}, not for {network}")
