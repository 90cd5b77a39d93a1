"""Requests for approval that tests send to oracles of their own."""

from __future__ import annotations

import time
from typing import Any

from dvtfast.services import wire
from dvtfast.services.chain.contracts.manager_messages import COMPOUNDING
from dvtfast.services.chain.contracts.signers import CURVE_ORDER
from dvtfast.services.chain.encoding import read_address
from dvtfast.services.operator.oracles.approvals import (
    Approval,
    ApprovalRequest,
    approve,
)
from dvtfast.services.operator.oracles.client import OracleClient
from tests.services.oracle_servers import (
    CHAIN_ID,
    KEEPER,
    FakeOracle,
    oracles_up,
)

VAULT = bytes(range(20))
MANAGER_SIGNATURE = bytes(range(65))
DEADLINE = int(time.time()) + 3600
ETHER = 10**9
R, S, V = slice(0, 32), slice(32, 64), slice(64, 65)


def shares(validators: int, oracles: int) -> list[wire.OraclesExitSignatureShares]:
    return [
        wire.OraclesExitSignatureShares(
            [wire.PublicKey(bytes([i, j]) * 24) for j in range(oracles)],
            [wire.EncryptedSignature(bytes([i + 100, j]) * 96 + b"\0") for j in range(oracles)],
        )
        for i in range(validators)
    ]


def request_for(oracles: int, *, validators: int = 2, **changes: Any) -> ApprovalRequest:
    given: dict[str, Any] = {
        "vault": VAULT,
        "validator_type": COMPOUNDING,
        "validator_index": 1_234_567,
        "registry_root": bytes(range(32)),
        "public_keys": [bytes([i % 256]) * 48 for i in range(validators)],
        "deposit_signatures": [bytes([i % 256]) * 96 for i in range(validators)],
        "amounts_gwei": [(33 + i % 7) * ETHER for i in range(validators)],
        "shares": shares(validators, oracles) if validators < 100 else shares(1, oracles) * validators,
        "deadline": DEADLINE,
        "manager_signature": MANAGER_SIGNATURE,
    }
    return ApprovalRequest(**{**given, **changes})


async def approved(
    fakes: list[FakeOracle], client: OracleClient, *, threshold: int, request: ApprovalRequest | None = None
) -> Approval:
    async with oracles_up(fakes) as config:
        return await approve(
            request or request_for(len(fakes)),
            config,
            client,
            keeper_address=read_address(KEEPER),
            chain_id=CHAIN_ID,
            threshold=threshold,
        )


def signers_of(fakes: list[FakeOracle], signatures: bytes, body: dict[str, Any]) -> list[bytes]:
    """Whose signatures stand there, in their order."""
    by_signature = {each.sign(body): each.address for each in fakes}
    return [by_signature[signatures[i : i + 65]] for i in range(0, len(signatures), 65)]


def high_s(signature: bytes) -> bytes:
    s = CURVE_ORDER - int.from_bytes(signature[S])
    return signature[R] + s.to_bytes(32) + bytes([55 - signature[64]])
