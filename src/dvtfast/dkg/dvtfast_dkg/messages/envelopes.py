"""Messages as they travel: a signed statement, and bytes that the statement holds hashes of.

    kind 1 | sender 1 | slot 32 | length of statement 4 | statement | signature 65 | attachment

The slot is the session, or for HELLO the attempt. Who signs two statements for one kind and slot has cheated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from hashlib import sha256

from dvtfast.dkg.dvtfast_dkg.hashing import DIGEST_BYTES, tagged_hash
from dvtfast.dkg.dvtfast_dkg.identity import SIGNATURE_BYTES, Identity, is_signed

HEAD_BYTES = 2 + DIGEST_BYTES + 4
# Of an envelope without statement and attachment.
FRAME_BYTES = HEAD_BYTES + SIGNATURE_BYTES


class Kind(IntEnum):
    """Of messages, in the order of the ceremony; the last four are outside of it."""

    HELLO = 1
    COMMIT = 2
    DEAL = 3
    ECHO = 4
    SIGS = 5
    LOCKSIG = 6
    DONE = 7
    CLOSE = 8
    COMPLAINT = 9
    BLAME = 10
    STOP = 11
    WANT = 12


# Those that may be sent twice with different content.
REPEATABLE = (Kind.COMPLAINT, Kind.BLAME, Kind.STOP)
# Those with an attachment.
WITH_ATTACHMENT = (Kind.DEAL, Kind.SIGS, Kind.BLAME)


@dataclass(frozen=True, slots=True)
class Mark:
    """What is left of a signed statement in the lists of others: enough to prove that it was signed.

    Attributes:
        digest: SHA-256 of the statement.
        signature: over `signed_digest`.
    """

    digest: bytes
    signature: bytes

    def is_by(self, operator: bytes, kind: Kind, sender: int, slot: bytes) -> bool:
        """Whether the operator with this key, at this position, has signed it."""
        return is_signed(operator, signed_digest(kind, sender, slot, self.digest), self.signature)


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message; see above."""

    kind: Kind
    sender: int
    slot: bytes
    statement: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    attachment: bytes = field(default=b"", repr=False)

    @property
    def mark(self) -> Mark:
        """What others put into their lists."""
        return Mark(sha256(self.statement).digest(), self.signature)

    def is_signed(self, operators: Sequence[bytes]) -> bool:
        """Whether the operator at the sender's position has signed it."""
        return self.mark.is_by(operators[self.sender], self.kind, self.sender, self.slot)

    def encode(self) -> bytes:
        """The bytes that travel."""
        head = bytes([self.kind, self.sender]) + self.slot + len(self.statement).to_bytes(4, "big")
        return b"".join((head, self.statement, self.signature, self.attachment))

    @property
    def bare(self) -> Envelope:
        """Without the attachment."""
        return replace(self, attachment=b"")


def decode_envelope(payload: bytes) -> Envelope:
    """The message in these bytes.

    Raises:
        ValueError: they are none.
    """
    if len(payload) < FRAME_BYTES:
        raise ValueError("too short")
    end = HEAD_BYTES + int.from_bytes(payload[HEAD_BYTES - 4 : HEAD_BYTES], "big")
    if len(payload) < end + SIGNATURE_BYTES:
        raise ValueError("too short")
    return Envelope(
        Kind(payload[0]),
        payload[1],
        payload[2 : HEAD_BYTES - 4],
        payload[HEAD_BYTES:end],
        payload[end : end + SIGNATURE_BYTES],
        payload[end + SIGNATURE_BYTES :],
    )


def signed_digest(kind: Kind, sender: int, slot: bytes, digest: bytes) -> bytes:
    """What a signature is over."""
    return tagged_hash("statement", bytes([kind, sender]), slot, digest)


def seal(identity: Identity, kind: Kind, sender: int, slot: bytes, statement: bytes) -> Envelope:
    """A message with this statement, signed."""
    digest = signed_digest(kind, sender, slot, sha256(statement).digest())
    return Envelope(kind, sender, slot, statement, identity.sign(digest))
