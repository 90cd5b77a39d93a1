"""The chain that charon's own mock of a beacon node tells of, and what a real one would say to what is sent.

Nothing here is of dvtfast: containers and roots are those of the executable specification, BLS is milagro's.
What the mock says was seen by asking it: charon is run, and not looked into.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from typing import Any

from tests.samples import verifies

SLOTS_PER_EPOCH = 16
FAR_FUTURE = str(2**64 - 1)
COMMITTEE_LENGTH = 100
PLACE = 99  # of every validator in its committee
SYNC_EPOCHS = 8  # of which the first two have duties
SUBCOMMITTEE = 128
COMMITTEE_MODULO = COMMITTEE_LENGTH // 16
SYNC_MODULO = SUBCOMMITTEE // 16

spec: Any = import_module("eth_consensus_specs.fulu.mainnet")
capella: Any = import_module("eth_consensus_specs.capella.mainnet")


class RefusedError(Exception):
    """What a beacon node does not take."""


@dataclass(frozen=True)
class MockedNetwork:
    """What a release's mock says of the network that it is on.

    Attributes:
        forks: names, first epochs and versions. Under the last one messages are fulu's, whatever it is.
    """

    chain_id: int
    genesis_time: int
    genesis_validators_root: bytes
    forks: tuple[tuple[str, int, str], ...]

    @property
    def fork_version(self) -> str:
        """Of the genesis, hex."""
        return self.forks[0][2]

    def spec(self, seconds_per_slot: int) -> dict[str, str]:
        """What of its constants our nodes look at."""
        return {
            "PRESET_BASE": "mainnet",
            "CONFIG_NAME": "charon-simnet",
            "SECONDS_PER_SLOT": str(seconds_per_slot),
            "SLOTS_PER_EPOCH": str(SLOTS_PER_EPOCH),
            "EPOCHS_PER_SYNC_COMMITTEE_PERIOD": "2",
            "SYNC_COMMITTEE_SIZE": "512",
            "DEPOSIT_CHAIN_ID": str(self.chain_id),
            "DEPOSIT_CONTRACT_ADDRESS": "0x00000000219ab540356cBB839Cbe05303d7705Fa",
            **{f"{name}_FORK_VERSION": f"0x{version}" for name, _, version in self.forks},
        }

    def signing_root(self, what: Any, domain_type: Any, epoch: int) -> bytes:
        """What is signed in an epoch."""
        version = [version for _, begin, version in self.forks if begin <= epoch][-1]
        domain = spec.compute_domain(
            domain_type, spec.Version(bytes.fromhex(version)), spec.Root(self.genesis_validators_root)
        )
        return bytes(spec.SigningData(object_root=what.hash_tree_root(), domain=domain).hash_tree_root())


# Since v1.11; before, there was holesky, without what came after deneb.
HOODI = MockedNetwork(
    560_048,
    1_742_213_400,
    bytes.fromhex("212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"),
    (
        ("GENESIS", 0, "10000910"),
        ("ALTAIR", 0, "20000910"),
        ("BELLATRIX", 0, "30000910"),
        ("CAPELLA", 0, "40000910"),
        ("DENEB", 0, "50000910"),
        ("ELECTRA", 2048, "60000910"),
        ("FULU", 50688, "70000910"),
    ),
)
HOLESKY = MockedNetwork(
    17_000,
    1_696_000_704,
    bytes.fromhex("9143aa7c615a7f7115e2b6aac319c03529df8242ae705fba9df39b79c59fa8b1"),
    (
        ("GENESIS", 0, "01017000"),
        ("ALTAIR", 0, "02017000"),
        ("BELLATRIX", 0, "03017000"),
        ("CAPELLA", 256, "04017000"),
        ("FULU", 29696, "05017000"),
    ),
)


class CharonsChain:
    """The chain; validator i is that of position i in the lock.

    Args:
        public_keys: of the validators.
        seconds_per_slot: whole ones.
    """

    def __init__(
        self, public_keys: Sequence[bytes], seconds_per_slot: int, network: MockedNetwork = HOODI
    ) -> None:
        self.public_keys = list(public_keys)
        self.network = network
        self.seconds_per_slot = seconds_per_slot

    @property
    def slot(self) -> int:
        """The slot of now."""
        return int(time.time() - self.network.genesis_time) // self.seconds_per_slot

    def seconds_until(self, slot: int) -> float:
        """How long it is until a slot begins."""
        return max(0.0, -self.seconds_since(slot))

    def seconds_since(self, slot: int) -> float:
        """How long ago a slot began."""
        return time.time() - self.network.genesis_time - slot * self.seconds_per_slot

    # What the mock says.

    def attester_slot(self, epoch: int, index: int) -> int:
        """When a validator attests."""
        return SLOTS_PER_EPOCH * epoch + 100 * index % SLOTS_PER_EPOCH

    def proposers(self, epoch: int) -> dict[int, int]:
        """Who proposes, by slot; none any more at the first slot that is taken."""
        found: dict[int, int] = {}
        for index in range(len(self.public_keys)):
            slot = self.attester_slot(epoch, index)
            if slot in found:
                break
            found[slot] = index
        return found

    def in_sync_committee(self, epoch: int) -> bool:
        """Whether all validators are in it."""
        return epoch % SYNC_EPOCHS < 2

    def votes_for_heads(self, slot: int) -> bool:
        """Whether all are in the sync committee by the specification, and by the mock.

        In the last slot of a period the next committee votes, and not with the mock.
        """
        return all(self.in_sync_committee(each // SLOTS_PER_EPOCH) for each in (slot, slot + 1))

    def attestation_data(self, slot: int) -> Any:
        """What is attested to in a slot, for committee 0 as since electra."""
        epoch = slot // SLOTS_PER_EPOCH
        return spec.AttestationData(
            slot=slot,
            index=0,
            beacon_block_root=_padded(slot),
            source=spec.Checkpoint(epoch=epoch - 1, root=_padded(epoch - 1)),
            target=spec.Checkpoint(epoch=epoch, root=_padded(epoch)),
        )

    def aggregate(self, slot: int) -> Any:
        """The votes of a committee, none of which are in it."""
        bits = [place == 0 for place in range(int(spec.MAX_COMMITTEES_PER_SLOT))]
        return spec.Attestation(data=self.attestation_data(slot), committee_bits=bits)

    def contribution(self, slot: int, subcommittee: int, root: bytes) -> Any:
        """The messages of a subcommittee, of which there is one."""
        bits = [place == slot % SUBCOMMITTEE for place in range(SUBCOMMITTEE)]
        return spec.SyncCommitteeContribution(
            slot=slot, beacon_block_root=root, subcommittee_index=subcommittee, aggregation_bits=bits
        )

    def block(self, slot: int, randao_reveal: bytes, graffiti: bytes) -> Any:
        """A block of capella, as the mock has them."""
        self.check_proposer(slot, randao_reveal)
        body = capella.BeaconBlockBody(randao_reveal=randao_reveal, graffiti=graffiti)
        proposer = self.proposers(slot // SLOTS_PER_EPOCH)[slot]
        return capella.BeaconBlock(slot=slot, proposer_index=proposer, body=body)

    # What a real one would say.

    def check_proposer(self, slot: int, randao_reveal: bytes) -> None:
        """That somebody here proposes in a slot, and signed its epoch."""
        self._check_now(slot)
        epoch = slot // SLOTS_PER_EPOCH
        if (proposer := self.proposers(epoch).get(slot)) is None:
            raise RefusedError("nobody here proposes in this slot")
        self._check(proposer, spec.Epoch(epoch), spec.DOMAIN_RANDAO, epoch, randao_reveal, "randao")

    def check_attestation(self, single: Any) -> int:
        """The slot of a vote."""
        data, index = single.data, int(single.attester_index)
        slot = self._check_data(data)
        self._check_index(index)
        if (slot, int(single.committee_index)) != (self.attester_slot(slot // SLOTS_PER_EPOCH, index), index):
            raise RefusedError("not in this committee")
        epoch = int(data.target.epoch)
        self._check(index, data, spec.DOMAIN_BEACON_ATTESTER, epoch, single.signature, "vote")
        return slot

    def check_block(self, signed: Any) -> int:
        """The slot of a block."""
        block = signed.message
        slot = int(block.slot)
        self.check_proposer(slot, block.body.randao_reveal)
        epoch = slot // SLOTS_PER_EPOCH
        index = self.proposers(epoch)[slot]
        self._check(index, block, spec.DOMAIN_BEACON_PROPOSER, epoch, signed.signature, "block")
        return slot

    def check_aggregate(self, signed: Any) -> int:
        """The slot of an aggregate with its proof; who made it is to be one of those who may."""
        message = signed.message
        data, index = message.aggregate.data, int(message.aggregator_index)
        slot = self._check_data(data)
        self._check_index(index)
        epoch = slot // SLOTS_PER_EPOCH
        if slot != self.attester_slot(epoch, index):
            raise RefusedError("the aggregator does not attest in this slot")
        proof = bytes(message.selection_proof)
        self._check(index, spec.Slot(slot), spec.DOMAIN_SELECTION_PROOF, epoch, proof, "selection proof")
        _check_chosen(proof, COMMITTEE_MODULO)
        domain = spec.DOMAIN_AGGREGATE_AND_PROOF
        self._check(index, message, domain, epoch, signed.signature, "aggregate")
        return slot

    def check_sync_message(self, message: Any, head: bytes) -> int:
        """The slot of a sync committee message."""
        slot, index = int(message.slot), int(message.validator_index)
        epoch = self._check_member(slot, index)
        root = message.beacon_block_root
        if bytes(root) != head:
            raise RefusedError("not of the head")
        self._check(index, root, spec.DOMAIN_SYNC_COMMITTEE, epoch, message.signature, "sync message")
        return slot

    def check_contribution(self, signed: Any) -> int:
        """The slot of a contribution with its proof."""
        message, contribution = signed.message, signed.message.contribution
        slot, index = int(contribution.slot), int(message.aggregator_index)
        epoch, subcommittee = self._check_member(slot, index), contribution.subcommittee_index
        if subcommittee != index // SUBCOMMITTEE:
            raise RefusedError("not of this subcommittee")
        selection = spec.SyncAggregatorSelectionData(slot=slot, subcommittee_index=subcommittee)
        proof = bytes(message.selection_proof)
        domain = spec.DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF
        self._check(index, selection, domain, epoch, proof, "selection proof")
        _check_chosen(proof, SYNC_MODULO)
        domain = spec.DOMAIN_CONTRIBUTION_AND_PROOF
        self._check(index, message, domain, epoch, signed.signature, "contribution")
        return slot

    def _check_data(self, data: Any) -> int:
        slot = int(data.slot)
        self._check_now(slot)
        if data != self.attestation_data(slot):
            raise RefusedError("not what is attested to in this slot")
        return slot

    def _check_member(self, slot: int, index: int) -> int:
        self._check_now(slot)
        self._check_index(index)
        if not any(self.in_sync_committee(each // SLOTS_PER_EPOCH) for each in (slot, slot + 1)):
            raise RefusedError("not in the sync committee")
        return slot // SLOTS_PER_EPOCH

    def _check_now(self, slot: int) -> None:
        if not self.slot - SLOTS_PER_EPOCH <= slot <= self.slot:
            raise RefusedError(f"slot {slot} is over, or to come")

    def _check_index(self, index: int) -> None:
        if index >= len(self.public_keys):
            raise RefusedError(f"there is no validator {index}")

    def _check(self, index: int, what: Any, domain_type: Any, epoch: int, signature: Any, name: str) -> None:
        root = self.network.signing_root(what, domain_type, epoch)
        if not verifies(self.public_keys[index], root, signature):
            raise RefusedError(f"{name}: not signed by validator {index}")


def _padded(number: int) -> bytes:
    return number.to_bytes(8, "little") + bytes(24)


def _check_chosen(proof: bytes, modulo: int) -> None:
    if int.from_bytes(sha256(proof).digest()[:8], "little") % modulo:
        raise RefusedError("not chosen to aggregate")
