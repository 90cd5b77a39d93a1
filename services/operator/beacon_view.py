"""What the beacon chain knows of the validators that something is to be done with, all of it in one state."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dvtfast.networks import Network

from ..chain.beacon import BeaconClient, PendingConsolidation, PendingWithdrawal, ValidatorDetails
from ..chain.beacon_head import fresh_head
from ..chain.encoding import write_data


@dataclass(frozen=True)
class BeaconView:
    """A state.

    Attributes:
        epoch: of the state.
        block_number: of the last block of the execution chain that it has seen.
        validators: those that were asked for, as far as there are, by public key.
        withdrawals, consolidations: all that wait.
        deposits: what waits to be added, in gwei, by public key; empty where it was not asked for.
    """

    epoch: int
    block_number: int
    validators: Mapping[bytes, ValidatorDetails]
    withdrawals: Sequence[PendingWithdrawal] = ()
    consolidations: Sequence[PendingConsolidation] = ()
    deposits: Mapping[bytes, int] = field(default_factory=dict)

    def withdrawing_gwei(self, index: int) -> int:
        """What a validator's partial withdrawals that wait are worth."""
        return sum(each.amount_gwei for each in self.withdrawals if each.validator_index == index)


async def look_at(
    beacon: BeaconClient, network: Network, public_keys: Sequence[bytes], *, with_deposits: bool = False
) -> BeaconView:
    """What a beacon node that is not behind knows of validators now.

    Args:
        with_deposits: also look for deposits that wait, of which there may be many.

    Raises:
        BeaconError: no node tells.
    """
    head = await fresh_head(beacon, network)
    state = write_data(head.state_root)  # all answers are about one state, on whichever node
    validators, withdrawals, consolidations = await asyncio.gather(
        beacon.details(list(dict.fromkeys(public_keys)), state=state),
        beacon.pending_withdrawals(state),
        beacon.pending_consolidations(state),
    )
    deposits: Counter[bytes] = Counter()
    if with_deposits:
        wanted = frozenset(public_keys)
        for each in await beacon.pending_deposits(state):
            if each.public_key in wanted:
                deposits[each.public_key] += each.amount_gwei
    return BeaconView(
        head.slot // network.slots_per_epoch,
        head.block_number,
        validators,
        withdrawals,
        consolidations,
        deposits,
    )
