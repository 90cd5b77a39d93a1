"""The messages of a session that one node holds, and what it sends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TypeAlias

from dvtfast.dkg.dvtfast_dkg.messages.envelopes import Envelope, Kind, Mark
from dvtfast.dkg.dvtfast_dkg.messages.wanting import Place, Wanted, decode_want, encode_want, helpers
from dvtfast.dkg.dvtfast_dkg.terms import Terms
from dvtfast.dkg.dvtfast_dkg.work import ToStore
from dvtfast.dkg.outputs import Joined, Output, Send

Attachment: TypeAlias = Callable[[Kind, int], tuple[bytes, ...] | None]
Outputs: TypeAlias = list[Output | ToStore]


class Mail:
    """Of one node.

    Args:
        attachment: what goes with this node's own message of a kind to a receiver, in parts; None while it
            is not computed.

    Attributes:
        own: this node's messages, without attachments.
        held: all messages, one for each place.
        marks: of all messages that were ever seen, which no other may contradict.
        wanted: what others have asked of this node.
        reminders: how often was asked since the last message came.
        out: what is to be done, until it is taken.
    """

    def __init__(self, terms: Terms, position: int, attachment: Attachment) -> None:
        self.own: dict[Kind, Envelope] = {}
        self.held: dict[Place, Envelope] = {}
        self.marks: dict[Place, Mark] = {}
        self.wanted = Wanted()
        self.out: Outputs = []
        self._terms, self._position, self._attachment = terms, position, attachment
        self.reminders = 0

    def keep_own(self, envelope: Envelope) -> None:
        """This node has signed a message."""
        self.own[envelope.kind] = envelope
        self.keep(envelope)

    def keep(self, envelope: Envelope) -> None:
        """A message was accepted."""
        place = envelope.kind, envelope.sender
        self.held[place] = envelope
        self.marks.setdefault(place, envelope.mark)
        self.reminders = 0

    def forget(self, place: Place) -> None:
        """A message is of no use: another may come in its place."""
        del self.held[place], self.marks[place]

    def missing(self, kind: Kind) -> tuple[int, ...]:
        """Whose messages of a kind are still needed; partial signatures of any t nodes are enough.

        Not where each brings its encrypted key shares.
        """
        missing = tuple(p for p in range(self._terms.count) if (kind, p) not in self.held)
        enough = (
            kind == Kind.SIGS
            and not self._terms.sealed_bytes
            and self._terms.count - len(missing) >= self._terms.threshold
        )
        return () if enough else missing

    def listed(self, kind: Kind) -> list[Mark]:
        """The marks of all messages of a kind, by position."""
        return [self.marks[kind, position] for position in range(self._terms.count)]

    def send(self, peer: int, envelope: Envelope, receiver: int | None = None) -> None:
        """Send one message to one peer, own ones with what goes with them, perhaps for another receiver."""
        if envelope.sender == self._position and envelope.kind in (Kind.DEAL, Kind.SIGS):
            receiver = peer if receiver is None else receiver
            if (parts := self._attachment(envelope.kind, receiver)) is not None:
                self.out.append(Send(peer, envelope.kind.name.lower(), Joined(envelope.encode(), *parts)))
        else:
            self.out.append(Send(peer, envelope.kind.name.lower(), envelope.encode()))

    def send_all(self, envelope: Envelope) -> None:
        """Send one message to all others."""
        for peer in range(self._terms.count):
            if peer != self._position:
                self.send(peer, envelope)

    def ask(self, kinds: Iterable[Kind]) -> None:
        """Ask for what is missing of some kinds: who signs it, and each time in vain more of the others."""
        places = [
            (kind, sender) for kind in kinds for sender in self.missing(kind) if sender != self._position
        ]
        peers = {sender for _, sender in places}
        if places and self.reminders:
            peers |= set(helpers(self._position, self._terms.count, self.reminders))
        for peer in sorted(peers):
            self._want(peer, places, self._position)
        self.reminders += 1
        self.wanted.remind()

    def answer(self, peer: int, payload: bytes, verdicts: Iterable[Envelope]) -> None:
        """Send what a peer asks for, if this node has it; and what ended the ceremony, if it did."""
        for kind, sender, receiver in decode_want(payload, self._terms.count):
            mine, found = sender == self._position, self.held.get((kind, sender))
            if found is None or receiver in (sender, self._position):
                continue
            if kind == Kind.DEAL and (mine or receiver == peer):
                if not self.wanted.may_answer(peer, kind, receiver if mine else sender):
                    continue
                if mine:
                    self.send(peer, found, receiver)
                else:
                    self.wanted.ask_for(sender, receiver)
                    self._want(sender, [(kind, sender)], receiver)
            elif kind != Kind.DEAL and receiver == peer and self.wanted.may_answer(peer, kind, sender):
                self.send(peer, found)
        for envelope in verdicts:
            if self.wanted.may_answer(peer, envelope.kind, envelope.sender):
                self.send(peer, envelope)

    def pass_on(self, envelope: Envelope, hashes: Sequence[bytes], shared: int) -> None:
        """A DEAL came that this node may have asked for on behalf of others: it is theirs.

        Args:
            hashes: of the ciphertexts, by receiver.
            shared: bytes of the attachment that are the same for all receivers.
        """
        dealer, held = envelope.sender, self.held.get((Kind.DEAL, envelope.sender))
        if held is None or held.mark.digest != envelope.mark.digest:
            return
        if held.attachment[:shared] != envelope.attachment[:shared]:
            return
        digest = sha256(envelope.attachment[shared:]).digest()
        for receiver, each in enumerate(hashes):
            if each == digest and self.wanted.give(dealer, receiver):
                self.send(receiver, replace(envelope, signature=held.signature))

    def _want(self, peer: int, places: Sequence[Place], receiver: int) -> None:
        payload = encode_want(places, receiver, self._terms.count)
        self.out.append(Send(peer, Kind.WANT.name.lower(), payload))
