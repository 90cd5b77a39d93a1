"""Genesis, constants and forks."""

from __future__ import annotations

from typing import Any

from ....chain.encoding import write_data
from ..encoding import ssz, to_json
from ..node import DemoBeaconNode
from ..specification import FORK, fork_versions
from .call import ApiCall, ApiReply


def genesis(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/beacon/genesis."""
    state, config = node.chain.genesis, node.spec.config
    root = node.adversity.about(bytes(state.genesis_validators_root), "genesis")
    return ApiReply({
        "data": {
            "genesis_time": str(int(state.genesis_time)),
            "genesis_validators_root": write_data(root),
            "genesis_fork_version": write_data(config.GENESIS_FORK_VERSION),
        }
    })  # fmt: skip


def spec(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/config/spec."""
    constants = {
        name: to_json(value)
        for name, value in vars(node.spec).items()
        if name.isupper() and isinstance(value, ssz.Uint | bytes)
    }
    settings: dict[str, Any] = {
        name: to_json(value)
        for name, value in node.spec.config._asdict().items()
        if isinstance(value, ssz.Uint | bytes)
    }
    named = {
        "PRESET_BASE": node.spec.config.PRESET_BASE,
        "CONFIG_NAME": "dvtfast-demo",
        "SECONDS_PER_SLOT": str(node.chain.clock.seconds_per_slot),
        "BLOB_SCHEDULE": [],
    }
    return ApiReply({"data": constants | settings | named})


def fork_schedule(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/config/fork_schedule; all of them at once."""
    versions = [write_data(version) for version in fork_versions(node.spec)]
    before = [versions[0], *versions]
    return ApiReply({
        "data": [
            {"previous_version": previous, "current_version": current, "epoch": "0"}
            for previous, current in zip(before, versions, strict=False)
        ]
    })  # fmt: skip


def deposit_contract(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/config/deposit_contract."""
    config = node.spec.config
    address = write_data(config.DEPOSIT_CONTRACT_ADDRESS)
    return ApiReply({"data": {"chain_id": str(int(config.DEPOSIT_CHAIN_ID)), "address": address}})


def versioned(data: Any) -> dict[str, Any]:
    """What is of a fork, and says which."""
    return {"version": FORK, "execution_optimistic": False, "finalized": False, "data": data}


def unversioned(data: Any) -> dict[str, Any]:
    """What is of a state."""
    return {"execution_optimistic": False, "finalized": False, "data": data}
