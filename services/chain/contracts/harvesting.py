"""The rewards that a vault can take, as the Keeper announces them on chain, and IPFS holds them.

Source: StakeWise v3-core `748bb38`, KeeperRewards and VaultState; the vault's part of a document is what
its leaf in the rewards tree has.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec

from dvtfast.networks import Network

from ..calls import ContractError, HarvestParams, decode_values, encode_call, multicall, update_state
from ..encoding import HASH_BYTES, keccak256, read_address, read_data, write_address
from ..execution.node import Block, NodeClient
from ..ipfs.client import IpfsClient
from .reads import latest_log, view

REWARDS_UPDATED = keccak256(b"RewardsUpdated(address,bytes32,uint256,uint64,uint64,string)")
DOCUMENT_LIMIT_BYTES = 64 * 1024**2  # ten thousand vaults, each with its proof
PROOF_LIMIT = 64  # hashes; enough for 2^64 vaults
TOPICS = 3
INT160_LIMIT = 1 << 159


class RewardsError(Exception):
    """The rewards that the Keeper announced cannot be used."""


@dataclass(frozen=True)
class Assets:
    """What a vault has, once it has taken its rewards.

    Attributes:
        withdrawable_wei: what it may deposit with, in the stake's token.
        harvest: its rewards, which must be taken first; None when there are none to take.
    """

    withdrawable_wei: int
    harvest: HarvestParams | None


async def vault_assets(
    node: NodeClient, ipfs: IpfsClient | None, network: Network, vault: bytes, *, at: Block
) -> Assets:
    """What a vault has at a block, with the rewards that it can take.

    Args:
        network: names the Keeper and the escrow.

    Raises:
        RewardsError: rewards are to be taken, but they cannot be read.
        ContractError, CallRevertedError, NodeError, IpfsError, IpfsContentError: one does not do its part.
    """
    keeper = read_address(network.keeper)
    if not await view(node, keeper, "canHarvest(address)", "bool", vault, block=at):
        wei = await view(node, vault, "withdrawableAssets()", "uint256", block=at)
        return Assets(wei, None)
    harvest = await _harvest_params(node, ipfs, network, vault, at)
    calls = multicall([update_state(harvest), encode_call("withdrawableAssets()")])
    answer = await node.call(vault, calls, block=at)
    try:
        (answers,) = decode_values(["bytes[]"], answer)
        (wei,) = decode_values(["uint256"], answers[-1])
    except (ValueError, IndexError) as error:
        raise ContractError(f"{write_address(vault)} multicall: {error}") from None
    return Assets(wei, harvest)


def read_rewards(
    document: bytes, rewards_root: bytes, vault: bytes, *, shares_escrow: bool, counts_mev: bool
) -> HarvestParams:
    """A vault's part of a rewards document.

    Args:
        shares_escrow: its MEV goes to the escrow that vaults share.
        counts_mev: such rewards are in the reward, too; see `Network.mev_is_stake`.

    Raises:
        ValueError: the document is none, or has nothing about the vault.
    """
    try:
        rewards = msgspec.json.decode(document, type=_Rewards)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"expected rewards: {error}") from None
    for of_vault in rewards.vaults:
        if read_address(of_vault.vault) == vault:
            break
    else:
        raise ValueError(f"nothing about {write_address(vault)}")
    if len(of_vault.proof) > PROOF_LIMIT:
        raise ValueError(f"proof: expected at most {PROOF_LIMIT} hashes, got {len(of_vault.proof)}")
    reward, unlocked = _integer(of_vault.consensus_reward), 0
    if shares_escrow:
        unlocked = _integer(of_vault.unlocked_mev_reward)
        if counts_mev:
            reward += unlocked + _integer(of_vault.locked_mev_reward)
    if not (-INT160_LIMIT <= reward < INT160_LIMIT and 0 <= unlocked < 2 * INT160_LIMIT):
        raise ValueError("expected rewards of 160 bits in wei")
    proof = tuple(read_data(node, width=HASH_BYTES) for node in of_vault.proof)
    return HarvestParams(rewards_root, reward, unlocked, proof)


async def _harvest_params(
    node: NodeClient, ipfs: IpfsClient | None, network: Network, vault: bytes, at: Block
) -> HarvestParams:
    if ipfs is None:
        raise RewardsError("the vault must take its rewards first, which are in IPFS; name an --ipfs-gateway")
    keeper = read_address(network.keeper)
    log = await latest_log(node, keeper, REWARDS_UPDATED, first=network.keeper_genesis_block, last=at)
    if log is None or len(log.topics) != TOPICS:
        raise RewardsError(f"{network.keeper}: no RewardsUpdated event, but rewards to take")
    try:
        *_, cid = decode_values(["uint256", "uint64", "uint64", "string"], log.data)
        document = await ipfs.fetch(cid, limit_bytes=DOCUMENT_LIMIT_BYTES)
        escrow = read_address(await view(node, vault, "mevEscrow()", "address", block=at))
        return await asyncio.to_thread(
            lambda: read_rewards(
                document,
                log.topics[2],
                vault,
                shares_escrow=escrow == read_address(network.shared_mev_escrow),
                counts_mev=network.mev_is_stake,
            )
        )
    except ValueError as error:
        raise RewardsError(f"rewards of block {log.block_number}: {error}") from None


def _integer(value: Any) -> int:
    """An amount in wei, which is a number or a text of one, since JSON's numbers are short."""
    if isinstance(value, str) and value.removeprefix("-").isdigit() and len(value) < 80:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("expected an integer in wei")


class _VaultRewards(msgspec.Struct):
    vault: str
    consensus_reward: Any
    unlocked_mev_reward: Any = 0
    locked_mev_reward: Any = 0
    proof: list[str] = []


class _Rewards(msgspec.Struct):
    vaults: list[_VaultRewards]
