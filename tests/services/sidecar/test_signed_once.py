"""The same message is signed once, whoever wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from dvtfast import HOODI, check_signatures
from dvtfast.services.sidecar.nodes.node import ExitMessages, MessagesToSign, NodeSigner, SignedMessages
from dvtfast.services.sidecar.signing import signed_once
from dvtfast.services.sidecar.signing.signed_once import SignedOnce

from ..conftest import make_cluster
from ..sidecars import signing_node

VALIDATORS = 6


class Counting:
    """A signer that counts, and leaves out the places it is told to."""

    def __init__(self, signer: NodeSigner) -> None:
        self.signer = signer
        self.batches: list[int] = []
        self.lacks: Sequence[int] = ()

    async def sign(self, messages: MessagesToSign) -> SignedMessages:
        self.batches.append(len(messages))
        signed = await self.signer.sign(messages)
        return SignedMessages(signed.signatures, ~np.isin(messages.places, list(self.lacks)))

    async def close(self) -> None:
        await self.signer.close()


def exits(indices: Sequence[int]) -> ExitMessages:
    return ExitMessages.of(range(len(indices)), indices, HOODI)


async def test_each_message_is_signed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = make_cluster(VALIDATORS)
    keys = cluster.shares.public_key_shares[:, 0]
    async with signing_node(cluster) as (node, _):
        counting = Counting(node.signer)
        signer = SignedOnce(counting)
        batch = exits(range(VALIDATORS))
        for signed in await asyncio.gather(*(signer.sign(batch) for _ in range(3))):
            assert signed.ok.all()
            assert check_signatures(keys, batch.signing_roots, signed.signatures).all()
        assert counting.batches == [VALIDATORS]
        moved = exits([*range(VALIDATORS - 2), 70, 71])
        signed = await signer.sign(moved)
        assert check_signatures(keys, moved.signing_roots, signed.signatures).all()
        assert counting.batches == [VALIDATORS, 2]
        empty = await signer.sign(exits([]))
        assert (empty.signatures.shape, empty.ok.shape) == ((0, 96), (0,))
        monkeypatch.setattr(signed_once, "REMEMBERED", 3)
        await signer.sign(exits([80]))
        assert (await signer.sign(moved)).ok.all()  # most of them anew
        assert counting.batches == [VALIDATORS, 2, 1, VALIDATORS - 2]
        await signer.close()


async def test_what_is_not_signed_is_tried_again() -> None:
    async with signing_node(make_cluster(VALIDATORS)) as (node, _):
        counting = Counting(node.signer)
        signer = SignedOnce(counting)
        counting.lacks = (1, 4)
        signed = await signer.sign(exits(range(VALIDATORS)))
        assert np.flatnonzero(~signed.ok).tolist() == [1, 4]
        assert not signed.signatures[[1, 4]].any()
        counting.lacks = ()
        assert (await signer.sign(exits(range(VALIDATORS)))).ok.all()
        assert counting.batches == [VALIDATORS, 2]
