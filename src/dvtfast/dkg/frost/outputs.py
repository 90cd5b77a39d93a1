"""What a charon ceremony asks of its driver, beside what every key generation does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from dvtfast._arrays import Bytes
from dvtfast.dkg.outputs import Aborted, Finished, GeneratedKeys, Phase, Send


@dataclass(frozen=True, slots=True)
class Ask:
    """One message to one peer, whose answer goes to `answered`.

    Attributes:
        to: position of the operator, from 0.
        kind: the protocol.
        payload: what is sent.
    """

    to: int
    kind: str
    payload: bytes = field(repr=False)


@dataclass(frozen=True, eq=False, slots=True)
class Generated:
    """The keys are there. Put them on the disk before anybody signs with them, and say so with `kept`.

    They are overwritten when the ceremony fails: what is to be kept must be a copy when this was taken.
    """

    keys: GeneratedKeys


@dataclass(frozen=True, eq=False, slots=True)
class LockWanted:
    """The lock can be made; its hash goes to `sign_lock`.

    Attributes:
        keys: the keys of all.
        signatures: by the name of the exchange, uint8[m, 96] by the validators.
    """

    keys: GeneratedKeys
    signatures: dict[str, Bytes] = field(repr=False)


@dataclass(frozen=True, eq=False, slots=True)
class Sealed:
    """Everybody has signed the lock: verify it, store everything, and say so with `stored`.

    Attributes:
        signature_aggregate: by all shares of all nodes, 96 bytes.
        node_signatures: R | S | V of each node in their order.
    """

    keys: GeneratedKeys
    signatures: dict[str, Bytes] = field(repr=False)
    lock_hash: bytes
    signature_aggregate: bytes
    node_signatures: tuple[bytes, ...]


Output: TypeAlias = Send | Ask | Phase | Generated | LockWanted | Sealed | Finished | Aborted
