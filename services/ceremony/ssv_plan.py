"""What the keys of an SSV cluster are for: deposits, and the owner who registers the validators."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from dvtfast import ssv
from dvtfast.dkg.dvtfast_dkg.work import ToStore
from dvtfast.networks import Network
from dvtfast.obol import ClusterDefinition, deposit_amounts_of, deposit_roots
from dvtfast.obol.signing import withdrawal_credentials_of

from ..chain import units
from .ssv_files import SsvResult, signed_deposits
from .ssv_terms import SsvTerms

Bytes = NDArray[np.uint8]
OWNER_NAME = "owner and nonce"
TAG = b"dvtfast: keys of an SSV cluster"


class SsvPlan:
    """What each validator signs: a deposit of each amount, then its owner at its nonce.

    Attributes:
        names: of these, for people.
    """

    def __init__(self, definition: ClusterDefinition, network: Network, terms: SsvTerms) -> None:
        self._definition, self._network, self._terms = definition, network, terms
        self._amounts = deposit_amounts_of(definition)
        self.names = (*(f"deposit of {units.stake(each, network)}" for each in self._amounts), OWNER_NAME)

    def signing_roots(self, public_keys: Bytes, validators: Sequence[int]) -> Bytes:
        """What is signed, uint8[kinds, k, 32], for k validators by place, with keys uint8[k, 48]."""
        roots = [
            deposit_roots(self._definition, public_keys, amount, self._network, validators=validators)
            for amount in self._amounts
        ]
        nonces = (self._terms.first_nonce + place for place in validators)
        return np.stack([*roots, ssv.owner_signing_roots(self._terms.owner, nonces)])

    def lock_hash(self, public_keys: Bytes, public_shares: Bytes, signatures: Bytes) -> bytes:
        """32 bytes that all nodes sign, of all that they must have alike.

        What operators have encrypted to themselves is not in it: it concerns nobody else.
        """
        digest = sha256(TAG + self._definition.definition_hash)
        digest.update(sha256(self._terms.options).digest())
        for part in (public_keys, public_shares, signatures):
            digest.update(sha256(part.tobytes()).digest())
        return digest.digest()

    def result(self, stored: ToStore, position: int, key: ssv.OperatorKey) -> SsvResult:
        """What the node at a position is to put on its disk; its operator's key opens it."""
        keys, terms = stored.keys, self._terms
        validators = ssv.assemble_key_shares(
            keys.public_keys,
            np.ascontiguousarray(keys.public_shares.swapaxes(0, 1)),
            terms.ids,
            owner_signatures=np.ascontiguousarray(stored.signatures[-1]),
            encrypted_shares=np.ascontiguousarray(stored.sealed.swapaxes(0, 1)),
            owner_address=terms.owner,
            first_nonce=terms.first_nonce,
        )
        credentials = withdrawal_credentials_of(self._definition)
        deposits = {
            amount: signed_deposits(keys.public_keys, credentials, amount, signatures, self._network)
            for amount, signatures in zip(self._amounts, stored.signatures, strict=False)
        }
        return SsvResult(terms, self._network, validators, deposits, terms.ids[position], key)
