"""What a validator asks for: its duties, and what it is to sign."""

from __future__ import annotations

from typing import Any, Final

from ....chain.encoding import write_data
from .. import duties
from ..chain import NotAllowedError
from ..encoding import to_json
from ..node import DemoBeaconNode
from ..production import produce
from ..specification import FORK
from .call import VERSION_HEADER, ApiCall, ApiError, ApiReply

GRAFFITI_BYTES: Final = 32
SIGNATURE_BYTES: Final = 96
ROOT_BYTES: Final = 32
VALUE: Final = "1"  # in wei, of a block


def attester_duties(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """POST /eth/v1/validator/duties/attester/{epoch}."""
    epoch, wanted = _epoch(node, call, before=1), set(call.indices())
    found = duties.attester_duties(node.chain, node.head, epoch, wanted)
    if "duties" in node.adversity.lies:
        for duty in found:
            duty["validator_committee_index"] = "0"
            duty["committee_index"] = duty["committees_at_slot"]
    return ApiReply(_with_root(node, epoch - 1, found))


def proposer_duties(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/validator/duties/proposer/{epoch}."""
    epoch = _epoch(node, call, before=0)
    return ApiReply(_with_root(node, epoch, _proposers(node, epoch)))


def proposer_duties_of_fulu(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v2/validator/duties/proposer/{epoch}, which names what they have depended on since fulu."""
    epoch = _epoch(node, call, before=0)
    return ApiReply(_with_root(node, epoch - 1, _proposers(node, epoch)))


def sync_duties(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """POST /eth/v1/validator/duties/sync/{epoch}."""
    spec, epoch, wanted = node.spec, call.number("epoch"), call.indices()
    now = spec.compute_sync_committee_period(spec.compute_epoch_at_slot(spec.Slot(node.chain.slot)))
    if not now <= spec.compute_sync_committee_period(spec.Epoch(epoch)) <= now + 1:
        raise ApiError(400, "epoch: expected one of this period or the next")
    if unknown := [each for each in wanted if each >= len(node.chain.genesis.validators)]:
        raise ApiError(400, f"body: there is no validator {unknown[0]}")
    found = duties.sync_duties(node.chain, node.head, epoch, wanted)
    return ApiReply({"execution_optimistic": False, "data": found})


def attestation_data(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/validator/attestation_data."""
    slot, committee_index = _slot(node, call), call.number("committee_index")
    if committee_index:
        raise ApiError(400, "committee_index: expected 0, as it is since electra")
    data = duties.attestation_data(node.chain, node.head, slot, committee_index)
    data.beacon_block_root = node.adversity.about(bytes(data.beacon_block_root), "attestation data")
    return ApiReply({"data": to_json(data)})


def block(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v3/validator/blocks/{slot}; always a full block, for there are no builders here."""
    slot = _slot(node, call)
    graffiti = call.data("graffiti", GRAFFITI_BYTES) if "graffiti" in call.query else bytes(GRAFFITI_BYTES)
    try:
        made = produce(
            node.chain, node.world.pools, node.head, slot,
            randao_reveal=call.data("randao_reveal", SIGNATURE_BYTES),
            graffiti=graffiti,
            fee_recipients=node.world.fee_recipients,
        )  # fmt: skip
    except NotAllowedError as error:
        raise ApiError(400, str(error)) from None
    made.state_root = node.adversity.about(bytes(made.state_root), "block")
    contents = node.spec.BlockContents(block=made)
    headers = {
        VERSION_HEADER: FORK,
        "Eth-Execution-Payload-Blinded": "false",
        "Eth-Execution-Payload-Value": VALUE,
        "Eth-Consensus-Block-Value": VALUE,
    }
    if call.wants_ssz:
        return ApiReply(ssz=contents.encode_bytes(), headers=headers)
    content = {
        "version": FORK,
        "execution_payload_blinded": False,
        "execution_payload_value": VALUE,
        "consensus_block_value": VALUE,
        "data": to_json(contents),
    }
    return ApiReply(content, headers=headers)


def aggregate_attestation(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v2/validator/aggregate_attestation."""
    slot, root = _slot(node, call), call.data("attestation_data_root", ROOT_BYTES)
    state = node.chain.state(node.chain.head, node.chain.slot)
    found = node.world.pools.aggregate(state, root, call.number("committee_index"))
    if found is None or found.data.slot != slot:
        raise ApiError(404, "no attestation of that committee, with that data")
    return ApiReply({"version": FORK, "data": to_json(found)}, headers={VERSION_HEADER: FORK})


def sync_committee_contribution(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/validator/sync_committee_contribution."""
    slot, subcommittee = _slot(node, call), call.number("subcommittee_index")
    if subcommittee >= node.spec.SYNC_COMMITTEE_SUBNET_COUNT:
        raise ApiError(400, "subcommittee_index: there is no such subcommittee")
    root = call.data("beacon_block_root", ROOT_BYTES)
    state = node.chain.state(node.chain.head, node.chain.slot)
    found = node.world.pools.contribution(state, slot, root, subcommittee)
    if found is None:
        raise ApiError(404, "no sync committee message of that subcommittee, for that block")
    return ApiReply({"data": to_json(found)})


def _proposers(node: DemoBeaconNode, epoch: int) -> list[dict[str, str]]:
    found = duties.proposer_duties(node.chain, node.head, epoch)
    if "duties" in node.adversity.lies:
        for duty, other in zip(found, [*found[1:], found[0]], strict=True):
            duty["slot"] = other["slot"]
    return found


def _with_root(node: DemoBeaconNode, epoch: int, found: list[dict[str, str]]) -> dict[str, Any]:
    root = write_data(node.chain.dependent_root(node.head, epoch))
    return {"dependent_root": root, "execution_optimistic": False, "data": found}


def _epoch(node: DemoBeaconNode, call: ApiCall, *, before: int) -> int:
    """The epoch that is asked for: that of now, the next one, or, of attestations, the one before."""
    epoch, now = call.number("epoch"), node.chain.slot // int(node.spec.SLOTS_PER_EPOCH)
    if not now - before <= epoch <= now + 1:
        raise ApiError(400, f"epoch: expected {max(now - before, 0)} to {now + 1}, got {epoch}")
    return epoch


def _slot(node: DemoBeaconNode, call: ApiCall) -> int:
    """The slot that is asked for: not one to come, nor one of long ago."""
    slot, now, per_epoch = call.number("slot"), node.chain.slot, int(node.spec.SLOTS_PER_EPOCH)
    if not now - per_epoch <= slot <= now:
        raise ApiError(400, f"slot: expected {max(now - per_epoch, 0)} to {now}, got {slot}")
    return slot
