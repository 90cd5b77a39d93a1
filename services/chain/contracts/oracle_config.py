"""The oracle config as the Keeper announces it on chain, and IPFS holds it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec

from dvtfast.errors import FileError
from dvtfast.networks import Network
from dvtfast.protocol_config import MAX_FILE_BYTES, OracleConfig, parse_oracle_config

from ..encoding import read_address
from ..execution.node import Block, NodeClient
from ..execution.policies import quorum
from ..ipfs.client import IpfsClient
from .reads import ConfigPointer, latest_config, validators_min_oracles


class OracleConfigError(Exception):
    """The Keeper announces no config, or one that cannot be used; an older one stays in force."""


@dataclass(frozen=True)
class AnnouncedOracles:
    """A config, where it was announced, and how many oracles must approve a registration.

    Attributes:
        up_to: the block up to which there is no later one.
    """

    pointer: ConfigPointer
    up_to: int
    min_oracles: int
    config: OracleConfig


async def announced_oracles(
    node: NodeClient, ipfs: IpfsClient, network: Network, *, at: Block, known: AnnouncedOracles | None = None
) -> AnnouncedOracles:
    """The oracles in force at a block, as more than half of the nodes say: to them exits are given.

    Args:
        at: a block that stays, such as the finalized one.
        known: what an earlier call returned, of blocks that stayed; only later events are looked for.

    Raises:
        OracleConfigError: there is no config, it is malformed, or fewer oracles approve than recover.
        ContractError, NodeError, IpfsContentError, IpfsError: one of them does not do its part.
    """
    keeper = read_address(network.keeper)
    first = known.up_to + 1 if known else network.keeper_genesis_block
    pointer = await quorum(
        node, "the oracle config", lambda one: latest_config(one, keeper, first=first, last=at)
    )
    min_oracles = await quorum(
        node,
        "how many oracles must approve",
        lambda one: validators_min_oracles(one, keeper, block=at),
    )
    if pointer is not None:
        document = await ipfs.fetch(pointer.cid, limit_bytes=MAX_FILE_BYTES)
        config = await asyncio.to_thread(_parse, document, pointer.cid)
    elif known is not None:
        pointer, config = known.pointer, known.config
    else:
        raise OracleConfigError(f"no ConfigUpdated event in blocks {first} to {at.number}")
    if config.exit_signature_recover_threshold > min_oracles:
        raise OracleConfigError(
            f"{pointer.cid}: exit_signature_recover_threshold: expected at most the {min_oracles} oracles"
            f" that approve, got {config.exit_signature_recover_threshold}"
        )
    return AnnouncedOracles(pointer, at.number, min_oracles, config)


def _parse(document: bytes, cid: str) -> OracleConfig:
    try:
        return parse_oracle_config(msgspec.json.decode(document))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise OracleConfigError(f"{cid}: not JSON: {error}") from None
    except FileError as error:
        raise OracleConfigError(f"{cid}: {error}") from None
