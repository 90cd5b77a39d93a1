"""What the operator asks the chain, at one moment or another."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Final

from dvtfast.networks import Network
from dvtfast.protocol_config import OracleConfig

from ..chain.contracts.oracle_config import AnnouncedOracles, announced_oracles
from ..chain.contracts.reads import (
    decode_deposits,
    deposit_root,
    exit_signatures_nonce,
    validators_manager_nonce,
)
from ..chain.encoding import read_address, write_data
from ..chain.execution.node import Block, NodeClient, NodeError, StaleNodeError
from ..chain.execution.policies import NodesDisagreeError, all_at_least, quorum, reached
from ..chain.execution.transactions import find_receipt
from ..chain.ipfs.client import IpfsClient
from .sending.action import Action, ActionKind

MAX_BLOCK_AGE_SECONDS: Final = 180.0  # of a node that is believed about the present
SETTLED_BLOCKS: Final = 96  # behind which a config that was announced stays
DEFAULT_VALIDITY_SECONDS: Final = 3600  # of an approval, where the config says nothing
BEHIND_LOOKS: Final = 5  # before it is an error that all nodes are behind a block that one knew; a slot each


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

    async def head(self, *, at_least: int = 0) -> Block:
        """The latest block that more than half of the nodes have reached, without those that are behind.

        Args:
            at_least: what is to be compared was read at this block. While the node is away that knew it,
                others have some slots to get there.

        Raises:
            StaleNodeError: no node is so far.
        """
        for _ in range(BEHIND_LOOKS - 1):
            try:
                return await self._head(at_least)
            except StaleNodeError:
                if at_least == 0:
                    raise
            await asyncio.sleep(self.network.seconds_per_slot)
        return await self._head(at_least)

    async def registry_root(self, *, at_least: int) -> bytes:
        """The root of all deposits, now; `at_least` as of `head`."""
        head = await self.head(at_least=at_least)
        return await deposit_root(self.node, self.deposit_contract, block=head)

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
        """Why an action is certain to revert by now, or "", as all nodes say that are as far as the action.

        Raises:
            NodesDisagreeError: some of them say so, and others do not.
            StaleNodeError: none is as far as the block that it was made for.
        """

        async def read(one: NodeClient, head: Block) -> str:
            return await replace(self, node=one)._why_stale(action, head)

        said = await all_at_least(self.node, action.block_number, read, max_age_seconds=MAX_BLOCK_AGE_SECONDS)
        reasons = [each for each in said if each.value]
        if reasons and len(reasons) < len(said):
            raise NodesDisagreeError(
                "nodes disagree whether the action would revert now: "
                + "; ".join(f"{each.node} says {each.value or 'it would not'}" for each in said)
            )
        return reasons[0].value if reasons else ""

    async def nonce(self, kind: ActionKind, vault: bytes, block: Block) -> int:
        """What the signatures of the next such action of a vault are for."""
        if kind is ActionKind.UPDATE_EXITS:
            return await exit_signatures_nonce(self.node, self.keeper, vault, block=block)
        return await validators_manager_nonce(self.node, vault, block=block)

    async def deposited_by(self, transaction_hash: bytes) -> list[bytes]:
        """The keys of the deposits that a transaction made, as more than half of the nodes say.

        Raises:
            NodeError, ContractError: it cannot be told.
        """
        receipt = await quorum(
            self.node,
            f"transaction {write_data(transaction_hash)}",
            lambda one: find_receipt(one, transaction_hash),
        )
        if receipt is None:
            raise NodeError(f"no node has the receipt of {write_data(transaction_hash)} now")
        found = [each for each in receipt.logs if each.address == self.deposit_contract]
        return [row.tobytes() for row in decode_deposits(found).public_keys]

    async def _head(self, at_least: int) -> Block:
        return await reached(self.node, at_least=at_least, max_age_seconds=MAX_BLOCK_AGE_SECONDS)

    async def _why_stale(self, action: Action, head: Block) -> str:
        """As one node says at its latest block."""
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


def approval_deadline(config: OracleConfig, block: Block) -> int:
    """Until when an approval that is asked for now is good."""
    return block.timestamp + positive(config.raw.get("signature_validity_period"), DEFAULT_VALIDITY_SECONDS)


def positive(value: object, default: int) -> int:
    """A limit as configs have them, or what it is where they have none."""
    return value if isinstance(value, int) and value > 0 else default
