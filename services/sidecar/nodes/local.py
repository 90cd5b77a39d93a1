"""A node whose key shares are in the memory of this process."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dvtfast import sign

from ...keys.key_shares import NodeKeys
from ...process.offload import UnavailableError, Workers
from .node import MessagesToSign, Node, SignedMessages


def local_node(keys: NodeKeys, workers: Workers, *, threads: int | None) -> Node:
    """A node that signs with these keys; its signer wipes them in the end."""
    signer = LocalSigner(keys, workers, threads=threads)
    return Node(keys.cluster, keys.share_index, keys.public_keys, signer, keys.public_key_shares)


class LocalSigner:
    """Key shares in the memory of this process.

    Args:
        workers: one thread, so that keys are wiped when nobody signs.
        threads: for one batch.
    """

    def __init__(self, keys: NodeKeys, workers: Workers, *, threads: int | None) -> None:
        self._keys = keys
        self._workers = workers
        self._threads = threads
        self._is_closed = False

    async def sign(self, messages: MessagesToSign) -> SignedMessages:
        """Sign all of them.

        Raises:
            UnavailableError: the keys were wiped.
        """
        signatures = await self._workers.run(self._sign, messages)
        return SignedMessages(signatures, np.ones(len(messages), np.bool_))

    async def close(self) -> None:
        """Wipe the keys."""
        await self._workers.run(self._wipe)

    def _wipe(self) -> None:
        self._is_closed = True
        self._keys.wipe()

    def _sign(self, messages: MessagesToSign) -> NDArray[np.uint8]:
        if self._is_closed:
            raise UnavailableError("the keys were exchanged for others")
        secret_keys = self._keys.secret_keys[messages.places]
        try:
            return sign(secret_keys, messages.signing_roots, threads=self._threads)
        finally:
            secret_keys.fill(0)
