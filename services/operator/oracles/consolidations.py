"""The oracles' approval of a switch: a validator of type 0x01 becomes a compounding one of type 0x02.

Of other consolidations oracles are not asked; a vault takes targets that it knows.
"""

from __future__ import annotations

import asyncio

from dvtfast.protocol_config import OracleConfig

from ... import wire
from ...chain.contracts.keeper_messages import consolidation_message
from ...chain.contracts.manager_messages import consolidate_bytes
from .agreement import SignedSubject, agree
from .bodies import ConsolidationAnswer, ConsolidationBody
from .client import OracleCall, OracleClient, oracles_of

ROUTE = "consolidate-validators/"  # a relative link, as StakeWise's operator has it


async def approve_switch(
    vault: bytes,
    public_key: bytes,
    oracles: OracleConfig,
    client: OracleClient,
    *,
    checker_address: bytes,
    chain_id: int,
    threshold: int,
) -> bytes:
    """Ask all oracles to approve that a validator compounds from now on.

    They are told its key once, and sign what the chain takes: the key as source and as target.

    Returns their signatures, 65 bytes each, as the vault takes them.

    Args:
        checker_address: of the ConsolidationsChecker.
        threshold: how many oracles must.

    Raises:
        TooFewOraclesError: fewer do; it says what came of each of the others.
    """
    body = await asyncio.to_thread(
        wire.encode, ConsolidationBody([wire.PublicKey(public_key)], wire.Address(vault))
    )
    validators = consolidate_bytes([public_key], [public_key])
    digest = consolidation_message(chain_id, checker_address, vault, validators).digest

    def read(content: bytes) -> SignedSubject[bytes]:
        return SignedSubject(digest, digest, bytes(wire.decode(content, ConsolidationAnswer).signature))

    call = OracleCall(ROUTE, body)
    return (await agree(client, oracles_of(oracles), call, read, threshold=threshold)).signatures
