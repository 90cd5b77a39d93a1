"""What the operator asks the chain, at one moment or another."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from dvtfast.networks import Network
from dvtfast.protocol_config import OracleConfig

from ..chain.contracts import (
    decode_deposits,
    deposit_root,
    exit_signatures_nonce,
    validators_manager_nonce,
)
from ..chain.encoding import read_address, write_data
from ..chain.ipfs import IpfsClient
from ..chain.node import Block, NodeClient, NodeError
from ..chain.oracles import AnnouncedOracles, announced_oracles
from ..chain.transactions import find_receipt
from .sending.action import Action, Kind

MAX_BLOCK_AGE_SECONDS: Final = 180.0  # of a node that is believed about the present
SETTLED_BLOCKS: Final = 96  # behind which a config that was announced stays
DEFAULT_VALIDITY_SECONDS: Final = 3600  # of an approval, where the config says nothing


@dataclass
class Chain:
    """Who is asked about the chain.

    Attributes:
        network: with the addresses of the contracts that are used.
        oracles: their config, where it is not to be the one that the Keeper announces.
    """

    node: NodeClient
    ipfs: IpfsClient | None
    network: Network
    oracles: OracleConfig | None = None
    _announced: AnnouncedOracles | None = field(default=None, init=False)

    @property
    def keeper(self) -> bytes:
        """The Keeper's address."""
        return read_address(self.network.keeper)

    @property
    def deposit_contract(self) -> bytes:
        """Its address."""
        return read_address(self.network.deposit_contract)

    async def head(self) -> Block:
        """The latest block, of a node that is not behind."""
        return await self.node.require_fresh(MAX_BLOCK_AGE_SECONDS)

    async def registry_root(self) -> bytes:
        """The root of all deposits, now."""
        return await deposit_root(self.node, self.deposit_contract, block=await self.head())

    async def oracle_config(self, head: Block) -> OracleConfig:
        """The oracles of today.

        Raises:
            UnavailableError, ContractError, CallRevertedError, OracleConfigError, IpfsContentError: it
                cannot be told.
        """
        if self.oracles is not None:
            return self.oracles
        assert self.ipfs is not None
        known = self._announced
        found = await announced_oracles(self.node, self.ipfs, self.network, at=head, known=known)
        settled = head.number - SETTLED_BLOCKS  # what is later may be another chain's tomorrow
        if found.pointer.block_number <= settled:
            self._announced = replace(found, up_to=settled)
        return found.config

    async def why_stale(self, action: Action) -> str:
        """Why an action is certain to revert by now, or ""."""
        head = await self.head()
        soonest = head.timestamp + self.network.seconds_per_slot  # that a block can have it
        if action.deadline is not None and soonest > action.deadline:
            return "the oracles' approval is too old"
        if action.registry_root is not None:
            root = await deposit_root(self.node, self.deposit_contract, block=head)
            if root != action.registry_root:
                return "somebody deposited: the registry root is another"
        if "nonce" in action.details:
            nonce = await self.nonce(action.kind, action.vault, head)
            if nonce != action.details["nonce"]:
                return f"the nonce is {nonce}: somebody else did something with the vault's validators"
        return ""

    async def nonce(self, kind: Kind, vault: bytes, block: Block) -> int:
        """What the signatures of the next such action of a vault are for."""
        if kind is Kind.UPDATE_EXITS:
            return await exit_signatures_nonce(self.node, self.keeper, vault, block=block)
        return await validators_manager_nonce(self.node, vault, block=block)

    async def deposited_by(self, transaction_hash: bytes) -> list[bytes]:
        """The keys of the deposits that a transaction made.

        Raises:
            NodeError, ContractError: it cannot be told.
        """
        receipt, _ = await find_receipt(self.node, transaction_hash)
        if receipt is None:
            raise NodeError(f"no node has the receipt of {write_data(transaction_hash)} now")
        found = [each for each in receipt.logs if each.address == self.deposit_contract]
        return [row.tobytes() for row in decode_deposits(found).public_keys]


def approval_deadline(config: OracleConfig, block: Block) -> int:
    """Until when an approval that is asked for now is good."""
    return block.timestamp + positive(config.raw.get("signature_validity_period"), DEFAULT_VALIDITY_SECONDS)


def positive(value: object, default: int) -> int:
    """A limit as configs have them, or what it is where they have none."""
    return value if isinstance(value, int) and value > 0 else default
