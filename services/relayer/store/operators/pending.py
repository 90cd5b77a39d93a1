"""How many validators somebody has asked for and not got: nobody may fill the relayer with them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from ..engine.bulk import execute_with
from ..tables import validators

NOBODY = ""  # instead of a token's id: who asked wants it no more


@dataclass(frozen=True)
class Asker:
    """Who asks for validators.

    Attributes:
        token_id: None for all who have no token.
        most_pending: how many may be asked for and not handed out; None for no limit.
        moves_per_day: how many may be moved to other indices or amounts; None for no limit.
    """

    token_id: str | None = None
    most_pending: int | None = None
    moves_per_day: int | None = None


ANYBODY = Asker()


class TooManyPendingError(Exception):
    """Somebody would have more validators pending than it may."""

    def __init__(self, pending: int, most: int) -> None:
        super().__init__(
            f"at most {most} validators may be asked for and not handed out yet, these would make {pending}"
        )


def count_pending(connection: Connection, public_keys: Collection[bytes], asker: Asker) -> None:
    """Note who asked for these validators, which nobody had asked for, unless that makes too many.

    Raises:
        TooManyPendingError: the transaction is to be given up.
    """
    if not public_keys:
        return
    change = update(validators).values(asked_by=asker.token_id)
    execute_with(connection, change, validators.c.public_key, public_keys)
    if asker.most_pending is None:
        return
    of_asker = validators.c.asked_by == asker.token_id  # for None, SQLAlchemy writes IS NULL
    waiting = select(func.count()).where(of_asker, validators.c.handed_out_at.is_(None))
    if (pending := connection.scalar(waiting) or 0) > asker.most_pending:
        raise TooManyPendingError(pending, asker.most_pending)
