"""The executable consensus specification, with the constants of a network.

Source: PyPI `eth-consensus-specs`, made from ethereum/consensus-specs. Its modules hold the constants as
globals, so one process has one network.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

FORK: Final = "fulu"
FORKS: Final = ("phase0", "altair", "bellatrix", "capella", "deneb", "electra", "fulu")
PRESETS: Final = ("minimal", "mainnet")
VERSION_STEP: Final = 0x10  # between the forks of a network, in the first byte of a version, as on Hoodi
CHECKS_KEPT: Final = 20_000  # of signatures
PROOFS_LIMIT: Final = 2**25  # beacon API, BlockContents since fulu: 128 for each of 4096 blobs, and room

bls: Any = import_module("eth_consensus_specs.utils.bls")


@dataclass(frozen=True)
class NetworkConstants:
    """What differs between networks of one preset.

    Attributes:
        genesis_fork_version: the first of the versions; each later fork's has a higher first byte.
        chain_id: of deposits.
        seconds_per_slot: whole ones, since block times are.
    """

    preset: str
    genesis_fork_version: bytes
    chain_id: int
    seconds_per_slot: int


def load(constants: NetworkConstants) -> Any:
    """The specification of fulu from the first slot on.

    Raises:
        ValueError: there is no such preset.
    """
    if constants.preset not in PRESETS:
        raise ValueError(f"preset: expected one of {', '.join(PRESETS)}, got {constants.preset!r}")
    spec: Any = import_module(f"eth_consensus_specs.{FORK}.{constants.preset}")
    first, rest = constants.genesis_fork_version[0], constants.genesis_fork_version[1:]
    changed: dict[str, Any] = {
        "GENESIS_FORK_VERSION": spec.Version(constants.genesis_fork_version),
        "DEPOSIT_CHAIN_ID": spec.Uint64(constants.chain_id),
        "DEPOSIT_NETWORK_ID": spec.Uint64(constants.chain_id),
        "SLOT_DURATION_MS": spec.Uint64(constants.seconds_per_slot * 1000),
        "MIN_GENESIS_ACTIVE_VALIDATOR_COUNT": spec.Uint64(1),
        "SHARD_COMMITTEE_PERIOD": spec.Epoch(1),  # so that exits can be tried
        "TERMINAL_TOTAL_DIFFICULTY": spec.Uint256(0),
    }
    for number, fork in enumerate(FORKS[1:], 1):
        version = bytes([(first + number * VERSION_STEP) % 256]) + rest
        changed[f"{fork.upper()}_FORK_VERSION"] = spec.Version(version)
        changed[f"{fork.upper()}_FORK_EPOCH"] = spec.Epoch(0)
    spec.config = spec.config._replace(**changed)
    _contents(spec)
    _hasten(spec)
    return spec


def fork_versions(spec: Any) -> list[bytes]:
    """In the order of the forks."""
    names = ["GENESIS", *(fork.upper() for fork in FORKS[1:])]
    return [bytes(getattr(spec.config, f"{name}_FORK_VERSION")) for name in names]


def _hasten(spec: Any) -> None:
    """The same results sooner.

    What was checked is not checked again: one vote is, in five places, as a node would never do. Blocks are
    weighed where there is a choice between them.
    """
    members = spec.compute_subnets_for_sync_committee
    spec.compute_subnets_for_sync_committee = spec.cache_this(
        lambda state, index: (
            state.current_sync_committee.hash_tree_root(),
            state.next_sync_committee.hash_tree_root(),
            int(state.slot + 1) // int(spec.SLOTS_PER_EPOCH * spec.EPOCHS_PER_SYNC_COMMITTEE_PERIOD),
            int(index),
        ),
        members,
        lru_size=CHECKS_KEPT,
    )

    def get_head(store: Any) -> Any:
        """Source: consensus-specs, phase0/fork-choice.md, `get_head`."""
        blocks = spec.get_filtered_block_tree(store)
        head = spec.ForkChoiceNode(root=store.justified_checkpoint.root)
        while children := spec.get_node_children(store, blocks, head):
            head = children[0]
            if len(children) > 1:
                head = max(children, key=lambda child: (spec.get_weight(store, child), child.root))
        return head

    spec.get_head = get_head
    if hasattr(bls, "checks_are_remembered"):
        return
    bls.checks_are_remembered = True
    verify = lru_cache(CHECKS_KEPT)(bls.Verify)
    verify_aggregate = lru_cache(CHECKS_KEPT)(bls.FastAggregateVerify)
    bls.Verify = verify
    bls.FastAggregateVerify = lambda keys, root, signature: verify_aggregate(tuple(keys), root, signature)


def _contents(spec: Any) -> None:
    """What goes over the beacon API beside the specification's own."""
    proofs = spec.List[spec.KZGProof, PROOFS_LIMIT]
    blobs = spec.List[spec.Blob, spec.MAX_BLOB_COMMITMENTS_PER_BLOCK]
    for name, first, kind in (
        ("BlockContents", "block", spec.BeaconBlock),
        ("SignedBlockContents", "signed_block", spec.SignedBeaconBlock),
    ):
        fields = {first: kind, "kzg_proofs": proofs, "blobs": blobs}
        _container(spec, name, fields)
    # Source: builder-specs, bellatrix/builder.md.
    _container(spec, "ValidatorRegistration", {
        "fee_recipient": spec.ExecutionAddress,
        "gas_limit": spec.Uint64,
        "timestamp": spec.Uint64,
        "pubkey": spec.BLSPubkey,
    })  # fmt: skip
    fields = {"message": spec.ValidatorRegistration, "signature": spec.BLSSignature}
    _container(spec, "SignedValidatorRegistration", fields)


def _container(spec: Any, name: str, fields: dict[str, Any]) -> None:
    setattr(spec, name, type(name, (spec.Container,), {"__annotations__": fields}))
