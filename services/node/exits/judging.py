"""Partial exits verified before they are kept, and whole ones recovered of them; all of it on threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dvtfast import ShareStatus, check_signatures, recover_and_check
from dvtfast.constants import SIGNATURE_BYTES
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.fork_schedule import ForkSchedule
from dvtfast.duties.signed_sets import signed_set
from dvtfast.duties.validator_messages import SignedVoluntaryExit

from ..exchange import ClusterMembers
from ..partial_signatures import Bytes, Fault
from .messages import ExitMessage, PartialExit, WholeExit
from .store import NUMBER_LIMIT, ExitStore

AT_ONCE: Final = 512  # exits in one message to peers, and in one batch


@dataclass(frozen=True, eq=False)
class ExitJudge:
    """What is kept of a cluster's exits."""

    members: ClusterMembers
    schedule: ForkSchedule
    store: ExitStore

    def take(
        self, node: int, signed: Sequence[tuple[int, SignedVoluntaryExit]], indices: Mapping[int, int]
    ) -> tuple[int, list[Fault]]:
        """Keep what a node signed, in one batch; one that is wrong costs that one.

        Args:
            node: its position.
            signed: exits with its partial signatures, by the validator's position.
            indices: on the chain, by the validator's position, as far as they are known.

        Returns:
            How many are kept that were not known, and what is wrong with others.
        """
        keys, faults = self.members.keys.public_keys.encoded, _Faults(node)
        messages = {}
        for position, value in signed:
            message = ExitMessage.of(keys[position].tobytes(), value)
            if not 0 <= message.epoch < NUMBER_LIMIT or not 0 <= message.index < NUMBER_LIMIT:
                faults.add(position, "an exit with numbers beyond all that can be kept")
            elif indices.get(position, message.index) != message.index:
                faults.add(position, "an exit of another validator")
            else:
                messages[message] = position, value.signature
        for each in self.store.known(node, messages):
            del messages[each]
        partials = [PartialExit(message, node, signature) for message, (_, signature) in messages.items()]
        positions = np.array([position for position, _ in messages.values()], np.intp)
        ok = check_signatures(
            self.members.keys.key_shares[positions, node],
            self._roots(list(messages)),
            _rows([each.signature for each in partials]),
        ).tolist()
        for position, is_good in zip(positions.tolist(), ok, strict=True):
            if not is_good:
                faults.add(position, "a wrong partial signature")
        if good := [partial for partial, is_good in zip(partials, ok, strict=True) if is_good]:
            self.store.add(good)
        return len(good), faults.found()

    def is_signed(self, node: int, position: int, signed: SignedVoluntaryExit) -> bool:
        """Whether an exit has the signature of a node's key share of a validator, by their positions."""
        message = ExitMessage.of(self.members.keys.public_keys.encoded[position].tobytes(), signed)
        keys = self.members.keys.key_shares[np.array([position], np.intp), node]
        return bool(check_signatures(keys, self._roots([message]), _rows([signed.signature])).all())

    def recover(self) -> int:
        """Make exits of what enough nodes signed, and keep them; how many."""
        keys = self.members.keys
        count = 0
        due = self.store.due(keys.threshold)
        for begin in range(0, len(due), AT_ONCE):
            some = due[begin : begin + AT_ONCE]
            messages = [partials[0].message for partials in some]
            positions = np.array([self._position(each) for each in messages], np.intp)
            shares = np.zeros((len(some), keys.nodes, SIGNATURE_BYTES), np.uint8)
            present = np.zeros((len(some), keys.nodes), np.bool_)
            for row, partials in enumerate(some):
                for each in partials:
                    shares[row, each.node] = np.frombuffer(each.signature, np.uint8)
                    present[row, each.node] = True
            recovered = recover_and_check(
                keys.public_keys[positions],
                self._roots(messages),
                shares,
                np.arange(1, keys.nodes + 1),
                threshold=keys.threshold,
                present=present,
                public_key_shares=keys.key_shares[positions],
            )
            whole = [
                WholeExit(message, signature.tobytes())
                for message, signature, ok in zip(messages, recovered.signatures, recovered.ok, strict=True)
                if ok
            ]
            bad = recovered.share_statuses == ShareStatus.BAD
            self.store.drop(
                each for row, partials in enumerate(some) for each in partials if bad[row, each.node]
            )
            self.store.complete(whole)
            count += len(whole)
        return count

    def _position(self, message: ExitMessage) -> int:
        return self.members.validators[message.validator]

    def _roots(self, messages: Sequence[ExitMessage]) -> Bytes:
        return signed_set(DutyType.EXIT, [each.signed() for each in messages], self.schedule).signing_roots


class _Faults:
    """What a node did wrong, by the reason."""

    def __init__(self, node: int) -> None:
        self._node = node
        self._validators: dict[str, list[int]] = {}

    def add(self, position: int, reason: str) -> None:
        self._validators.setdefault(reason, []).append(position)

    def found(self) -> list[Fault]:
        return [Fault(self._node, tuple(sorted(each)), why) for why, each in self._validators.items()]


def _rows(signatures: Sequence[bytes]) -> Bytes:
    return np.frombuffer(b"".join(signatures), np.uint8).reshape(-1, SIGNATURE_BYTES)
