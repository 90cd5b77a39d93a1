"""What managers sign over is of now, or nothing is signed."""

from __future__ import annotations

import pytest

from dvtfast.services.chain.calls import ContractError
from dvtfast.services.chain.contracts.reads import deposit_root
from dvtfast.services.chain.contracts.vaults import VaultsAtHead
from dvtfast.services.chain.execution.node import NodeClient, StaleNodeError
from tests.services.chain.anvil import Chain, ChainClock


async def test_roots_and_nonces_of_now(chain: Chain, node: NodeClient) -> None:
    deposits, vault = await chain.deploy("deposit"), await chain.deploy("vault")
    vaults = VaultsAtHead(node, deposits.address, max_age_seconds=60)
    before = await vaults.registry_root()
    deposit = bytes(48), bytes(32), 1, bytes(96)
    await deposits.send("deposit(bytes,bytes,uint256,bytes)", *deposit)
    await vault.send("use_nonce()")
    await vault.send("set_manager(address)", b"\x05" * 20)
    assert (
        await vaults.registry_root() == await deposit_root(node, deposits.address, block="latest") != before
    )
    assert await vaults.manager_nonce(vault.address) == 1
    assert await vaults.manager(vault.address) == b"\x05" * 20
    with pytest.raises(ContractError):
        await vaults.manager_nonce(bytes(19) + b"\x99")


async def test_a_stale_chain(chain: Chain, node: NodeClient, chain_clock: ChainClock) -> None:
    deposits, vault = await chain.deploy("deposit"), await chain.deploy("vault")
    vaults = VaultsAtHead(node, deposits.address, max_age_seconds=60)
    await chain.rpc("evm_setNextBlockTimestamp", chain_clock.stop() + 1000)
    await chain.mine()
    for call in (vaults.registry_root(), vaults.manager_nonce(vault.address), vaults.manager(vault.address)):
        with pytest.raises(StaleNodeError):
            await call
