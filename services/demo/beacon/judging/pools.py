"""What validators have sent, until a block takes it.

A block is made as by a node that listens to no subnet: of attestations it has the aggregates, of sync
committee messages the contributions. So an aggregator that fails costs what it was to aggregate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ..specification import bls

KEPT_SYNC_SLOTS: Final = 4


class Pools:
    """Attestations, sync committee messages and exits, all of which the specification has accepted."""

    def __init__(self, spec: Any) -> None:
        self._spec = spec
        self._data: dict[bytes, Any] = {}
        self._votes: dict[tuple[bytes, int], dict[int, bytes]] = {}
        self._aggregates: dict[tuple[bytes, int], Any] = {}
        self._messages: dict[tuple[int, bytes], dict[int, bytes]] = {}
        self._contributions: dict[tuple[int, bytes, int], Any] = {}
        self.exits: dict[int, Any] = {}

    def add_vote(self, single: Any) -> None:
        """A validator's attestation."""
        root = bytes(single.data.hash_tree_root())
        self._data[root] = single.data
        votes = self._votes.setdefault((root, int(single.committee_index)), {})
        votes[int(single.attester_index)] = bytes(single.signature)

    def add_aggregate(self, attestation: Any) -> None:
        """What an aggregator made of those of its committee; the one with the most of them stays."""
        root = bytes(attestation.data.hash_tree_root())
        self._data[root] = attestation.data
        key = root, int(self._spec.get_committee_indices(attestation.committee_bits)[0])
        if key not in self._aggregates or _bits(attestation) > _bits(self._aggregates[key]):
            self._aggregates[key] = attestation

    def aggregate(self, state: Any, data_root: bytes, committee_index: int) -> Any | None:
        """All attestations of a committee for the same, as one; None where there is none."""
        votes = self._votes.get((data_root, committee_index))
        if not votes:
            return None
        spec, data = self._spec, self._data[data_root]
        committee = list(map(int, spec.get_beacon_committee(state, data.slot, committee_index)))
        flags = [number == committee_index for number in range(spec.MAX_COMMITTEES_PER_SLOT)]
        return spec.Attestation(
            aggregation_bits=[validator in votes for validator in committee],
            data=data,
            signature=bls.Aggregate([votes[validator] for validator in committee if validator in votes]),
            committee_bits=spec.BitVector[spec.MAX_COMMITTEES_PER_SLOT](flags),
        )

    def packed(self, state: Any) -> list[Any]:
        """The attestations for a block on top of a state, those of most use first.

        Args:
            state: taken to the slot of the block; what is returned is applied to it.
        """
        spec, chosen = self._spec, list[Any]()
        candidates = sorted(self._on_chain(state), key=lambda each: (-int(each.data.slot), -_bits(each)))
        for attestation in candidates:
            if len(chosen) == spec.MAX_ATTESTATIONS_ELECTRA:
                break
            trial = state.copy()
            try:
                if not self._counts(trial, attestation):
                    continue
                spec.process_attestation(trial, attestation)
            except AssertionError:  # of another chain
                continue
            state.set_backing(trial.get_backing())
            chosen.append(attestation)
        return chosen

    def add_message(self, message: Any) -> None:
        """A member's sync committee message."""
        key = int(message.slot), bytes(message.beacon_block_root)
        self._messages.setdefault(key, {})[int(message.validator_index)] = bytes(message.signature)

    def add_contribution(self, contribution: Any) -> None:
        """What an aggregator made of those of its subcommittee; the one with the most of them stays."""
        root = bytes(contribution.beacon_block_root)
        key = int(contribution.slot), root, int(contribution.subcommittee_index)
        if key not in self._contributions or _bits(contribution) > _bits(self._contributions[key]):
            self._contributions[key] = contribution

    def contribution(self, state: Any, slot: int, root: bytes, subcommittee_index: int) -> Any | None:
        """All messages of a subcommittee for a block, as one; None where there is none."""
        spec, messages = self._spec, self._messages.get((slot, root), {})
        place_of = {bytes(validator.pubkey): place for place, validator in enumerate(state.validators)}
        seats = spec.get_sync_subcommittee_pubkeys(state, spec.Uint64(subcommittee_index))
        members = [place_of[bytes(public_key)] for public_key in seats]
        if not any(member in messages for member in members):
            return None
        return spec.SyncCommitteeContribution(
            slot=slot,
            beacon_block_root=root,
            subcommittee_index=subcommittee_index,
            aggregation_bits=[member in messages for member in members],
            signature=bls.Aggregate([messages[member] for member in members if member in messages]),
        )

    def contributions(self, slot: int, root: bytes) -> Sequence[Any]:
        """Those for a block in a slot, one of each subcommittee."""
        return [each for key, each in self._contributions.items() if key[:2] == (slot, root)]

    def forget(self, slot: int) -> None:
        """What no block from that slot on can take."""
        spec = self._spec
        first = (slot // int(spec.SLOTS_PER_EPOCH) - 1) * int(spec.SLOTS_PER_EPOCH)
        old = {root for root, data in self._data.items() if data.slot < first}
        for pool in (self._votes, self._aggregates):
            for key in [key for key in pool if key[0] in old]:
                del pool[key]
        for root in old:
            del self._data[root]
        for message in [each for each in self._messages if each[0] < slot - KEPT_SYNC_SLOTS]:
            del self._messages[message]
        for contribution in [each for each in self._contributions if each[0] < slot - KEPT_SYNC_SLOTS]:
            del self._contributions[contribution]

    def _on_chain(self, state: Any) -> Iterator[Any]:
        """The aggregates that a block can take, those of one vote together."""
        spec, together = self._spec, dict[bytes, list[Any]]()
        for (root, _), aggregate in self._aggregates.items():
            if aggregate.data.slot + spec.MIN_ATTESTATION_INCLUSION_DELAY <= state.slot:
                together.setdefault(root, []).append(aggregate)
        for aggregates in together.values():
            yield spec.compute_on_chain_aggregate(aggregates)

    def _counts(self, state: Any, attestation: Any) -> bool:
        """Whether a vote in it counts that did not before."""
        spec, data = self._spec, attestation.data
        flags = spec.get_attestation_participation_flag_indices(state, data, state.slot - data.slot)
        is_current = data.target.epoch == spec.get_current_epoch(state)
        seen = state.current_epoch_participation if is_current else state.previous_epoch_participation
        return any(
            not spec.has_flag(seen[validator], flag)
            for validator in spec.get_attesting_indices(state, attestation)
            for flag in flags
        )


def _bits(each: Any) -> int:
    return sum(map(bool, each.aggregation_bits))
