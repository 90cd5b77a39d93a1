"""What has a node's key shares, as its signer sees it; and those in the memory of this process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dvtfast import sign
from dvtfast.duties.wrappers import SignedValue
from dvtfast.qbft.messages import Duty

from ...keys.key_shares import NodeKeys
from ...process.offload import UnavailableError, Workers
from ..exchange import ClusterMembers
from ..partial_signatures import Bytes, Positions


@dataclass(frozen=True, eq=False)
class ToSign:
    """What may be signed, since it is on record: n values of one duty.

    Attributes:
        validators: intp[n], positions in the cluster.
        signing_roots: uint8[n, 32].
    """

    duty: Duty
    validators: Positions
    values: Sequence[SignedValue]
    signing_roots: Bytes


@dataclass(frozen=True, eq=False)
class Made:
    """What came of it.

    Attributes:
        signatures: uint8[n, 96].
        problems: of each, why there is none, or "".
    """

    signatures: Bytes
    problems: Sequence[str]


class NodeKeyShares(Protocol):
    """The key shares of a node, wherever they are.

    Attributes:
        has: bool[m], of which validators, by position in the cluster.
    """

    has: NDArray[np.bool_]

    async def sign(self, what: ToSign) -> Made:
        """Sign all, or what can be signed now.

        Raises:
            UnavailableError, TimeoutError: none can be.
        """
        ...

    async def close(self) -> None:
        """Nothing is signed any more."""
        ...


class KeySharesInMemory:
    """Key shares in the memory of this process.

    Args:
        keys: of this node; they are wiped in the end.
        workers: for signing.
        threads: for one set.

    Raises:
        ValueError: a key is of no validator of the cluster, or they are of another node.
    """

    def __init__(
        self, keys: NodeKeys, cluster: ClusterMembers, workers: Workers, *, threads: int | None = None
    ) -> None:
        if keys.share_index != cluster.position + 1:
            raise ValueError(f"the keys are of share index {keys.share_index}, not {cluster.position + 1}")
        self._keys = keys
        self._workers = workers
        self._threads = threads
        self._rows = np.full(len(cluster.validators), -1, np.intp)
        for row, key in enumerate(keys.public_keys):
            if key.tobytes() not in cluster.validators:
                raise ValueError("a key is of no validator of the cluster")
            self._rows[cluster.validators[key.tobytes()]] = row
        self.has = self._rows >= 0
        self._lock = threading.Lock()
        self._is_closed = False

    async def sign(self, what: ToSign) -> Made:
        """Sign all, in one batch; constant-time in the keys.

        Raises:
            UnavailableError: the keys were wiped, or there is too much to do.
        """
        signatures = await self._workers.run(self._sign, what.validators, what.signing_roots)
        return Made(signatures, [""] * len(signatures))

    async def close(self) -> None:
        """Wipe the keys; copies of what is being signed are wiped when that is done."""
        with self._lock:
            self._is_closed = True
            self._keys.wipe()

    def _sign(self, validators: Positions, signing_roots: Bytes) -> Bytes:
        with self._lock:
            if self._is_closed:
                raise UnavailableError("the keys are wiped")
            secret_keys = self._keys.secret_keys[self._rows[validators]]
        try:
            return sign(secret_keys, signing_roots, threads=self._threads)
        finally:
            secret_keys.fill(0)
