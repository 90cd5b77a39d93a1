"""What is agreed before a ceremony begins: from the definition, and from the peers' version."""

from __future__ import annotations

from dataclasses import dataclass

from dvtfast.constants import ROOT_BYTES
from dvtfast.dkg.frost.casts import Round1, Round2, Shares
from dvtfast.dkg.frost.dialects import PARTIALS, SHARES, SYNC, Dialect, require_frost
from dvtfast.dkg.frost.messages import MAX_SYNC_BYTES
from dvtfast.dkg.frost.partials import LOCK_HASH, PartialsMessage
from dvtfast.dkg.frost.signing import Exchange
from dvtfast.errors import InputError
from dvtfast.secp256k1 import COMPRESSED_KEY_BYTES

# A share index is one byte where it is hashed.
MAX_NODES = 255
# The steps of charon's ceremony in which validators sign something.
DEPOSITS_STEP, REGISTRATIONS_STEP = 2, 3
# Of a broadcast: id, type and what is around them and the content; and each signature.
ENVELOPE_BYTES = 1024
SIGNATURE_FIELD_BYTES = 70


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What all nodes agree on, and which of them this one is.

    Attributes:
        dialect: what the peers speak.
        definition_hash: 32 bytes.
        nodes: the operators' compressed keys, in the order of the definition.
        position: of this node, from 0.
        validators: how many.
        threshold: shares that sign.
        algorithm: `dkg_algorithm` of the definition.
        exchanges: what validators sign: deposits of each amount, ascending, then registrations.

    Raises:
        InputError: they are no terms of such a ceremony.
    """

    dialect: Dialect
    definition_hash: bytes
    nodes: tuple[bytes, ...]
    position: int
    validators: int
    threshold: int
    algorithm: str = "default"
    exchanges: tuple[Exchange, ...] = ()
    nickname: str = ""

    def __post_init__(self) -> None:
        require_frost(self.algorithm)
        n = len(self.nodes)
        if len(self.definition_hash) != ROOT_BYTES:
            raise InputError(f"definition_hash: expected {ROOT_BYTES} bytes, got {len(self.definition_hash)}")
        if not 2 <= n <= MAX_NODES or any(len(key) != COMPRESSED_KEY_BYTES for key in self.nodes):
            raise InputError(f"nodes: expected 2 to {MAX_NODES} compressed keys, got {n}")
        if len(set(self.nodes)) < n:
            raise InputError("nodes: a key is there twice")
        if not 0 <= self.position < n:
            raise InputError(f"position: expected one of 0..{n - 1}, got {self.position}")
        if not 2 <= self.threshold <= n:
            raise InputError(f"threshold: expected 2 to {n}, got {self.threshold}")
        if self.validators < 1:
            raise InputError(f"validators: expected one at least, got {self.validators}")
        slots = [exchange.slot for exchange in self.exchanges]
        names = {exchange.name for exchange in self.exchanges}
        if LOCK_HASH in slots or len(set(slots)) < len(slots) or len(names) < len(slots):
            raise InputError("exchanges: each needs a slot and a name of its own")
        if any(exchange.step not in (DEPOSITS_STEP, REGISTRATIONS_STEP) for exchange in self.exchanges):
            raise InputError(f"exchanges: expected steps {DEPOSITS_STEP} and {REGISTRATIONS_STEP}")

    @property
    def peers(self) -> tuple[int, ...]:
        """The positions of all others."""
        return tuple(node for node in range(len(self.nodes)) if node != self.position)

    def most_bytes(self, protocol: str) -> int:
        """How long a message or answer of a protocol may be.

        Raises:
            InputError: the ceremony has no such protocol.
        """
        m = self.validators
        casts = max(Round1.most_bytes(m, self.threshold), Round2.most_bytes(m))
        known = {
            SYNC: MAX_SYNC_BYTES,
            SHARES: Shares.most_bytes(m),
            PARTIALS: PartialsMessage.most_bytes(m),
            self.dialect.signature_protocol: casts + ENVELOPE_BYTES,
            self.dialect.message_protocol: casts + ENVELOPE_BYTES + len(self.nodes) * SIGNATURE_FIELD_BYTES,
        }
        if protocol not in known:
            raise InputError(f"protocol: expected one of {', '.join(known)}, got {protocol[:80]!r}")
        return known[protocol]
