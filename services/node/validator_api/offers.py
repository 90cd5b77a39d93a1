"""What validator clients are to sign: what this node would sign itself, if it had the key shares."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.wrappers import SignedValue
from dvtfast.qbft.messages import Duty

from ..exchange import subcommittee_of
from ..partial_signatures import Positions
from ..parts import Signed

# Of the others what is signed follows from the duty, so that clients need not be told.
OFFERED: Final = frozenset(
    {
        DutyType.ATTESTER,
        DutyType.PROPOSER,
        DutyType.RANDAO,
        DutyType.AGGREGATOR,
        DutyType.SYNC_MESSAGE,
        DutyType.SYNC_CONTRIBUTION,
    }
)

# Of 32 slots, or of more with less to do. The oldest by when it came goes first, not by its slot: a clock
# that was ahead would have what comes after it forgotten at once.
KEPT_DUTIES: Final = 32 * len(OFFERED)
CLIENTS_SIGN: Final = OFFERED | {DutyType.PREPARE_AGGREGATOR, DutyType.PREPARE_SYNC_CONTRIBUTION}
NOBODY: Final = "this node has no key shares, and validator clients are not asked for that"

Offered = Mapping[tuple[int, int], SignedValue]
"""Values without signatures, by the validator's position and the subcommittee, if there is one."""

T = TypeVar("T")


class Offers:
    """The signer of a node whose validator clients sign.

    The flows hand it what the cluster has agreed on. It signs nothing: partial signatures come by the API.
    """

    def __init__(self) -> None:
        self._of: dict[Duty, dict[tuple[int, int], SignedValue]] = {}
        self._more = asyncio.Event()

    async def sign(self, duty: Duty, validators: Positions, values: Sequence[SignedValue]) -> Signed:
        """Offer a value for each validator; none is signed here."""
        if duty.type in OFFERED and len(values):
            offered = self._of.setdefault(duty, {})
            for validator, value in zip(validators.tolist(), values, strict=True):
                offered[validator, subcommittee_of(value)] = value
            while len(self._of) > KEPT_DUTIES:
                del self._of[next(iter(self._of))]
            self._more.set()
            self._more = asyncio.Event()
        has_clients = duty.type in CLIENTS_SIGN
        return Signed(validators[:0], (), {} if has_clients else dict.fromkeys(validators.tolist(), NOBODY))

    def of(self, duty: Duty) -> Offered:
        """What is offered by now."""
        return self._of.get(duty, {})

    async def wait(self, duty: Duty, find: Callable[[Offered], Iterator[T]]) -> T:
        """The first that is found in what is offered; whoever asks limits the time."""
        while True:
            more = self._more
            for found in find(self.of(duty)):
                return found
            await more.wait()
