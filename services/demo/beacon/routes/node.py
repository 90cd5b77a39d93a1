"""The node itself, which is never behind unless it is told to be, and has no peers."""

from __future__ import annotations

from typing import Final

from ..node import DemoBeaconNode
from .call import ApiCall, ApiReply

VERSION: Final = "dvtfast-demo/1.0.0"


def syncing(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/node/syncing."""
    lag = node.adversity.lag_slots
    return ApiReply({
        "data": {
            "head_slot": str(max(node.chain.slot - lag, 0)),
            "sync_distance": str(lag),
            "is_syncing": False,
            "is_optimistic": False,
            "el_offline": False,
        }
    })  # fmt: skip


def version(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/node/version."""
    return ApiReply({"data": {"version": f"{VERSION} ({node.name})"}})


def version_with_execution(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v2/node/version."""
    return ApiReply({"data": {"beacon_node": {"code": "DV", "name": "dvtfast-demo", "version": VERSION}}})


def health(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/node/health."""
    return ApiReply()


def identity(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/node/identity."""
    return ApiReply({
        "data": {
            "peer_id": node.name,
            "enr": "",
            "p2p_addresses": [],
            "discovery_addresses": [],
            "metadata": {"seq_number": "1", "attnets": "0x0000000000000000", "syncnets": "0x00"},
        }
    })  # fmt: skip


def peer_count(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/node/peer_count; one, so that nobody takes the node for cut off."""
    return ApiReply(
        {"data": {"disconnected": "0", "connecting": "0", "connected": "1", "disconnecting": "0"}}
    )
