"""What a node may say when: the predicates of the paper, of one message and what comes with it.

They need nothing but the message. Why they suffice: once a quorum has prepared a value, every quorum of
ROUND-CHANGEs has an honest node in it that says so, and then no other value can be proposed.
"""

from __future__ import annotations

from collections.abc import Iterable

from dvtfast.qbft.leaders import leader
from dvtfast.qbft.messages import FIRST_ROUND, Kind, Message
from dvtfast.qbft.quorums import by_value, quorum


def is_justified(message: Message, nodes: int) -> bool:
    """Whether a message may be sent by whoever has seen what comes with it."""
    if not message.is_well_formed:
        return False
    match message.kind:
        case Kind.PRE_PREPARE:
            return _may_propose(message, nodes)
        case Kind.ROUND_CHANGE:
            return _may_change(message, nodes)
        case Kind.DECIDED:
            return len(commits_of(message)) >= quorum(nodes)
        case Kind.PREPARE | Kind.COMMIT:
            return True


def proposes_again(message: Message, nodes: int) -> bool:
    """Whether a PRE-PREPARE is for what a quorum prepared before; all others are for a new value."""
    enough = quorum(nodes)
    changes, value = _changes_to(message), message.value_hash
    if value is None or message.round == FIRST_ROUND:
        return False
    for last in {each.prepared_round for each in changes if each.prepared_value_hash == value}:
        nodes_up_to_it = {each.peer for each in changes if each.prepared_round <= last}
        prepares = _votes(message.justification, Kind.PREPARE, last, value)
        if len(nodes_up_to_it) >= enough and len(prepares) >= enough:
            return True
    return False


def commits_of(decided: Message) -> tuple[Message, ...]:
    """The COMMITs, one of a node, that a DECIDED comes with for its round and value."""
    if decided.value_hash is None:
        return ()
    return _votes(decided.justification, Kind.COMMIT, decided.round, decided.value_hash)


def _may_propose(message: Message, nodes: int) -> bool:
    """JustifyPrePrepare: the first round, with nothing; nobody prepared; or the last prepared value."""
    value = message.value_hash
    if value is None or message.peer != leader(message.duty, message.round, nodes):
        return False
    if message.round == FIRST_ROUND:
        return not message.justification
    nothing = {each.peer for each in _changes_to(message) if each.has_prepared_nothing}
    return len(nothing) >= quorum(nodes) or proposes_again(message, nodes)


def _changes_to(proposal: Message) -> list[Message]:
    """The ROUND-CHANGEs to its round that a PRE-PREPARE comes with."""
    return [
        each
        for each in proposal.justification
        if each.kind == Kind.ROUND_CHANGE
        and each.round == proposal.round
        and (each.has_prepared or each.has_prepared_nothing)
    ]


def _may_change(message: Message, nodes: int) -> bool:
    """JustifyRoundChange: nothing is prepared, or just the PREPAREs come with it that say what is."""
    if message.has_prepared_nothing:
        return not message.justification
    if message.prepared_value_hash is None or message.prepared_round >= message.round:
        return False
    given = message.justification
    prepares = _votes(given, Kind.PREPARE, message.prepared_round, message.prepared_value_hash)
    return len(prepares) == len(given) >= quorum(nodes)


def _votes(messages: Iterable[Message], kind: Kind, round: int, value: bytes) -> tuple[Message, ...]:
    """Messages of that kind, round and value, one of each node."""
    fitting = (each for each in messages if each.kind == kind and each.round == round)
    return by_value(fitting).get(value, ())
