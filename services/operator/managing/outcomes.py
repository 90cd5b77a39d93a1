"""Whether the beacon chain shows what a vault asked it for, or was given for a validator.

What a vault took is in the chain for certain, but the beacon chain does it or passes over it in silence.
Which of the two is decided in the block that hands it over: for deposits that is the very same, for other
requests, which wait in line, the first that has room.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from ...chain.beacon.client import FAR_FUTURE_EPOCH, WITHDRAWABLE_STATUSES, BeaconClient
from ...chain.calls import ContractError
from ...chain.contracts.manager_messages import COMPOUNDING
from ...chain.contracts.reads import CONSOLIDATION_REQUESTS, WITHDRAWAL_REQUESTS, requests_block
from ...chain.encoding import read_data, write_data
from ...process import logs
from ...process.offload import UnavailableError
from ...settings.orders import AmountOrder
from ..chain import Chain
from ..progress import ProgressReport, no_report
from ..sending.action import Action, ActionKind, JournalEntry
from ..sending.journal import Journal
from .beacon_view import BeaconView, look_at

PATIENCE_SLOTS: Final = 32  # for a beacon node to see a block that the execution node has for long, or will
REQUESTED_OF: Final = {
    ActionKind.WITHDRAW: WITHDRAWAL_REQUESTS,
    ActionKind.CONSOLIDATE: CONSOLIDATION_REQUESTS,
}

NOISE_PARTS: Final = 1000  # of what a validator has, one of which it may gain or lose by itself in some days

log = logs.get("operator")


@dataclass
class OutcomeWatch:
    """Looks for what was done on the beacon chain, and puts on record when it shows."""

    beacon: BeaconClient
    chain: Chain
    journal: Journal
    poll_seconds: float
    report: ProgressReport = no_report

    async def look(self, entry: JournalEntry) -> JournalEntry:
        """Look at an action that the vault took, once the beacon nodes have seen the block that decides.

        Returns:
            The action as it is now; it stays as it is where the beacon chain does not show it, or no node
            tells in time.
        """
        conclusion, action, network = entry.conclusion, entry.action, self.chain.network
        assert conclusion is not None
        assert conclusion.block_number is not None, "it was done"
        is_added, keys = action.kind is ActionKind.FUND, list(keys_of(action))
        decided, missing = None, list[bytes]()
        until = monotonic() + PATIENCE_SLOTS * network.seconds_per_slot
        while True:
            self.report("looking at the beacon chain")
            try:
                view = await look_at(self.beacon, network, keys, with_additions=is_added)
            except UnavailableError as error:
                log.warning("the beacon chain cannot be looked at now", action=entry.id, error=str(error))
            else:
                if view.block_number >= conclusion.block_number:
                    if not (missing := not_shown(action, view)):
                        return await self.journal.show(entry)
                    if decided is None:
                        decided = await self._decided(entry, conclusion.block_number)
                    if view.block_number >= decided:
                        break
            if monotonic() >= until:
                break
            await asyncio.sleep(self.poll_seconds)
        names = [write_data(key) for key in missing]
        log.warning(
            "the beacon chain does not show it", action=entry.id, validators=names, until_block=decided
        )
        return entry

    async def _decided(self, entry: JournalEntry, done_at: int) -> int:
        """The block from which on the beacon chain shows it, or never will."""
        predeploy = REQUESTED_OF.get(entry.action.kind)
        if predeploy is None:
            return done_at
        try:
            head = await self.chain.head(at_least=done_at)
            return await requests_block(self.chain.node, predeploy, block=head)
        except (UnavailableError, ContractError) as error:
            log.warning("how many requests wait cannot be told", action=entry.id, error=str(error))
            return done_at


def keys_of(action: Action) -> Iterator[bytes]:
    """The validators that an action is about, and those that get the stake of others."""
    yield from action.public_keys
    for _, target in action.details.get("pairs", []):
        yield read_data(target)


def balances_before(
    kind: ActionKind, wanted: Sequence[AmountOrder], view: BeaconView
) -> Mapping[str, list[int]]:
    """What of each validator is to be compared with what it has after an action, for its details.

    That is what it has, with what waits to be added, less what waits to be paid; and how many withdrawals of
    just that amount wait.
    """
    found = {"before_gwei": [_gwei(kind, bytes(each.public_key), view) for each in wanted]}
    if kind is ActionKind.WITHDRAW:
        found["before_alike"] = [_alike(bytes(each.public_key), each.gwei or 0, view) for each in wanted]
    return found


def not_shown(action: Action, view: BeaconView) -> list[bytes]:
    """Validators of whom a state does not show what an action is to do with them."""
    details = action.details
    if action.kind is ActionKind.CONSOLIDATE:
        pairs = [(read_data(source), read_data(target)) for source, target in details["pairs"]]
        return [source for source, target in pairs if not _is_consolidated(source, target, view)]
    amounts = [gwei for _, gwei in details["amounts"]]
    none = [0] * len(amounts)  # as in the journals of earlier versions
    had, alike = details.get("before_gwei", none), details.get("before_alike", none)
    if action.kind is ActionKind.FUND:
        compared = zip(action.public_keys, amounts, had, strict=True)
        return [key for key, gwei, its in compared if not _is_funded(key, gwei, its, view)]
    return [
        key
        for key, gwei, its, like_it in zip(action.public_keys, amounts, had, alike, strict=True)
        if not _is_withdrawn(key, gwei, its, like_it, view)
    ]


def _is_funded(key: bytes, gwei: int, had: int, view: BeaconView) -> bool:
    """Rewards and penalties change a balance, too, but not by as much as half of what is asked for."""
    return key in view.validators and 2 * (_gwei(ActionKind.FUND, key, view) - had) >= gwei


def _is_withdrawn(key: bytes, gwei: int, had: int, alike: int, view: BeaconView) -> bool:
    """It waits, beside those like it that did before; or so much is gone that it was paid."""
    if key not in view.validators:
        return False
    if gwei == 0:
        return view.validators[key].exit_epoch != FAR_FUTURE_EPOCH
    if _alike(key, gwei, view) > alike:
        return True
    return NOISE_PARTS * gwei >= had and 2 * (had - _gwei(ActionKind.WITHDRAW, key, view)) >= gwei


def _is_consolidated(source: bytes, target: bytes, view: BeaconView) -> bool:
    """A source that exits may do so by itself; what is to move waits until the source could be withdrawn."""
    details, gets = view.validators.get(source), view.validators.get(target)
    if details is None or gets is None:
        return False
    if source == target:
        return details.withdrawal_credentials[0] == COMPOUNDING
    waits = view.waits_to_move(details.index, gets.index)
    return waits or details.status in WITHDRAWABLE_STATUSES


def _alike(key: bytes, gwei: int, view: BeaconView) -> int:
    """How many withdrawals of that amount wait."""
    return view.alike(view.validators[key].index, gwei)


def _gwei(kind: ActionKind, key: bytes, view: BeaconView) -> int:
    details = view.validators[key]
    if kind is ActionKind.FUND:
        return details.balance_gwei + view.deposits.get(key, 0)
    return details.balance_gwei - view.withdrawing_gwei(details.index)
