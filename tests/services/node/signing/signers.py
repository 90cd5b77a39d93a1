"""A node of a small cluster with its signer, and what it may be asked to sign."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dvtfast import PublicKeys, derive_public_keys, generate_secret_keys, split_secret_keys
from dvtfast.duties.attestations import AttestationData, Checkpoint
from dvtfast.duties.fork_schedule import ForkSchedule
from dvtfast.duties.forks import FULU
from dvtfast.duties.wrappers import SignedValue, Versioned
from dvtfast.services.keys.key_shares import NodeKeys
from dvtfast.services.node.exchange import ClusterMembers
from dvtfast.services.node.partial_signatures import ClusterKeys
from dvtfast.services.node.signing.keys import KeySharesInMemory, NodeKeyShares
from dvtfast.services.node.signing.record import SigningRecord
from dvtfast.services.node.signing.signer import DutySigner
from dvtfast.services.process.offload import Workers
from tests.unit.duties.test_duty_sets import ELECTRA_VOTE, SCHEDULE

VALIDATORS, NODES, THRESHOLD = 4, 4, 3
NODE = 1
SECRETS = generate_secret_keys(VALIDATORS)
SHARES = split_secret_keys(SECRETS, threshold=THRESHOLD, share_indices=range(1, NODES + 1))
OWN = SHARES[:, NODE]
PUBLIC_KEYS = derive_public_keys(SECRETS)
KEYS = ClusterKeys(
    THRESHOLD,
    PublicKeys(PUBLIC_KEYS),
    PublicKeys(derive_public_keys(SHARES.reshape(-1, 32)).reshape(VALIDATORS, NODES, 48)),
)
CLUSTER = ClusterMembers.of(KEYS, NODE, [bytes([2, *[node] * 32]) for node in range(NODES)])
OWN_PUBLIC_KEYS = KEYS.key_shares[:, NODE]
SLOT, EPOCH = 96, 3
ALL = np.arange(VALIDATORS)
# The same chain after a fork: whatever is signed there has another root.
OTHER_SCHEDULE = replace(
    SCHEDULE,
    forks=[replace(fork, version=b"\xff" * 4) for fork in SCHEDULE.forks],
    genesis_version=b"\xfe" * 4,
    capella_version=b"\xfd" * 4,
)


def node_keys(rows: slice = slice(None)) -> NodeKeys:
    return NodeKeys("test", NODE + 1, PUBLIC_KEYS[rows], OWN[rows].copy())


def record_at(path: Path | None) -> SigningRecord:
    return SigningRecord(path, SCHEDULE.genesis_validators_root, OWN_PUBLIC_KEYS.encoded)


def signer_of(
    workers: Workers,
    record: SigningRecord,
    *,
    keys: NodeKeyShares | None = None,
    schedule: ForkSchedule = SCHEDULE,
) -> DutySigner:
    keys = keys or KeySharesInMemory(node_keys(), CLUSTER, workers)
    return DutySigner(keys, record, workers, schedule)


def vote(root: bytes, *, source: int = EPOCH - 1, target: int = EPOCH, slot: int = SLOT) -> SignedValue:
    data = AttestationData(slot, 0, root, Checkpoint(source, root), Checkpoint(target, root))
    return Versioned(FULU, replace(ELECTRA_VOTE, data=data), validator_index=12)
