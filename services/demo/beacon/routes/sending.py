"""What validators send, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....chain.encoding import read_data
from ..judging.gossip import Judged
from ..judging.ledger import Origin, Ruling
from ..node import DemoBeaconNode
from .call import ApiCall, ApiError, ApiReply, whole

ADDRESS_BYTES = 20


def block(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """POST /eth/v1 and v2/beacon/blocks."""
    call.require_version()
    contents = call.object(node.spec.SignedBlockContents)
    verdict, why = node.world.gossip.block(contents.signed_block, call.sender)
    if verdict is Ruling.REFUSED:
        raise ApiError(400, why)
    return ApiReply()


def blinded_block(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """POST /eth/v1 and v2/beacon/blinded_blocks."""
    raise ApiError(400, "there are no builders here, so no block is blinded")


def attestations(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """POST /eth/v2/beacon/pool/attestations."""
    call.require_version()
    return _each(call, node.spec.SingleAttestation, node.world.gossip.attestation)


def aggregates(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """POST /eth/v2/validator/aggregate_and_proofs."""
    call.require_version()
    return _each(call, node.spec.SignedAggregateAndProof, node.world.gossip.aggregate)


def sync_messages(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """POST /eth/v1/beacon/pool/sync_committees."""
    return _each(call, node.spec.SyncCommitteeMessage, node.world.gossip.sync_message)


def contributions(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """POST /eth/v1/validator/contribution_and_proofs."""
    return _each(call, node.spec.SignedContributionAndProof, node.world.gossip.contribution)


def voluntary_exit(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """POST /eth/v1/beacon/pool/voluntary_exits."""
    verdict, why = node.world.gossip.exit(call.object(node.spec.SignedVoluntaryExit), call.sender)
    if verdict is Ruling.REFUSED:
        raise ApiError(400, why)
    return ApiReply()


def registrations(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """POST /eth/v1/validator/register_validator."""
    return _each(call, node.spec.SignedValidatorRegistration, node.world.gossip.registration)


def fee_recipients(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """POST /eth/v1/validator/prepare_beacon_proposer."""
    body = call.json()
    if not isinstance(body, list):
        raise ApiError(400, "body: expected a list")
    told = {}
    for each in body:
        try:
            address = read_data(each["fee_recipient"], width=ADDRESS_BYTES)
            told[whole(str(each["validator_index"]), "validator_index")] = address
        except (TypeError, KeyError, ValueError):
            raise ApiError(400, "body: expected each with validator_index and fee_recipient") from None
    node.world.fee_recipients.update(told)
    return ApiReply()


def subscriptions(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """POST /eth/v1/validator/beacon_committee_subscriptions and sync_committee_subscriptions."""
    if not isinstance(call.json(), list):
        raise ApiError(400, "body: expected a list")
    return ApiReply()


def _each(call: ApiCall, kind: Any, judge: Callable[[Any, Origin], Judged]) -> ApiReply:
    """Judge each; what was sent before does no harm."""
    judged = [judge(each, call.sender) for each in call.objects(kind)]
    failures = [(place, why) for place, (verdict, why) in enumerate(judged) if verdict is Ruling.REFUSED]
    if failures:
        raise ApiError(400, "some were refused", failures)
    return ApiReply()
