"""The oracles' approval of a registration, which the Keeper demands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.deposit_data_tree import MultiProof
from dvtfast.protocol_config import OracleConfig

from ... import wire
from ...chain.contracts.keeper_messages import approval_message, keeper_domain
from ...chain.contracts.manager_messages import COMPOUNDING, ETH1_ADDRESS, is_ambiguous, register_bytes
from ...chain.ipfs.unixfs import Cid
from .agreement import SignedSubject, agree
from .bodies import ApprovalAnswer, ApprovalBody, ApprovalBodyV3
from .client import OracleCall, OracleClient, oracles_of


class Upload(NamedTuple):
    """Where the oracles keep the exits, and until when their word holds; they must agree on both."""

    ipfs_hash: str
    deadline: int


@dataclass(frozen=True)
class Approval:
    """What the oracles have signed, as contracts take it.

    Attributes:
        deadline: Unix seconds; not later than asked for.
        signatures: 65 bytes each, as many as are needed, in the order of the oracles' addresses.
    """

    ipfs_hash: str
    deadline: int
    signatures: bytes


@dataclass(frozen=True, kw_only=True)
class ApprovalRequest:
    """What the oracles are to approve of: validators of one vault, all lists in the same order.

    Attributes:
        vault: an address.
        validator_type: the first byte of the withdrawal credentials, 1 or 2.
        validator_index: of the first validator on the beacon chain; the others follow.
        registry_root: the deposit contract's `get_deposit_root()`.
        public_keys, deposit_signatures, amounts_gwei: of the deposits.
        shares: of the exits, for the oracles in the order of their config.
        deadline: Unix seconds.
        manager_signature: of the vault's validators manager, as oracles of v4 want it; empty with a proof.
        proof: that the validators are in the vault's deposit data, as oracles of v3 want it.

    Raises:
        ValueError: they do not fit together.
    """

    vault: bytes
    validator_type: int
    validator_index: int
    registry_root: bytes
    public_keys: Sequence[bytes]
    deposit_signatures: Sequence[bytes]
    amounts_gwei: Sequence[int]
    shares: Sequence[wire.OraclesExitSignatureShares]
    deadline: int
    manager_signature: bytes = b""
    proof: MultiProof | None = None

    def __post_init__(self) -> None:
        for name, value, width in (
            ("vault", self.vault, wire.Address.width),
            ("registry_root", self.registry_root, wire.Root.width),
            ("manager_signature", self.manager_signature or bytes(65), wire.ManagerSignature.width),
        ):
            if len(value) != width:
                raise ValueError(f"{name}: expected {width} bytes, got {len(value)}")
        n = len(self.public_keys)
        columns = (self.deposit_signatures, self.amounts_gwei, self.shares)
        if n == 0 or any(len(column) != n for column in columns):
            raise ValueError(f"expected lists of one length, got {[n, *map(len, columns)]}")
        if self.validator_type == ETH1_ADDRESS and set(self.amounts_gwei) != {GWEI_PER_VALIDATOR}:
            raise ValueError(f"amounts_gwei: expected {GWEI_PER_VALIDATOR} for each of type 0x01")
        if is_ambiguous(n, self.validator_type):
            raise ValueError(f"public_keys: a vault cannot read {n} of this type; leave one off")
        if (self.proof is None) != bool(self.manager_signature):
            raise ValueError("expected a proof or a manager's signature")
        if self.proof is None:
            return
        if self.validator_type != ETH1_ADDRESS:
            raise ValueError("validator_type: deposit data has type 0x01 only")
        if len(self.proof.positions) != n:
            raise ValueError(f"proof: expected one for {n} validators, got {len(self.proof.positions)}")

    @cached_property
    def validators(self) -> bytes:
        """One behind the other, as the contract takes them and the oracles sign them."""
        return register_bytes(
            self.vault, self.validator_type, self.public_keys, self.deposit_signatures, self.amounts_gwei
        )

    def body(self) -> ApprovalBody | ApprovalBodyV3:
        """As it is sent."""
        manager = wire.ManagerSignature(self.manager_signature) if self.manager_signature else None
        common = (
            wire.UInt64(self.validator_index),
            wire.Address(self.vault),
            wire.Root(self.registry_root),
            [wire.PublicKey(key) for key in self.public_keys],
            [wire.Signature(signature) for signature in self.deposit_signatures],
            [each.public_keys for each in self.shares],
            [each.encrypted_exit_signatures for each in self.shares],
            manager,
            wire.UInt64(self.deadline),
        )
        if self.proof is not None:
            nodes = [wire.Root(node) for node in self.proof.proof]
            return ApprovalBodyV3(*common, nodes, list(self.proof.flags), list(self.proof.positions))
        # Oracles tell the type of the validators by it.
        has_amounts = self.validator_type == COMPOUNDING
        amounts = [wire.UInt64(amount) for amount in self.amounts_gwei] if has_amounts else None
        return ApprovalBody(*common, amounts)


async def approve(
    request: ApprovalRequest,
    oracles: OracleConfig,
    client: OracleClient,
    *,
    keeper_address: bytes,
    chain_id: int,
    threshold: int,
    now: Callable[[], float] = time.time,
) -> Approval:
    """Ask all oracles to approve of a registration.

    Args:
        threshold: how many must, the Keeper's `validatorsMinOracles()`.
        now: Unix seconds; what was signed only until then is of no use.

    Raises:
        TooFewOraclesError: fewer do; it says what came of each of the others.
    """
    require_shares_for(oracles, request.shares)
    body = await asyncio.to_thread(_encode, request)
    domain = keeper_domain(chain_id, keeper_address)

    def read(content: bytes) -> SignedSubject[Upload]:
        upload, signature = read_upload(content, deadline=request.deadline, now=now())
        message = approval_message(domain, request.registry_root, request.vault, request.validators, *upload)
        return SignedSubject(upload, message.digest, signature)

    agreement = await agree(client, oracles_of(oracles), OracleCall(body=body), read, threshold=threshold)
    return Approval(*agreement.subject, agreement.signatures)


def read_upload(content: bytes, *, deadline: int, now: float) -> tuple[Upload, bytes]:
    """What an oracle answers that took exits, and its signature.

    Raises:
        ValueError: the answer cannot be used.
    """
    answer = wire.decode(content, ApprovalAnswer)
    if not now < answer.deadline <= deadline:
        raise ValueError(
            f"deadline: expected one to come, up to {deadline}, got {answer.deadline}; by the clock of this"
            f" machine it is {now:.0f}"
        )
    try:
        Cid.parse(answer.ipfs_hash)
    except ValueError as error:
        raise ValueError(f"ipfs_hash: {error}") from None
    return Upload(answer.ipfs_hash, int(answer.deadline)), bytes(answer.signature)


def require_shares_for(oracles: OracleConfig, shares: Sequence[wire.OraclesExitSignatureShares]) -> None:
    """Raise ValueError where shares are not one for each oracle, as when the config has changed."""
    k = len(oracles.public_keys)
    for position, each in enumerate(shares):
        if not len(each.public_keys) == len(each.encrypted_exit_signatures) == k:
            raise ValueError(f"shares[{position}]: expected one for each of {k} oracles")


def _encode(request: ApprovalRequest) -> bytes:
    assert request.validators  # made here, as it takes as long as the rest
    return wire.encode(request.body())
