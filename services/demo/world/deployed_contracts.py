"""The contracts on a chain of our own, and what their owner does with them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dvtfast import HOODI, Network, derive_public_keys, generate_secret_keys
from dvtfast.constants import GWEI_PER_VALIDATOR, SIGNATURE_BYTES
from dvtfast.deposits import DepositData, sign_deposits
from dvtfast.signing_roots import deposit_data_roots

from ...chain.encoding import ADDRESS_BYTES, keccak256, write_address, write_data
from ...chain.units import WEI_PER_GWEI, WEI_PER_TOKEN
from .chain import AnvilChain, Contract
from .compiler import compiled
from .ipfs import Files
from .rewards import RewardsTree, VaultReward

ETH = WEI_PER_TOKEN

# EIP-7002 and EIP-7251: where withdrawals and consolidations are asked for.
WITHDRAWALS = "0x00000961Ef480Eb55e80D19ad83579A64c007002"
CONSOLIDATIONS = "0x0000BBdDc7CE488642fb579F8B00f3a590007251"
# Says the fee of 1 wei when called with nothing; otherwise takes it, and logs the sender and what was asked.
REQUESTS_CODE = bytes(
    [
        0x36, 0x60, 0x0C, 0x57,  # if no data:
        0x60, 0x01, 0x5F, 0x52, 0x60, 0x20, 0x5F, 0xF3,  # return 1
        0x5B, 0x34, 0x15, 0x60, 0x24, 0x57,  # refuse without a value
        0x33, 0x60, 0x60, 0x1B, 0x5F, 0x52,  # memory: the sender,
        0x36, 0x5F, 0x60, 0x14, 0x37,  # then the data
        0x36, 0x60, 0x14, 0x01, 0x5F, 0xA0, 0x00,  # log both
        0x5B, 0x5F, 0x5F, 0xFD,
    ]
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """The contracts, and IPFS.

    Attributes:
        vault: its stakers deposit by `stake`.
        first_block: in which the deposit contract was deployed; there is nothing before it.
    """

    chain: AnvilChain
    deposit_contract: Contract
    keeper: Contract
    registry: Contract
    mev_escrow: Contract
    vault: Contract
    first_block: int
    files: Files = field(default_factory=Files)

    @classmethod
    async def deploy(cls, chain: AnvilChain) -> World:
        """All contracts and a vault, without oracles, manager or stake.

        Raises:
            CompileError: the contracts cannot be compiled.
        """
        code = compiled()
        first_block = await chain.height() + 1
        for address in (WITHDRAWALS, CONSOLIDATIONS):
            await chain.rpc("anvil_setCode", address, write_data(REQUESTS_CODE))
        deposit_contract = await chain.deploy(code["deposit_contract"])
        keeper = await chain.deploy(code["keeper"], ["address"], deposit_contract.address)
        registry = await chain.deploy(code["deposit_data_registry"], ["address"], keeper.address)
        mev_escrow = await chain.deploy(code["mev_escrow"], ["address"], keeper.address)
        addresses = [keeper.address, deposit_contract.address, mev_escrow.address]
        vault = await chain.deploy(code["vault"], ["address"] * 3, *addresses)
        await keeper.send("add_vault(address)", vault.address)
        return cls(chain, deposit_contract, keeper, registry, mev_escrow, vault, first_block)

    @property
    def network(self) -> Network:
        """Hoodi with these contracts, for services in this process."""
        return replace(
            HOODI,
            deposit_contract=write_address(self.deposit_contract.address),
            deposit_contract_block=self.first_block,
            keeper=write_address(self.keeper.address),
            keeper_genesis_block=self.first_block,
        )

    def on(self, chain: AnvilChain) -> World:
        """The same contracts, asked for through another connection."""

        def there(contract: Contract) -> Contract:
            return Contract(chain, contract.address)

        return replace(
            self,
            chain=chain,
            deposit_contract=there(self.deposit_contract),
            keeper=there(self.keeper),
            registry=there(self.registry),
            mev_escrow=there(self.mev_escrow),
            vault=there(self.vault),
        )

    async def new_vault(self) -> Contract:
        """One more vault, known to the Keeper."""
        addresses = [self.keeper.address, self.deposit_contract.address, self.mev_escrow.address]
        vault = await self.chain.deploy(compiled()["vault"], ["address"] * 3, *addresses)
        await self.keeper.send("add_vault(address)", vault.address)
        return vault

    async def set_oracles(self, addresses: Sequence[bytes], *, min_oracles: int) -> None:
        """Let the Keeper know these oracles, beside those that it knows."""
        for address in addresses:
            if not await self.keeper.call("isOracle(address)", ["bool"], address):
                await self.keeper.send("addOracle(address)", address)
        await self.keeper.send("setValidatorsMinOracles(uint256)", min_oracles)

    async def announce(self, config: bytes) -> str:
        """Put a protocol config in IPFS and its CID, which is returned, in the Keeper's ConfigUpdated."""
        cid = self.files.add(config)
        await self.keeper.send("updateConfig(string)", cid)
        return cid

    async def set_manager(self, manager: bytes) -> None:
        """Who may register validators for the vault: an account, or the registry (see `use_registry`)."""
        await self.vault.send("setValidatorsManager(address)", manager)

    async def use_registry(self, deposit_data_root: bytes) -> None:
        """The way of v3: the registry is the vault's manager, and validators are in its deposit data."""
        await self.set_manager(self.registry.address)
        await self.registry.send("setDepositDataRoot(address,bytes32)", self.vault.address, deposit_data_root)

    async def stake(self, wei: int) -> None:
        """Stakers' ETH for the vault."""
        await self.chain.transact(b"", to=self.vault.address, value=wei)

    async def queue_exits(self, shares: int) -> None:
        """Stakers who want out: their shares' worth is no longer withdrawable."""
        await self.vault.send("queue_exits(uint256)", shares)

    async def vote_rewards(
        self, consensus: int, *, unlocked_mev: int = 0, locked_mev: int = 0, times: int = 1
    ) -> RewardsTree:
        """New rewards of the vault since its beginning, in wei, which `canHarvest` tells of from now on.

        The unlocked MEV reward is put in the escrow if it is not there.

        Args:
            times: how often to vote; after two votes the vault must harvest.
        """
        somebody = VaultReward(os.urandom(ADDRESS_BYTES), ETH)
        tree = RewardsTree([VaultReward(self.vault.address, consensus, unlocked_mev, locked_mev), somebody])
        lacking = unlocked_mev - await self.chain.balance(self.mev_escrow.address)
        if lacking > 0:
            await self.chain.transact(b"", to=self.mev_escrow.address, value=lacking)
        cid = self.files.add(tree.document())
        for _ in range(times):
            await self.keeper.send("update_rewards(bytes32,string)", tree.root, cid)
        return tree

    async def registry_root(self) -> bytes:
        """The deposit contract's root at the head."""
        root: bytes = await self.deposit_contract.call("get_deposit_root()", ["bytes32"])
        return root

    async def deposit(self, public_key: bytes, credentials: bytes, amount_gwei: int, signature: bytes) -> int:
        """Somebody's deposit, whatever its signature; returns the number of its block."""
        (root,) = deposit_data_roots([public_key], [credentials], [amount_gwei], [signature])
        return await self.deposit_contract.send(
            "deposit(bytes,bytes,bytes,bytes32)",
            public_key,
            credentials,
            signature,
            root.tobytes(),
            value=amount_gwei * WEI_PER_GWEI,
        )

    async def foreign_deposits(self, count: int = 1, *, is_signed: bool = True) -> DepositData:
        """Deposits of other people's new validators; unsigned ones make no validator."""
        credentials = np.frombuffer(bytes([1]) + bytes(11) + os.urandom(ADDRESS_BYTES), np.uint8)
        secrets = generate_secret_keys(count)
        rows = np.tile(credentials, (count, 1))
        deposits = sign_deposits(secrets, rows, [GWEI_PER_VALIDATOR] * count, HOODI)
        for key, signature in zip(derive_public_keys(secrets), deposits.signatures, strict=True):
            sent = signature.tobytes() if is_signed else bytes(SIGNATURE_BYTES)
            await self.deposit(key.tobytes(), credentials.tobytes(), GWEI_PER_VALIDATOR, sent)
        return deposits


def address_of_oracle(public_key: bytes) -> bytes:
    """The account of a secp256k1 key of 64 bytes, as the protocol config lists them."""
    return keccak256(public_key)[-ADDRESS_BYTES:]
