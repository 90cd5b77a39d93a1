"""What is signed in each message: fields of fixed size, one after the other.

A list of marks has one of each operator, by position. Of a statement of the right size any content decodes;
what may not be in it is said by `rules`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dvtfast.constants import SIGNATURE_BYTES as BLS_SIGNATURE_BYTES
from dvtfast.dkg.dvtfast_dkg.hashing import DIGEST_BYTES, tagged_hash
from dvtfast.dkg.dvtfast_dkg.identity import IDENTITY_BYTES, SIGNATURE_BYTES
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import Kind, Mark
from dvtfast.dkg.dvtfast_dkg.terms import Terms
from dvtfast.dkg.proof_of_knowledge import PROOF_BYTES

MARK_BYTES = DIGEST_BYTES + SIGNATURE_BYTES
NUMBER_BYTES = 8
MOST_TEXT = 200
OPENING_PROOF_BYTES = 64


class _Reader:
    """Takes fields off bytes, in order."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def take(self, size: int) -> bytes:
        start, self._place = self._place, self._place + size
        if self._place > len(self._data):
            raise ValueError("too short")
        return self._data[start : self._place]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def marks(self, count: int) -> tuple[Mark, ...]:
        return tuple(Mark(self.take(DIGEST_BYTES), self.take(SIGNATURE_BYTES)) for _ in range(count))

    def digests(self, count: int) -> tuple[bytes, ...]:
        return tuple(self.take(DIGEST_BYTES) for _ in range(count))

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._place)


def _joined(marks: Sequence[Mark]) -> bytes:
    return b"".join(mark.digest + mark.signature for mark in marks)


@dataclass(frozen=True, slots=True)
class Hello:
    """Who takes part, with fresh randomness, a key for this session, and whether its machine is ready.

    Attributes:
        attempt: as in the terms.
        nonce: 32 random bytes.
        ephemeral: a point of secp256k1, 33 bytes; others encrypt shares to it.
        format: of what this node says and records; see `hashing.FORMAT`.
        trouble: why this node cannot take part; empty when it is ready.
    """

    attempt: int
    options_hash: bytes
    nonce: bytes
    ephemeral: bytes
    format: int
    trouble: str

    def encode(self) -> bytes:
        """The statement."""
        numbers = (
            self.attempt.to_bytes(NUMBER_BYTES, "big"),
            self.format.to_bytes(NUMBER_BYTES, "big"),
        )
        text = self.trouble.encode()[:MOST_TEXT]
        return b"".join((numbers[0], self.options_hash, self.nonce, self.ephemeral, numbers[1], text))

    @classmethod
    def decode(cls, statement: bytes, terms: Terms) -> Hello:
        """What is in the statement."""
        reader = _Reader(statement)
        attempt, options_hash, nonce = reader.number(NUMBER_BYTES), *reader.digests(2)
        ephemeral, number = reader.take(IDENTITY_BYTES), reader.number(NUMBER_BYTES)
        text = reader.rest().decode(errors="replace")
        return cls(attempt, options_hash, nonce, ephemeral, number, text)


@dataclass(frozen=True, slots=True)
class Commit:
    """Which HELLOs the session is of, and the hash of what this dealer will publish."""

    hello_slot: bytes
    hellos: tuple[Mark, ...]
    public_hash: bytes

    def encode(self) -> bytes:
        """The statement."""
        return self.hello_slot + _joined(self.hellos) + self.public_hash

    @classmethod
    def decode(cls, statement: bytes, terms: Terms) -> Commit:
        """What is in the statement."""
        reader = _Reader(statement)
        return cls(reader.take(DIGEST_BYTES), reader.marks(terms.count), reader.take(DIGEST_BYTES))


@dataclass(frozen=True, slots=True)
class Deal:
    """All COMMITs, and hashes of commitments and of each encrypted share.

    Attributes:
        root: of the tree over the commitments, one row of 48 t bytes for each validator.
        proof: that the dealer knows its constant terms.
        ciphertext_hashes: of what each operator gets; zeros for the dealer itself.
    """

    commits: tuple[Mark, ...]
    root: bytes
    proof: bytes
    ciphertext_hashes: tuple[bytes, ...]

    @property
    def public_hash(self) -> bytes:
        """What COMMIT promises."""
        return public_hash(self.root, self.proof)

    def encode(self) -> bytes:
        """The statement."""
        return b"".join((_joined(self.commits), self.root, self.proof, *self.ciphertext_hashes))

    @classmethod
    def decode(cls, statement: bytes, terms: Terms) -> Deal:
        """What is in the statement."""
        reader = _Reader(statement)
        marks, root, proof = reader.marks(terms.count), reader.take(DIGEST_BYTES), reader.take(PROOF_BYTES)
        return cls(marks, root, proof, reader.digests(terms.count))


def public_hash(root: bytes, proof: bytes) -> bytes:
    """Of a dealer's commitments, by the root of their tree, and its proof."""
    return tagged_hash("public part", root, proof)


