"""What all operators of a ceremony agree on before it begins, and what a driver computes for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dvtfast._arrays import Bytes
from dvtfast.constants import SIGNATURE_BYTES
from dvtfast.dkg.dvtfast_dkg.hashing import DIGEST_BYTES, tagged_hash
from dvtfast.dkg.dvtfast_dkg.identity import IDENTITY_BYTES, is_identity
from dvtfast.errors import InputError

MOST_OPERATORS = 255
MOST_VALIDATORS = 65_536
MOST_KINDS = 64
MOST_ATTEMPTS = 2**64
MOST_SEALED_BYTES = 1024
ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class Terms:
    """Of a ceremony; positions of operators count from 0.

    Attributes:
        definition_hash: 32 bytes.
        operators: compressed secp256k1 keys, 33 bytes each.
        kinds: how many messages each validator signs, beside the lock.
        ids: the share index of each operator, ascending; position + 1 when there are none.
        sealed_bytes: of each key share as its operator encrypts it to a key of its own, which all others get;
            0 when none is to be. Nobody but the operator can tell what is in there.
        options: bytes that must be the same at all nodes: whatever else changes what comes of it.
        attempt: a number that was never used before by this operator for this definition. It makes
            two different messages for one place a proof of guilt.

    Raises:
        InputError: a value is out of range, or an operator there twice.
    """

    definition_hash: bytes
    operators: tuple[bytes, ...]
    threshold: int
    validators: int
    kinds: int
    options: bytes = b""
    attempt: int = 0
    ids: tuple[int, ...] = ()
    sealed_bytes: int = 0

    def __post_init__(self) -> None:
        if len(self.definition_hash) != DIGEST_BYTES:
            raise InputError(f"definition_hash: expected 32 bytes, got {len(self.definition_hash)}")
        if not 2 <= self.count <= MOST_OPERATORS:
            raise InputError(f"operators: expected 2 to {MOST_OPERATORS}, got {self.count}")
        for position, key in enumerate(self.operators):
            if len(key) != IDENTITY_BYTES or not is_identity(key):
                raise InputError(f"operators[{position}]: expected a compressed secp256k1 key")
            if self.operators.index(key) != position:
                raise InputError(
                    f"operators[{position}]: the same key as operators[{self.operators.index(key)}]"
                )
        for name, value, least, most in (
            ("threshold", self.threshold, 2, self.count),
            ("validators", self.validators, 1, MOST_VALIDATORS),
            ("kinds", self.kinds, 0, MOST_KINDS),
            ("attempt", self.attempt, 0, MOST_ATTEMPTS - 1),
            ("sealed_bytes", self.sealed_bytes, 0, MOST_SEALED_BYTES),
        ):
            if not least <= value <= most:
                raise InputError(f"{name}: expected {least} to {most}, got {value}")
        if self.ids and (len(self.ids) != self.count or list(self.ids) != sorted(set(self.ids))):
            raise InputError(f"ids: expected {self.count}, ascending, each once")
        if self.ids and not 1 <= self.ids[0] <= self.ids[-1] < 1 << 8 * ID_BYTES:
            raise InputError("ids: expected integers of 1..2^64-1")

    @property
    def count(self) -> int:
        """How many operators there are."""
        return len(self.operators)

    @property
    def share_indices(self) -> tuple[int, ...]:
        """By position."""
        return self.ids or tuple(range(1, self.count + 1))

    @property
    def row_bytes(self) -> int:
        """What each node gives for each validator: partial signatures, and its encrypted key share."""
        return SIGNATURE_BYTES * self.kinds + self.sealed_bytes

    @property
    def hello_slot(self) -> bytes:
        """What HELLO is signed for, as the session has no name yet."""
        return tagged_hash("hello slot", self.definition_hash, self.attempt.to_bytes(8, "big"))

    @property
    def options_hash(self) -> bytes:
        """Of all that must be equal, but the attempt."""
        sizes = (self.threshold, self.validators, self.kinds)
        parts = [*self.operators, *(size.to_bytes(4, "big") for size in sizes), self.options]
        if self.ids or self.sealed_bytes:
            ids = b"".join(each.to_bytes(ID_BYTES, "big") for each in self.ids)
            parts.append(ids + self.sealed_bytes.to_bytes(4, "big"))
        return tagged_hash("options", *parts)

    def session_id(self, hello_digests: Sequence[bytes]) -> bytes:
        """The name of the session that these HELLOs, by position, begin."""
        return tagged_hash("session", self.hello_slot, self.options_hash, *hello_digests)


class Plan(Protocol):
    """What the keys are for: pure functions, the same at all nodes, of the definition alone."""

    def signing_roots(self, public_keys: Bytes, validators: Sequence[int]) -> Bytes:
        """What is signed, uint8[kinds, k, 32], for k validators by place, with keys uint8[k, 48]."""

    def lock_hash(self, public_keys: Bytes, public_shares: Bytes, signatures: Bytes) -> bytes:
        """32 bytes, of uint8[m, 48], uint8[n, m, 48] and uint8[kinds, m, 96]."""
