"""All that was signed: whatever left a node, in part or whole, is looked at here.

Nothing may be slashable by the definitions of EIP-3076, nobody signs two values for one duty, and nothing is
signed that was not to be: duties of others, of other slots, or before their time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from dvtfast import PublicKeys, check_signatures
from dvtfast.duties.bits import set_positions
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.signed_sets import SignedSet, signed_set
from dvtfast.duties.slashing import SignedAttestation
from dvtfast.duties.wrappers import decode_signed
from dvtfast.services.node.exchange import subcommittee_of
from dvtfast.services.node.wire.partial_signatures import PROTOCOL, PartialSignaturesMessage
from tests.simulation.chain import (
    CONSTANTS,
    GENESIS_TIME,
    PRESET,
    SECONDS_PER_SLOT,
    SLOTS_PER_EPOCH,
    SUBCOMMITTEE,
    Chain,
)

CLUSTER: Final = -1  # as a signer, beside the positions of nodes
EARLY_SECONDS: Final = 0.5  # by which a clock may be ahead
KEPT_SLOTS: Final = 8 * SLOTS_PER_EPOCH
AHEAD: Final = frozenset({DutyType.PREPARE_AGGREGATOR, DutyType.PREPARE_SYNC_CONTRIBUTION, DutyType.RANDAO})


@dataclass
class Votes:
    """The attestations of a signer and a validator, by target; those of long ago as bounds."""

    by_target: dict[int, set[SignedAttestation]] = field(default_factory=dict)
    highest_source: int = -1
    highest_target: int = -1

    def add(self, vote: SignedAttestation) -> str:
        """One more; why it is slashable, or empty."""
        source, target = vote.source_epoch, vote.target_epoch
        same = self.by_target.setdefault(target, set())
        same.add(vote)
        why = f"a double vote: {same}" if len(same) > 1 else ""
        if target <= self.highest_target or source < self.highest_source:
            why = f"a vote of long ago, or around one: {vote}"
        for other_target in range(source + 1, max(self.by_target) + 1):
            for other in self.by_target.get(other_target, ()):
                if (other.source_epoch < source and target < other_target) or (
                    source < other.source_epoch and other_target < target
                ):
                    why = f"a vote around another one: {vote}, {other}"
        return why

    def forget(self, epoch: int) -> None:
        """Those before an epoch become bounds."""
        for target in [target for target in self.by_target if target < epoch]:
            votes = self.by_target.pop(target)
            self.highest_target = max(self.highest_target, target)
            self.highest_source = max(self.highest_source, *(vote.source_epoch for vote in votes))


class Signatures:
    """What nodes and the cluster have signed of late.

    Args:
        now: true time, Unix seconds.
        ahead: by how many seconds a node's clock is, by its position; None: it lies.

    Attributes:
        wrong: what must never be.
        told: by epoch, the seeds by which beacon nodes told anybody their duties.
        count: how many there were.
    """

    def __init__(
        self,
        chain: Chain,
        keys: PublicKeys,
        now: Callable[[], float],
        ahead: Callable[[int], float | None],
    ) -> None:
        self.wrong: list[str] = []
        self.told: dict[int, set[bytes]] = {}
        self.count = 0
        self._chain, self._keys, self._now, self._ahead = chain, keys, now, ahead
        self._positions = {key.tobytes(): position for position, key in enumerate(keys.encoded)}
        self._roots: dict[tuple[int, DutyType, int, int, int], bytes] = {}
        self._votes: dict[tuple[int, int], Votes] = {}
        self._blocks: dict[tuple[int, int, int], bytes] = {}
        self._good: dict[bytes, bytes] = {}
        self._seen: dict[int, bytes] = {}

    def sent(self, node: int, protocol: str, message: bytes) -> None:
        """A node sends something to a peer."""
        if protocol != PROTOCOL or self._ahead(node) is None or self._seen.get(node) is message:
            return
        self._seen[node] = message
        read = PartialSignaturesMessage.decode(message, most=len(self._positions))
        type = DutyType(read.duty_type)
        for entry in read.entries:
            position = self._positions[entry.public_key]
            value = decode_signed(type, entry.data, PRESET)
            if entry.share_index != node + 1:
                self._accuse(node, type, read.slot, position, "not its own share")
            self._judge(node, type, read.slot, position, value)

    def whole(self, type: DutyType, position: int, value: Any) -> str:
        """Something comes to a beacon node; why that refuses it, or empty."""
        signed = signed_set(type, [value], CONSTANTS.schedule, PRESET)
        signature, root = signed.signatures[0].tobytes(), signed.signing_roots[0].tobytes()
        if self._good.get(signature) != root:
            if not check_signatures(
                self._keys[position : position + 1], signed.signing_roots, signed.signatures
            ).all():
                return "a wrong signature"
            self._good[signature] = root
            self._judge(CLUSTER, type, _slot_of(type, value), position, value, signed)
        return ""

    def forget(self, slot: int) -> None:
        """What is over for long."""
        least = slot - KEPT_SLOTS
        epoch = least // SLOTS_PER_EPOCH
        self._roots = {key: root for key, root in self._roots.items() if key[2] >= least}
        self._blocks = {key: root for key, root in self._blocks.items() if key[2] >= least}
        self.told = {each: seeds for each, seeds in self.told.items() if each >= epoch}
        for signature in list(self._good)[:-2000]:
            del self._good[signature]
        for votes in self._votes.values():
            votes.forget(epoch)

    def _judge(
        self,
        signer: int,
        type: DutyType,
        slot: int,
        position: int,
        value: Any,
        signed: SignedSet | None = None,
    ) -> None:
        self.count += 1
        signed = signed or signed_set(type, [value], CONSTANTS.schedule, PRESET)
        root = signed.signing_roots[0].tobytes()
        key = signer, type, slot, position, subcommittee_of(value)
        if self._roots.setdefault(key, root) != root:
            self._accuse(signer, type, slot, position, "it signed something else for this duty before")
        why = _why_not(type, slot, value) or self._why_not_due(type, slot, position, value)
        early = GENESIS_TIME + slot * SECONDS_PER_SLOT - self._now()
        if early > max(0.0, self._ahead(signer) or 0.0) + EARLY_SECONDS and type not in AHEAD:
            why = why or f"signed {early:.1f} seconds early"
        if type == DutyType.ATTESTER:
            data = value.message.data
            vote = SignedAttestation(data.source.epoch, data.target.epoch, root)
            why = self._votes.setdefault((signer, position), Votes()).add(vote) or why
        elif type == DutyType.PROPOSER and self._blocks.setdefault((signer, position, slot), root) != root:
            why = "a second block"
        if why:
            self._accuse(signer, type, slot, position, why)

    def _why_not_due(self, type: DutyType, slot: int, position: int, value: Any) -> str:
        """Whether any beacon node told of such a duty."""
        chain, epoch = self._chain, slot // SLOTS_PER_EPOCH
        index = Chain.FIRST_INDEX + position
        seeds = self.told.get(epoch, set())
        if type in (DutyType.PROPOSER, DutyType.RANDAO):
            due = any(chain.proposer(seed, slot) == position for seed in seeds)
        elif type in (DutyType.ATTESTER, DutyType.PREPARE_AGGREGATOR, DutyType.AGGREGATOR):
            places = [chain.attester(seed, epoch, position) for seed in seeds]
            due = any(place.slot == slot for place in places)
            if type == DutyType.ATTESTER:
                committees = set_positions(value.message.committee_bits)
                due = any(place.slot == slot and committees == [place.committee] for place in places)
        else:
            seats = chain.seats((slot + 1) // SLOTS_PER_EPOCH, position)
            due = bool(seats)
            if type != DutyType.SYNC_MESSAGE:
                due = any(seat // SUBCOMMITTEE == subcommittee_of(value) for seat in seats)
        if not due:
            return "a duty of which no beacon node told"
        named = _index_of(type, value)
        return f"of validator {named}" if named not in (None, index) else ""

    def _accuse(self, signer: int, type: DutyType, slot: int, position: int, why: str) -> None:
        who = "the cluster" if signer == CLUSTER else f"node {signer}"
        self.wrong.append(f"{who} signed for validator {position}, {type.name} of slot {slot}: {why}")


def _why_not(type: DutyType, slot: int, value: Any) -> str:
    """Why nobody may sign that for a slot, whoever is due; or empty."""
    if type in (DutyType.EXIT, DutyType.BUILDER_REGISTRATION):
        return "nobody asked for that"
    if type == DutyType.RANDAO:
        return "" if value.epoch == slot // SLOTS_PER_EPOCH else "of another epoch"
    if _slot_of(type, value) != slot:
        return "of another slot"
    if type == DutyType.ATTESTER:
        data = value.message.data
        if data.target.epoch != slot // SLOTS_PER_EPOCH or data.source.epoch > data.target.epoch:
            return "of another epoch"
    return ""


def _slot_of(type: DutyType, value: Any) -> int:
    slot: int
    match type:
        case DutyType.ATTESTER:
            slot = value.message.data.slot
        case DutyType.PROPOSER:
            message = value.message
            slot = (message.signed_block if hasattr(message, "signed_block") else message).message.slot
        case DutyType.AGGREGATOR:
            slot = value.message.message.aggregate.data.slot
        case DutyType.SYNC_CONTRIBUTION:
            slot = value.message.contribution.slot
        case _:
            slot = value.slot
    return slot


def _index_of(type: DutyType, value: Any) -> int | None:
    """Whose it says that it is."""
    index: int | None
    match type:
        case DutyType.PROPOSER:
            message = value.message
            index = (
                message.signed_block if hasattr(message, "signed_block") else message
            ).message.proposer_index
        case DutyType.AGGREGATOR:
            index = value.message.message.aggregator_index
        case DutyType.SYNC_CONTRIBUTION:
            index = value.message.aggregator_index
        case DutyType.RANDAO:
            index = None
        case _:
            index = value.validator_index
    return index
