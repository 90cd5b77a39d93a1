"""Blocks for the cluster to sign, with next to nothing in them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any, Final

from dvtfast import hash_to_g2
from dvtfast.duties.blocks import BeaconBlockBodyElectra, Eth1Data
from dvtfast.duties.forks import Fork
from dvtfast.duties.payloads import ExecutionPayload, ExecutionRequests
from dvtfast.duties.sync_committees import SyncAggregate
from tests.simulation.chain import CONSTANTS, PRESET, SLOTS_PER_EPOCH

FEES: Final = bytes([0xFE] * 20)
SIGNATURE: Final = hash_to_g2([b"somebody's"])[0].tobytes()  # of an aggregate, with the votes of strangers


@cache
def _body() -> Any:
    """An empty body."""
    zero = bytes(32)
    payload = ExecutionPayload(
        zero, FEES, zero, zero, bytes(256), zero, 1, 30_000_000, 0, 0, b"", 7, zero, (), (), 0, 0
    )
    return BeaconBlockBodyElectra(
        bytes(96), Eth1Data(zero, 0, zero), zero, (), (), (), (), (),
        SyncAggregate(bytes(PRESET.sizes["SYNC_COMMITTEE_SIZE"] // 8), SIGNATURE),
        payload, (), (), ExecutionRequests((), (), ()),
    )  # fmt: skip


def contents(
    fork: Fork, slot: int, index: int, parent: bytes, state: bytes, randao: bytes, graffiti: bytes
) -> Any:
    """A block on a parent; what stands for its state is drawn, so that no two are alike."""
    body = replace(_body(), randao_reveal=randao, graffiti=graffiti)
    return fork.contents(fork.block(slot, index, parent, state, body), (), ())


def fork_of(slot: int) -> Fork:
    """Of a slot."""
    fork = CONSTANTS.schedule.at(slot // SLOTS_PER_EPOCH).fork
    assert fork is not None
    return fork
