"""States, validators, headers and blocks."""

from __future__ import annotations

from typing import Any

from ....chain.encoding import read_data, write_data
from ..encoding import to_json
from ..node import DemoBeaconNode
from ..specification import FORK
from .call import VERSION_HEADER, ApiCall, ApiError, ApiReply, whole
from .chain import unversioned, versioned


def fork(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/beacon/states/{state}/fork."""
    return ApiReply(unversioned(to_json(_state(node, call).fork)))


def finality_checkpoints(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/beacon/states/{state}/finality_checkpoints."""
    state = _state(node, call)
    return ApiReply(
        unversioned(
            {
                "previous_justified": to_json(state.previous_justified_checkpoint),
                "current_justified": to_json(state.current_justified_checkpoint),
                "finalized": to_json(state.finalized_checkpoint),
            }
        )
    )


def validators(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET and POST /eth/v1/beacon/states/{state}/validators."""
    ids, statuses = _listed(call, "id"), _listed(call, "status")
    if call.body:
        asked = call.json()
        if not isinstance(asked, dict):
            raise ApiError(400, "body: expected an object")
        ids, statuses = list(map(str, asked.get("ids") or ())), list(asked.get("statuses") or ())
    found = _validators(node, _state(node, call), ids)
    return ApiReply(
        unversioned(
            [
                each
                for each in found
                if not statuses or each["status"] in statuses or each["status"].partition("_")[0] in statuses
            ]
        )
    )


def validator(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/beacon/states/{state}/validators/{validator}."""
    if not (found := _validators(node, _state(node, call), [call.path["validator"]])):
        raise ApiError(404, "validator: there is none")
    return ApiReply(unversioned(found[0]))


def header(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/beacon/headers/{block}."""
    return ApiReply(unversioned(_header(node, _block_root(node, call.path["block"]))))


def headers(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/beacon/headers, of the head or of a slot."""
    name = call.query["slot"][0] if "slot" in call.query else "head"
    return ApiReply(unversioned([_header(node, _block_root(node, name))]))


def block_root(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v1/beacon/blocks/{block}/root."""
    root = bytes(_block_root(node, call.path["block"]))
    return ApiReply(unversioned({"root": write_data(node.adversity.about(root, "head"))}))


def block(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v2/beacon/blocks/{block}."""
    signed = node.chain.blocks[_block_root(node, call.path["block"])]
    headers = {VERSION_HEADER: FORK}
    if call.wants_ssz:
        return ApiReply(ssz=signed.encode_bytes(), headers=headers)
    return ApiReply(versioned(to_json(signed)), headers=headers)


def block_attestations(node: DemoBeaconNode, call: ApiCall) -> ApiReply:
    """GET /eth/v2/beacon/blocks/{block}/attestations."""
    signed = node.chain.blocks[_block_root(node, call.path["block"])]
    return ApiReply(versioned(to_json(signed.message.body.attestations)), headers={VERSION_HEADER: FORK})


def _state(node: DemoBeaconNode, call: ApiCall) -> Any:
    """The state that a path names."""
    chain, name = node.chain, call.path["state"]
    if name.isdigit():
        slot = whole(name, "state")
        if slot > chain.slot:
            raise ApiError(404, f"state: slot {slot} is not there yet")
        return chain.state(chain.ancestor(node.head, slot), slot)
    if name.startswith("0x"):
        for root, signed in chain.blocks.items():
            if write_data(signed.message.state_root) == name:
                return chain.state(root)
        raise ApiError(404, "state: there is none of that root")
    return chain.state(_block_root(node, name))


def _block_root(node: DemoBeaconNode, name: str) -> Any:
    """The root of the block that a path names."""
    chain, state = node.chain, node.chain.state(node.head)
    if name == "head":
        return node.head
    if name == "genesis":
        return chain.genesis_root
    if name in ("finalized", "justified"):
        point = state.finalized_checkpoint if name == "finalized" else state.current_justified_checkpoint
        return point.root if point.root in chain.blocks else chain.genesis_root
    if name.startswith("0x"):
        try:
            root = read_data(name, width=32)
        except ValueError as error:
            raise ApiError(400, f"block: {error}") from None
        if root not in chain.blocks:
            raise ApiError(404, "block: there is none of that root")
        return node.spec.Root(root)
    slot = whole(name, "block")
    root = chain.ancestor(node.head, slot)
    if chain.store.blocks[root].slot != slot:
        raise ApiError(404, f"block not found: no block at slot {slot}")
    return root


def _header(node: DemoBeaconNode, root: Any) -> dict[str, Any]:
    signed, spec = node.chain.blocks[root], node.spec
    message = signed.message
    lie = node.adversity.about(bytes(root), "head")
    return {
        "root": write_data(lie),
        "canonical": root in set(node.chain.line(node.head)),
        "header": {
            "message": to_json(
                spec.BeaconBlockHeader(
                    slot=message.slot,
                    proposer_index=message.proposer_index,
                    parent_root=message.parent_root,
                    state_root=message.state_root,
                    body_root=spec.hash_tree_root(message.body),
                )
            ),
            "signature": write_data(signed.signature),
        },
    }


def _listed(call: ApiCall, name: str) -> list[str]:
    return [each for value in call.query.get(name, ()) for each in value.split(",") if each]


def _validators(node: DemoBeaconNode, state: Any, ids: list[str]) -> list[dict[str, Any]]:
    """Those that are there of those that are asked for, by index or public key; or all."""
    wanted = {each.lower() for each in ids}
    epoch = int(node.spec.get_current_epoch(state))
    found = []
    for index, each in enumerate(state.validators):
        if wanted and str(index) not in wanted and write_data(each.pubkey) not in wanted:
            continue
        found.append({
            "index": str(index),
            "balance": str(int(state.balances[index])),
            "status": _status(each, int(state.balances[index]), epoch, int(node.spec.FAR_FUTURE_EPOCH)),
            "validator": to_json(each),
        })  # fmt: skip
    return found


def _status(validator: Any, balance: int, epoch: int, never: int) -> str:
    """Source: beacon API, ValidatorStatus."""
    if epoch < validator.activation_epoch:
        return "pending_initialized" if validator.activation_eligibility_epoch == never else "pending_queued"
    if epoch < validator.exit_epoch:
        if validator.slashed:
            return "active_slashed"
        return "active_ongoing" if validator.exit_epoch == never else "active_exiting"
    if epoch < validator.withdrawable_epoch:
        return "exited_slashed" if validator.slashed else "exited_unslashed"
    return "withdrawal_possible" if balance else "withdrawal_done"
