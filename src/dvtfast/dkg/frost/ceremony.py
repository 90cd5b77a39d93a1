"""A charon ceremony from its first word to its last, for one of its nodes.

The driver hands on what peers send: `answered`, `lost` and `receive` of sync are quick, `receive` of others
takes as long as a large message takes to read. It calls `advance` whenever something came, which does the
work and says what is to be done. Each of these two may be in a thread of its own, one call at a time, while
the others are called. Ten times a second it sends each peer a `report`.

Nobody can be left out and nothing be repeated: who is started anew, is silent or sends anything wrong ends
the ceremony, and the others are told why in the answers to their reports.
"""

from __future__ import annotations

from dataclasses import replace

from dvtfast.constants import ROOT_BYTES
from dvtfast.dkg.frost.inbox import Inbox, PeerError
from dvtfast.dkg.frost.keygen import Dealing
from dvtfast.dkg.frost.order import Order
from dvtfast.dkg.frost.outputs import Output
from dvtfast.dkg.frost.steps import BrokenRuleError
from dvtfast.dkg.frost.terms import Terms
from dvtfast.dkg.outputs import Aborted
from dvtfast.errors import BadDealerError, InputError
from dvtfast.secp256k1 import IdentityKey


class Ceremony:
    """One node's part in a ceremony.

    Args:
        terms: what was agreed.
        key: of this node, the same as in the terms.
        dealing: what this node deals, for tests with known answers; else it is drawn when it is needed.

    Attributes:
        is_over: whether `advance` has nothing more to say.
    """

    def __init__(self, terms: Terms, key: IdentityKey, *, dealing: Dealing | None = None) -> None:
        if key.public_key != terms.nodes[terms.position]:
            raise InputError(f"key: not that of the node at position {terms.position}")
        self._terms, self._inbox = terms, Inbox(terms, key)
        self._order = Order(terms, key, self._inbox, dealing)
        self._story = self._order.run()
        self._faults: list[Aborted] = []
        self.is_over = False

    # --- what comes in ---

    def receive(self, peer: int, protocol: str, message: bytes) -> bytes | None:
        """The answer to a message of an authenticated peer, if there is one; in sync, None closes the stream.

        Raises:
            InputError: there is no such peer or protocol.
        """
        if not self._faults:
            try:
                return self._inbox.receive(peer, protocol, message)
            except PeerError as error:
                self._blame(error)
        return self._inbox.refusal(protocol, message)

    def answered(self, peer: int, protocol: str, answer: bytes) -> None:
        """Take a peer's answer to an `Ask`, or to a report.

        Raises:
            InputError: there is no such peer, or nothing was asked in this protocol.
        """
        if not self._faults:
            try:
                self._inbox.answered(peer, protocol, answer)
            except PeerError as error:
                self._blame(error)

    def lost(self, peer: int) -> None:
        """A stream of sync with a peer ended; it may come back."""
        self._inbox.steps.lost(peer)

    def undelivered(self, peer: int, reason: str) -> None:
        """Something could not be sent to a peer, however often it was tried, so the ceremony ends."""
        self._abort(f"node {peer} cannot be reached: {reason}")

    def sign_lock(self, lock_hash: bytes) -> None:
        """What every share and node signs, when it was asked for by `LockWanted`."""
        if len(lock_hash) != ROOT_BYTES:
            raise InputError(f"lock_hash: expected {ROOT_BYTES} bytes, got {len(lock_hash)}")
        self._order.lock_hash = lock_hash

    def kept(self) -> None:
        """What `Generated` gave is on disk."""
        self._order.is_kept = True

    def stored(self) -> None:
        """Everything that `Sealed` gave is verified and on disk."""
        self._order.is_stored = True

    def give_up(self, *silent: int) -> None:
        """Wait no longer: for those who say nothing any more, or for all that are missing.

        When all have stored that is no failure.
        """
        phase = self._order.phase
        nodes = ", ".join(f"node {node}" for node in silent or phase.missing)
        what = f"a word of {nodes}" if silent else nodes
        self._abort(f"waited too long for {what}: {phase.name}", *(silent or phase.missing))

    def fail(self, reason: str) -> None:
        """This node cannot go on."""
        self._abort(reason, self._terms.position)

    # --- what goes out ---

    def report(self, seconds: int, nanoseconds: int) -> bytes:
        """What each peer is told in sync now, at a time since 1970."""
        return self._inbox.steps.report(seconds, nanoseconds)

    def most_bytes(self, protocol: str) -> int:
        """How long a message or answer in a protocol may be.

        Raises:
            InputError: the ceremony has no such protocol.
        """
        return self._terms.most_bytes(protocol)

    def advance(self) -> list[Output]:
        """Do all that can be done with what came; what is to be sent, shown or made of it, in order."""
        if not self._faults and not self.is_over:
            self._go_on()
        outputs = self._order.taken_outputs()
        if self._faults and not self.is_over:
            self.forget()
            if not self._order.is_finished:
                unconfirmed = self._order.is_sealed
                outputs += [replace(fault, unconfirmed=unconfirmed) for fault in self._faults]
        return outputs

    def forget(self) -> None:
        """Overwrite what is secret, whatever the end; `advance` has nothing more to say."""
        self.is_over = True
        self._order.forget()

    def _go_on(self) -> None:
        try:
            next(self._story)
        except StopIteration:
            self.is_over = True
        except PeerError as error:
            self._blame(error)
        except BadDealerError as error:
            self._abort(str(error), error.dealer)
        except BrokenRuleError as error:
            self._abort(str(error))

    def _blame(self, error: PeerError) -> None:
        self._abort(str(error), error.peer if error.at_fault else None)

    def _abort(self, reason: str, *culprits: int | None) -> None:
        """The first fault counts, and none after the end."""
        if self._order.is_finished:
            self._order.may_end = True
        elif not self._faults and not self.is_over:
            self._faults = [Aborted(reason, culprit) for culprit in culprits or (None,)]
            self._inbox.steps.error = reason
