"""What an Obol cluster lock says; everything there is once per validator is a column.

Source: charon, cluster definition and lock, versions v1.6 to v1.11.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

import numpy as np

from dvtfast._arrays import Bytes, Uint64s
from dvtfast.constants import PUBLIC_KEY_BYTES, SIGNATURE_BYTES

# charon's SSZ limits.
MAX_VALIDATORS: Final = 65_536
MAX_OPERATORS: Final = 256
MAX_DEPOSITS: Final = 256
ADDRESS_BYTES: Final = 20
# secp256k1 signature R | S | V.
NODE_SIGNATURE_BYTES: Final = 65


class Version(IntEnum):
    """Version of definition and lock, by its minor number; later ones added what is named here."""

    V1_6 = 6
    REGISTRATIONS = V1_7 = 7  # and node signatures
    PARTIAL_DEPOSITS = V1_8 = 8
    CONSENSUS_PROTOCOL = V1_9 = 9
    GAS_LIMIT_AND_COMPOUNDING = V1_10 = 10
    SIGNATURE_LISTS = V1_11 = 11

    @property
    def text(self) -> str:
        """As files write it."""
        return f"v1.{self.value}.0"


@dataclass(frozen=True)
class Operator:
    """Who runs a node. Address and signatures are empty in an unsigned definition.

    Before v1.11 a signature has 65 bytes; since then it may be several, for wallets that are contracts.
    """

    enr: str
    address: str = ""
    config_signature: bytes = b""
    enr_signature: bytes = b""


@dataclass(frozen=True)
class Creator:
    """Who made the definition; may be empty."""

    address: str = ""
    config_signature: bytes = b""


@dataclass(frozen=True, eq=False, kw_only=True)
class ClusterDefinition:
    """What the operators agreed on before the key generation.

    Attributes:
        fork_version: genesis fork version of the network, 4 bytes.
        operators: in node order; the share index is the position + 1.
        fee_recipients, withdrawal_addresses: uint8[n, 20].
        deposit_amounts_gwei, consensus_protocol, target_gas_limit, compounding: see `Version`.
        written_addresses: both addresses of each validator as texts, where case is their checksum; without
            them they are written in lower case.
        config_hash, definition_hash: as stated, 32 bytes; may be empty.
    """

    name: str
    uuid: str
    version: Version
    timestamp: str
    threshold: int
    dkg_algorithm: str
    fork_version: bytes
    operators: tuple[Operator, ...]
    creator: Creator
    fee_recipients: Bytes
    withdrawal_addresses: Bytes
    deposit_amounts_gwei: tuple[int, ...] = ()
    consensus_protocol: str = ""
    target_gas_limit: int = 0
    compounding: bool = False
    written_addresses: tuple[tuple[str, str], ...] = ()
    config_hash: bytes = b""
    definition_hash: bytes = b""


@dataclass(frozen=True, eq=False)
class Deposits:
    """Deposits of all validators, one after the other; validator i has the next counts[i] of them.

    Before v1.8 it is one each.

    Attributes:
        counts: uint64[n], m in sum.
        public_keys: uint8[m, 48].
        withdrawal_credentials: uint8[m, 32].
        amounts_gwei: uint64[m].
        signatures: uint8[m, 96].
    """

    counts: Uint64s
    public_keys: Bytes
    withdrawal_credentials: Bytes
    amounts_gwei: Uint64s
    signatures: Bytes


@dataclass(frozen=True, eq=False)
class Registrations:
    """One builder registration per validator; before v1.7 there are none, and all is zero.

    Attributes:
        fee_recipients: uint8[n, 20].
        gas_limits, timestamps: uint64[n].
        public_keys: uint8[n, 48].
        signatures: uint8[n, 96].
    """

    fee_recipients: Bytes
    gas_limits: Uint64s
    timestamps: Uint64s
    public_keys: Bytes
    signatures: Bytes


@dataclass(frozen=True, eq=False)
class ClusterLock:
    """A cluster definition and the keys that its operators generated.

    Attributes:
        public_keys: uint8[n, 48].
        public_key_shares: uint8[n, k, 48]; column i belongs to operator i.
        signature_aggregate: by every key share of every validator over the lock hash; may be empty.
        lock_hash: as stated, 32 bytes; may be empty.
        node_signatures: by every node's ENR key over the lock hash; may be empty.
        source: the file, if it came from one.
    """

    definition: ClusterDefinition
    public_keys: Bytes
    public_key_shares: Bytes
    deposits: Deposits
    registrations: Registrations
    signature_aggregate: bytes = b""
    lock_hash: bytes = b""
    node_signatures: tuple[bytes, ...] = ()
    source: Path | None = None

    @property
    def share_indices(self) -> Uint64s:
        """uint64[k]: the position of the operator + 1."""
        return np.arange(1, self.public_key_shares.shape[1] + 1, dtype=np.uint64)


def no_registrations(n: int) -> Registrations:
    """Those of a lock before v1.7."""
    return Registrations(
        fee_recipients=np.zeros((n, ADDRESS_BYTES), dtype=np.uint8),
        gas_limits=np.zeros(n, dtype=np.uint64),
        timestamps=np.zeros(n, dtype=np.uint64),
        public_keys=np.zeros((n, PUBLIC_KEY_BYTES), dtype=np.uint8),
        signatures=np.zeros((n, SIGNATURE_BYTES), dtype=np.uint8),
    )
