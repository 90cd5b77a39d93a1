"""A node signs its duties: whole sets, on record first, and never two values for one duty."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from dvtfast import check_signatures
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.signed_sets import NO_SIGNATURE, signature_of, signed_set, with_signature
from dvtfast.duties.slashing import SignedAttestation
from dvtfast.duties.sync_committees import SyncCommitteeSelection
from dvtfast.duties.wrappers import SignedValue
from dvtfast.qbft.messages import Duty
from dvtfast.services.node.parts import Signed
from dvtfast.services.node.signing.keys import KeySharesInMemory
from dvtfast.services.node.signing.record import SigningRecord
from dvtfast.services.node.signing.slashing_protection import SlashingProtection, SlashingProtectionError
from dvtfast.services.process.offload import Workers
from tests.unit.duties.test_duty_sets import SCHEDULE, VALUES

from .signers import (
    ALL,
    CLUSTER,
    EPOCH,
    OTHER_SCHEDULE,
    OWN_PUBLIC_KEYS,
    SLOT,
    VALIDATORS,
    node_keys,
    record_at,
    signer_of,
    vote,
)

A, B = b"\1" * 32, b"\2" * 32
ATTESTER = Duty(SLOT, DutyType.ATTESTER)
OF_ONE = {
    name: (Duty(194_048 * 32 if duty == DutyType.EXIT else SLOT, duty), value)
    for name, (duty, value) in VALUES.items()
}


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    workers = Workers("test", threads=1)
    yield workers
    await workers.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signing.sqlite"


def ok(signed: Signed, duty: Duty, values: Sequence[SignedValue], schedule: Any = SCHEDULE) -> list[int]:
    """Whose signatures there are; all are right, and of these values."""
    of = signed_set(duty.type, signed.values, schedule)
    assert check_signatures(OWN_PUBLIC_KEYS[signed.validators], of.signing_roots, of.signatures).all()
    assert {with_signature(value, NO_SIGNATURE) for value in signed.values} <= set(values)
    return signed.validators.tolist()


@pytest.mark.parametrize(("duty", "value"), OF_ONE.values(), ids=OF_ONE)
async def test_one_value_for_each_duty_whatever_happens(
    duty: Duty, value: SignedValue, workers: Workers, path: Path
) -> None:
    """Of any type; the same again is signed, also after a restart; another one never."""
    values = [value] * 2
    for _ in range(2):
        signer = signer_of(workers, record_at(path))
        for _ in range(2):
            signed = await signer.sign(duty, ALL[:2], values)
            assert ok(signed, duty, values) == [0, 1]
            assert not signed.refused
        await signer.close()
        other = signer_of(workers, record_at(path), schedule=OTHER_SCHEDULE)
        signed = await other.sign(duty, ALL[:3], [value] * 3)
        assert ok(signed, duty, [value], OTHER_SCHEDULE) == [2]
        assert signed.refused == dict.fromkeys([0, 1], "another value is signed for the duty")
        await other.close()


async def test_the_first_value_in_a_set_counts(workers: Workers) -> None:
    """Also where a validator stands in it twice."""
    signer = signer_of(workers, record_at(None))
    values = [vote(A), vote(B), vote(A)]
    signed = await signer.sign(ATTESTER, np.array([0, 0, 1]), values)
    assert ok(signed, ATTESTER, values) == [0, 1]
    assert signature_of(signed.values[0]) != signature_of(signed.values[1])
    assert signed.refused == {0: "another value is signed for the duty"}
    await signer.close()


async def test_a_validator_in_two_subcommittees(workers: Workers) -> None:
    signer = signer_of(workers, record_at(None))
    duty = Duty(SLOT, DutyType.PREPARE_SYNC_CONTRIBUTION)
    values = [SyncCommitteeSelection(7, SLOT, subcommittee, NO_SIGNATURE) for subcommittee in (2, 0)]
    for _ in range(2):
        signed = await signer.sign(duty, np.array([3, 3]), values)
        assert ok(signed, duty, values) == [3, 3]
    await signer.close()


async def test_what_could_be_slashed_is_not_signed(workers: Workers) -> None:
    """Of other slots than that of the duty, too, and each validator by itself."""
    signer = signer_of(workers, record_at(None))
    assert ok(await signer.sign(ATTESTER, ALL[:1], [vote(A)]), ATTESTER, [vote(A)]) == [0]
    later = Duty(SLOT + 1, DutyType.ATTESTER)
    value = vote(A, slot=SLOT + 1)
    signed = await signer.sign(later, ALL, [value] * VALIDATORS)
    assert ok(signed, later, [value]) == [1, 2, 3]
    assert signed.refused == {0: f"another attestation for epoch {EPOCH} is signed"}
    surrounding = Duty(SLOT + 32, DutyType.ATTESTER)
    value = vote(A, slot=SLOT + 32, source=0, target=EPOCH + 1)
    signed = await signer.sign(surrounding, ALL, [value] * VALIDATORS)
    assert not signed.values
    assert set(signed.refused.values()) == {"it surrounds that from 2 to 3, which is signed"}
    # What was refused is not on record: another value is signed.
    value = vote(B, slot=SLOT + 32, target=EPOCH + 1)
    assert ok(await signer.sign(surrounding, ALL, [value] * VALIDATORS), surrounding, [value]) == [0, 1, 2, 3]
    await signer.close()


@pytest.mark.parametrize("name", [name for name in OF_ONE if name != "registration"])
async def test_a_value_of_another_slot_is_of_no_duty(name: str, workers: Workers) -> None:
    duty, value = OF_ONE[name]
    signer = signer_of(workers, record_at(None))
    signed = await signer.sign(replace(duty, slot=duty.slot + 32), ALL[:1], [value])
    assert not signed.values
    assert signed.refused == {0: "its slot is not that of the duty"}
    await signer.close()


async def test_a_validator_whose_key_share_is_missing_is_named(workers: Workers) -> None:
    keys = KeySharesInMemory(node_keys(slice(1, 3)), CLUSTER, workers)
    signer = signer_of(workers, record_at(None), keys=keys)
    values = [vote(A)] * VALIDATORS
    signed = await signer.sign(ATTESTER, ALL, values)
    assert ok(signed, ATTESTER, values) == [1, 2]
    assert signed.refused == dict.fromkeys([0, 3], "this node has no key share of it")
    await signer.close()


async def test_keys_of_others_are_refused(workers: Workers) -> None:
    with pytest.raises(ValueError, match="share index 3, not 2"):
        KeySharesInMemory(replace(node_keys(), share_index=3), CLUSTER, workers)
    with pytest.raises(ValueError, match="no validator of the cluster"):
        KeySharesInMemory(replace(node_keys(), public_keys=OWN_PUBLIC_KEYS.encoded), CLUSTER, workers)


async def test_keys_are_wiped_in_the_end(workers: Workers) -> None:
    held = node_keys()
    keys = KeySharesInMemory(held, CLUSTER, workers)
    signer = signer_of(workers, record_at(None), keys=keys)
    assert "secret" not in repr(held)
    await signer.sign(ATTESTER, ALL, [vote(A)] * VALIDATORS)
    await keys.close()
    assert not held.secret_keys.any()
    signed = await signer.sign(ATTESTER, ALL, [vote(A)] * VALIDATORS)
    assert not signed.values
    assert set(signed.refused.values()) == {"the keys are wiped"}
    await signer.close()


async def test_another_process_with_the_same_record(workers: Workers, path: Path) -> None:
    signer = signer_of(workers, record_at(path))
    with pytest.raises(SlashingProtectionError, match="another node works with this slashing protection"):
        record_at(path)
    await signer.close()
    record_at(path).close()


async def test_a_record_that_is_locked(workers: Workers, path: Path) -> None:
    """By whatever: nothing is signed, and all goes on afterwards."""
    record = record_at(path)
    record._protection.file.connection.execute("PRAGMA busy_timeout = 10")
    signer = signer_of(workers, record)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    signed = await signer.sign(ATTESTER, ALL, [vote(A)] * VALIDATORS)
    assert not signed.values
    assert list(signed.refused) == ALL.tolist()
    assert all("database is locked" in why and str(path) in why for why in signed.refused.values())
    other.execute("ROLLBACK")
    other.close()
    assert ok(await signer.sign(ATTESTER, ALL, [vote(B)] * VALIDATORS), ATTESTER, [vote(B)]) == ALL.tolist()
    await signer.close()


async def test_a_full_disk(workers: Workers, path: Path) -> None:
    record = record_at(path)
    run = record._protection.file.connection.execute
    [[pages]] = run("PRAGMA page_count")
    run(f"PRAGMA max_page_count = {pages}")
    signer = signer_of(workers, record)
    why = ""
    for slot in range(SLOT, 100 * SLOT):  # until the last page is full
        duty = Duty(slot, DutyType.SYNC_MESSAGE)
        value = replace(VALUES["sync message"][1], slot=slot)
        signed = await signer.sign(duty, ALL, [value] * VALIDATORS)
        assert ok(signed, duty, [value]) == [v for v in ALL.tolist() if v not in signed.refused]
        if signed.refused:
            [why] = set(signed.refused.values())
            break
    assert "full" in why
    run("PRAGMA max_page_count = 10000")
    assert ok(await signer.sign(duty, ALL, [value] * VALIDATORS), duty, [value]) == ALL.tolist()
    await signer.close()


async def test_a_disk_that_fails(workers: Workers, path: Path) -> None:
    """The process may write no larger files: SQLite is told of an error of the disk."""
    signer = signer_of(workers, record_at(path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = max(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with capture_logs() as logs:
            signed = await signer.sign(ATTESTER, ALL, [vote(A)] * VALIDATORS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not signed.values
    [why] = set(signed.refused.values())
    assert str(path) in why
    assert [line["event"] for line in logs] == ["nothing signed"]
    assert ok(await signer.sign(ATTESTER, ALL, [vote(B)] * VALIDATORS), ATTESTER, [vote(B)]) == ALL.tolist()
    await signer.close()


async def test_a_record_that_is_replaced(workers: Workers, path: Path) -> None:
    """What is written to a file that has no name any more would be lost at the next start."""
    signer = signer_of(workers, record_at(path))
    path.rename(path.with_suffix(".old"))  # noqa: ASYNC240
    signed = await signer.sign(ATTESTER, ALL, [vote(A)] * VALIDATORS)
    assert not signed.values
    assert len(signed.refused) == VALIDATORS
    await signer.close()


async def test_too_much_to_do(path: Path) -> None:
    """Named as well; nothing is raised into a duty."""
    workers = Workers("test", threads=1, deadline_seconds=0.05)
    signer = signer_of(workers, record_at(path))
    blocking = asyncio.create_task(workers.run(time.sleep, 0.5))
    await asyncio.sleep(0)
    signed = await signer.sign(ATTESTER, ALL, [vote(A)] * VALIDATORS)
    assert signed.refused == dict.fromkeys(ALL.tolist(), "there was no time")
    with suppress(TimeoutError):
        await blocking
    await workers.close()


def test_duties_that_are_over_are_forgotten(path: Path) -> None:
    """Also by a node that is started again and again."""
    keys = OWN_PUBLIC_KEYS.encoded

    def add(duty: Duty, root: bytes = A) -> set[str]:
        record = SigningRecord(path, SCHEDULE.genesis_validators_root, keys, kept_slots=8)
        problems = record.add(duty, ALL, [root] * VALIDATORS)
        [[count]] = record._protection.file.connection.execute("SELECT count(*) FROM duties")
        assert count <= 1 + 16
        record.close()
        return set(problems)

    exit_of_old = Duty(32, DutyType.EXIT)
    assert add(exit_of_old) == {""}
    wrong_clock = 10**6
    for slot in [*range(1000, 1010), *range(wrong_clock, wrong_clock + 5), *range(1010, 1060)]:
        assert add(Duty(slot, DutyType.SYNC_MESSAGE)) == {""}
        assert add(Duty(slot, DutyType.SYNC_MESSAGE), B) == {"another value is signed for the duty"}
    # Nobody knows any more what was signed then.
    [why] = add(Duty(1030, DutyType.SYNC_MESSAGE), B)
    assert "are no more signed" in why
    assert add(Duty(1059, DutyType.SYNC_MESSAGE)) == {""}
    assert add(exit_of_old, B) == {"another value is signed for the duty"}


def test_numbers_that_cannot_be_kept() -> None:
    record = record_at(None)
    [why] = record.add(Duty(2**63, DutyType.SYNC_MESSAGE), ALL[:1], [A])
    assert "beyond all that can be kept" in why
    record.close()


def test_what_others_signed_before_is_not_signed(path: Path) -> None:
    """Taken over from them while the node does not run."""
    before = SlashingProtection(None, SCHEDULE.genesis_validators_root)
    before.record_attestations([OWN_PUBLIC_KEYS.encoded[0].tobytes()], [SignedAttestation(2, 3, A)])
    body = before.export_interchange()
    before.close()
    protection = SlashingProtection(path, SCHEDULE.genesis_validators_root, one_writer="node")
    protection.import_interchange(body)
    protection.close()
    record = record_at(path)
    votes = [SignedAttestation(2, 3, B)] * VALIDATORS
    problems = record.add(ATTESTER, ALL, [B] * VALIDATORS, votes=votes)
    assert [bool(problem) for problem in problems] == [True, False, False, False]
    record.close()
