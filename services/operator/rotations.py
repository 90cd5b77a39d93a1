"""Exits that are split anew, when the oracles are others than those who hold the shares."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dvtfast.protocol_config import OracleConfig

from .. import wire
from ..chain.encoding import write_address
from ..chain.keeper_messages import keeper_domain, rotation_message
from .agreement import Signed, TooFewOraclesError, agree
from .approvals import Approval, Upload, read_upload, require_shares_for
from .oracle_wire import RotationBody, RotationInfoAnswer
from .oracles import Call, OracleClient, OracleError, oracles_of

INFO_LIMIT_BYTES = 32 * 1024 * 1024
BYTES_PER_MARK = 8  # of JSON, at least, in `{"index":1},`


class RotationInfo(NamedTuple):
    """What oracles say of a vault's exits.

    Attributes:
        block_number: where they were last split.
        validator_indices: of the validators whose exits an oracle wants, ascending.
    """

    block_number: int
    validator_indices: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class RotationRequest:
    """Exits to be given to the oracles of today, all lists in the same order.

    Attributes:
        vault: an address.
        shares: for the oracles in the order of their config.
        nonce: the Keeper's `exitSignaturesNonces(vault)`.
        deadline: Unix seconds.
    """

    vault: bytes
    public_keys: Sequence[bytes]
    shares: Sequence[wire.OraclesExitSignatureShares]
    nonce: int
    deadline: int

    def __post_init__(self) -> None:
        if len(self.vault) != wire.Address.width:
            raise ValueError(f"vault: expected {wire.Address.width} bytes, got {len(self.vault)}")
        if not self.public_keys or len(self.shares) != len(self.public_keys):
            raise ValueError(f"shares: expected {len(self.public_keys)}, got {len(self.shares)}")

    def body(self) -> RotationBody:
        """As it is sent."""
        return RotationBody(
            wire.Address(self.vault),
            [wire.PublicKey(key) for key in self.public_keys],
            [each.public_keys for each in self.shares],
            [each.encrypted_exit_signatures for each in self.shares],
            wire.UInt64(self.deadline),
        )


async def rotation_info(
    vault: bytes, oracles: OracleConfig, client: OracleClient, *, threshold: int
) -> RotationInfo:
    """What most oracles say of a vault's exits; nobody signs it.

    Args:
        threshold: how many must say the same.

    Raises:
        TooFewOraclesError: fewer do.
    """
    call = Call(f"/signatures/{write_address(vault)}", limit_bytes=INFO_LIMIT_BYTES)
    asked = oracles_of(oracles)
    answers = await asyncio.gather(
        *(client.ask(oracle, call, _read_info) for oracle in asked), return_exceptions=True
    )
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, OracleError):
            raise answer
    counted = Counter(answer for answer in answers if isinstance(answer, RotationInfo))
    leading, votes = max(counted.items(), key=lambda item: item[1], default=(None, 0))
    if leading is None or votes < threshold:
        said = {
            oracle.address: _in_words(answer)
            for oracle, answer in zip(asked, answers, strict=True)
            if leading is None or answer != leading
        }
        raise TooFewOraclesError(threshold, votes, said)
    return leading


async def rotate(
    request: RotationRequest,
    oracles: OracleConfig,
    client: OracleClient,
    *,
    keeper_address: bytes,
    chain_id: int,
    threshold: int,
    now: Callable[[], float] = time.time,
) -> Approval:
    """Give all oracles their shares; what they sign is for the Keeper's `updateExitSignatures`.

    Args:
        threshold: how many must sign, the Keeper's `validatorsMinOracles()`.
        now: as in `approve`.

    Raises:
        TooFewOraclesError: fewer do; it says what came of each of the others.
    """
    require_shares_for(oracles, request.shares)
    body = await asyncio.to_thread(lambda: wire.encode(request.body()))
    domain = keeper_domain(chain_id, keeper_address)

    def read(content: bytes) -> Signed[Upload]:
        upload, signature = read_upload(content, deadline=request.deadline, now=now())
        message = rotation_message(domain, request.vault, upload.ipfs_hash, request.nonce, upload.deadline)
        return Signed(upload, message.digest, signature)

    call = Call("/signatures", body)
    agreement = await agree(client, oracles_of(oracles), call, read, threshold=threshold)
    return Approval(*agreement.subject, agreement.signatures)


def _read_info(content: bytes) -> RotationInfo:
    answer = wire.decode_bounded(content, RotationInfoAnswer, INFO_LIMIT_BYTES // BYTES_PER_MARK)
    indices = sorted({int(validator.index) for validator in answer.validators})
    return RotationInfo(int(answer.exit_signature_block_number), tuple(indices))


def _in_words(answer: RotationInfo | BaseException) -> str:
    if isinstance(answer, RotationInfo):
        return f"block {answer.block_number}, {len(answer.validator_indices)} validators"
    return str(answer)
