"""How far the exit of each validator has come, for people and programs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .messages import ExitMessage, WholeExit
from .store import NONE_KNOWN, ExitStore


@dataclass(frozen=True)
class ExitState:
    """How far one has come.

    Attributes:
        validator: its key.
        epoch: of the exit that is ordered, or else whole, or else signed by most nodes; None: there is none.
        is_ordered: whether this node's operator ordered it.
        signed_by: share indices of the nodes whose partial exits are there.
        whole: signed by the cluster.
        is_wanted: whether that one is to be sent.
        other_epochs: of which nodes have signed exits, too.
        problem: why it does not go on.
    """

    validator: bytes
    epoch: int | None = None
    is_ordered: bool = False
    signed_by: Sequence[int] = ()
    whole: WholeExit | None = None
    is_wanted: bool = False
    other_epochs: Sequence[int] = ()
    problem: str = ""

    def described(self, threshold: int) -> str:
        """In a few words."""
        if self.epoch is None:
            return "none"
        if self.whole is None:
            signed = f"signed by {len(self.signed_by)} of {threshold} nodes"
            done = signed if self.signed_by else "ordered"
        elif self.whole.sent_at is not None:
            done = "sent"
        else:
            done = "to be sent" if self.is_wanted else "signed by the cluster"
        return f"{done}, epoch {self.epoch}"


def exit_states(
    store: ExitStore, validators: Iterable[bytes], indices: Mapping[bytes, int] = NONE_KNOWN
) -> list[ExitState]:
    """Of each of these validators, in their order.

    Args:
        indices: of validators on the chain, where they are known: what is signed of another is of no use.

    Raises:
        ExitStoreError: the file cannot be read.
    """
    orders = {order.validator: order for order in store.orders()}
    wanted = store.wanted()
    kept: dict[bytes, _Kept] = defaultdict(_Kept)
    for each in store.whole():
        kept[each.message.validator].whole[each.message] = each
    for partial in store.partials():
        kept[partial.message.validator].signers[partial.message].append(partial.node + 1)
    found = []
    for validator in validators:
        order, index = orders.get(validator), indices.get(validator)
        of_it = kept.get(validator, _Kept())
        message = of_it.chosen(None if order is None else order.epoch, index)
        whole = None if message is None else of_it.whole.get(message)
        epoch = order.epoch if order is not None else None if message is None else message.epoch
        problem = next((each.problem for each in (order, whole) if each and each.problem), "")
        if message is None and (wrong := of_it.of_another_index(epoch)):
            problem = f"signed of index {wrong}, the chain says {index}: order another epoch at all nodes"
        found.append(
            ExitState(
                validator,
                epoch,
                is_ordered=order is not None,
                signed_by=sorted(of_it.signers.get(message, ())) if message else (),
                whole=whole,
                is_wanted=(validator, epoch) in wanted,
                other_epochs=sorted({each.epoch for each in of_it.messages()} - {epoch}),
                problem=problem,
            )
        )
    return found


@dataclass(frozen=True)
class _Kept:
    """What there is of one validator."""

    whole: dict[ExitMessage, WholeExit] = field(default_factory=dict)
    signers: dict[ExitMessage, list[int]] = field(default_factory=lambda: defaultdict(list))

    def messages(self) -> set[ExitMessage]:
        return self.whole.keys() | self.signers.keys()

    def chosen(self, epoch: int | None, index: int | None) -> ExitMessage | None:
        """That of the ordered epoch; without an order the first that is whole, or that most nodes signed."""
        right = [
            each
            for each in self.messages()
            if (epoch is None or each.epoch == epoch) and (index is None or each.index == index)
        ]
        return min(
            right,
            key=lambda each: (
                (0, each.epoch, each.index)
                if each in self.whole
                else (1, -len(self.signers[each]), each.epoch)
            ),
            default=None,
        )

    def of_another_index(self, epoch: int | None) -> int | None:
        """The index that is signed for."""
        return next((each.index for each in self.messages() if epoch in (None, each.epoch)), None)
