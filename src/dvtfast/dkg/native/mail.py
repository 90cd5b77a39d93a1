"""The messages of a session that one node holds, and what it sends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeAlias

from dvtfast.dkg.native.envelopes import Envelope, Kind, Mark
from dvtfast.dkg.native.terms import Terms
from dvtfast.dkg.native.wanting import PASSED_ON, Place, Wanted, decode_want, encode_want
from dvtfast.dkg.native.work import ToStore
from dvtfast.dkg.outputs import Output, Send

Outputs: TypeAlias = list[Output | ToStore]


class Mail:
    """Of one node.

    Args:
        attachment: what goes with this node's own message of a kind to a receiver; None while it is not
            computed.

    Attributes:
        own: this node's messages, without attachments.
        held: all messages, one for each place.
        marks: of all messages that were ever seen, which no other may contradict.
        wanted: what the others wait for.
        out: what is to be done, until it is taken.
    """

    def __init__(self, terms: Terms, position: int, attachment: Callable[[Kind, int], bytes | None]) -> None:
        self.own: dict[Kind, Envelope] = {}
        self.held: dict[Place, Envelope] = {}
        self.marks: dict[Place, Mark] = {}
        self.wanted = Wanted()
        self.out: Outputs = []
        self._terms, self._position, self._attachment = terms, position, attachment
        self._reminders = 0

    def keep_own(self, envelope: Envelope) -> None:
        """This node has signed a message."""
        self.own[envelope.kind] = envelope
        self.keep(envelope)

    def keep(self, envelope: Envelope) -> None:
        """A message was accepted."""
        place = envelope.kind, envelope.sender
        self.held[place] = envelope
        self.marks.setdefault(place, envelope.mark)
        self._reminders = 0

    def forget(self, place: Place) -> None:
        """A message is of no use: another may come in its place."""
        del self.held[place], self.marks[place]

    def missing(self, kind: Kind) -> tuple[int, ...]:
        """Whose messages of a kind are still needed; partial signatures of any t nodes are enough."""
        missing = tuple(p for p in range(self._terms.count) if (kind, p) not in self.held)
        enough = kind == Kind.SIGS and self._terms.count - len(missing) >= self._terms.threshold
        return () if enough else missing

    def listed(self, kind: Kind) -> list[Mark]:
        """The marks of all messages of a kind, by position."""
        return [self.marks[kind, position] for position in range(self._terms.count)]

    def send(self, peer: int, envelope: Envelope) -> None:
        """Send one message to one peer, own ones with what goes with them."""
        if envelope.sender == self._position and envelope.kind in (Kind.DEAL, Kind.SIGS):
            if (attachment := self._attachment(envelope.kind, peer)) is None:
                return
            envelope = replace(envelope, attachment=attachment)
        self.out.append(Send(peer, envelope.kind.name.lower(), envelope.encode()))

    def send_all(self, envelope: Envelope) -> None:
        """Send one message to all others."""
        for peer in range(self._terms.count):
            if peer != self._position:
                self.send(peer, envelope)

    def ask(self, kinds: Iterable[Kind]) -> None:
        """Ask for what is missing of some kinds: first those who sign it, the next time everybody."""
        places = [
            (kind, sender) for kind in kinds for sender in self.missing(kind) if sender != self._position
        ]
        peers = {sender for _, sender in places}
        if places and self._reminders:
            peers = set(range(self._terms.count)) - {self._position}
        payload = encode_want(places, self._terms.count)
        self.out += [Send(peer, Kind.WANT.name.lower(), payload) for peer in sorted(peers)]
        self._reminders += 1

    def answer(self, peer: int, payload: bytes, verdicts: Iterable[Envelope]) -> None:
        """Send what a peer asks for, if this node has it and may; and what ended the ceremony, if it did."""
        places = decode_want(payload, self._terms.count)
        self.wanted.hear(peer, places)
        found = [self.held[place] for place in places if place in self.held and place[1] != peer]
        mine = (each for each in found if each.sender == self._position or each.kind in PASSED_ON)
        for envelope in (*mine, *verdicts):
            if self.wanted.may_answer(peer, envelope.kind, envelope.sender):
                self.send(peer, envelope)
