"""What the shares sign when the keys are there: each node's signatures, and what is made of all of them.

Source: charon, dkg/dkg.go and dkg/exchanger.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast.dkg.frost.messages import BadMessageError
from dvtfast.errors import EncodingError, SignatureError
from dvtfast.keys import PublicKeys
from dvtfast.signatures import aggregate, check_signatures, fast_aggregate_verify
from dvtfast.signing_roots import HashedRoots
from dvtfast.threshold import recover_signatures


@dataclass(frozen=True)
class Exchange:
    """One thing that all validators sign: a deposit of some amount, or the registration.

    Attributes:
        name: for people, and to find its signatures by; each has its own.
        step: the step of charon's ceremony that it belongs to.
        slot: how messages call it.
        roots: signing roots uint8[m, 32] of the validators with keys uint8[m, 48].
    """

    name: str
    step: int
    slot: int
    roots: Callable[[Bytes], Bytes]


class WrongSignatureError(BadMessageError):
    """A node's signature does not verify.

    Attributes:
        node: its position.
    """

    def __init__(self, node: int, reason: str) -> None:
        self.node = node
        super().__init__(reason)


def combine(
    shares: PublicKeys, threshold: int, roots: Bytes, signatures: Mapping[int, Bytes], position: int
) -> Bytes:
    """Signatures uint8[m, 96] by the validators, from uint8[m, 96] of every node, by position.

    All but those of this node, at `position`, are checked, so that who sends a wrong one is found whether it
    would be used or not. Then any of them give the validators' signatures, which are right as the shares are.

    Args:
        shares: public key shares of shape (n, m).
        roots: uint8[m, 32].

    Raises:
        WrongSignatureError: a peer's signature is wrong.
    """
    hashed = HashedRoots(roots)
    for node in range(shares.shape[0]):
        if node == position:
            continue
        bad = np.flatnonzero(~check_signatures(shares[node], hashed, signatures[node]))
        if bad.size:
            raise WrongSignatureError(node, f"its signature for validator {bad[0]} is wrong")
    in_order = np.stack([signatures[node] for node in range(shares.shape[0])], axis=1)
    indices = range(1, shares.shape[0] + 1)
    return recover_signatures(in_order, list(indices), threshold=threshold)


def add_up(shares: PublicKeys, lock_hash: bytes, signatures: Mapping[int, Bytes], position: int) -> bytes:
    """The sum of all nodes' signatures of one hash, 96 bytes, by all shares of all nodes.

    Of each peer the sum over its validators is checked, which one pairing does.

    Raises:
        WrongSignatureError: a peer's signatures do not sum up to what they should.
    """
    sums = []
    for node in range(shares.shape[0]):
        try:
            total = aggregate(signatures[node])
            if node != position:
                fast_aggregate_verify(shares[node], lock_hash, total)
        except (EncodingError, SignatureError):
            raise WrongSignatureError(node, "its signatures of the lock hash are wrong") from None
        sums.append(total)
    return aggregate(np.stack(sums)).tobytes()
