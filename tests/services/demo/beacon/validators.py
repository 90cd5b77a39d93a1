"""A validator client of a few lines: all duties of all validators of a chain, signed with whole keys.

What is signed are roots that the specification computes, so that client, containers and signatures are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dvtfast import sign
from dvtfast.duties.attestations import (
    AggregateAndProofElectra,
    AttestationData,
    SignedAggregateAndProofElectra,
    SingleAttestation,
)
from dvtfast.duties.codecs import codec
from dvtfast.duties.forks import FULU
from dvtfast.duties.sync_committees import (
    ContributionAndProof,
    SignedContributionAndProof,
    SyncCommitteeMessage,
)
from dvtfast.services.chain.beacon.duties import DutiesClient
from dvtfast.services.chain.beacon.duty_answers import AttesterDuty, ProposedBlock
from dvtfast.services.demo.beacon.specification import NetworkConstants, load
from tests.services.demo.beacon.chains import FORK_VERSION, PRESET


def specification() -> Any:
    return load(NetworkConstants(PRESET, FORK_VERSION, 560_048, 6))


@dataclass
class Validators:
    """All validators of a chain; their indices are the places of their keys."""

    client: DutiesClient
    spec: Any
    secret_keys: np.ndarray
    absent: set[int] = field(default_factory=set)  # who do nothing

    @property
    def indices(self) -> list[int]:
        return [index for index in range(len(self.secret_keys)) if index not in self.absent]

    def signature(self, validator: int, signed: Any, domain_type: Any, slot: int) -> bytes:
        root = self.spec.compute_signing_root(signed, self.domain(domain_type, slot))
        return self.sign([validator], [root])[0]

    def domain(self, domain_type: Any, slot: int) -> Any:
        return self.spec.compute_domain(
            domain_type,
            self.spec.Version(self.client.chain.forks[-1].version),
            self.spec.Root(self.client.chain.genesis_validators_root),
        )

    async def perform(self, slot: int) -> None:
        """All duties of a slot, in their order."""
        await self.propose(slot)
        await self.attest(slot)
        await self.send_sync_messages(slot)
        await self.aggregate(slot)
        await self.contribute(slot)

    async def propose(self, slot: int) -> None:
        duties = (await self.client.proposer_duties(self._epoch(slot))).duties
        [duty] = [each for each in duties if each.slot == slot]
        if duty.validator_index not in self.absent:
            block = await self.block(slot, duty.validator_index)
            await self.client.publish_block(FULU, self.signed(block, duty.validator_index))

    async def block(self, slot: int, proposer: int, graffiti: bytes = bytes(32)) -> ProposedBlock:
        spec = self.spec
        reveal = self.signature(proposer, spec.Epoch(self._epoch(slot)), spec.DOMAIN_RANDAO, slot)
        return await self.client.block(slot, reveal, graffiti=graffiti)

    def signed(self, block: ProposedBlock, proposer: int) -> bytes:
        contents = self.spec.BlockContents.decode_bytes(block.ssz)
        made = contents.block
        signature = self.signature(proposer, made, self.spec.DOMAIN_BEACON_PROPOSER, int(made.slot))
        signed = self.spec.SignedBlockContents(
            signed_block=self.spec.SignedBeaconBlock(message=made, signature=signature),
            kzg_proofs=contents.kzg_proofs,
            blobs=contents.blobs,
        )
        return bytes(signed.encode_bytes())

    async def attest(self, slot: int) -> None:
        data = await self.client.attestation_data(slot)
        await self.client.send_attestations(self.attestations(await self.duties(slot), data), FULU)

    def attestations(self, duties: list[AttesterDuty], data: AttestationData) -> list[SingleAttestation]:
        domain = self.domain(self.spec.DOMAIN_BEACON_ATTESTER, data.slot)
        root = self.spec.compute_signing_root(self.of_spec("AttestationData", data), domain)
        signatures = self.sign([duty.validator_index for duty in duties], [root] * len(duties))
        return [
            SingleAttestation(duty.committee_index, duty.validator_index, data, signature)
            for duty, signature in zip(duties, signatures, strict=True)
        ]

    async def duties(self, slot: int) -> list[AttesterDuty]:
        duties = await self.client.attester_duties(self._epoch(slot), self.indices)
        return [duty for duty in duties.duties if duty.slot == slot]

    async def aggregate(self, slot: int) -> None:
        """One aggregator of each committee is enough."""
        spec = self.spec
        data = await self.client.attestation_data(slot)
        root = bytes(self.of_spec("AttestationData", data).hash_tree_root())
        made = []
        for duty in {duty.committee_index: duty for duty in await self.duties(slot)}.values():
            validator = duty.validator_index
            proof = self.signature(validator, spec.Slot(slot), spec.DOMAIN_SELECTION_PROOF, slot)
            found = await self.client.aggregate_attestation(slot, root, duty.committee_index)
            message = AggregateAndProofElectra(validator, found, proof)
            signed = self.of_spec("AggregateAndProof", message)
            signature = self.signature(validator, signed, spec.DOMAIN_AGGREGATE_AND_PROOF, slot)
            made.append(SignedAggregateAndProofElectra(message, signature))
        await self.client.send_aggregates(made, FULU)

    async def send_sync_messages(self, slot: int) -> None:
        root = await self.client.head_root()
        members = await self.client.sync_duties(self._epoch(slot), self.indices)
        validators = [duty.validator_index for duty in members]
        domain = self.domain(self.spec.DOMAIN_SYNC_COMMITTEE, slot)
        signing_root = self.spec.compute_signing_root(self.spec.Root(root), domain)
        signatures = self.sign(validators, [signing_root] * len(validators))
        messages = [
            SyncCommitteeMessage(slot, root, validator, signature)
            for validator, signature in zip(validators, signatures, strict=True)
        ]
        await self.client.send_sync_messages(messages)

    async def contribute(self, slot: int) -> None:
        """One aggregator of each subcommittee is enough."""
        spec, root = self.spec, await self.client.head_root()
        seats = int(spec.SYNC_COMMITTEE_SIZE) // int(spec.SYNC_COMMITTEE_SUBNET_COUNT)
        made: dict[int, SignedContributionAndProof] = {}
        for duty in await self.client.sync_duties(self._epoch(slot), self.indices):
            for subcommittee in {seat // seats for seat in duty.seats} - made.keys():
                selection = spec.SyncAggregatorSelectionData(slot=slot, subcommittee_index=subcommittee)
                domain_type = spec.DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF
                proof = self.signature(duty.validator_index, selection, domain_type, slot)
                if not spec.is_sync_committee_aggregator(proof):
                    continue
                found = await self.client.sync_committee_contribution(slot, subcommittee, root)
                message = ContributionAndProof(duty.validator_index, found, proof)
                signed = self.of_spec("ContributionAndProof", message)
                domain_type = spec.DOMAIN_CONTRIBUTION_AND_PROOF
                signature = self.signature(duty.validator_index, signed, domain_type, slot)
                made[subcommittee] = SignedContributionAndProof(message, signature)
        await self.client.send_contributions(list(made.values()))

    def of_spec(self, name: str, container: Any) -> Any:
        """The same as an object of the specification, by way of its bytes."""
        return getattr(self.spec, name).decode_bytes(
            codec(type(container), self.client.preset).encode(container)
        )

    def _epoch(self, slot: int) -> int:
        return slot // self.client.chain.slots_per_epoch

    def sign(self, validators: list[int], roots: list[Any]) -> list[bytes]:
        rows = np.frombuffer(b"".join(map(bytes, roots)), np.uint8).reshape(-1, 32)
        return [row.tobytes() for row in sign(self.secret_keys[validators], rows)]
