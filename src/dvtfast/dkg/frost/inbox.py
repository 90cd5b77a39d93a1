"""What peers sent in a ceremony, each read and checked as far as it can be before its turn comes.

Peers may be a step ahead, so everything is kept until it is wanted. Of each thing a peer can send one is
kept: the same once more is passed over, and another is a fault. So what is kept is bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TypeVar

from dvtfast.dkg.frost.broadcast import Broadcasts
from dvtfast.dkg.frost.casts import Round1, Round2, Shares
from dvtfast.dkg.frost.dialects import NODE_SIGNATURE, ROUND1, ROUND2, SHARES, SYNC
from dvtfast.dkg.frost.messages import TYPE_PREFIX, BadMessageError, NodeSignature, Wrapped
from dvtfast.dkg.frost.partials import LOCK_HASH, PartialsMessage
from dvtfast.dkg.frost.steps import BrokenRuleError, Steps
from dvtfast.dkg.frost.terms import Terms
from dvtfast.errors import InputError
from dvtfast.protobuf import ProtobufError
from dvtfast.secp256k1 import IdentityKey

T = TypeVar("T")

# Types of what is broadcast, by id.
TYPES = {ROUND1: Round1.NAME, ROUND2: Round2.NAME, NODE_SIGNATURE: NodeSignature.NAME}


class PeerError(Exception):
    """A peer's message ends the ceremony.

    Attributes:
        peer: its position.
        at_fault: whether the peer broke a rule, as far as we can tell.
    """

    def __init__(self, peer: int, reason: str, *, at_fault: bool = True) -> None:
        self.peer, self.at_fault = peer, at_fault
        super().__init__(f"node {peer}: {reason}")


class Inbox:
    """What came from whom. Everything here is quick, and changes nothing that was taken in before.

    Attributes:
        steps: how far everybody is.
        broadcasts: those of this node, and what it signed of others.
        round1, round2, node_signatures: what was broadcast, by position; this node's are put there by it.
        shares: of the polynomials of each dealer, by position.
        partials: what each node's shares signed, by slot and position, not yet read.
        whole: broadcasts of this node that everybody has signed, by id.
    """

    def __init__(self, terms: Terms, key: IdentityKey) -> None:
        who = (terms.nodes, terms.position)
        self._terms = terms
        self.steps = Steps(terms.dialect, terms.definition_hash, key, *who, terms.nickname)
        self.broadcasts = Broadcasts(terms.dialect, terms.definition_hash, key, *who)
        self.round1: dict[int, Round1] = {}
        self.round2: dict[int, Round2] = {}
        self.node_signatures: dict[int, NodeSignature] = {}
        self.shares: dict[int, Shares] = {}
        slots = (LOCK_HASH, *(exchange.slot for exchange in terms.exchanges))
        self.partials: dict[int, dict[int, PartialsMessage]] = {slot: {} for slot in slots}
        self.whole: dict[str, bytes] = {}
        # What was read when it was to be signed, for when all have signed it.
        self._read: dict[tuple[str, int], Round1 | Round2 | NodeSignature] = {}
        # Of shares that came, to know them again when they were used and overwritten.
        self._share_tags: dict[int, bytes] = {}

    def receive(self, peer: int, protocol: str, message: bytes) -> bytes | None:
        """Take a peer's message, and give the answer if there is one.

        Raises:
            PeerError: it cannot be used.
            InputError: there is no such peer or protocol.
        """
        return self._guarded(peer, protocol, message, self._receive)

    def answered(self, peer: int, protocol: str, answer: bytes) -> None:
        """Take a peer's answer to a report, or to the request for a signature.

        Raises:
            PeerError: it cannot be used.
            InputError: there is no such peer, or nothing was asked in this protocol.
        """
        self._guarded(peer, protocol, answer, self._answered)

    def refusal(self, protocol: str, message: bytes) -> bytes | None:
        """What goes back when the ceremony has ended: in sync, why."""
        return self.steps.refusal(message) if protocol == SYNC else None

    def forget(self) -> None:
        """Overwrite the shares that came; meanwhile more may, on another thread, which a later call finds."""
        for shares in list(self.shares.values()):
            shares.wipe()

    def _receive(self, peer: int, protocol: str, message: bytes) -> bytes | None:
        dialect = self._terms.dialect
        if protocol == SYNC:
            return self.steps.heard(peer, message)
        if protocol == dialect.signature_protocol:
            return self.broadcasts.sign(peer, message, lambda id, content: self._read_cast(peer, id, content))
        if protocol == dialect.message_protocol:
            self._take_broadcast(peer, message)
            return b""
        if protocol == SHARES:
            self._take_shares(peer, message)
        else:
            self._take_partials(peer, message)
        return None

    def _answered(self, peer: int, protocol: str, answer: bytes) -> None:
        if protocol == SYNC:
            self.steps.answered(peer, answer)
        elif protocol == self._terms.dialect.signature_protocol:
            if whole := self.broadcasts.answered(peer, answer):
                self.whole[whole.id] = whole.encode()
        else:
            raise InputError(f"protocol: nothing is asked in {protocol}")

    def _read_cast(self, peer: int, id: str, content: Wrapped) -> None:
        """Read what a peer will broadcast, as whoever signs it has to."""
        terms = self._terms
        if id not in TYPES or content.type_url != TYPE_PREFIX + TYPES[id]:
            raise BadMessageError(f"a broadcast of {content.type_url!r} as {id!r}")
        cast: Round1 | Round2 | NodeSignature
        if id == ROUND1:
            cast = Round1.decode(
                content.value, position=peer, validators=terms.validators, threshold=terms.threshold
            )
        elif id == ROUND2:
            cast = Round2.decode(content.value, position=peer, validators=terms.validators)
        else:
            cast = NodeSignature.decode(content.value, position=peer)
        self._read[id, peer] = cast

    def _take_broadcast(self, peer: int, message: bytes) -> None:
        id = self.broadcasts.accept(peer, message)
        cast = self._read.pop((id, peer)) if id else None
        if isinstance(cast, Round1):
            self.round1[peer] = cast
        elif isinstance(cast, Round2):
            self.round2[peer] = cast
        elif cast:
            self.node_signatures[peer] = cast

    def _take_shares(self, peer: int, message: bytes) -> None:
        terms = self._terms
        shares = Shares.decode(message, position=peer, to=terms.position, validators=terms.validators)
        tag = sha256(shares.values.data).digest()
        if self._share_tags.setdefault(peer, tag) != tag:
            shares.wipe()
            raise BadMessageError("shares that are not those it sent before")
        if peer in self.shares:
            shares.wipe()
        else:
            self.shares[peer] = shares

    def _take_partials(self, peer: int, message: bytes) -> None:
        sent = PartialsMessage.decode(message)
        if sent.slot not in self.partials:
            raise BadMessageError(f"duty: nothing is signed in slot {sent.slot}")
        if self.partials[sent.slot].setdefault(peer, sent) != sent:
            raise BadMessageError(f"signatures for slot {sent.slot} that are not those it sent before")

    def _guarded(self, peer: int, protocol: str, message: bytes, take: Callable[[int, str, bytes], T]) -> T:
        if peer not in self._terms.peers:
            raise InputError(f"peer: expected the position of another node, got {peer}")
        most = self._terms.most_bytes(protocol)
        try:
            if len(message) > most:
                raise BadMessageError(f"expected at most {most} bytes, got {len(message)}")
            return take(peer, protocol, message)
        except BrokenRuleError as error:
            raise PeerError(peer, str(error), at_fault=error.at_fault) from None
        except (BadMessageError, ProtobufError) as error:
            raise PeerError(peer, f"{protocol}: {error}") from None
