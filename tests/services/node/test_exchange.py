"""Partial signatures among four nodes, one of which may send anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from structlog.testing import capture_logs

from dvtfast import PublicKeys, derive_public_keys, generate_secret_keys, sign, split_secret_keys
from dvtfast.duties.attestations import AttestationData, AttestationElectra, Checkpoint
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.fork_schedule import ForkEpoch, ForkSchedule
from dvtfast.duties.forks import FULU
from dvtfast.duties.signed_sets import NO_SIGNATURE, signature_of, signed_set, with_signature
from dvtfast.duties.sync_committees import SyncCommitteeSelection
from dvtfast.duties.validator_messages import BeaconCommitteeSelection
from dvtfast.duties.wrappers import SignedValue, Versioned
from dvtfast.networks import HOODI
from dvtfast.qbft.messages import Duty
from dvtfast.services.node import exchange as module
from dvtfast.services.node.exchange import ClusterMembers, Exchange, Gathered
from dvtfast.services.node.partial_signatures import ClusterKeys, Fault, PartialSignatures
from dvtfast.services.node.wire.partial_signatures import PROTOCOL, PartialSignaturesMessage
from dvtfast.services.process.offload import Workers
from tests.services.node.lines import Lines
from tests.services.p2p.hosts import until

VALIDATORS, NODES, THRESHOLD = 6, 4, 3
SECRETS = generate_secret_keys(VALIDATORS)
SHARES = split_secret_keys(SECRETS, threshold=THRESHOLD, share_indices=range(1, NODES + 1))
KEYS = ClusterKeys(
    THRESHOLD,
    PublicKeys(derive_public_keys(SECRETS)),
    PublicKeys(derive_public_keys(SHARES.reshape(-1, 32)).reshape(VALIDATORS, NODES, 48)),
)
OPERATORS = [bytes([2, *[node] * 32]) for node in range(NODES)]
SCHEDULE = ForkSchedule(
    HOODI.genesis_validators_root,
    HOODI.slots_per_epoch,
    [ForkEpoch(0, HOODI.genesis_fork_version, FULU)],
    HOODI.genesis_fork_version,
    HOODI.capella_fork_version,
)
SLOT = 96
DUTY = Duty(SLOT, DutyType.ATTESTER)
ROOT = bytes(range(32))
DATA = AttestationData(SLOT, 0, ROOT, Checkpoint(2, ROOT), Checkpoint(3, ROOT))
ALL = np.arange(VALIDATORS)


def votes(data: AttestationData = DATA) -> list[SignedValue]:
    return [
        Versioned(
            FULU,
            AttestationElectra(b"\x01", data, NO_SIGNATURE, bytes([1 << index, *[0] * 7])),
            validator_index=100 + index,
        )
        for index in range(VALIDATORS)
    ]


def signed_by(secrets: np.ndarray, values: Sequence[SignedValue], duty: Duty = DUTY) -> list[SignedValue]:
    roots = signed_set(duty.type, values, SCHEDULE).signing_roots
    return [
        with_signature(value, signature.tobytes())
        for value, signature in zip(values, sign(secrets, roots), strict=True)
    ]


class Nodes:
    """Four of them; nothing leaves the process."""

    def __init__(self) -> None:
        self.lines = Lines()
        self.faults: list[tuple[int, Gathered, Fault]] = []
        self.open = {SLOT}
        self._workers = Workers("test", threads=1)
        self.partials = [
            PartialSignatures[Gathered](KEYS, self._workers, self._blaming(node)) for node in range(NODES)
        ]
        self.exchanges = [
            Exchange(
                ClusterMembers.of(KEYS, node, OPERATORS),
                self.lines.of(OPERATORS[node]),
                self.partials[node],
                self._workers,
                SCHEDULE,
                is_open=lambda duty: duty.slot in self.open,
                blame=self._blaming(node),
            )
            for node in range(NODES)
        ]

    def _blaming(self, node: int):  # type: ignore[no-untyped-def]
        return lambda gathered, fault: self.faults.append((node, gathered, fault))

    async def sign(self, node: int, values: Sequence[SignedValue] | None = None, duty: Duty = DUTY) -> None:
        values = votes() if values is None else values
        await self.exchanges[node].submit(duty, ALL, signed_by(SHARES[:, node], values, duty))

    async def receive(self, node: int, message: PartialSignaturesMessage | bytes) -> None:
        """All others get it from a node."""
        data = message if isinstance(message, bytes) else message.encode()
        line = self.lines.of(OPERATORS[node])
        for operator in OPERATORS:
            if operator != OPERATORS[node]:
                await line.send(operator, PROTOCOL, data)

    def message_of(self, node: int, values: Sequence[SignedValue] | None = None) -> PartialSignaturesMessage:
        """What an honest node sends."""
        values = signed_by(SHARES[:, node], votes() if values is None else values)
        return PartialSignaturesMessage.decode(
            self.exchanges[node]._encoded(DUTY, ALL, values), most=VALIDATORS
        )

    def there(self, node: int, gathered: Gathered | None = None) -> list[int]:
        """Validators whose signature a node has; all are as the whole key would sign."""
        shares = self.partials[node].shares(gathered or Gathered(DUTY))
        if shares is None:
            return []
        found = shares.recovered()
        assert (sign(SECRETS[found.validators], found.roots) == found.signatures).all()
        return sorted(found.validators.tolist())

    def reasons(self, by: int) -> set[tuple[int, tuple[int, ...], str]]:
        return {(fault.node, fault.validators, fault.reason) for node, _, fault in self.faults if node == by}

    async def close(self) -> None:
        for each in self.exchanges:
            await each.close()
            assert not each._again
        await self._workers.close()


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    nodes = Nodes()
    yield nodes
    await nodes.close()


async def test_any_three_of_four(nodes: Nodes) -> None:
    nodes.lines.down.add(OPERATORS[2])
    for node in (0, 1, 3):
        await nodes.sign(node)
    for node in (0, 1, 3):
        assert nodes.there(node) == list(ALL)
    assert nodes.there(2) == []
    assert nodes.faults == []
    assert len(nodes.lines.sent) == 3 * 2  # one message for all validators


async def test_who_was_cut_off_gets_what_it_missed(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", [0.01] * 10_000)
    nodes.lines.down.add(OPERATORS[2])
    for node in (0, 1, 3):
        await nodes.sign(node)
    assert nodes.there(2) == []
    nodes.lines.down.clear()
    await until(lambda: nodes.there(2) == list(ALL))


async def test_what_is_over_is_not_sent_again(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", [0.01] * 10_000)
    monkeypatch.setattr(module, "MOST_AGAIN", 2)
    nodes.lines.down |= {*OPERATORS}
    await nodes.sign(0)
    assert len(nodes.exchanges[0]._again) == 2
    nodes.open.clear()
    await until(lambda: not nodes.exchanges[0]._again)
    assert not nodes.lines.sent


async def test_one_bad_entry_costs_that_entry(nodes: Nodes) -> None:
    message = nodes.message_of(0)
    bad = message.entries[2]
    victim = nodes.exchanges[0]._cluster.validators[bad.public_key]
    for spoilt in (
        replace(bad, data=bad.data[:-1]),  # no vote
        replace(bad, share_index=2),
        replace(bad, public_key=bytes(48)),
    ):
        entries = [spoilt if entry is bad else entry for entry in message.entries]
        await nodes.receive(0, replace(message, entries=entries))
    await nodes.sign(1)
    await nodes.sign(2)
    assert nodes.there(1) == [each for each in ALL if each != victim]
    assert nodes.reasons(1) == {
        (0, (victim,), "data that are none of the duty"),
        (0, (victim,), "another node's share index"),
        (0, (), "partial signatures for 1 validators of no lock of ours"),
    }
    await nodes.sign(3)
    assert nodes.there(1) == list(ALL)


async def test_a_set_of_another_slot_is_none_of_this_duty(nodes: Nodes) -> None:
    """It does not stand where its node's own goes."""
    await nodes.receive(0, nodes.message_of(0, votes(replace(DATA, slot=SLOT - 1))))
    for node in range(3):
        await nodes.sign(node)
    assert nodes.there(3) == list(ALL)
    [(node, validators, reason)] = nodes.reasons(3)
    assert (node, sorted(validators), reason) == (0, list(ALL), "data that are none of the duty")


