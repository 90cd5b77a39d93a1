"""A duty's whole set signed by a node: hashed, judged, put on record, signed; and the signatures alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np

from dvtfast import PublicKeys, derive_public_keys, generate_secret_keys, sign
from dvtfast.duties.attestations import AttestationData, AttestationElectra, Checkpoint
from dvtfast.duties.bits import EMPTY_BITLIST, bitvector
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.fork_schedule import ForkEpoch, ForkSchedule
from dvtfast.duties.forks import FULU
from dvtfast.duties.signed_sets import NO_SIGNATURE
from dvtfast.duties.wrappers import Versioned
from dvtfast.networks import HOODI
from dvtfast.qbft.messages import Duty
from dvtfast.services.keys.key_shares import NodeKeys
from dvtfast.services.node.exchange import ClusterMembers
from dvtfast.services.node.partial_signatures import ClusterKeys
from dvtfast.services.node.signing.keys import KeySharesInMemory
from dvtfast.services.node.signing.record import SigningRecord
from dvtfast.services.node.signing.signer import DutySigner
from dvtfast.services.process.offload import Workers

VALIDATORS = 5_000


def signatures_alone(secret_keys: np.ndarray) -> Callable[[], object]:
    """Of one root, as validators that attest in a slot sign."""
    roots = np.full((len(secret_keys), 32), 7, np.uint8)
    return lambda: sign(secret_keys, roots, threads=1)


def whole_sets(folder: Path, secret_keys: np.ndarray) -> Callable[[], object]:
    """Votes of as many validators, of another epoch each time."""
    public_keys = derive_public_keys(secret_keys)
    keys = ClusterKeys(1, PublicKeys(public_keys), PublicKeys(public_keys.reshape(-1, 1, 48)))
    cluster = ClusterMembers.of(keys, 0, [bytes(33)])
    schedule = ForkSchedule(
        HOODI.genesis_validators_root,
        HOODI.slots_per_epoch,
        [ForkEpoch(0, HOODI.genesis_fork_version, FULU)],
        HOODI.genesis_fork_version,
        HOODI.capella_fork_version,
    )
    workers = Workers("bench", threads=1, deadline_seconds=None)
    shares = KeySharesInMemory(
        NodeKeys("bench", 1, public_keys, secret_keys.copy()), cluster, workers, threads=1
    )
    record = SigningRecord(folder / "record.sqlite", HOODI.genesis_validators_root, public_keys)
    signer = DutySigner(shares, record, workers, schedule)
    loop, epochs, everybody = asyncio.new_event_loop(), count(10), np.arange(len(secret_keys))

    def run() -> None:
        epoch = next(epochs)
        root, slot = epoch.to_bytes(32, "big"), epoch * HOODI.slots_per_epoch
        data = AttestationData(slot, 0, root, Checkpoint(epoch - 1, root), Checkpoint(epoch, root))
        vote = AttestationElectra(EMPTY_BITLIST, data, NO_SIGNATURE, bitvector([1], 64))
        values = [Versioned(FULU, vote, validator_index=index) for index in range(len(secret_keys))]
        duty = Duty(slot, DutyType.ATTESTER)
        assert not loop.run_until_complete(signer.sign(duty, everybody, values)).refused

    return run


def new_keys() -> np.ndarray:
    """Of all validators."""
    return generate_secret_keys(VALIDATORS)
