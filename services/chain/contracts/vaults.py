"""What validators managers sign over, at the head of the chain."""

from __future__ import annotations

from ..execution.node import NodeClient
from .reads import deposit_root, validators_manager, validators_manager_nonce


class VaultsAtHead:
    """The state of the deposit contract and of vaults now; each call asks anew.

    Any node is believed: a signature over what is not so is refused by vaults, and operators compare it with
    what their own nodes say.

    Args:
        max_age_seconds: nodes whose latest block is older are passed over, so that nothing stale is signed.

    Raises (each call):
        StaleNodeError, NodeError, ContractError, CallRevertedError.
    """

    def __init__(self, node: NodeClient, deposit_contract: bytes, *, max_age_seconds: float) -> None:
        self._node = node
        self._deposit_contract = deposit_contract
        self._max_age_seconds = max_age_seconds

    async def registry_root(self) -> bytes:
        """The root of all deposits, which a registration is for."""
        block = await self._node.require_fresh(self._max_age_seconds)
        return await deposit_root(self._node, self._deposit_contract, block=block)

    async def manager_nonce(self, vault: bytes) -> int:
        """The nonce of a vault, which all other signatures of its manager are for."""
        block = await self._node.require_fresh(self._max_age_seconds)
        return await validators_manager_nonce(self._node, vault, block=block)

    async def manager(self, vault: bytes) -> bytes:
        """The address that a vault takes signatures from."""
        block = await self._node.require_fresh(self._max_age_seconds)
        return await validators_manager(self._node, vault, block=block)
