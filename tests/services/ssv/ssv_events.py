"""SSV's contract as a test has it: events of any kind, from owners with validators that are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from dvtfast import generate_secret_keys, split_secret_keys, ssv
from dvtfast.services.ssv.registry import ChainSource
from tests.services.chain.anvil import CHAIN_ID, Chain, Contract
from tests.vector_files import VECTORS, load

EXPECTED = load("ssv/expected.json")
IDS: tuple[int, ...] = tuple(EXPECTED["operator_ids"])
OURS = 17
OTHER_IDS = (5, 242, 1093, 2000)
FINAL_BLOCKS = 70  # anvil's finalized block is 64 behind


@cache
def operator_key(operator_id: int) -> ssv.OperatorKey:
    """The vectors' keys; operators that they do not have share one."""
    number = operator_id if operator_id in IDS else OURS
    return ssv.read_operator_key(VECTORS / f"ssv/operator-{number}/private_key_base64.txt")


@dataclass
class Owner:
    """Somebody who registers validators, and counts as the contract does."""

    contract: SsvContract
    address: bytes
    nonce: int = 0

    def validator(
        self,
        *,
        ids: Sequence[int] = IDS,
        nonce: int | None = None,
        secret_key: np.ndarray | None = None,
    ) -> ssv.KeyShares:
        """A validator that is right, if it is registered next."""
        secret = generate_secret_keys(1) if secret_key is None else secret_key
        threshold = ssv.threshold_of(len(ids))
        (shares,) = ssv.build_key_shares(
            secret,
            split_secret_keys(secret, threshold=threshold, share_indices=list(ids)),
            {i: operator_key(i).public_key for i in ids},
            owner_address=self.address,
            first_nonce=self.nonce if nonce is None else nonce,
        )
        return shares

    async def add(self, shares: ssv.KeyShares | None = None, **others: Any) -> ssv.KeyShares:
        """Register it, or a new one; `others` takes the place of what belongs in the event."""
        shares = shares or self.validator()
        await self.contract.add(
            self.address,
            others.get("ids", shares.operator_ids),
            others.get("public_key", shares.public_key),
            others.get("data", shares.shares_data),
        )
        self.nonce += 1
        return shares

    async def remove(self, shares: ssv.KeyShares) -> None:
        await self.contract.remove(self.address, shares.operator_ids, shares.public_key)


@dataclass
class SsvContract:
    """The contract on a chain."""

    chain: Chain
    contract: Contract

    @classmethod
    async def deployed(cls, chain: Chain) -> SsvContract:
        return cls(chain, await chain.deploy("ssv"))

    def source(self, *operator_ids: int) -> ChainSource:
        return ChainSource(CHAIN_ID, self.contract.address, 0, frozenset(operator_ids or {OURS}))

    def owner(self, number: int = 1) -> Owner:
        return Owner(self, bytes([number]) * 20)

    async def add(self, owner: bytes, ids: Sequence[int], public_key: bytes, data: bytes) -> None:
        await self.contract.send("add(address,uint64[],bytes,bytes)", owner, list(ids), public_key, data)

    async def remove(self, owner: bytes, ids: Sequence[int], public_key: bytes) -> None:
        await self.contract.send("remove(address,uint64[],bytes)", owner, list(ids), public_key)

    async def raw(self, owner: bytes, data: bytes, *, removes: bool = False) -> None:
        await self.contract.send(f"{'remove' if removes else 'add'}_raw(address,bytes)", owner, data)

    async def finalize(self) -> None:
        await self.chain.mine(FINAL_BLOCKS)
