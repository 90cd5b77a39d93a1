"""What validator clients have signed: verified, put on record, and given to the other nodes.

All that comes of one duty in a moment is one batch, be it one request or many: some clients send that of each
validator alone, which costs many times as much where each is looked at alone. What a client must not sign,
since it is not what the cluster agreed on or could be slashed, goes nowhere, and the client is told of each
by its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from dvtfast.constants import SIGNATURE_BYTES
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.signed_sets import signature_of
from dvtfast.duties.wrappers import SignedValue
from dvtfast.qbft.messages import Duty

from ...process import logs
from ...process.background import Tasks, result_of
from ..deadlines import MARGIN
from ..exchange import subcommittee_of
from ..partial_signatures import Positions
from ..parts import NodeParts, Signer
from ..signing.keys import Made, ToSign
from ..tracker import Step
from .errors import NOT_ALL, RequestError

WRONG_SIGNATURE: Final = "its signature is not one of this node's key share"
NOT_NOW: Final = "its slot is over, or too far ahead"
TWICE: Final = "it is there twice"
# In which more of a duty may come. What only one validator has does not wait for others.
TOGETHER_SECONDS: Final = 0.015
ALONE: Final = frozenset({DutyType.PROPOSER, DutyType.RANDAO})
MOST_UNDER_WAY: Final = 4096  # requests whose signatures are on their way to the other nodes

log = logs.get("validator_api")


class SignedElsewhere:
    """Key shares that validator clients have: what is to be signed is signed already, and verified."""

    def __init__(self, validators: int) -> None:
        self.has = np.ones(validators, np.bool_)

    async def sign(self, what: ToSign) -> Made:
        """The signatures that came."""
        joined = b"".join(signature_of(value) for value in what.values)
        signatures = np.frombuffer(joined, np.uint8).reshape(-1, SIGNATURE_BYTES)
        return Made(signatures, [""] * len(what.values))

    async def close(self) -> None:
        """There is nothing to forget."""


Entry = tuple[int, int, SignedValue]
"""The place in a request, the validator's position in the cluster, and what it signed."""


@dataclass
class Batch:
    """What came in one request.

    Attributes:
        failures: why what of it is not taken, by its place.
    """

    failures: dict[int, str] = field(default_factory=dict)
    _of: dict[Duty, dict[tuple[int, int], tuple[int, SignedValue]]] = field(default_factory=dict)

    def add(self, place: int, duty: Duty, validator: int, value: SignedValue) -> None:
        """What a validator, by its position, signed for a duty."""
        of_duty, key = self._of.setdefault(duty, {}), (validator, subcommittee_of(value))
        if key in of_duty:
            self.failures[place] = TWICE
        else:
            of_duty[key] = place, value

    def require_all(self) -> None:
        """That there are no failures; RequestError where there are."""
        if self.failures:
            raise RequestError(400, NOT_ALL, self.failures)

    def duties(self) -> list[tuple[Duty, list[Entry]]]:
        """By duty, what came."""
        return [
            (duty, [(place, validator, value) for (validator, _), (place, value) in of_duty.items()])
            for duty, of_duty in self._of.items()
        ]


@dataclass(eq=False)
class _Together:
    """What comes of a duty in a moment, by validator and subcommittee, and why what of it is refused."""

    values: dict[tuple[int, int], SignedValue] = field(default_factory=dict)
    refused: dict[tuple[int, int], str] = field(default_factory=dict)
    taking: asyncio.Task[None] | None = None


class Intake:
    """Takes what validator clients have signed; an async context manager.

    Args:
        record: puts on record what may be signed; of keys that are elsewhere.
    """

    def __init__(self, node: NodeParts, record: Signer) -> None:
        self._node, self._record = node, record
        self._under_way = Tasks()
        self._together: dict[Duty, _Together] = {}

    async def hand_in(self, batch: Batch) -> None:
        """Take all of a request that may be taken; the batch says what is not, and why."""
        for duty, entries in batch.duties():
            await self._take(duty, entries, batch.failures)

    async def take(self, batch: Batch) -> None:
        """The same.

        Raises:
            RequestError: not all of it may be.
        """
        await self.hand_in(batch)
        batch.require_all()

    async def take_one(self, batch: Batch, name: str) -> None:
        """Take the only thing of a request, which has a name there; raises as `take`."""
        try:
            await self.take(batch)
        except RequestError as error:
            raise RequestError(error.status, f"{name}: {'; '.join(error.failures.values())}") from None

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for."""
        if len(self._under_way) >= MOST_UNDER_WAY:
            work.close()
            raise RequestError(503, "too much is on its way to the other nodes")
        self._under_way.start(work)

    async def close(self) -> None:
        """Give up what is under way."""
        await self._under_way.close()

    async def _take(self, duty: Duty, entries: Sequence[Entry], failures: dict[int, str]) -> None:
        node = self._node
        if not node.deadlines.is_open(duty):
            failures.update((place, NOT_NOW) for place, _, _ in entries)
            return
        mine = {(validator, subcommittee_of(value)): (place, value) for place, validator, value in entries}
        together = self._together.get(duty)
        if together is None or together.values.keys() & mine.keys():
            together = self._together[duty] = _Together()
            together.taking = self._under_way.start(self._take_together(duty, together))
        together.values.update((key, value) for key, (_, value) in mine.items())
        assert together.taking is not None
        await result_of(together.taking)  # whoever hangs up takes nothing from the others
        failures.update(
            (place, together.refused[key]) for key, (place, _) in mine.items() if key in together.refused
        )

    async def _take_together(self, duty: Duty, together: _Together) -> None:
        """Take what there is of a duty in a moment."""
        if duty.type not in ALONE:
            await asyncio.sleep(TOGETHER_SECONDS)
        if self._together.get(duty) is together:
            del self._together[duty]  # what comes from here on is the next one's
        node, keys, values = self._node, list(together.values), list(together.values.values())
        validators = np.array([validator for validator, _ in keys], np.intp)
        ok = await node.exchange.check(duty, validators, values)
        together.refused.update((keys[row], WRONG_SIGNATURE) for row in np.flatnonzero(~ok).tolist())
        rows = np.flatnonzero(ok).tolist()
        signed = await self._record.sign(duty, validators[rows], [values[row] for row in rows])
        taken = {
            (validator, subcommittee_of(value))
            for validator, value in zip(signed.validators.tolist(), signed.values, strict=True)
        }
        for validator, subcommittee in (keys[row] for row in rows):
            if (validator, subcommittee) not in taken:
                why = signed.refused[validator]
                together.refused[validator, subcommittee] = why
                node.tracker.fail(duty, [validator], why)
        if len(signed.validators):
            node.tracker.reach(duty, Step.SIGNED, signed.validators.tolist())
            self.begin(self._give(duty, signed.validators, signed.values))

    async def _give(self, duty: Duty, validators: Positions, values: Sequence[SignedValue]) -> None:
        try:
            await self._node.exchange.submit(duty, validators, values, already_checked=True)
        except Exception:
            log.exception("partial signatures not given", type=duty.type.name, slot=duty.slot)


def has_begun(node: NodeParts, slot: int) -> bool:
    """Whether it is time for a slot, by clocks that differ a little."""
    return node.slots.now() >= node.slots.start(slot, -float(MARGIN))
