"""What a node of a cluster asks beacon nodes for, and what it sends them.

Source: beacon API v3 and v4; of its routes those that charon asks for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from dvtfast.duties.attestations import Attestation, AttestationData
from dvtfast.duties.codecs import codec
from dvtfast.duties.forks import Fork
from dvtfast.duties.sync_committees import (
    SignedContributionAndProof,
    SyncCommitteeContribution,
    SyncCommitteeMessage,
)
from dvtfast.duties.validator_messages import SignedValidatorRegistration, SignedVoluntaryExit

from ...web.outgoing import Answer
from ..encoding import HASH_BYTES, read_data, write_data
from .answers import decoded, uint64
from .client import BeaconError
from .duty_answers import (
    SSZ,
    VERSION,
    AttesterDuty,
    Duties,
    ProposedBlock,
    ProposerDuty,
    SyncDuty,
    read_attestation_data,
    read_attester_duties,
    read_block,
    read_object,
    read_proposer_duties,
    read_sync_duties,
)
from .nodes import AGREEMENT_SECONDS, DUTIES_AGREEMENT_SECONDS
from .passing import PassingNodes

DUTY_LIMIT_BYTES: Final = 1024  # each; some 400 are usual
SECONDS_PER_DUTY: Final = 0.001  # that finding out about many of them may take
BLOCK_LIMIT_BYTES: Final = 64 * 1024**2  # with blobs, as JSON

T = TypeVar("T")


class _Root(msgspec.Struct):
    root: str


class _RootAnswer(msgspec.Struct):
    data: _Root


class _Message(msgspec.Struct):
    slot: str
    parent_root: str


class _Header(msgspec.Struct):
    message: _Message


class _HeaderData(msgspec.Struct):
    root: str
    header: _Header


class _HeaderAnswer(msgspec.Struct):
    data: _HeaderData


@dataclass(frozen=True)
class BlockHeader:
    """Where a block is in the chain; its parent's root is 32 bytes."""

    slot: int
    parent_root: bytes


