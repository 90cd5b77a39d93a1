"""How far the exit of each validator has come, for people and programs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .messages import ExitMessage, WholeExit
from .store import ExitStore


@dataclass(frozen=True)
class ExitState:
    """How far one has come.

    Attributes:
        validator: its key.
        epoch: of the exit that is whole, or else ordered, or else signed by most nodes; None: there is none.
        is_ordered: whether this node's operator ordered it.
        signed_by: share indices of the nodes whose partial exits are there.
        whole: signed by the cluster.
        is_wanted: whether it is to be sent.
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


def exit_states(store: ExitStore, validators: Iterable[bytes]) -> list[ExitState]:
    """Of each of these validators, in their order.

    Raises:
        ExitStoreError: the file cannot be read.
    """
    orders = {order.validator: order for order in store.orders()}
    wanted = store.wanted()
    whole: dict[bytes, WholeExit] = {}
    for each in store.whole():
        whole.setdefault(each.message.validator, each)
    signers: dict[bytes, dict[ExitMessage, list[int]]] = defaultdict(dict)
    for partial in store.partials():
        signers[partial.message.validator].setdefault(partial.message, []).append(partial.node + 1)
    found = []
    for validator in validators:
        order, done, signed = orders.get(validator), whole.get(validator), signers.get(validator, {})
        epoch = None
        if done is not None:
            epoch = done.message.epoch
        elif order is not None:
            epoch = order.epoch
        elif signed:
            epoch = max(signed, key=lambda message: len(signed[message])).epoch
        by = [node for message, nodes in signed.items() if message.epoch == epoch for node in nodes]
        found.append(
            ExitState(
                validator,
                epoch,
                is_ordered=order is not None,
                signed_by=sorted(set(by)),
                whole=done,
                is_wanted=validator in wanted,
                other_epochs=sorted({message.epoch for message in signed} - {epoch}),
                problem=next((each.problem for each in (order, done) if each and each.problem), ""),
            )
        )
    return found
