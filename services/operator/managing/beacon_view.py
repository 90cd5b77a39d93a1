"""What the beacon chain knows of the validators that something is to be done with, all of it in one state.

Source: consensus-specs, electra/beacon-chain.md: `process_pending_consolidations`,
`process_effective_balance_updates`.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from dvtfast.constants import GWEI_PER_VALIDATOR, MAX_GWEI_PER_VALIDATOR
from dvtfast.networks import Network

from ...chain.beacon.client import BeaconClient, PendingConsolidation, PendingWithdrawal, ValidatorDetails
from ...chain.beacon.head import fresh_head
from ...chain.contracts.manager_messages import COMPOUNDING
from ...chain.encoding import write_data

# Source: consensus-specs, presets and configs; the same on all networks.
INCREMENT_GWEI: Final = 10**9  # in which an effective balance changes
DOWNWARD_GWEI: Final = INCREMENT_GWEI // 4  # by so much less than it before it does
UPWARD_GWEI: Final = 5 * INCREMENT_GWEI // 4


@dataclass(frozen=True)
class BeaconView:
    """A state.

    Attributes:
        epoch: of the state.
        block_number: of the last block of the execution chain that it has seen.
        validators: those that were asked for, as far as there are, by public key.
        withdrawals, consolidations: all that wait.
        deposits: what waits to be deposited, in gwei, by public key.
        moving: those whose stake waits to move to one of these, straight or by way of another, by index.

    The last two are empty where they were not asked for.
    """

    epoch: int
    block_number: int
    validators: Mapping[bytes, ValidatorDetails]
    withdrawals: Sequence[PendingWithdrawal] = ()
    consolidations: Sequence[PendingConsolidation] = ()
    deposits: Mapping[bytes, int] = field(default_factory=dict)
    moving: Mapping[int, ValidatorDetails] = field(default_factory=dict)

    def withdrawing_gwei(self, index: int) -> int:
        """What a validator's partial withdrawals that wait are worth."""
        return sum(gwei * count for gwei, count in self._waiting[index].items())

    def alike(self, index: int, gwei: int) -> int:
        """How many partial withdrawals of that amount a validator has that wait."""
        return self._waiting[index][gwei]

    def consolidations_with(self, index: int) -> int:
        """How many consolidations wait that a validator is part of."""
        return self._parts[index]

    def waits_to_move(self, source: int, target: int) -> bool:
        """Whether a consolidation of the one into the other waits."""
        return source in self._sources.get(target, ())

    def arriving_gwei(self, index: int) -> int:
        """What the consolidations that wait bring a validator."""
        return sum(moved_gwei(self.moving[each]) for each in _sources_of([index], self._sources))

    @cached_property
    def _waiting(self) -> defaultdict[int, Counter[int]]:
        found: defaultdict[int, Counter[int]] = defaultdict(Counter)
        for each in self.withdrawals:
            found[each.validator_index][each.amount_gwei] += 1
        return found

    @cached_property
    def _parts(self) -> Counter[int]:
        found: Counter[int] = Counter()
        for each in self.consolidations:
            found.update({each.source_index, each.target_index})
        return found

    @cached_property
    def _sources(self) -> Mapping[int, set[int]]:
        return _by_target(self.consolidations)


def moved_gwei(source: ValidatorDetails) -> int:
    """What moves when a validator is consolidated into another one: of its balance what is effective.

    By the balance that it has; what is above is paid out, and of one that is slashed nothing moves.
    """
    if source.is_slashed:
        return 0
    effective, balance = source.effective_balance_gwei, source.balance_gwei
    if balance + DOWNWARD_GWEI < effective or effective + UPWARD_GWEI < balance:
        is_compounding = source.withdrawal_credentials[0] == COMPOUNDING
        most = MAX_GWEI_PER_VALIDATOR if is_compounding else GWEI_PER_VALIDATOR
        effective = min(balance - balance % INCREMENT_GWEI, most)  # as it will be at the end of the epoch
    return min(balance, effective)


async def look_at(
    beacon: BeaconClient,
    network: Network,
    public_keys: Sequence[bytes],
    *,
    with_additions: bool = False,
    since: int = 0,
) -> BeaconView:
    """What a beacon node that is not behind knows of validators now.

    Args:
        with_additions: also look for what waits to be added to them, which may be much.
        since: as of `fresh_head`.

    Raises:
        BeaconError: no node tells.
    """
    head = await fresh_head(beacon, network, since=since)
    state = write_data(head.state_root)  # all answers are about one state, on whichever node
    validators, withdrawals, consolidations = await asyncio.gather(
        beacon.details(list(dict.fromkeys(public_keys)), state=state),
        beacon.pending_withdrawals(state),
        beacon.pending_consolidations(state),
    )
    deposits: Counter[bytes] = Counter()
    moving: Mapping[int, ValidatorDetails] = {}
    if with_additions:
        targets = (each.index for each in validators.values())
        indices = _sources_of(targets, _by_target(consolidations))
        moving = await beacon.details_by_index(indices, state=state)
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
        moving,
    )


def _by_target(consolidations: Sequence[PendingConsolidation]) -> Mapping[int, set[int]]:
    """The sources of each target."""
    sources: defaultdict[int, set[int]] = defaultdict(set)
    for each in consolidations:
        sources[each.target_index].add(each.source_index)
    return sources


def _sources_of(targets: Iterable[int], sources: Mapping[int, set[int]]) -> list[int]:
    """Whose stake waits to move to one of these, straight or by way of another; each once."""
    left, found = list(targets), set[int]()
    while left:
        more = sources.get(left.pop(), set()) - found
        found |= more
        left += more
    return sorted(found)
