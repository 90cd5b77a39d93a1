"""What a cluster's keys are for, as its definition says: what each validator signs, and the lock of it all.

Both protocols are told so: `ClusterPlan` is the plan of the native one, and has the exchanges of charon's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dvtfast.dkg.frost.partials import DEPOSIT, REGISTRATION
from dvtfast.dkg.frost.signing import Exchange
from dvtfast.dkg.frost.terms import DEPOSITS_STEP, REGISTRATIONS_STEP
from dvtfast.networks import Network
from dvtfast.obol import (
    ClusterDefinition,
    ClusterLock,
    Version,
    deposit_amounts_of,
    deposit_roots,
    make_cluster_lock,
    registration_roots,
)

from ..chain import units

Bytes = NDArray[np.uint8]
REGISTRATION_NAME = "registration"


class ClusterPlan:
    """What each validator signs: a deposit of each amount, then its builder registration.

    Attributes:
        names: of these, for people.
    """

    def __init__(self, definition: ClusterDefinition, network: Network) -> None:
        self._definition = definition
        self._network = network
        self._amounts = deposit_amounts_of(definition)
        self._registers = definition.version >= Version.REGISTRATIONS
        self.names = tuple(f"deposit of {units.stake(amount, network)}" for amount in self._amounts)
        self.names += (REGISTRATION_NAME,) if self._registers else ()

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The same, as charon's ceremony has it."""
        found = [
            Exchange(name, DEPOSITS_STEP, DEPOSIT + place, self._roots_of(name))
            for place, name in enumerate(self.names[: len(self._amounts)])
        ]
        if self._registers:
            roots = self._roots_of(REGISTRATION_NAME)
            found.append(Exchange(REGISTRATION_NAME, REGISTRATIONS_STEP, REGISTRATION, roots))
        return tuple(found)

    def signing_roots(self, public_keys: Bytes, validators: Sequence[int]) -> Bytes:
        """What is signed, uint8[kinds, k, 32], for k validators by place, with keys uint8[k, 48]."""
        return np.stack([self._roots(name, public_keys, validators) for name in self.names])

    def unsigned_lock(
        self, public_keys: Bytes, public_shares: Bytes, signatures: Bytes | Mapping[str, Bytes]
    ) -> ClusterLock:
        """The lock that key shares and nodes sign.

        Args:
            public_keys: uint8[m, 48].
            public_shares: uint8[n, m, 48], as key generations have them.
            signatures: uint8[kinds, m, 96], or by name.
        """
        kinds = [signatures[name] for name in self.names] if isinstance(signatures, Mapping) else signatures
        rows = np.stack(list(kinds))
        registrations = rows[-1] if self._registers else np.zeros((0, rows.shape[-1]), dtype=np.uint8)
        return make_cluster_lock(
            self._definition,
            public_keys,
            np.ascontiguousarray(public_shares.swapaxes(0, 1)),
            deposit_signatures=rows[: len(self._amounts)],
            registration_signatures=registrations,
            network=self._network,
        )

    def lock_hash(self, public_keys: Bytes, public_shares: Bytes, signatures: Bytes) -> bytes:
        """32 bytes; see `unsigned_lock`."""
        return self.unsigned_lock(public_keys, public_shares, signatures).lock_hash

    def _roots_of(self, name: str) -> Callable[[Bytes], Bytes]:
        return lambda public_keys: self._roots(name, public_keys, None)

    def _roots(self, name: str, public_keys: Bytes, validators: Sequence[int] | None) -> Bytes:
        if name == REGISTRATION_NAME:
            return registration_roots(self._definition, public_keys, self._network, validators=validators)
        amount = self._amounts[self.names.index(name)]
        return deposit_roots(self._definition, public_keys, amount, self._network, validators=validators)
