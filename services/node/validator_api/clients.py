"""What all routes of duties share: the node, what is offered, who is active."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Set
from dataclasses import dataclass
from typing import Any

from dvtfast.duties.codecs import Codec, codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.wrappers import SignedValue
from dvtfast.qbft.messages import Duty

from ..parts import ActiveValidators, NodeParts
from .errors import RequestError
from .intake import NOT_NOW, Batch, Intake
from .offers import Offers

TYPES = {
    DutyType.ATTESTER: "a vote",
    DutyType.PROPOSER: "a block",
    DutyType.AGGREGATOR: "an aggregate",
    DutyType.SYNC_CONTRIBUTION: "a contribution of that subcommittee",
}


@dataclass(frozen=True, eq=False)
class Clients:
    """Validator clients of a node, as its routes see them.

    Attributes:
        active: the validators that have duties now; it is waited for until that is known.
        members: who is in the sync committee in a slot, by position; nobody while that is not known.
    """

    node: NodeParts
    offers: Offers
    intake: Intake
    active: Callable[[], Awaitable[ActiveValidators]]
    members: Callable[[int], Set[int]]

    @property
    def most(self) -> int:
        """How many validators there are."""
        return len(self.node.cluster.validators)

    def codec(self, kind: type[Any]) -> Codec[Any]:
        """Of a class of containers, on this chain."""
        return codec(kind, self.node.preset)

    def require_open(self, duty: Duty) -> None:
        """That a duty is one of now; RequestError where it is over or too far ahead."""
        if not self.node.deadlines.is_open(duty):
            raise RequestError(400, f"slot {duty.slot}: {NOT_NOW}")

    async def position(self, index: int, batch: Batch, place: int) -> int | None:
        """A validator's place in the cluster; None, and a failure, where it has none."""
        position = (await self.active()).positions.get(index)
        if position is None:
            batch.failures[place] = f"validator {index} is none of this cluster's that are active"
        return position

    async def offered(
        self, duty: Duty, index: int, batch: Batch, place: int, subcommittee: int = 0
    ) -> tuple[int, SignedValue] | None:
        """A validator's place in the cluster, and what it is to sign; None, and a failure, without."""
        position = await self.position(index, batch, place)
        if position is None:
            return None
        value = self.offers.of(duty).get((position, subcommittee))
        if value is None:
            batch.failures[place] = (
                f"the cluster has not agreed on {TYPES[duty.type]} of validator {index} in slot {duty.slot}"
            )
            return None
        return position, value
