"""What proves to everybody that an operator has cheated.

    type 1 | attempt 8 | fields, each after its length of 4 bytes

The first field is the digests of all HELLOs of the session, 32 n bytes, or empty before there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from dvtfast.dkg.dvtfast_dkg.hashing import DIGEST_BYTES
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import Envelope, Kind, Mark
from dvtfast.dkg.dvtfast_dkg.terms import Terms

HEAD_BYTES = 9
LENGTH_BYTES = 4
PLACE_BYTES = 4


class Proves(IntEnum):
    """What an evidence is of, with its fields; an envelope in it has no attachment."""

    EQUIVOCATION = 1  # kind and sender | slot | two marks
    MALFORMED = 2  # envelope whose statement breaks a rule
    CHANGED = 3  # COMMIT | DEAL whose public part it does not promise
    BAD_POINT = 4  # DEAL | row of commitments, not all in the group
    REPEATED = 5  # DEAL | two rows with one constant term
    BAD_PROOF = 6  # DEAL | all commitments, for which its proof does not hold
    COMPLAINT = 7  # HELLO of accuser | HELLO of dealer | DEAL | COMPLAINT | ciphertext | row
    BAD_SIGNATURE = 8  # SIGS | its sender's ECHO | kind | row of signatures | DEAL and row of each dealer
    BAD_LOCK_SIGNATURE = 9  # LOCKSIG | its sender's ECHO | its public key shares
    OTHER_RESULT = 10  # ECHO with public key shares that do not come of the deals
    OTHER_LOCK = 11  # LOCKSIG with another lock hash than that of the result
    FALSE_BLAME = 12  # BLAME | the evidence in it, which proves nothing


@dataclass(frozen=True, slots=True)
class Row:
    """One validator's row of a tree, with its path. As fields: place, row, path."""

    place: int
    row: bytes = field(repr=False)
    path: bytes = field(repr=False)

    @property
    def fields(self) -> tuple[bytes, bytes, bytes]:
        """As in an evidence."""
        return self.place.to_bytes(PLACE_BYTES, "big"), self.row, self.path


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is in the bytes of an evidence; nothing of it is judged."""

    proves: Proves
    attempt: int
    hello_digests: tuple[bytes, ...]
    fields: tuple[bytes, ...] = field(repr=False)

    def encode(self) -> bytes:
        """The bytes."""
        fields = (b"".join(self.hello_digests), *self.fields)
        head = bytes([self.proves]) + self.attempt.to_bytes(HEAD_BYTES - 1, "big")
        return head + b"".join(len(each).to_bytes(LENGTH_BYTES, "big") + each for each in fields)


def decode_evidence(encoded: bytes, terms: Terms) -> Evidence:
    """The evidence in these bytes.

    Raises:
        ValueError: they are none.
    """
    if len(encoded) < HEAD_BYTES:
        raise ValueError("too short")
    place, fields = HEAD_BYTES, list[bytes]()
    while place < len(encoded):
        start = place + LENGTH_BYTES
        place = start + int.from_bytes(encoded[place:start], "big")
        if start > len(encoded) or place > len(encoded):
            raise ValueError("a field ends after the end")
        fields.append(encoded[start:place])
    digests = fields[0] if fields else b""
    if not fields or len(digests) not in (0, DIGEST_BYTES * terms.count):
        raise ValueError("no list of HELLOs")
    parts = [digests[i : i + DIGEST_BYTES] for i in range(0, len(digests), DIGEST_BYTES)]
    attempt = int.from_bytes(encoded[1:HEAD_BYTES], "big")
    return Evidence(Proves(encoded[0]), attempt, tuple(parts), tuple(fields[1:]))


def of_equivocation(
    terms: Terms, digests: Sequence[bytes], kind: Kind, sender: int, slot: bytes, marks: tuple[Mark, Mark]
) -> Evidence:
    """That an operator has signed two statements for one kind and slot."""
    both = [mark.digest + mark.signature for mark in marks]
    fields = (bytes([kind, sender]), slot, *both)
    return Evidence(Proves.EQUIVOCATION, terms.attempt, tuple(digests), fields)


def of_envelopes(
    proves: Proves, terms: Terms, digests: Sequence[bytes], *envelopes: Envelope, rest: Sequence[bytes] = ()
) -> Evidence:
    """Of envelopes, and what follows them."""
    bare = (envelope.bare.encode() for envelope in envelopes)
    return Evidence(proves, terms.attempt, tuple(digests), (*bare, *rest))
