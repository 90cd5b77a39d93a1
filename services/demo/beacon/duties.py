"""Who is to do what in an epoch, as the chain of a block has it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ...chain.encoding import write_data
from .chain import JudgingChain


def attester_duties(
    chain: JudgingChain, root: Any, epoch: int, wanted: Collection[int]
) -> list[dict[str, str]]:
    """Of these validators; of the epoch of now, the one before or the one after."""
    spec, state = chain.spec, chain.state(root, chain.slot)
    committees = int(spec.get_committee_count_per_slot(state, spec.Epoch(epoch)))
    found = []
    for slot in _slots(spec, epoch):
        for committee_index in range(committees):
            committee = spec.get_beacon_committee(
                state, spec.Slot(slot), spec.CommitteeIndex(committee_index)
            )
            for place, validator in enumerate(map(int, committee)):
                if validator in wanted:
                    found.append({
                        "pubkey": write_data(state.validators[validator].pubkey),
                        "validator_index": str(validator),
                        "committee_index": str(committee_index),
                        "committee_length": str(len(committee)),
                        "committees_at_slot": str(committees),
                        "validator_committee_index": str(place),
                        "slot": str(slot),
                    })  # fmt: skip
    return found


def proposer_duties(chain: JudgingChain, root: Any, epoch: int) -> list[dict[str, str]]:
    """Of all validators; of the epoch of now or the one after."""
    spec, state = chain.spec, chain.state(root, chain.slot)
    first = int(spec.get_current_epoch(state)) * int(spec.SLOTS_PER_EPOCH)
    found = []
    for slot in _slots(spec, epoch):
        validator = int(state.proposer_lookahead[slot - first])
        key = write_data(state.validators[validator].pubkey)
        found.append({"pubkey": key, "validator_index": str(validator), "slot": str(slot)})
    return found


def sync_duties(chain: JudgingChain, root: Any, epoch: int, wanted: Sequence[int]) -> list[dict[str, Any]]:
    """Of these validators; of the period of now or the one after."""
    spec, state = chain.spec, chain.state(root, chain.slot)
    period = spec.compute_sync_committee_period(spec.Epoch(epoch))
    is_current = period == spec.compute_sync_committee_period(spec.get_current_epoch(state))
    committee = state.current_sync_committee if is_current else state.next_sync_committee
    seats: dict[bytes, list[str]] = {}
    for place, public_key in enumerate(committee.pubkeys):
        seats.setdefault(bytes(public_key), []).append(str(place))
    found = []
    for validator in wanted:
        key = bytes(state.validators[validator].pubkey)
        if key in seats:
            found.append({
                "pubkey": write_data(key),
                "validator_index": str(validator),
                "validator_sync_committee_indices": seats[key],
            })  # fmt: skip
    return found


def attestation_data(chain: JudgingChain, root: Any, slot: int, committee_index: int) -> Any:
    """What the chain of a block has validators attest to in a slot; its index is 0 since electra."""
    spec = chain.spec
    head = chain.ancestor(root, slot)
    state = chain.state(head, slot)
    epoch = spec.compute_epoch_at_slot(spec.Slot(slot))
    target = chain.ancestor(head, int(epoch) * int(spec.SLOTS_PER_EPOCH))
    return spec.AttestationData(
        slot=slot,
        index=committee_index,
        beacon_block_root=head,
        source=state.current_justified_checkpoint,
        target=spec.Checkpoint(epoch=epoch, root=target),
    )


def _slots(spec: Any, epoch: int) -> range:
    per_epoch = int(spec.SLOTS_PER_EPOCH)
    return range(epoch * per_epoch, (epoch + 1) * per_epoch)
