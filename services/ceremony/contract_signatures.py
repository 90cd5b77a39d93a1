"""Signatures of accounts that are contracts, such as a Safe: the contract says whether they are its own.

Source: ERC-1271.
"""

from __future__ import annotations

from collections.abc import Sequence

from dvtfast import Network
from dvtfast.obol import Unproven

from ..chain.calls import encode_call
from ..chain.encoding import read_address
from ..chain.execution.node import CallRevertedError, NodeClient
from ..process.offload import UnavailableError
from .errors import CeremonyError

IS_VALID = "isValidSignature(bytes32,bytes)"
MAGIC = bytes([0x16, 0x26, 0xBA, 0x7E])  # what a contract returns to it that has signed
TIMEOUT_SECONDS = 10.0


async def signed_by_contracts(
    unproven: Sequence[Unproven], endpoints: Sequence[str], network: Network
) -> frozenset[str]:
    """The names of those that the contract at their address has signed, in its state now.

    Raises:
        CeremonyError: no execution node answers.
    """
    if not unproven or not endpoints:
        return frozenset()
    try:
        async with NodeClient(endpoints, timeout_seconds=TIMEOUT_SECONDS, chain_id=network.chain_id) as node:
            return frozenset([each.name for each in unproven if await _is_signed(node, each)])
    except UnavailableError as error:
        raise CeremonyError(f"whether contracts have signed the definition: {error}") from None


async def _is_signed(node: NodeClient, each: Unproven) -> bool:
    call = encode_call(IS_VALID, each.digest, each.signature)
    try:
        return (await node.call(read_address(each.address), call, block="latest"))[: len(MAGIC)] == MAGIC
    except (CallRevertedError, ValueError):  # the latter of an address with a wrong checksum
        return False