@dataclass(frozen=True, slots=True)
class Echo:
    """All DEALs, whose shares are right, and the hashes of all nodes' public key shares that come of them."""

    deals: tuple[Mark, ...]
    results: tuple[bytes, ...]

    def encode(self) -> bytes:
        """The statement."""
        return b"".join((_joined(self.deals), *self.results))

    @classmethod
    def decode(cls, statement: bytes, terms: Terms) -> Echo:
        """What is in the statement."""
        reader = _Reader(statement)
        return cls(reader.marks(terms.count), reader.digests(terms.count))


@dataclass(frozen=True, slots=True)
class Sigs:
    """The root of the tree over partial signatures, one row of 96 bytes a kind for each validator.

    Behind them in a row is the key share, encrypted to a key of the operator's own, where that is agreed on.
    """

    root: bytes

    def encode(self) -> bytes:
        """The statement."""
        return self.root

    @classmethod
    def decode(cls, statement: bytes, terms: Terms) -> Sigs:
        """What is in the statement."""
        return cls(_Reader(statement).take(DIGEST_BYTES))


@dataclass(frozen=True, slots=True)
class LockSig:
    """The lock's hash, signed by the sum of this node's key shares and by its identity."""

    lock_hash: bytes
    signature: bytes
    node_signature: bytes

    def encode(self) -> bytes:
        """The statement."""
        return self.lock_hash + self.signature + self.node_signature

    @classmethod
    def decode(cls, statement: bytes, terms: Terms) -> LockSig:
        """What is in the statement."""
        reader = _Reader(statement)
        return cls(reader.take(DIGEST_BYTES), reader.take(BLS_SIGNATURE_BYTES), reader.take(SIGNATURE_BYTES))


@dataclass(frozen=True, slots=True)
class Done:
    """Lock and keys of this node are on its disk.

    Attributes:
        locks: the LOCKSIGs of all. What they hold is in the lock, which is the same to the byte at all nodes
            whose lists are.
    """

    lock_hash: bytes
    files_hash: bytes
    locks: tuple[Mark, ...]

    def encode(self) -> bytes:
        """The statement."""
        return self.lock_hash + self.files_hash + _joined(self.locks)

    @classmethod
    def decode(cls, statement: bytes, terms: Terms) -> Done:
        """What is in the statement."""
        reader = _Reader(statement)
        lock_hash, files_hash = reader.digests(2)
        return cls(lock_hash, files_hash, reader.marks(terms.count))


@dataclass(frozen=True, slots=True)
class Complaint:
    """That a dealer's share for this node is wrong, with what lets everybody decrypt it.

    Attributes:
        dealer: its position.
        validator: whose share does not fit; any, when nothing can be decrypted.
        deal_digest: of the dealer's statement.
        opening: the point that dealer and accuser have in common, 33 bytes.
        proof: that it is that point.
    """

    dealer: int
    validator: int
    deal_digest: bytes
    opening: bytes
    proof: bytes

    def encode(self) -> bytes:
        """The statement."""
        places = bytes([self.dealer]) + self.validator.to_bytes(4, "big")
        return b"".join((places, self.deal_digest, self.opening, self.proof))

    @classmethod
    def decode(cls, statement: bytes, terms: Terms) -> Complaint:
        """What is in the statement."""
        reader = _Reader(statement)
        dealer, validator, digest = reader.number(1), reader.number(4), reader.take(DIGEST_BYTES)
        return cls(dealer, validator, digest, reader.take(IDENTITY_BYTES), reader.take(OPENING_PROOF_BYTES))


@dataclass(frozen=True, slots=True)
class Stop:
    """That this node waits no longer.

    Attributes:
        kind: the message that it waited for.
        silent: position of who is to blame, as far as this node knows.
    """

    kind: int
    silent: int

    def encode(self) -> bytes:
        """The statement."""
        return bytes([self.kind, self.silent])

    @classmethod
    def decode(cls, statement: bytes, terms: Terms) -> Stop:
        """What is in the statement."""
        return cls(*_Reader(statement).take(2))


def statement_sizes(terms: Terms) -> dict[Kind, range]:
    """How long the statement of each kind may be, in bytes."""
    marks, digests = MARK_BYTES * terms.count, DIGEST_BYTES * terms.count
    hello = NUMBER_BYTES * 2 + DIGEST_BYTES * 2 + IDENTITY_BYTES
    sizes = {
        Kind.COMMIT: DIGEST_BYTES + marks + DIGEST_BYTES,
        Kind.DEAL: marks + DIGEST_BYTES + PROOF_BYTES + digests,
        Kind.ECHO: marks + digests,
        Kind.SIGS: DIGEST_BYTES,
        Kind.LOCKSIG: DIGEST_BYTES + BLS_SIGNATURE_BYTES + SIGNATURE_BYTES,
        Kind.DONE: 2 * DIGEST_BYTES + marks,
        Kind.CLOSE: 0,
        Kind.COMPLAINT: 5 + DIGEST_BYTES + IDENTITY_BYTES + OPENING_PROOF_BYTES,
        Kind.BLAME: DIGEST_BYTES,
        Kind.STOP: 2,
    }
    exact = {kind: range(size, size + 1) for kind, size in sizes.items()}
    return {Kind.HELLO: range(hello, hello + MOST_TEXT + 1), **exact}
