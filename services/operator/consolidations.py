"""The oracles' approval of a consolidation, without which a vault only takes targets that it knows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dvtfast.protocol_config import OracleConfig

from .. import wire
from ..chain.keeper_messages import consolidation_message
from ..chain.manager_messages import consolidate_bytes
from .agreement import Signed, agree
from .oracle_wire import ConsolidationAnswer, ConsolidationBody
from .oracles import Call, OracleClient, oracles_of


async def approve_consolidation(
    vault: bytes,
    source_public_keys: Sequence[bytes],
    target_public_keys: Sequence[bytes],
    oracles: OracleConfig,
    client: OracleClient,
    *,
    checker_address: bytes,
    chain_id: int,
    threshold: int,
) -> bytes:
    """Ask all oracles to approve of a consolidation.

    Returns their signatures, 65 bytes each, as the vault takes them.

    Args:
        checker_address: of the ConsolidationsChecker.
        threshold: how many oracles must.

    Raises:
        TooFewOraclesError: fewer do; it says what came of each of the others.
    """
    validators = consolidate_bytes(source_public_keys, target_public_keys)
    request = ConsolidationBody(wire.PublicKey.rows(validators), wire.Address(vault))
    body = await asyncio.to_thread(wire.encode, request)
    digest = consolidation_message(chain_id, checker_address, vault, validators).digest

    def read(content: bytes) -> Signed[bytes]:
        return Signed(digest, digest, bytes(wire.decode(content, ConsolidationAnswer).signature))

    call = Call("/consolidate-validators/", body)
    return (await agree(client, oracles_of(oracles), call, read, threshold=threshold)).signatures
