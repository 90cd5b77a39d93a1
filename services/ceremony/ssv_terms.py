"""What operators of SSV agree on beside a definition: who they are there, and who registers validators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from dvtfast import ssv

NONCE_BYTES = 8


@dataclass(frozen=True, eq=False)
class SsvTerms:
    """The same at all nodes.

    Attributes:
        operators: public keys by operator id, ascending: in this order they are the nodes of the definition.
        owner: 20 bytes, of the account that will register the validators.
        first_nonce: of the owner, for the first of them.
    """

    operators: Mapping[int, ssv.OperatorPublicKey]
    owner: bytes
    first_nonce: int

    @property
    def ids(self) -> tuple[int, ...]:
        """Operator ids by position."""
        return tuple(self.operators)

    @property
    def options(self) -> bytes:
        """What all nodes must have been told alike, beside the ids."""
        keys = b"".join(sha256(key.text.encode()).digest() for key in self.operators.values())
        return self.owner + self.first_nonce.to_bytes(NONCE_BYTES) + keys
