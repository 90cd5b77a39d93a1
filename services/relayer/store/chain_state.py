"""What the chain says of our validators' deposits, and how far it is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, delete, insert, select

from .engine.bulk import execute_with
from .operators.reservations import mark_registered
from .tables import checkpoints, registered_keys

KEPT_CHECKPOINTS = 8  # the last ones, to return to after a deep reorganisation

Place = tuple[int, bytes]
"""Number and hash of a block."""


def known_places(connection: Connection) -> list[Place]:
    """The last final blocks up to which deposits are known."""
    query = select(checkpoints.c.number, checkpoints.c.hash).order_by(checkpoints.c.number)
    return [(number, block_hash) for number, block_hash in connection.execute(query)]


def learn_final(connection: Connection, blocks: Mapping[bytes, int], first: int, place: Place) -> int:
    """Keep deposits of final blocks, by public key, in place of what was known of the blocks from `first`
    to `place`, up to which deposits are known now; how many are new."""
    number, block_hash = place
    new = learn_pending(connection, blocks, first, number)
    connection.execute(delete(checkpoints).where(checkpoints.c.number == number))
    connection.execute(insert(checkpoints).values(number=number, hash=block_hash))
    numbers = connection.scalars(select(checkpoints.c.number).order_by(checkpoints.c.number.desc())).all()
    for old in numbers[KEPT_CHECKPOINTS:]:
        connection.execute(delete(checkpoints).where(checkpoints.c.number == old))
    return new


def learn_pending(connection: Connection, blocks: Mapping[bytes, int], first: int, last: int) -> int:
    """Keep the deposits of the blocks from `first` to `last`, in place of what was known of these.

    Another relayer may know more: its node may be ahead.
    """
    query = select(registered_keys.c.public_key).where(registered_keys.c.block_number.between(first, last))
    unlearn(connection, [key for key in connection.scalars(query) if key not in blocks])
    return learn(connection, blocks)


def rewind(connection: Connection, back_to: int | None) -> None:
    """The blocks above one, or all, are to be read again.

    What is known of them stays until then: a validator that is taken for unused might be registered twice.
    """
    above = -1 if back_to is None else back_to
    connection.execute(delete(checkpoints).where(checkpoints.c.number > above))


def learn(connection: Connection, blocks: Mapping[bytes, int]) -> int:
    """These validators have deposits in these blocks; how many are new."""
    of_block: defaultdict[int, list[bytes]] = defaultdict(list)
    for key, number in blocks.items():
        of_block[number].append(key)
    return sum(mark_registered(connection, keys, block_number=number) for number, keys in of_block.items())


def unlearn(connection: Connection, public_keys: Iterable[bytes]) -> None:
    """These validators have no deposit after all."""
    execute_with(connection, delete(registered_keys), registered_keys.c.public_key, public_keys)
