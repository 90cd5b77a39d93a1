"""What the keys of a cluster are made for: its deposits, its registrations, and its lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dvtfast.dkg.native.terms import Terms
from dvtfast.dkg.native.work import ToStore
from dvtfast.obol import (
    ClusterLock,
    deposit_roots,
    make_cluster_lock,
    registration_roots,
    signed_cluster_lock,
)

from ..definition import Agreement

Bytes = NDArray[np.uint8]


def terms_of(agreement: Agreement, attempt: int) -> Terms:
    """What the operators of a definition agree on."""
    definition = agreement.definition
    return Terms(
        definition_hash=definition.definition_hash,
        operators=agreement.node_keys,
        threshold=definition.threshold,
        validators=len(definition.fee_recipients),
        kinds=len(agreement.amounts_gwei) + 1,
        attempt=attempt,
    )


class ClusterPlan:
    """The kinds of messages are a deposit of each amount, ascending, and then the registration."""

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement

    def signing_roots(self, public_keys: Bytes, validators: Sequence[int]) -> Bytes:
        """As `Plan` has it."""
        definition, network = self._agreement.definition, self._agreement.network
        some = replace(
            definition,
            fee_recipients=definition.fee_recipients[list(validators)],
            withdrawal_addresses=definition.withdrawal_addresses[list(validators)],
        )
        deposits = [
            deposit_roots(some, public_keys, amount, network) for amount in self._agreement.amounts_gwei
        ]
        return np.stack([*deposits, registration_roots(some, public_keys, network)])

    def lock_hash(self, public_keys: Bytes, public_shares: Bytes, signatures: Bytes) -> bytes:
        """As `Plan` has it."""
        return self._lock(public_keys, public_shares, signatures).lock_hash

    def lock(self, stored: ToStore) -> ClusterLock:
        """The lock of a ceremony that went well."""
        keys = stored.keys
        return signed_cluster_lock(
            self._lock(keys.public_keys, keys.public_shares, stored.signatures),
            signature_aggregate=stored.signature_aggregate,
            node_signatures=stored.node_signatures,
        )

    def _lock(self, public_keys: Bytes, public_shares: Bytes, signatures: Bytes) -> ClusterLock:
        return make_cluster_lock(
            self._agreement.definition,
            public_keys,
            public_shares.swapaxes(0, 1),
            deposit_signatures=signatures[:-1],
            registration_signatures=signatures[-1],
            network=self._agreement.network,
        )
