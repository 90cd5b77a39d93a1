"""What a signed statement may not say, whatever else happened: who signs such a one has cheated."""

from __future__ import annotations

from collections.abc import Sequence

from dvtfast.dkg.dvtfast_dkg.identity import is_identity, is_signed
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import Envelope, Kind, Mark
from dvtfast.dkg.dvtfast_dkg.messages.statements import Commit, Deal, Done, Echo, Hello, LockSig
from dvtfast.dkg.dvtfast_dkg.terms import Terms

# The one rule that takes the options of the terms.
OTHER_SESSION = "COMMIT is not for the session of its HELLOs"


def broken_rule(envelope: Envelope, terms: Terms) -> str | None:
    """What is wrong with a statement of the right size, signed by its sender; None when nothing is."""
    match envelope.kind:
        case Kind.HELLO:
            hello = Hello.decode(envelope.statement, terms)
            if hello.attempt != terms.attempt:
                return "HELLO is for another attempt than it is signed for"
            return None if is_identity(hello.ephemeral) else "the ephemeral key is no point of secp256k1"
        case Kind.COMMIT:
            commit = Commit.decode(envelope.statement, terms)
            if commit.hello_slot != terms.hello_slot:
                return "COMMIT is for another attempt than its session"
            if unsigned := _unsigned(commit.hellos, Kind.HELLO, commit.hello_slot, terms):
                return unsigned
            session = terms.session_id([mark.digest for mark in commit.hellos])
            return None if envelope.slot == session else OTHER_SESSION
        case Kind.DEAL:
            deal = Deal.decode(envelope.statement, terms)
            return _unsigned(deal.commits, Kind.COMMIT, envelope.slot, terms)
        case Kind.ECHO:
            return _unsigned(Echo.decode(envelope.statement, terms).deals, Kind.DEAL, envelope.slot, terms)
        case Kind.LOCKSIG:
            lock = LockSig.decode(envelope.statement, terms)
            key = terms.operators[envelope.sender]
            good = is_signed(key, lock.lock_hash, lock.node_signature)
            return None if good else "the node's signature of the lock hash is none, or not in its form"
        case Kind.DONE:
            return _unsigned(Done.decode(envelope.statement, terms).locks, Kind.LOCKSIG, envelope.slot, terms)
        case _:
            return None


def marks_of(envelope: Envelope, terms: Terms) -> tuple[Kind, bytes, tuple[Mark, ...]] | None:
    """The list of others' messages in a statement: their kind, their slot, and the marks by position."""
    match envelope.kind:
        case Kind.COMMIT:
            commit = Commit.decode(envelope.statement, terms)
            return Kind.HELLO, commit.hello_slot, commit.hellos
        case Kind.DEAL:
            return Kind.COMMIT, envelope.slot, Deal.decode(envelope.statement, terms).commits
        case Kind.ECHO:
            return Kind.DEAL, envelope.slot, Echo.decode(envelope.statement, terms).deals
        case Kind.DONE:
            return Kind.LOCKSIG, envelope.slot, Done.decode(envelope.statement, terms).locks
        case _:
            return None


def _unsigned(marks: Sequence[Mark], kind: Kind, slot: bytes, terms: Terms) -> str | None:
    for position, (mark, key) in enumerate(zip(marks, terms.operators, strict=True)):
        if not mark.is_by(key, kind, position, slot):
            return f"it lists a {kind.name} of operator {position} that this one has not signed"
    return None
