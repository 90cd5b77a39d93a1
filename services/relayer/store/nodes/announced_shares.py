"""What nodes claim their validators' public key shares to be, where no cluster file says so."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import ColumnElement, Connection, delete, exists, select, update

from dvtfast.constants import PUBLIC_KEY_BYTES

from ..engine.bulk import execute_with, insert_into, rows_with
from ..engine.database import chunks, touch
from ..judging.due import Thresholds, mark_due
from ..operators.asked_validators import known_keys
from ..tables import (
    UINT64_BYTES,
    MessageStatus,
    ShareState,
    from_uint64,
    key_share_claims,
    messages,
    shares,
    uint64,
)

ITEM_BYTES = UINT64_BYTES + PUBLIC_KEY_BYTES


def claim_to_bytes(key_shares: Mapping[int, bytes]) -> bytes:
    """A claim in the form in which it is kept, the same for all who claim the same."""
    return b"".join(uint64(index) + key_shares[index] for index in sorted(key_shares))


def claim_from_bytes(kept: bytes) -> dict[int, bytes]:
    """Public key shares by share index, again."""
    items = (kept[begin : begin + ITEM_BYTES] for begin in range(0, len(kept), ITEM_BYTES))
    return {from_uint64(item[:UINT64_BYTES]): item[UINT64_BYTES:] for item in items}


def keep_claims(
    connection: Connection,
    share_index: int,
    claims: Mapping[bytes, bytes],
    *,
    limit: int,
    threshold_of: Thresholds,
) -> None:
    """Keep what a node claims about validators that were asked for, instead of what it claimed before.

    What was judged by a claim that is withdrawn is judged again.

    Args:
        share_index: of the node.
        claims: by public key.
        limit: how many nodes' claims are kept for one validator.
    """
    if not claims:
        return
    claims = {key: claims[key] for key in known_keys(connection, claims)}
    index, kept = uint64(share_index), _kept(connection, claims)
    new = {key: claim for key, claim in claims.items() if kept[key].get(index) != claim}
    changed = [key for key in new if index in kept[key]]
    full = {key for key in new if index not in kept[key] and len(kept[key]) >= limit}
    new = {key: claim for key, claim in new.items() if key not in full - _made_room(connection, full, limit)}
    if not new:
        return
    rows = [{"public_key": key, "share_index": index, "key_shares": claim} for key, claim in new.items()]
    put = insert_into(connection, key_share_claims)
    place = key_share_claims.c.public_key, key_share_claims.c.share_index
    put = put.on_conflict_do_update(index_elements=place, set_={"key_shares": put.excluded.key_shares})
    connection.execute(put, rows)
    _judge_again(connection, changed)
    for chunk in chunks(new):
        of_keys = select(messages.c.id).where(messages.c.public_key.in_(chunk))
        mark_due(connection, list(connection.scalars(of_keys)), threshold_of)


def agreed_claims(
    connection: Connection, public_keys: Iterable[bytes], threshold: int
) -> dict[bytes, dict[int, bytes]]:
    """The public key shares that at least `threshold` nodes claim, as long as no other ones are so, too.

    Nodes without any share of the validator do not count.
    """
    agreed = {}
    for key, claims in _kept(connection, public_keys, _has_share()).items():
        often = [claim for claim, count in Counter(claims.values()).items() if count >= threshold]
        if len(often) == 1:
            agreed[key] = claim_from_bytes(often[0])
    return agreed


def _kept(
    connection: Connection, public_keys: Iterable[bytes], *which: ColumnElement[bool]
) -> defaultdict[bytes, dict[bytes, bytes]]:
    """Claims by public key and share index."""
    kept: defaultdict[bytes, dict[bytes, bytes]] = defaultdict(dict)
    query = select(key_share_claims).where(*which)
    for key, index, claim in rows_with(connection, query, key_share_claims.c.public_key, public_keys):
        kept[key][index] = claim
    return kept


def _made_room(connection: Connection, public_keys: Collection[bytes], limit: int) -> set[bytes]:
    """Those of these validators that have room once claims of nodes without any share are dropped."""
    unused = delete(key_share_claims).where(~_has_share())
    execute_with(connection, unused, key_share_claims.c.public_key, public_keys)
    left = _kept(connection, public_keys)
    return {key for key in public_keys if len(left[key]) < limit}


def _has_share() -> ColumnElement[bool]:
    """Whether a node has handed in any share of the validator, good or bad."""
    return exists().where(
        messages.c.public_key == key_share_claims.c.public_key,
        shares.c.message_id == messages.c.id,
        shares.c.share_index == key_share_claims.c.share_index,
    )


def _judge_again(connection: Connection, public_keys: Iterable[bytes]) -> None:
    """Take bad shares of these validators for unjudged ones, unless their message is ready."""
    for chunk in chunks(public_keys):
        of_keys = messages.c.public_key.in_(chunk), messages.c.status != MessageStatus.READY
        rejected = shares.c.state == ShareState.REJECTED
        query = select(messages.c.id).join(shares, shares.c.message_id == messages.c.id)
        ids = list(connection.scalars(query.where(*of_keys, rejected).distinct()))
        for some in chunks(ids):
            again = update(shares).where(shares.c.message_id.in_(some), rejected)
            connection.execute(again.values(state=ShareState.STORED))
        touch(connection, ids)
