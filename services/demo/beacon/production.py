"""A block to sign, on top of a chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .chain import JudgingChain, NotAllowedError, reason
from .genesis import BASE_FEE, GAS_LIMIT
from .judging.pools import Pools

TRANSACTION: Final = bytes(range(256))  # one, which is none, so that a payload has something


def produce(
    chain: JudgingChain,
    pools: Pools,
    parent: Any,
    slot: int,
    *,
    randao_reveal: bytes,
    graffiti: bytes,
    fee_recipients: Mapping[int, bytes],
) -> Any:
    """A block for a slot, all of it but the signature.

    Args:
        parent: the root of the block below.

    Raises:
        NotAllowedError: the specification would not have it, most likely for its reveal.
    """
    spec = chain.spec
    if slot <= chain.store.blocks[parent].slot:
        raise NotAllowedError(f"slot {slot}: there is a block already")
    state = chain.state(parent, slot).copy()
    proposer = spec.get_beacon_proposer_index(state)
    body = spec.BeaconBlockBody(randao_reveal=randao_reveal, eth1_data=state.eth1_data, graffiti=graffiti)
    body.execution_payload = _payload(spec, state, fee_recipients.get(int(proposer), bytes(20)))
    for attestation in pools.packed(state.copy()):
        body.attestations.append(attestation)
    for signed in list(pools.exits.values())[: int(spec.MAX_VOLUNTARY_EXITS)]:
        if state.validators[signed.message.validator_index].exit_epoch == spec.FAR_FUTURE_EPOCH:
            body.voluntary_exits.append(signed)
    block = spec.BeaconBlock(slot=slot, proposer_index=proposer, parent_root=parent, body=body)
    if contributions := pools.contributions(slot - 1, bytes(chain.ancestor(parent, slot - 1))):
        spec.process_sync_committee_contributions(block, contributions)
    else:
        block.body.sync_aggregate.sync_committee_signature = spec.G2_POINT_AT_INFINITY
    try:
        spec.process_block(state, block)
    except Exception as error:  # a failed assertion, or an index that is out of range
        raise NotAllowedError(reason(error)) from None
    block.state_root = spec.hash_tree_root(state)
    return block


def _payload(spec: Any, state: Any, fee_recipient: bytes) -> Any:
    """What an execution node would give: nothing but withdrawals, and bytes that look like a transaction."""
    before = state.latest_execution_payload_header
    payload = spec.ExecutionPayload(
        parent_hash=before.block_hash,
        fee_recipient=fee_recipient,
        prev_randao=spec.get_randao_mix(state, spec.get_current_epoch(state)),
        block_number=before.block_number + 1,
        gas_limit=GAS_LIMIT,
        base_fee_per_gas=BASE_FEE,
        timestamp=spec.compute_time_at_slot(state, state.slot),
        withdrawals=spec.get_expected_withdrawals(state).withdrawals,
    )
    payload.transactions.append(spec.Transaction(TRANSACTION))
    payload.block_hash = spec.hash_tree_root(payload)
    return payload
