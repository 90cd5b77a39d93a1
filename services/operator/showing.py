"""Whether the beacon chain shows what a vault asked it for, or was given for a validator.

What a vault took is in the chain for certain, but the beacon chain does it or passes over it in silence.
Which of the two is decided in the very block, so whoever has seen that block knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from dvtfast.networks import Network

from .. import logs
from ..chain.beacon import FAR_FUTURE_EPOCH, BeaconClient
from ..chain.encoding import read_data, write_data
from ..chain.manager_messages import COMPOUNDING
from ..offload import UnavailableError
from .beacon_view import BeaconView, look_at
from .sending.action import Action, Entry, Kind
from .sending.journal import Journal
from .telling import Told, tell_nobody

PATIENCE_SLOTS: Final = 32  # for a beacon node to see a block that the execution node has for long

log = logs.get("operator")


@dataclass
class Showing:
    """Looks for what was done on the beacon chain, and puts on record when it shows."""

    beacon: BeaconClient
    network: Network
    journal: Journal
    poll_seconds: float
    told: Told = tell_nobody

    async def look(self, entry: Entry) -> Entry:
        """Look at an action that the vault took, once the beacon nodes have seen its block.

        Returns:
            The action as it is now; it stays as it is where the beacon chain does not show it, or no node
            tells in time.
        """
        conclusion = entry.conclusion
        assert conclusion is not None
        assert conclusion.block_number is not None, "it was done"
        action = entry.action
        until = monotonic() + PATIENCE_SLOTS * self.network.seconds_per_slot
        while True:
            self.told("looking at the beacon chain")
            try:
                is_added = action.kind is Kind.FUND
                keys = list(keys_of(action))
                view = await look_at(self.beacon, self.network, keys, with_additions=is_added)
            except UnavailableError as error:
                log.warning("the beacon chain cannot be looked at now", action=entry.id, error=str(error))
            else:
                if view.block_number >= conclusion.block_number:
                    return await self._seen(entry, view)
            if monotonic() >= until:
                return entry
            await asyncio.sleep(self.poll_seconds)

    async def _seen(self, entry: Entry, view: BeaconView) -> Entry:
        if missing := not_shown(entry.action, view):
            names = [write_data(key) for key in missing]
            log.warning("the beacon chain does not show it", action=entry.id, validators=names)
            return entry
        return await self.journal.show(entry)


def keys_of(action: Action) -> Iterator[bytes]:
    """The validators that an action is about, and those that get the stake of others."""
    yield from action.public_keys
    for _, target in action.details.get("pairs", []):
        yield read_data(target)


def before_gwei(kind: Kind, keys: Sequence[bytes], view: BeaconView) -> list[int]:
    """What each validator has before an action, with what waits to be added, less what waits to be paid."""
    return [_gwei(kind, bytes(key), view) for key in keys]


def not_shown(action: Action, view: BeaconView) -> list[bytes]:
    """Validators of whom a state does not show what an action is to do with them."""
    if action.kind is Kind.CONSOLIDATE:
        pairs = [(read_data(source), read_data(target)) for source, target in action.details["pairs"]]
        return [source for source, target in pairs if not _is_consolidated(source, target, view)]
    amounts = [gwei for _, gwei in action.details["amounts"]]
    before = action.details.get("before_gwei", [0] * len(amounts))
    return [
        key
        for key, gwei, had in zip(action.public_keys, amounts, before, strict=True)
        if not _is_changed(action.kind, key, gwei, had, view)
    ]


def _is_changed(kind: Kind, key: bytes, gwei: int, had: int, view: BeaconView) -> bool:
    """Rewards and penalties change a balance, too, but not by as much as half of what is asked for."""
    if key not in view.validators:
        return False
    if kind is Kind.FUND:
        return 2 * (_gwei(kind, key, view) - had) >= gwei
    details = view.validators[key]
    if gwei == 0:
        return details.exit_epoch != FAR_FUTURE_EPOCH
    waits = any(
        (each.validator_index, each.amount_gwei) == (details.index, gwei) for each in view.withdrawals
    )
    return waits or 2 * (had - _gwei(kind, key, view)) >= gwei


def _is_consolidated(source: bytes, target: bytes, view: BeaconView) -> bool:
    details = view.validators.get(source)
    if details is None:
        return False
    if source == target:
        return details.withdrawal_credentials[0] == COMPOUNDING
    return details.exit_epoch != FAR_FUTURE_EPOCH


def _gwei(kind: Kind, key: bytes, view: BeaconView) -> int:
    details = view.validators[key]
    if kind is Kind.FUND:
        return details.balance_gwei + view.deposits.get(key, 0)
    return details.balance_gwei - view.withdrawing_gwei(details.index)
