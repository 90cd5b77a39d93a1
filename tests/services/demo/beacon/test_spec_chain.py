"""The chain that judges: validators that do all, none and wrong, by the specification's own verdict."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from dvtfast.duties.attestations import AggregateAndProofElectra, SignedAggregateAndProofElectra
from dvtfast.duties.forks import FULU
from dvtfast.duties.presets import MINIMAL_PRESET
from dvtfast.duties.sync_committees import SyncCommitteeMessage
from dvtfast.services.chain.beacon.client import BeaconError
from tests.services.demo.beacon.chains import VALIDATORS, RunningChain
from tests.services.demo.beacon.validators import Validators

EPOCHS = int(os.environ.get("DVTFAST_SPEC_EPOCHS", "5"))
"""Of the chain on which all goes well; the specification makes none final before the fifth."""


@pytest.mark.timeout(1800)  # half a minute on an idle machine, as long as its epochs take on another one
async def test_all_duties_make_a_chain_final(chain: RunningChain, validators: Validators) -> None:
    slots = EPOCHS * validators.client.chain.slots_per_epoch
    for slot in range(1, slots):
        await chain.go_to(slot)
        await validators.perform(slot)
    await chain.go_to(slots)
    report = await chain.report()
    assert report["blocks"] == {"proposed": slots - 1, "missed": [], "late": [], "orphaned": []}
    assert report["refused"] == report["slashable"] == []
    assert (report["justified_epoch"], report["finalized_epoch"]) == (EPOCHS - 2, EPOCHS - 3)
    sync = report["sync_participation"]
    # In the minimal preset everybody aggregates; in mainnet's one in eight, so perhaps nobody does.
    all_aggregate = validators.client.preset is MINIMAL_PRESET
    assert sync["least"] >= sync["seats"] * (1.0 if all_aggregate else 0.5)
    assert sync["included"] >= (sync["possible"] - sync["seats"]) * (1.0 if all_aggregate else 0.98)
    first, *others = report["epochs"]
    assert len(others) == EPOCHS - 2
    for epoch in others:
        assert epoch["included"] == epoch["right_head"] == epoch["right_target"] == VALIDATORS
        assert epoch["distances"] == {"1": VALIDATORS}
    # Nobody attests in the slot of genesis.
    assert first["included"] == VALIDATORS - len(first["absent"]) == first["right_head"] < VALIDATORS


async def test_what_nobody_does_is_missed(chain: RunningChain, validators: Validators) -> None:
    spec, per_epoch = validators.spec, validators.client.chain.slots_per_epoch
    duties = await validators.client.proposer_duties(0)
    lazy = next(duty for duty in duties.duties if duty.slot == 2)
    member = (await validators.client.sync_duties(0, validators.indices))[0].validator_index
    validators.absent = {lazy.validator_index, member}
    others = [duty.slot for duty in duties.duties if duty.validator_index in validators.absent]
    for slot in range(1, 4):
        await chain.go_to(slot)
        await validators.perform(slot)
    await chain.go_to(2 * per_epoch)
    report = await chain.report()
    missed = report["blocks"]["missed"]
    assert {"slot": 2, "validator": lazy.validator_index} in missed
    assert [each["slot"] for each in missed if each["slot"] < 4] == [slot for slot in others if 0 < slot < 4]
    assert validators.absent <= set(report["epochs"][0]["absent"])
    assert report["sync_participation"]["least"] < int(spec.SYNC_COMMITTEE_SIZE)
    assert report["finalized_epoch"] == 0


async def test_a_block_is_late_after_a_third_of_its_slot(chain: RunningChain, validators: Validators) -> None:
    milliseconds = validators.client.chain.milliseconds_per_slot
    for slot, part in ((1, 0.0), (2, 0.3), (3, 0.4), (4, 0.0)):
        await chain.go_to(slot, int(part * milliseconds))
        await validators.propose(slot)
    await chain.go_to(5)
    blocks = (await chain.report())["blocks"]
    assert (blocks["proposed"], blocks["late"]) == (4, [3])


async def test_wrong_signatures_are_refused(chain: RunningChain, validators: Validators) -> None:
    spec, client, slot = validators.spec, validators.client, 1
    await chain.go_to(slot)
    [duty] = [each for each in (await client.proposer_duties(0)).duties if each.slot == slot]
    proposer, other = duty.validator_index, (duty.validator_index + 1) % VALIDATORS

    reveal = validators.signature(other, spec.Epoch(0), spec.DOMAIN_RANDAO, slot)
    with pytest.raises(BeaconError, match=r"process_randao: assert bls\.Verify"):
        await client.block(slot, reveal, graffiti=bytes(32))
    block = await validators.block(slot, proposer)
    with pytest.raises(BeaconError, match="invalid proposer signature"):
        await client.publish_block(FULU, validators.signed(block, other))
    await client.publish_block(FULU, validators.signed(block, proposer))

    data = await client.attestation_data(slot)
    duties = await validators.duties(slot)
    right = validators.attestations(duties, data)
    swapped = [replace(right[0], signature=right[1].signature), right[1]]
    with pytest.raises(BeaconError, match=r"invalid attestation signature \(at 0\)"):
        await client.send_attestations(swapped, FULU)
    await client.send_attestations(right, FULU)

    member = (await client.sync_duties(0, validators.indices))[0].validator_index
    root = await client.head_root()
    wrong = validators.signature(member, spec.Root(bytes(32)), spec.DOMAIN_SYNC_COMMITTEE, slot)
    with pytest.raises(BeaconError, match="invalid sync committee message signature"):
        await client.send_sync_messages([SyncCommitteeMessage(slot, root, member, wrong)])

    data_root = bytes(validators.of_spec("AttestationData", data).hash_tree_root())
    found = await client.aggregate_attestation(slot, data_root, duties[0].committee_index)
    proof = validators.signature(other, spec.Slot(slot), spec.DOMAIN_SELECTION_PROOF, slot)
    aggregate = AggregateAndProofElectra(duties[0].validator_index, found, proof)
    with pytest.raises(BeaconError, match="invalid selection proof signature"):
        await client.send_aggregates([SignedAggregateAndProofElectra(aggregate, proof)], FULU)

    report = await chain.report()
    assert [(each["kind"], each["validator"]) for each in report["refused"]] == [
        ("block", proposer),
        ("attestation", duties[0].validator_index),
        ("sync message", member),
        ("aggregate", duties[0].validator_index),
    ]
    assert {each["node"] for each in report["refused"]} == {"node0"}
    assert report["verdicts"]["attestation"] == {"accepted": len(right), "known": 1, "refused": 1}
    assert report["slashable"] == []


async def test_two_votes_and_two_blocks_are_told_of(chain: RunningChain, validators: Validators) -> None:
    client, slot = validators.client, 1
    await chain.go_to(slot)
    [duty] = [each for each in (await client.proposer_duties(0)).duties if each.slot == slot]
    proposer = duty.validator_index
    first, second = [
        validators.signed(await validators.block(slot, proposer, graffiti), proposer)
        for graffiti in (bytes(32), b"another".ljust(32))
    ]
    await client.publish_block(FULU, first)
    with pytest.raises(BeaconError, match="another block of its proposer"):
        await client.publish_block(FULU, second)

    data = await client.attestation_data(slot)
    duties = (await validators.duties(slot))[:1]
    await client.send_attestations(validators.attestations(duties, data), FULU)
    await client.send_attestations(validators.attestations(duties, data), FULU)  # does no harm
    data = replace(data, beacon_block_root=data.target.root)
    with pytest.raises(BeaconError, match="another vote of its validator"):
        await client.send_attestations(validators.attestations(duties, data), FULU)
    assert (await chain.report())["slashable"] == [
        f"validator {proposer} proposes 2 blocks for slot {slot}",
        f"validator {duties[0].validator_index} votes twice for target epoch 0",
    ]