async def test_a_wrong_signature_is_named_when_it_matters(nodes: Nodes) -> None:
    wrong = signed_by(SHARES[:, 0], votes(replace(DATA, slot=SLOT, beacon_block_root=bytes(32))))
    values = [with_signature(value, signature_of(other)) for value, other in zip(votes(), wrong, strict=True)]
    message = PartialSignaturesMessage.decode(nodes.exchanges[0]._encoded(DUTY, ALL, values), most=VALIDATORS)
    await nodes.receive(0, message)
    for node in (1, 2, 3):
        await nodes.sign(node)
    assert nodes.there(1) == list(ALL)
    assert nodes.reasons(1) == {(0, tuple(range(VALIDATORS)), "a wrong partial signature")}


async def test_who_was_away_gets_what_was_sent_ahead(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proofs of selection, once; and nobody else gets them, nor what is not sent ahead."""
    duty = Duty(SLOT, DutyType.PREPARE_AGGREGATOR)
    values: list[SignedValue] = [
        BeaconCommitteeSelection(index, SLOT, NO_SIGNATURE) for index in range(VALIDATORS)
    ]
    monkeypatch.setattr(module, "AGAIN_SECONDS", ())  # nobody tries again what did not leave
    nodes.lines.down.add(OPERATORS[3])
    for node in range(3):
        await nodes.sign(node, values, duty)
        await nodes.sign(node)
    nodes.lines.down.clear()
    before = len(nodes.lines.sent)
    monkeypatch.setattr(module, "LATE_SECONDS", -1.0)
    theirs = nodes.exchanges[3]._encoded(duty, ALL, signed_by(SHARES[:, 3], values, duty))
    await nodes.exchanges[0]._receive(OPERATORS[3], theirs)
    await until(lambda: len(nodes.lines.sent) > before)
    assert [each[:2] for each in nodes.lines.sent[before:]] == [(OPERATORS[0], OPERATORS[3])]
    monkeypatch.setattr(module, "LATE_SECONDS", 1e9)
    await nodes.exchanges[0]._receive(OPERATORS[3], theirs)
    await nodes.exchanges[0]._receive(OPERATORS[3], nodes.message_of(3).encode())
    await asyncio.sleep(0.05)
    assert len(nodes.lines.sent) == before + 1


async def test_who_was_away_gets_all_that_was_sent_one_by_one(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As clients hand it in; and what is handed in again is nothing new."""
    duty = Duty(SLOT, DutyType.PREPARE_AGGREGATOR)
    values: list[SignedValue] = [
        BeaconCommitteeSelection(index, SLOT, NO_SIGNATURE) for index in range(VALIDATORS)
    ]
    sender = nodes.exchanges[0]
    for row, value in enumerate(signed_by(SHARES[:, 0], values, duty)):
        await sender.submit(duty, ALL[row : row + 1], [value])
    told = sender._told[Gathered(duty)]
    moments = dict(told.moments)
    await sender.submit(duty, ALL[:1], signed_by(SHARES[:, 0], values, duty)[:1])
    assert told.moments == moments
    monkeypatch.setattr(module, "LATE_SECONDS", -1.0)
    before = len(nodes.lines.sent)
    theirs = nodes.exchanges[3]._encoded(duty, ALL, signed_by(SHARES[:, 3], values, duty))
    await sender._receive(OPERATORS[3], theirs)
    await until(lambda: len(nodes.lines.sent) > before)
    [(_, receiver, _, data)] = nodes.lines.sent[before:]
    assert receiver == OPERATORS[3]
    assert len(PartialSignaturesMessage.decode(data, most=VALIDATORS).entries) == VALIDATORS


async def test_who_signs_nothing_gets_nothing_again(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """And whoever signs gets it a few times, however often it asks."""
    duty = Duty(SLOT, DutyType.PREPARE_AGGREGATOR)
    values: list[SignedValue] = [
        BeaconCommitteeSelection(index, SLOT, NO_SIGNATURE) for index in range(VALIDATORS)
    ]
    monkeypatch.setattr(module, "LATE_SECONDS", -1.0)
    await nodes.sign(0, values, duty)
    before, sender = len(nodes.lines.sent), nodes.exchanges[0]
    signed = signed_by(SHARES[:, 3], values, duty)
    for _ in range(2):  # each with the next one's signature
        others = map(signature_of, signed[1:] + signed[:1])
        wrong = [with_signature(each, other) for each, other in zip(signed, others, strict=True)]
        await sender._receive(OPERATORS[3], nodes.exchanges[3]._encoded(duty, ALL, wrong))
        await until(lambda: not sender._again)
    assert len(nodes.lines.sent) == before
    for _ in range(2 * module.MOST_ANSWERS):
        await sender._receive(OPERATORS[3], nodes.exchanges[3]._encoded(duty, ALL, signed))
        await until(lambda: not sender._again)
    assert len(nodes.lines.sent) == before + module.MOST_ANSWERS
    assert {each[:2] for each in nodes.lines.sent[before:]} == {(OPERATORS[0], OPERATORS[3])}
    assert {each[3] for each in nodes.lines.sent[before:]} == {nodes.lines.sent[0][3]}  # as it verified it


async def test_nothing_wrong_goes_out(nodes: Nodes) -> None:
    """A signer that went mad costs its own validators, not the message for all."""
    values = signed_by(SHARES[:, 0], votes())
    values[4] = with_signature(values[4], signature_of(values[3]))
    values[5] = with_signature(values[5], signature_of(signed_by(SHARES[:, 1], votes())[5]))
    await nodes.exchanges[0].submit(DUTY, ALL, values)
    wrong = Fault(0, (4, 5), "a wrong partial signature of our own")
    assert nodes.faults == [(0, Gathered(DUTY), wrong)]
    sent = PartialSignaturesMessage.decode(nodes.lines.sent[0][3], most=VALIDATORS)
    assert len(sent.entries) == VALIDATORS - 2


@pytest.mark.parametrize(
    ("slot", "duty"),
    [
        (SLOT + 1, DutyType.ATTESTER),
        (SLOT, DutyType.INFO_SYNC),
        (SLOT, DutyType.BUILDER_REGISTRATION),
        (SLOT, 3),
    ],
)
async def test_what_is_not_taken(nodes: Nodes, slot: int, duty: int) -> None:
    with capture_logs() as lines:
        await nodes.receive(0, replace(nodes.message_of(0), slot=slot, duty_type=duty))
    named = {line["node"] for line in lines if line["event"] == "partial signatures of no use"}
    assert named == (set() if slot != SLOT else {0})
    await nodes.receive(0, b"\xff")
    assert nodes.partials[1].shares(Gathered(DUTY)) is None
    assert nodes.faults == []


async def test_the_same_again_is_nothing(nodes: Nodes) -> None:
    for _ in range(3):
        await nodes.receive(0, nodes.message_of(0))
    assert nodes.faults == []
    await nodes.receive(0, nodes.message_of(0, votes(replace(DATA, beacon_block_root=bytes(32)))))
    assert {reason for _, _, reason in nodes.reasons(1)} == {"it signed something else for this duty before"}


async def test_a_validator_in_several_subcommittees(nodes: Nodes) -> None:
    duty = Duty(SLOT, DutyType.PREPARE_SYNC_CONTRIBUTION)
    for node in range(3):
        for subcommittee in (0, 3):
            values: list[SignedValue] = [
                SyncCommitteeSelection(100 + index, SLOT, subcommittee, NO_SIGNATURE)
                for index in range(VALIDATORS)
            ]
            await nodes.sign(node, values, duty)
    assert nodes.there(3, Gathered(duty, 0)) == nodes.there(3, Gathered(duty, 3)) == list(ALL)
    assert nodes.faults == []
