"""Makes `tests/vectors/duties.json.xz`: values of all containers of duties by the executable specification.

`python -m tests.duties_vector` writes it anew, in an environment that has eth-consensus-specs 1.7.0a13 and
what that needs, `ckzg pycryptodome trie==3.1.0 rlp pytest deepdiff`. It takes some seconds, and knows nothing
of dvtfast.
Containers of builder-specs and of the beacon API, which the specification lacks, are made of its types here.
"""

from __future__ import annotations

import json
import lzma
from importlib import import_module
from random import Random
from typing import Any

from tests.vector_files import VECTORS

FILE = VECTORS / "duties.json.xz"
FORKS, PRESETS = ("deneb", "electra", "fulu"), ("mainnet", "minimal")
SMALL = [
    "Attestation",
    "SingleAttestation",
    "SignedAggregateAndProof",
    "IndexedAttestation",
    "AttesterSlashing",
    "SyncCommitteeMessage",
    "SignedContributionAndProof",
    "SyncAggregatorSelectionData",
    "SignedVoluntaryExit",
    "ExecutionPayload",
    "ExecutionPayloadHeader",
    "ExecutionRequests",
    "SyncAggregate",
]
LARGE = ["SignedBeaconBlock", "SignedBlindedBeaconBlock", "BlockContents", "SignedBlockContents"]
# What each duty signs is signed in this epoch, under the domain of validator.md.
EPOCH = 12_345
VERSION, VALIDATORS_ROOT = bytes([6, 7, 8, 9]), bytes(range(100, 132))
DOMAINS = {
    "ATTESTER": "DOMAIN_BEACON_ATTESTER",
    "PROPOSER": "DOMAIN_BEACON_PROPOSER",
    "AGGREGATOR": "DOMAIN_AGGREGATE_AND_PROOF",
    "SYNC_MESSAGE": "DOMAIN_SYNC_COMMITTEE",
    "SYNC_CONTRIBUTION": "DOMAIN_CONTRIBUTION_AND_PROOF",
    "PREPARE_SYNC_CONTRIBUTION": "DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF",
    "PREPARE_AGGREGATOR": "DOMAIN_SELECTION_PROOF",
    "RANDAO": "DOMAIN_RANDAO",
    "EXIT": "DOMAIN_VOLUNTARY_EXIT",
}


def beside_the_specification(spec: Any, typing: Any) -> dict[str, Any]:
    """Blinded blocks (builder-specs), contents (beacon API), registrations."""

    def made(name: str, fields: dict[str, Any]) -> Any:
        return type(name, (typing.Container,), {"__annotations__": fields})

    def with_field(cls: Any, name: str, old: str, new: str, kind: Any) -> Any:
        return made(name, {new if n == old else n: kind if n == old else k for n, k in cls.fields().items()})

    header = spec.ExecutionPayloadHeader
    body = with_field(spec.BeaconBlockBody, "Body", "execution_payload", "execution_payload_header", header)
    blinded = with_field(spec.BeaconBlock, "BlindedBeaconBlock", "body", "body", body)
    proofs = spec.MAX_BLOB_COMMITMENTS_PER_BLOCK
    if hasattr(spec, "FIELD_ELEMENTS_PER_EXT_BLOB"):
        proofs *= spec.FIELD_ELEMENTS_PER_EXT_BLOB
    blobs = {
        "kzg_proofs": typing.List[spec.KZGProof, proofs],
        "blobs": typing.List[spec.Blob, spec.MAX_BLOB_COMMITMENTS_PER_BLOCK],
    }
    registration = made(
        "ValidatorRegistration",
        {
            "fee_recipient": typing.Bytes20,
            "gas_limit": typing.Uint64,
            "timestamp": typing.Uint64,
            "pubkey": spec.BLSPubkey,
        },
    )
    return {
        "SignedBlindedBeaconBlock": with_field(
            spec.SignedBeaconBlock, "Signed", "message", "message", blinded
        ),
        "BlockContents": made("BlockContents", {"block": spec.BeaconBlock, **blobs}),
        "SignedBlockContents": made("SignedContents", {"signed_block": spec.SignedBeaconBlock, **blobs}),
        "SignedValidatorRegistration": made(
            "SignedRegistration", {"message": registration, "signature": spec.BLSSignature}
        ),
    }