class DutiesClient(PassingNodes):
    """Several beacon nodes, asked for duties; an async context manager. `learn` comes first."""

    async def attester_duties(self, epoch: int, indices: Sequence[int]) -> Duties[AttesterDuty]:
        """Of these validators in an epoch; of several nodes, what two say.

        Raises:
            BeaconError: no node answers as it should.
        """
        slots = self._slots(epoch)
        return await self._get(
            f"eth/v1/validator/duties/attester/{epoch}",
            lambda answer: read_attester_duties(answer.content, slots, indices),
            body=_numbers(indices),
            limit_bytes=DUTY_LIMIT_BYTES * (len(indices) + 1),
            more_seconds=SECONDS_PER_DUTY * len(indices),
            agreed_seconds=DUTIES_AGREEMENT_SECONDS,
        )

    async def proposer_duties(self, epoch: int) -> Duties[ProposerDuty]:
        """Of all validators in an epoch; raises as `attester_duties`."""
        slots = self._slots(epoch)
        return await self._get(
            f"eth/v1/validator/duties/proposer/{epoch}",
            lambda answer: read_proposer_duties(answer.content, slots),
            limit_bytes=DUTY_LIMIT_BYTES * (len(slots) + 1),
            agreed_seconds=DUTIES_AGREEMENT_SECONDS,
        )

    async def sync_duties(self, epoch: int, indices: Sequence[int]) -> tuple[SyncDuty, ...]:
        """Of these validators in an epoch; raises as `attester_duties`."""
        size = self.chain.sync_committee_size
        return await self._get(
            f"eth/v1/validator/duties/sync/{epoch}",
            lambda answer: read_sync_duties(answer.content, size, indices),
            body=_numbers(indices),
            limit_bytes=DUTY_LIMIT_BYTES * (len(indices) + 1) + 8 * size,
            more_seconds=SECONDS_PER_DUTY * len(indices),
            agreed_seconds=DUTIES_AGREEMENT_SECONDS,
        )

    async def attestation_data(self, slot: int) -> AttestationData:
        """What to attest to in a slot, for all committees, as since electra; of several nodes, what two say.

        Raises:
            BeaconError: no node answers as it should.
        """
        per_epoch = self.chain.slots_per_epoch
        return await self._get(
            "eth/v1/validator/attestation_data",
            lambda answer: read_attestation_data(answer.content, slot, per_epoch),
            query=f"slot={slot}&committee_index=0",
            agreed_seconds=AGREEMENT_SECONDS,
        )

    async def aggregate_attestation(self, slot: int, data_root: bytes, committee_index: int) -> Attestation:
        """A committee's votes for some data, as one; raises as above."""
        kind = codec(self._fork(slot).attestation, self.preset)
        return await self._get(
            "eth/v2/validator/aggregate_attestation",
            lambda answer: read_object(answer.content, kind),
            query=f"slot={slot}&attestation_data_root={write_data(data_root)}&committee_index={committee_index}",
        )

    async def sync_committee_contribution(
        self, slot: int, subcommittee_index: int, root: bytes
    ) -> SyncCommitteeContribution:
        """A subcommittee's votes for a block, as one; raises as above."""
        kind = codec(SyncCommitteeContribution, self.preset)
        return await self._get(
            "eth/v1/validator/sync_committee_contribution",
            lambda answer: read_object(answer.content, kind),
            query=f"slot={slot}&subcommittee_index={subcommittee_index}&beacon_block_root={write_data(root)}",
        )

    async def head_root(self) -> bytes:
        """The root of the latest block; of several nodes, what two say; raises as above."""

        def read(answer: Answer) -> bytes:
            return read_data(decoded(answer.content, _RootAnswer).data.root, width=HASH_BYTES)

        return await self._get("eth/v1/beacon/blocks/head/root", read, agreed_seconds=AGREEMENT_SECONDS)

    async def block_header(self, root: bytes) -> BlockHeader | None:
        """A block's place; None where no node has it, or two have not; of several nodes, what two say.

        Raises as above.
        """

        def read(answer: Answer) -> BlockHeader | None:
            data = decoded(answer.content, _HeaderAnswer).data
            if read_data(data.root, width=HASH_BYTES) != root:
                raise ValueError("expected the header of the block that was asked for")
            message = data.header.message
            return BlockHeader(uint64("slot", message.slot), read_data(message.parent_root, width=HASH_BYTES))

        return await self._get(
            f"eth/v1/beacon/headers/{write_data(root)}",
            read,
            agreed_seconds=AGREEMENT_SECONDS,
            not_found=(None,),
        )

    async def block(
        self, slot: int, randao_reveal: bytes, *, graffiti: bytes, builder_boost_factor: int = 0
    ) -> ProposedBlock:
        """A block to sign for a slot; SSZ where a node has it.

        Args:
            randao_reveal: of the proposer.
            graffiti: 32 bytes.
            builder_boost_factor: 0 for no block of a builder.

        Raises:
            BeaconError: no node answers as it should.
        """
        query = (
            f"randao_reveal={write_data(randao_reveal)}&graffiti={write_data(graffiti)}"
            f"&builder_boost_factor={builder_boost_factor}"
        )
        return await self._get(
            f"eth/v3/validator/blocks/{slot}",
            lambda answer: read_block(answer.content, answer.headers, self.preset, slot),
            query=query,
            limit_bytes=BLOCK_LIMIT_BYTES,
            accept=f"{SSZ};q=1,application/json;q=0.9",
        )

    async def publish_block(self, fork: Fork, signed: bytes, *, is_blinded: bool = False) -> None:
        """Send a signed block, with what is published beside it.

        Args:
            signed: SSZ of `fork.signed_contents`, or of `fork.signed_blinded_block`.

        Raises:
            BeaconError: no node has taken it.
        """
        kind = "blinded_blocks" if is_blinded else "blocks"
        await self._send(f"eth/v2/beacon/{kind}", signed, {VERSION: fork.name, "Content-Type": SSZ})

    async def send_attestations(self, attestations: Sequence[Any], fork: Fork) -> None:
        """Send votes, of `fork.single_attestation`; raises as above, naming which were refused and why."""
        body = self._json(fork.single_attestation, attestations)
        await self._send("eth/v2/beacon/pool/attestations", body, {VERSION: fork.name})

    async def send_aggregates(self, aggregates: Sequence[Any], fork: Fork) -> None:
        """Send aggregates with their proofs, of `fork.signed_aggregate_and_proof`; raises as above."""
        body = self._json(fork.signed_aggregate_and_proof, aggregates)
        await self._send("eth/v2/validator/aggregate_and_proofs", body, {VERSION: fork.name})

    async def send_sync_messages(self, messages: Sequence[SyncCommitteeMessage]) -> None:
        """Send sync committee messages; raises as above."""
        body = self._json(SyncCommitteeMessage, messages)
        await self._send("eth/v1/beacon/pool/sync_committees", body)

    async def send_contributions(self, contributions: Sequence[SignedContributionAndProof]) -> None:
        """Send contributions with their proofs; raises as above."""
        body = self._json(SignedContributionAndProof, contributions)
        await self._send("eth/v1/validator/contribution_and_proofs", body)

    async def send_exit(self, signed_exit: SignedVoluntaryExit) -> None:
        """Send a voluntary exit; raises as above."""
        body = msgspec.json.encode(codec(SignedVoluntaryExit).to_json(signed_exit))
        await self._send("eth/v1/beacon/pool/voluntary_exits", body)

    async def subscribe_committees(self, subscriptions: Sequence[Any]) -> None:
        """Say whose attestations are to be aggregated here; raises as above."""
        await self._send(
            "eth/v1/validator/beacon_committee_subscriptions", msgspec.json.encode(subscriptions)
        )

    async def subscribe_sync_committees(self, subscriptions: Sequence[Any]) -> None:
        """Say whose sync committee messages are to be aggregated here; raises as above."""
        await self._send("eth/v1/validator/sync_committee_subscriptions", msgspec.json.encode(subscriptions))

    async def prepare_proposers(self, fee_recipients: Mapping[int, str]) -> None:
        """Say where fees go, by validator index; raises as above."""
        body = [
            {"validator_index": str(index), "fee_recipient": address}
            for index, address in fee_recipients.items()
        ]
        await self._send("eth/v1/validator/prepare_beacon_proposer", msgspec.json.encode(body))

    async def register_validators(self, registrations: Sequence[SignedValidatorRegistration]) -> None:
        """Send registrations with builders; raises as above."""
        body = self._json(SignedValidatorRegistration, registrations)
        await self._send("eth/v1/validator/register_validator", body)

    def _json(self, kind: type[T], values: Sequence[T]) -> bytes:
        to_json = codec(kind, self.preset).to_json
        return msgspec.json.encode([to_json(value) for value in values])

    def _fork(self, slot: int) -> Fork:
        if (fork := self.schedule.at(self.schedule.epoch_of(slot)).fork) is None:
            raise BeaconError(f"beacon: slot {slot} is of a fork that this version does not know; update it")
        return fork

    def _slots(self, epoch: int) -> range:
        per_epoch = self.chain.slots_per_epoch
        return range(epoch * per_epoch, (epoch + 1) * per_epoch)


def _numbers(indices: Sequence[int]) -> bytes:
    return msgspec.json.encode([str(index) for index in indices])
