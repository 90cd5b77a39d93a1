"""Exits that are split anew, when the oracles are others than those who hold the shares."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dvtfast.protocol_config import OracleConfig

from ... import wire
from ...chain.contracts.keeper_messages import keeper_domain, rotation_message
from ...chain.encoding import write_address
from ...process import logs
from ..oracles.agreement import SignedSubject, agree
from ..oracles.approvals import Approval, Upload, read_upload, require_shares_for
from ..oracles.bodies import RotationBody, RotationInfoAnswer
from ..oracles.client import OracleCall, OracleClient, OracleError, oracles_of
from ..plan import NotReadyError

INFO_LIMIT_BYTES = 4 * 1024 * 1024
BYTES_PER_MARK = 8  # of JSON, at least, in `{"index":1},`

log = logs.get("oracles")


class OraclesBehindError(NotReadyError):
    """No oracle has seen the vault's last rotation yet; what they say is of before."""


class OraclesAheadError(OraclesBehindError):
    """Only such oracles have as tell of blocks that our nodes do not have; a moment later these may."""


class RotationInfo(NamedTuple):
    """What an oracle says of a vault's exits.

    Attributes:
        block_number: where they were last split, as far as it knows; None where it knows of no rotation.
        validator_indices: of the validators whose exits it wants, ascending.
    """

    block_number: int | None
    validator_indices: tuple[int, ...]

    def has_seen(self, block: int | None) -> bool:
        """Whether this is of after the rotation in a block; None is before the first one."""
        return block is None or (self.block_number is not None and self.block_number >= block)


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
    vault: bytes,
    oracles: OracleConfig,
    client: OracleClient,
    *,
    since: int | None,
    head: Callable[[], Awaitable[int]],
) -> RotationInfo:
    """What oracles say of a vault's exits; nobody signs it.

    One oracle that has seen the vault's last rotation is enough. Of its replicas the one that has seen least
    speaks for it: any of them may be asked to sign. Where several oracles have seen it, a validator is one
    that half of them want; which block they tell of gives no weight, as nothing proves it.

    Args:
        since: the block of the vault's last rotation; None before the first.
        head: the number of our nodes' latest block, asked for when the oracles have answered. What is said
            of a later one is not believed.

    Raises:
        OraclesAheadError: of those that answer only such have seen it as tell of blocks after `head`.
        OraclesBehindError: none has.
        NotReadyError: none answers.
    """
    call = OracleCall(f"/signatures/{write_address(vault)}", limit_bytes=INFO_LIMIT_BYTES)
    asked = oracles_of(oracles)
    answers = await asyncio.gather(
        *(client.ask_replicas(oracle, call, _read_info) for oracle in asked), return_exceptions=True
    )
    report: dict[str, RotationInfo] = {}
    said: list[str] = []
    for oracle, answer in zip(asked, answers, strict=True):
        if isinstance(answer, OracleError):
            said.append(f"{oracle.name}: {answer}")
        elif isinstance(answer, BaseException):
            raise answer
        else:
            least = min(answer, key=lambda info: -1 if info.block_number is None else info.block_number)
            report[oracle.name] = least
            said.append(f"{oracle.name}: {_in_words(least)}")
    if not report:
        raise NotReadyError(f"oracles: none answers; {'; '.join(said)}")
    seen = {name: info for name, info in report.items() if info.has_seen(since)}
    if not seen:
        raise OraclesBehindError(
            f"no oracle has seen the rotation of block {since} yet; they tell of: {'; '.join(said)}"
        )
    latest = await head()
    ahead = {name: info.block_number for name, info in seen.items() if (info.block_number or 0) > latest}
    for name, number in ahead.items():
        log.warning("an oracle tells of a block that no node has", oracle=name, block=number, latest=latest)
    believed = [info for name, info in seen.items() if name not in ahead]
    if not believed:
        raise OraclesAheadError(
            f"those oracles that have seen the vault's last rotation tell of blocks after {latest}, the"
            " latest one of the execution nodes: they lie, or these are behind; they tell of:"
            f" {'; '.join(said)}"
        )
    return await asyncio.to_thread(_wanted_by_half, believed)


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

    def read(content: bytes) -> SignedSubject[Upload]:
        upload, signature = read_upload(content, deadline=request.deadline, now=now())
        message = rotation_message(domain, request.vault, upload.ipfs_hash, request.nonce, upload.deadline)
        return SignedSubject(upload, message.digest, signature)

    call = OracleCall("/signatures", body)
    agreement = await agree(client, oracles_of(oracles), call, read, threshold=threshold)
    return Approval(*agreement.subject, agreement.signatures)


def _read_info(content: bytes) -> RotationInfo:
    answer = wire.decode_bounded(content, RotationInfoAnswer, INFO_LIMIT_BYTES // BYTES_PER_MARK)
    number = answer.exit_signature_block_number
    indices = sorted({int(validator.index) for validator in answer.validators or ()})
    return RotationInfo(None if number is None else int(number), tuple(indices))


def _wanted_by_half(report: Sequence[RotationInfo]) -> RotationInfo:
    """What oracles say together: validators that half of them want, and the latest of their blocks."""
    votes = Counter(index for info in report for index in info.validator_indices)
    wanted = sorted(index for index, count in votes.items() if 2 * count >= len(report))
    blocks = [info.block_number for info in report if info.block_number is not None]
    return RotationInfo(max(blocks, default=None), tuple(wanted))


def _in_words(answer: RotationInfo) -> str:
    number = "no rotation" if answer.block_number is None else f"block {answer.block_number}"
    return f"{number}, {len(answer.validator_indices)} validators"
