"""What a test tells the chain, and asks it; no beacon node has these."""

from __future__ import annotations

import msgspec

from ..adversity import Adversity
from ..node import DemoBeaconNode
from ..report import report
from .call import ApiCall, ApiError, ApiReply, whole


def how_it_did(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /dvtfast/report."""
    return ApiReply(report(node.chain, node.world.ledger))


def clock(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """POST /dvtfast/clock: {"slot": 5} begins that slot; "milliseconds" is how far it is into it."""
    body = call.json()
    try:
        slot, milliseconds = str(body["slot"]), str(body.get("milliseconds", 0))
        node.chain.clock.go_to(whole(slot, "slot"), whole(milliseconds, "milliseconds"))
    except (TypeError, KeyError, AttributeError):
        raise ApiError(400, "slot: expected one, got none") from None
    except ValueError as error:
        raise ApiError(400, str(error)) from None
    node.world.tick()
    return ApiReply({"slot": node.chain.slot})


def adversity(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """POST /dvtfast/adversity: what is wrong with this node from now on; {} for nothing."""
    try:
        node.adversity = msgspec.convert(call.json(), Adversity)
    except (msgspec.ValidationError, ValueError) as error:
        raise ApiError(400, str(error)) from None
    return ApiReply(msgspec.to_builtins(node.adversity))