def make() -> dict[str, Any]:
    """The content of the file."""
    typing = import_module("eth_consensus_specs.utils.ssz.ssz_typing")
    impl = import_module("eth_consensus_specs.utils.ssz.ssz_impl")
    values = import_module("eth_consensus_specs.debug.random_value")
    modes = values.RandomizationMode
    rng = Random("dvtfast duties")
    containers, signed = [], []
    for preset in PRESETS:
        for fork in FORKS:
            spec = import_module(f"eth_consensus_specs.{fork}.{preset}")
            more = beside_the_specification(spec, typing)
            for name in [*SMALL, "SignedValidatorRegistration", *LARGE]:
                cls = more.get(name) or getattr(spec, name, None)
                if cls is None:
                    continue
                for mode in [modes.mode_random, modes.mode_nil_count] + [modes.mode_max] * (name in SMALL):
                    value = values.get_random_ssz_object(
                        rng, cls, 400, 2 if name in LARGE else 5, mode, False
                    )
                    if "blobs" in cls.fields():
                        blob = rng.randbytes(64) * (32 * spec.FIELD_ELEMENTS_PER_BLOB // 64)
                        value.blobs = type(value.blobs)([blob][: len(value.blobs)])
                    containers.append(
                        {
                            "preset": preset,
                            "fork": fork,
                            "container": name,
                            "ssz": impl.ssz_serialize(value).hex(),
                            "root": bytes(impl.hash_tree_root(value)).hex(),
                        }
                    )
            signed += signing(spec, impl, rng, preset, fork)
    return {"containers": containers, "signed": signed}


def signing(spec: Any, impl: Any, rng: Random, preset: str, fork: str) -> list[dict[str, Any]]:
    """What each duty signs of small values, in EPOCH."""
    slot = EPOCH * spec.SLOTS_PER_EPOCH + 3
    checkpoint = spec.Checkpoint(epoch=EPOCH, root=rng.randbytes(32))
    data = spec.AttestationData(
        slot=slot, index=1, beacon_block_root=rng.randbytes(32), source=checkpoint, target=checkpoint
    )
    block = spec.BeaconBlock(slot=slot, proposer_index=7, parent_root=rng.randbytes(32))
    aggregate = spec.AggregateAndProof(
        aggregator_index=5, aggregate=spec.Attestation(data=data), selection_proof=rng.randbytes(96)
    )
    contribution = spec.ContributionAndProof(
        aggregator_index=5,
        contribution=spec.SyncCommitteeContribution(slot=slot, beacon_block_root=rng.randbytes(32)),
        selection_proof=rng.randbytes(96),
    )
    message = spec.SyncCommitteeMessage(slot=slot, beacon_block_root=rng.randbytes(32), validator_index=9)
    objects = {
        "ATTESTER": (spec.Attestation(data=data), data),
        "PROPOSER": (spec.SignedBeaconBlock(message=block), block),
        "AGGREGATOR": (spec.SignedAggregateAndProof(message=aggregate), aggregate),
        "SYNC_MESSAGE": (message, message.beacon_block_root),
        "SYNC_CONTRIBUTION": (spec.SignedContributionAndProof(message=contribution), contribution),
        "PREPARE_SYNC_CONTRIBUTION": (
            None,
            spec.SyncAggregatorSelectionData(slot=slot, subcommittee_index=2),
        ),
        "PREPARE_AGGREGATOR": (None, spec.Slot(slot)),
        "RANDAO": (None, spec.Epoch(EPOCH)),
        "EXIT": (None, spec.VoluntaryExit(epoch=EPOCH, validator_index=9)),
    }
    return [
        {
            "preset": preset,
            "fork": fork,
            "duty": duty,
            "ssz": impl.ssz_serialize(value).hex() if value is not None else "",
            "signing_root": bytes(
                spec.compute_signing_root(
                    message,
                    spec.compute_domain(
                        getattr(spec, DOMAINS[duty]), spec.Version(VERSION), spec.Root(VALIDATORS_ROOT)
                    ),
                )
            ).hex(),
        }
        for duty, (value, message) in objects.items()
    ]


if __name__ == "__main__":
    FILE.write_bytes(lzma.compress(json.dumps(make()).encode(), preset=9))
