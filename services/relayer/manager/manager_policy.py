"""What the manager's key may be used for: which vaults, which actions, how much a day."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from dvtfast.constants import GWEI_PER_VALIDATOR

from ... import wire
from ...settings import RelayerSettings
from ..store.manager_journal import ManagerAction, Spent


class ManagerRefusedError(wire.WireError):
    """A signature that is not given, which is answered like a body that is wrong."""


@dataclass(frozen=True)
class DailyLimit:
    """How much of one action is signed in one day, in UTC; None is without limit.

    Attributes:
        items: validators, counted each time.
        amount_gwei: the sum.
        exits: withdrawals of everything, which are items, too.
    """

    items: int | None = None
    amount_gwei: int | None = None
    exits: int | None = None


DEFAULT_LIMITS: Final[Mapping[ManagerAction, DailyLimit]] = MappingProxyType(
    {
        ManagerAction.REGISTER: DailyLimit(),  # oracles approve each, and it is signed anew with every block
        ManagerAction.FUND: DailyLimit(items=200, amount_gwei=200 * GWEI_PER_VALIDATOR),
        ManagerAction.WITHDRAW: DailyLimit(items=200, amount_gwei=100 * GWEI_PER_VALIDATOR, exits=10),
        ManagerAction.CONSOLIDATE: DailyLimit(items=50),
    }
)
"""Enough for a day of a vault with thousands of validators, too little to empty it unnoticed."""


@dataclass(frozen=True)
class ManagerPolicy:
    """What is signed, and what is refused.

    Attributes:
        vaults: addresses, 20 bytes each.
        allowed: actions beside `register`, which always is; each is off until named.
        limits: of all vaults together; what is not named keeps `DEFAULT_LIMITS`.
    """

    vaults: Collection[bytes]
    allowed: Collection[ManagerAction] = ()
    limits: Mapping[ManagerAction, DailyLimit] = field(default_factory=dict)

    def check(self, action: ManagerAction, vault: bytes) -> None:
        """Whether this is signed at all.

        Raises:
            ManagerRefusedError: it is not.
        """
        if vault not in self.vaults:
            raise ManagerRefusedError(
                "vault", "the relayer signs nothing for this vault; --vault names those it does"
            )
        if action != ManagerAction.REGISTER and action not in self.allowed:
            raise ManagerRefusedError("", f"the relayer does not sign this; --allow {action} turns it on")

    def limit_reached(
        self, action: ManagerAction, spent: Spent, wanted: Spent, items: str
    ) -> ManagerRefusedError | None:
        """The limit that would be exceeded by what is wanted after what was spent today.

        Args:
            items: the field of the request that lists the items.
        """
        limit = self.limits.get(action, DEFAULT_LIMITS[action])
        for name, unit, most, used, more in (
            (items, "items", limit.items, spent.items, wanted.items),
            ("amounts", "gwei", limit.amount_gwei, spent.amount_gwei, wanted.amount_gwei),
            ("amounts", "full exits", limit.exits, spent.exits, wanted.exits),
        ):
            if most is not None and used + more > most:
                return ManagerRefusedError(
                    name,
                    f"the limit of {action} is {most} {unit} a day (UTC); {used} are used, {more} more asked",
                )
        return None


def policy_of(settings: RelayerSettings) -> ManagerPolicy:
    """What the settings allow."""
    limits = dict(DEFAULT_LIMITS)
    for limit in settings.daily_limits:
        action = ManagerAction(limit.action)
        name = {"items": "items", "gwei": "amount_gwei", "exits": "exits"}[limit.unit]
        limits[action] = replace(limits[action], **{name: limit.most})
    return ManagerPolicy(frozenset(settings.vaults), frozenset(map(ManagerAction, settings.allow)), limits)
