"""Who is how far: the rules of charon's sync.

Every node tells every other its step, ten times a second, over a stream of its own, and is answered. A step
ends when all have ended it. What breaks the rules ends the ceremony for the node that sees it, which tells
the others in its answers.

A frame has its length before it, 8 bytes little-endian. Write both at once: charon reads a body in one call.

Source: charon, dkg/sync.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dvtfast.dkg.frost.dialects import Dialect, same_version
from dvtfast.dkg.frost.messages import (
    MAX_NICKNAME,
    MAX_SYNC_BYTES,
    BadMessageError,
    Sync,
    SyncAnswer,
    timestamp,
)
from dvtfast.errors import InputError
from dvtfast.protobuf import ProtobufError
from dvtfast.secp256k1 import IdentityKey, is_message_signed_by

HEADER_BYTES: Final = 8
# How far a peer may be ahead of its last report, and of who waits for it.
MOST_STEPS_AT_ONCE = 2
FIRST_STEPS = (0, 1)


class BrokenRuleError(BadMessageError):
    """A peer's report after which the ceremony cannot go on.

    Attributes:
        at_fault: whether the peer is; nobody is where versions or definitions differ.
    """

    def __init__(self, reason: str, *, at_fault: bool) -> None:
        self.at_fault = at_fault
        super().__init__(reason)


class Steps:
    """The steps of all nodes as one of them sees it.

    Attributes:
        own: the step that this node reports.
        shutdown: whether it reports that it is about to end.
        error: why the ceremony ends, if it does; answers say so from then on.
    """

    def __init__(
        self,
        dialect: Dialect,
        definition_hash: bytes,
        key: IdentityKey,
        nodes: Sequence[bytes],
        position: int,
        nickname: str = "",
    ) -> None:
        if len(nickname) > MAX_NICKNAME:
            raise InputError(f"nickname: expected at most {MAX_NICKNAME} letters, got {len(nickname)}")
        self._dialect, self._hash, self._nickname = dialect, definition_hash, nickname
        self._nodes, self._peers = tuple(nodes), tuple(p for p in range(len(nodes)) if p != position)
        self._hash_signature = key.sign_message(definition_hash)
        self._verified: dict[int, bytes] = {}
        self._reported: dict[int, int] = {}
        self._ending: set[int] = set()
        self._heard: set[int] = set()
        self._answering: set[int] = set()
        self.own, self.shutdown, self.error = 0, False, ""

    def report(self, seconds: int, nanoseconds: int) -> bytes:
        """What this node tells each peer now."""
        when = timestamp(seconds, nanoseconds)
        version = self._dialect.version
        return Sync(when, self._hash_signature, self.shutdown, version, self.own, self._nickname).encode()

    def heard(self, peer: int, message: bytes) -> bytes:
        """The answer to a peer's report.

        Raises:
            BrokenRuleError: it breaks a rule; `refusal` is what to answer.
            ProtobufError, BadMessageError: it is no report.
        """
        report = Sync.decode(message)
        if self.error:
            return SyncAnswer(report.timestamp, self.error).encode()
        self._check(peer, report)
        self._heard.add(peer)
        self._reported[peer] = report.step
        if report.shutdown:
            self._ending.add(peer)
        return SyncAnswer(report.timestamp).encode()

    def refusal(self, message: bytes) -> bytes | None:
        """What goes back to the sender of what broke a rule, after `error` was set.

        charon before v1.11 closes the stream without a word where a step is wrong, and the peer waits on.
        """
        try:
            return SyncAnswer(Sync.decode(message).timestamp, self.error).encode()
        except (ProtobufError, BadMessageError):
            return None

    def answered(self, peer: int, answer: bytes) -> None:
        """Take a peer's answer to a report.

        Raises:
            BrokenRuleError: the peer ends the ceremony, and says why.
            ProtobufError: it is no answer.
        """
        decoded = SyncAnswer.decode(answer)
        if decoded.error:
            shown = "".join(letter if letter.isprintable() else "?" for letter in decoded.error)
            raise BrokenRuleError(f"ends the ceremony and says: {shown}", at_fault=False)
        self._answering.add(peer)

    def lost(self, peer: int) -> None:
        """A stream of a peer ended; its step stays, so that we see it if the peer begins anew."""
        self._heard.discard(peer)
        self._answering.discard(peer)

    def unconnected(self) -> tuple[int, ...]:
        """Peers that have not yet reported, or not answered."""
        return tuple(peer for peer in self._peers if peer not in self._heard & self._answering)

    def behind(self, step: int) -> tuple[int, ...]:
        """Peers that have not reached a step.

        Raises:
            BrokenRuleError: one is too far ahead; the reason names it.
        """
        for peer in self._peers:
            if self._reported.get(peer, 0) >= step + MOST_STEPS_AT_ONCE:
                raise BrokenRuleError(
                    f"node {peer} is at step {self._reported[peer]}, and we are at {step}", at_fault=False
                )
        return tuple(peer for peer in self._peers if self._reported.get(peer, 0) < step)

    def not_ending(self) -> tuple[int, ...]:
        """Peers that have not said that they are about to end."""
        return tuple(peer for peer in self._peers if peer not in self._ending)

    def _check(self, peer: int, report: Sync) -> None:
        if not same_version(report.version, self._dialect.version):
            raise BrokenRuleError(
                f"has version {report.version[:40]!r}, and we are {self._dialect.version}:"
                " all nodes of a ceremony must have one minor version",
                at_fault=False,
            )
        if self._verified.get(peer) != report.hash_signature:
            if not is_message_signed_by(self._nodes[peer], self._hash, report.hash_signature):
                reason = "has not signed our definition hash: it has another definition"
                raise BrokenRuleError(reason, at_fault=False)
            self._verified[peer] = report.hash_signature
        last = self._reported.get(peer)
        if last is None:
            if report.step not in FIRST_STEPS:
                reason = f"begins with step {report.step}: it did not begin with us"
                raise BrokenRuleError(reason, at_fault=True)
        elif report.step < last:
            raise BrokenRuleError(
                f"went back from step {last} to {report.step}: it was started anew, so all must start over",
                at_fault=True,
            )
        elif report.step > last + MOST_STEPS_AT_ONCE:
            raise BrokenRuleError(f"jumped from step {last} to {report.step}", at_fault=True)


def frame(message: bytes) -> bytes:
    """A message with its length, as streams of sync have it."""
    return len(message).to_bytes(HEADER_BYTES, "little", signed=True) + message


def body_bytes(header: bytes) -> int:
    """How long the message is that follows a header of 8 bytes.

    Raises:
        BadMessageError: no message of sync is so short or long.
    """
    size = int.from_bytes(header, "little", signed=True)
    if not 1 <= size <= MAX_SYNC_BYTES:
        raise BadMessageError(f"length: expected 1 to {MAX_SYNC_BYTES} bytes, got {size}")
    return size
