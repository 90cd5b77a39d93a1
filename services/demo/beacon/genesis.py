"""The first state of a chain: validators that are active from the start."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

GAS_LIMIT: Final = 45_000_000
BASE_FEE: Final = 10**9  # wei
ADDRESS_PREFIX: Final = b"\x01" + bytes(11)  # EIP-7251: credentials of a plain address


def genesis_state(spec: Any, public_keys: Sequence[bytes], genesis_time: int) -> Any:
    """A state in which each of these has 32 ETH staked.

    Args:
        public_keys: each once; their places are the validators' indices.

    Source: consensus-specs, `initialize_beacon_state_from_eth1` and the upgrades after it, without deposits.
    """
    seed = sha256(b"dvtfast").digest()
    state = spec.BeaconState(
        genesis_time=genesis_time,
        fork=spec.Fork(
            previous_version=spec.config.ELECTRA_FORK_VERSION,
            current_version=spec.config.FULU_FORK_VERSION,
            epoch=spec.GENESIS_EPOCH,
        ),
        latest_block_header=spec.BeaconBlockHeader(body_root=spec.hash_tree_root(spec.BeaconBlockBody())),
        eth1_data=spec.Eth1Data(deposit_count=len(public_keys), block_hash=seed),
        eth1_deposit_index=len(public_keys),
        randao_mixes=[seed] * spec.EPOCHS_PER_HISTORICAL_VECTOR,
        deposit_requests_start_index=len(public_keys),
    )
    for public_key in public_keys:
        state.validators.append(
            spec.Validator(
                pubkey=public_key,
                withdrawal_credentials=ADDRESS_PREFIX + sha256(public_key).digest()[:20],
                effective_balance=spec.MIN_ACTIVATION_BALANCE,
                activation_eligibility_epoch=spec.GENESIS_EPOCH,
                activation_epoch=spec.GENESIS_EPOCH,
                exit_epoch=spec.FAR_FUTURE_EPOCH,
                withdrawable_epoch=spec.FAR_FUTURE_EPOCH,
            )
        )
        state.balances.append(spec.MIN_ACTIVATION_BALANCE)
        state.previous_epoch_participation.append(spec.ParticipationFlags(0))
        state.current_epoch_participation.append(spec.ParticipationFlags(0))
        state.inactivity_scores.append(spec.Uint64(0))
    state.genesis_validators_root = spec.hash_tree_root(state.validators)
    state.current_sync_committee = spec.get_next_sync_committee(state)
    state.next_sync_committee = spec.get_next_sync_committee(state)
    state.latest_execution_payload_header = spec.ExecutionPayloadHeader(
        block_hash=seed, gas_limit=GAS_LIMIT, base_fee_per_gas=BASE_FEE
    )
    state.proposer_lookahead = spec.initialize_proposer_lookahead(state)
    return state
