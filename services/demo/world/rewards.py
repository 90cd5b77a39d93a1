"""Rewards as the oracles vote them: a Merkle tree of what each vault earned.

A leaf is keccak256(keccak256(abi.encode(address vault, int160 reward, uint160 unlockedMevReward))), the
tree is OpenZeppelin's StandardMerkleTree: leaves in the order of their hashes, from the end of an array in
which the children of node i are 2i + 1 and 2i + 2; a node is the hash of its children, the lower one first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from eth_abi.abi import encode

from ...chain.encoding import keccak256, write_address, write_data


@dataclass(frozen=True)
class VaultReward:
    """What a vault earned since its beginning, in wei."""

    vault: bytes
    consensus: int
    unlocked_mev: int = 0
    locked_mev: int = 0

    @property
    def reward(self) -> int:
        """All of it, as its leaf has it."""
        return self.consensus + self.unlocked_mev + self.locked_mev

    @property
    def leaf(self) -> bytes:
        """Its hash in the tree."""
        values = (self.vault, self.reward, self.unlocked_mev)
        return keccak256(keccak256(encode(["address", "int160", "uint160"], values)))


class RewardsTree:
    """The vote of one day."""

    def __init__(self, rewards: Sequence[VaultReward]) -> None:
        self._rewards = rewards
        leaves = sorted(reward.leaf for reward in rewards)
        self._nodes = [b""] * (len(leaves) - 1) + leaves[::-1]
        for at in reversed(range(len(leaves) - 1)):
            self._nodes[at] = keccak256(b"".join(sorted(self._nodes[2 * at + 1 : 2 * at + 3])))

    @property
    def root(self) -> bytes:
        """What the Keeper keeps."""
        return self._nodes[0]

    def proof(self, vault: bytes) -> list[bytes]:
        """That the vault's reward is in it."""
        (leaf,) = (reward.leaf for reward in self._rewards if reward.vault == vault)
        at, proof = self._nodes.index(leaf), []
        while at:
            proof.append(self._nodes[at + 1 if at % 2 else at - 1])
            at = (at - 1) // 2
        return proof

    def harvest_params(self, vault: bytes) -> tuple[bytes, int, int, list[bytes]]:
        """`HarvestParams` of a vault that shares the escrow of MEV."""
        (reward,) = (reward for reward in self._rewards if reward.vault == vault)
        return self.root, reward.reward, reward.unlocked_mev, self.proof(vault)

    def document(self) -> bytes:
        """The JSON in IPFS from which vaults learn it."""
        vaults: list[dict[str, Any]] = [
            {
                "vault": write_address(reward.vault),
                "consensus_reward": str(reward.consensus),
                "unlocked_mev_reward": str(reward.unlocked_mev),
                "locked_mev_reward": str(reward.locked_mev),
                "proof": [write_data(node) for node in self.proof(reward.vault)],
            }
            for reward in self._rewards
        ]
        return msgspec.json.encode({"vaults": vaults})
