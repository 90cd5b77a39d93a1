"""Slashing protection on disk: EIP-3076's cases, the rules next to a plain list, crashes, files of others."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvtfast.duties.slashing import (
    SAFE,
    SignedAttestation,
    SignedBlock,
    lowest,
    why_not_attestation,
    why_not_block,
)
from dvtfast.services.node.signing.interchange import InterchangeError
from dvtfast.services.node.signing.slashing_protection import SlashingProtection, SlashingProtectionError
from tests.property.test_slashing import is_slashable
from tests.vector_files import GIVEN, NOT_GIVEN

CHAIN, OTHER_CHAIN = b"\7" * 32, b"\x08" * 32
A, B = b"\1" * 32, b"\2" * 32
KEY, OTHER_KEY = b"\3" * 48, b"\4" * 48
LONG = 10**6  # epochs: nothing is forgotten


@pytest.fixture
def path(tmp_path):
    return tmp_path / "slashing.sqlite"


def public_cases():
    """EIP-3076's own: eth-clients/slashing-protection-interchange-tests, v5.3.0, which say no licence."""
    folder = Path(os.environ.get(GIVEN, ""), "eip3076")
    files = sorted(folder.glob("*.json")) if os.environ.get(GIVEN) else []
    return [pytest.param(file, id=file.stem) for file in files] or [
        pytest.param(None, marks=pytest.mark.skip(reason=NOT_GIVEN))
    ]


def root_of(entry):
    return bytes.fromhex(entry.get("signing_root", "0x")[2:])


@pytest.mark.parametrize("keeps_gaps", [True, False])
@pytest.mark.parametrize("file", public_cases())
def test_cases_of_eip_3076(file, keeps_gaps):
    """With gaps kept, the figures of a complete strategy; without, between these and a minimal one's."""
    case = json.loads(file.read_text())
    protection = SlashingProtection(
        None, bytes.fromhex(case["genesis_validators_root"][2:]), kept_epochs=LONG
    )
    for step in case["steps"]:
        body = json.dumps(step["interchange"]).encode()
        if step["should_succeed"]:
            protection.import_interchange(body, keeps_gaps=keeps_gaps)
        else:
            with pytest.raises(InterchangeError):
                protection.import_interchange(body)
        for each in step["blocks"]:
            block = SignedBlock(int(each["slot"]), root_of(each))
            [problem] = protection.record_blocks([bytes.fromhex(each["pubkey"][2:])], [block])
            judge(each, problem, keeps_gaps)
        for each in step["attestations"]:
            vote = SignedAttestation(int(each["source_epoch"]), int(each["target_epoch"]), root_of(each))
            [problem] = protection.record_attestations([bytes.fromhex(each["pubkey"][2:])], [vote])
            judge(each, problem, keeps_gaps)
    protection.close()


def judge(expected, problem, keeps_gaps):
    complete = expected["should_succeed_complete"]
    if keeps_gaps:
        assert (problem == SAFE) == complete, problem
    else:
        assert problem != SAFE or complete
        assert problem == SAFE or not expected["should_succeed"], problem


KEYS = st.sampled_from([KEY, OTHER_KEY])
ROOTS = st.sampled_from([b"", A, B])
VOTE = st.tuples(KEYS, st.builds(SignedAttestation, st.integers(0, 7), st.integers(0, 7), ROOTS))
BLOCK = st.tuples(KEYS, st.builds(SignedBlock, st.integers(0, 7), ROOTS))
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["record", "import", "reopen"]),
        st.lists(VOTE, max_size=5),
        st.lists(BLOCK, max_size=3),
    ),
    max_size=6,
)


def interchange(votes, blocks, chain=CHAIN, version="5"):
    def root(message):
        return {"signing_root": "0x" + message.signing_root.hex()} if message.signing_root else {}

    data = [
        {
            "pubkey": "0x" + key.hex(),
            "signed_blocks": [{"slot": str(b.slot), **root(b)} for k, b in blocks if k == key],
            "signed_attestations": [
                {"source_epoch": str(v.source_epoch), "target_epoch": str(v.target_epoch), **root(v)}
                for k, v in votes
                if k == key
            ],
        }
        for key in dict.fromkeys(key for key, _ in [*votes, *blocks])
    ]
    metadata = {"interchange_format_version": version, "genesis_validators_root": "0x" + chain.hex()}
    return json.dumps({"metadata": metadata, "data": data}).encode()


@settings(max_examples=60)
@given(steps=STEPS)
def test_the_file_says_what_the_rules_say_of_a_list(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("rules") / "slashing.sqlite"
    protection = SlashingProtection(path, CHAIN, kept_epochs=LONG)
    signed_votes, signed_blocks = {KEY: [], OTHER_KEY: []}, {KEY: [], OTHER_KEY: []}
    for do, votes, blocks in steps:
        if do == "reopen":
            protection.close()
            protection = SlashingProtection(path, CHAIN, kept_epochs=LONG)
        elif do == "import":
            protection.import_interchange(interchange(votes, blocks), keeps_gaps=True)
            for key, vote in votes:
                signed_votes[key].append(vote)
            for key, block in blocks:
                signed_blocks[key].append(block)
        else:
            problems = protection.record_attestations([key for key, _ in votes], [vote for _, vote in votes])
            for (key, vote), problem in zip(votes, problems, strict=True):
                why = why_not_attestation(vote, signed_votes[key], lowest([], signed_votes[key]))
                assert (why == SAFE) == (problem == SAFE), (why, problem)
                if problem == SAFE:
                    signed_votes[key].append(vote)
            problems = protection.record_blocks([key for key, _ in blocks], [block for _, block in blocks])
            for (key, block), problem in zip(blocks, problems, strict=True):
                assert problem == why_not_block(block, signed_blocks[key], lowest(signed_blocks[key], []))
                if problem == SAFE:
                    signed_blocks[key].append(block)
    protection.close()


@settings(max_examples=100)
@given(steps=STEPS, kept_epochs=st.integers(0, 3))
def test_what_is_forgotten_is_not_signed_against(steps, kept_epochs):
    """Nor by who takes over what is exported."""
    protection, heir = (SlashingProtection(None, CHAIN, kept_epochs=kept_epochs) for _ in range(2))
    before: dict[bytes, list[SignedAttestation]] = {KEY: [], OTHER_KEY: []}
    slots: dict[bytes, list[SignedBlock]] = {KEY: [], OTHER_KEY: []}
    for do, votes, blocks in steps:
        if do == "import":
            protection.import_interchange(interchange(votes, blocks))
        elif do == "reopen":
            heir.import_interchange(protection.export_interchange())
            protection, heir = heir, protection
        for (key, vote), problem in zip(votes, record_votes(protection, votes, do), strict=True):
            if problem == SAFE:
                valid = [each for each in before[key] if each.source_epoch <= each.target_epoch]
                assert do == "import" or not [each for each in valid if is_slashable(vote, each)]
                before[key].append(vote)
        for (key, block), problem in zip(blocks, record_blocks(protection, blocks, do), strict=True):
            if problem == SAFE:
                again = [each for each in slots[key] if each.slot == block.slot]
                assert do == "import" or all(each == block and block.signing_root for each in again)
                slots[key].append(block)
    protection.close()
    heir.close()


def record_votes(protection, votes, do):
    if do != "record":
        return [SAFE if do == "import" else "not asked"] * len(votes)
    return protection.record_attestations([key for key, _ in votes], [vote for _, vote in votes])


def record_blocks(protection, blocks, do):
    if do != "record":
        return [SAFE if do == "import" else "not asked"] * len(blocks)
    return protection.record_blocks([key for key, _ in blocks], [block for _, block in blocks])


KEYS_OF_MANY = [n.to_bytes(48, "big") for n in range(2_000)]


def test_thousands_of_votes_in_one_transaction(path):
    protection = SlashingProtection(path, CHAIN)
    for epoch in (5, 6):
        votes = [SignedAttestation(epoch - 1, epoch, A)] * len(KEYS_OF_MANY)
        assert protection.record_attestations(KEYS_OF_MANY, votes) == [SAFE] * len(votes)
        assert protection.record_attestations(KEYS_OF_MANY, votes) == [SAFE] * len(votes)
    others = [SignedAttestation(5, 6, B)] * len(KEYS_OF_MANY)
    assert set(protection.record_attestations(KEYS_OF_MANY, others)) == {
        "another attestation for epoch 6 is signed"
    }
    protection.close()


def test_old_votes_do_not_pile_up(path):
    protection = SlashingProtection(path, CHAIN, kept_epochs=4)
    for epoch in range(1, 100):
        assert (
            protection.record_attestations([KEY, OTHER_KEY], [SignedAttestation(epoch - 1, epoch, A)] * 2)
            == [SAFE] * 2
        )
        [[count]] = protection._connection.execute("SELECT count(*) FROM attestations")
        assert count <= 2 * 10
    assert protection.record_attestations([KEY], [SignedAttestation(98, 99, A)]) == [SAFE]
    [problem] = protection.record_attestations([KEY], [SignedAttestation(49, 50, A)])
    assert "no more signed" in problem
    protection.close()


def test_one_validator_twice_in_a_batch():
    protection = SlashingProtection(None, CHAIN)
    votes = [
        SignedAttestation(1, 2, A),
        SignedAttestation(1, 2, B),
        SignedAttestation(0, 3, A),
        SignedAttestation(2, 4, A),
    ]
    problems = protection.record_attestations([KEY] * 4, votes)
    assert [problem == SAFE for problem in problems] == [True, False, False, True]
    blocks = [SignedBlock(7, A), SignedBlock(7, B), SignedBlock(7, A), SignedBlock(6, A)]
    problems = protection.record_blocks([KEY] * 4, blocks)
    assert [problem == SAFE for problem in problems] == [True, False, True, False]
    protection.close()


def test_numbers_that_cannot_be_kept():
    protection = SlashingProtection(None, CHAIN)
    most = 2**64 - 1
    votes = [
        SignedAttestation(0, 2**63, A),
        SignedAttestation(most, most, A),
        SignedAttestation(0, 2**63 - 1, A),
    ]
    assert [bool(each) for each in protection.record_attestations([KEY] * 3, votes)] == [True, True, False]
    assert [
        bool(each) for each in protection.record_blocks([KEY] * 2, [SignedBlock(most, A), SignedBlock(1, A)])
    ] == [True, False]
    protection.close()


def test_a_file_of_another_chain(path):
    SlashingProtection(path, CHAIN).close()
    with pytest.raises(SlashingProtectionError, match="of another chain"):
        SlashingProtection(path, OTHER_CHAIN)
    SlashingProtection(path, CHAIN).close()


def test_a_file_of_another_program(path):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    with pytest.raises(SlashingProtectionError, match="of another program"):
        SlashingProtection(path, CHAIN)


def test_a_file_that_is_removed_while_it_is_used(path):
    protection = SlashingProtection(path, CHAIN)
    path.rename(path.with_suffix(".old"))
    with pytest.raises(SlashingProtectionError):
        protection.record_blocks([KEY], [SignedBlock(1, A)])
    protection.close()


def test_two_that_share_a_file_do_not_both_sign(path):
    both = [SlashingProtection(path, CHAIN) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        for epoch in range(1, 20):
            votes = [SignedAttestation(epoch - 1, epoch, root) for root in (A, B)]
            said = list(
                threads.map(lambda each, vote: each.record_attestations([KEY], [vote])[0], both, votes)
            )
            assert sorted(problem == SAFE for problem in said) == [False, True]
    for each in both:
        each.close()


def test_what_is_exported_is_taken_over():
    protection, heir = SlashingProtection(None, CHAIN), SlashingProtection(None, CHAIN)
    protection.record_blocks([KEY], [SignedBlock(40, A)])
    protection.record_attestations([KEY, OTHER_KEY], [SignedAttestation(1, 2, A), SignedAttestation(3, 4)])
    exported = protection.export_interchange()
    imported = heir.import_interchange(exported)
    assert (imported.validators, imported.blocks, imported.attestations) == (2, 1, 2)
    assert heir.export_interchange() == exported
    assert json.loads(exported)["data"][0] == {
        "pubkey": "0x" + "03" * 48,
        "signed_blocks": [{"slot": "40", "signing_root": "0x" + "01" * 32}],
        "signed_attestations": [{"source_epoch": "1", "target_epoch": "2", "signing_root": "0x" + "01" * 32}],
    }
    assert json.loads(exported)["data"][1]["signed_attestations"] == [
        {"source_epoch": "3", "target_epoch": "4"}
    ]
    assert heir.record_blocks([KEY, KEY], [SignedBlock(40, A), SignedBlock(41, A)]) == [SAFE, SAFE]
    assert heir.record_attestations([KEY], [SignedAttestation(0, 3, A)]) != [SAFE]
    protection.close()
    heir.close()


def changed(**fields):
    entry = {"pubkey": "0x" + KEY.hex(), "signed_blocks": [], "signed_attestations": []} | fields
    whole = json.loads(interchange([], []))
    return json.dumps(whole | {"data": [entry]}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        interchange([], [], chain=OTHER_CHAIN),
        interchange([], [], version="4"),
        changed(pubkey="0x00"),
        changed(signed_blocks=None),
        changed(signed_blocks=[{}]),
        changed(signed_blocks=[{"slot": 5}]),
        changed(signed_blocks=[{"slot": "-5"}]),
        changed(signed_blocks=[{"slot": "5.0"}]),
        changed(signed_blocks=[{"slot": "٥"}]),
        changed(signed_blocks=[{"slot": str(2**63)}]),
        changed(signed_blocks=[{"slot": "9" * 10_000}]),
        changed(signed_blocks=[{"slot": "5", "signing_root": "0x01"}]),
        changed(signed_attestations=[{"source_epoch": None, "target_epoch": "5"}]),
        changed(signed_attestations=[{"source_epoch": "5"}]),
    ],
    ids=range(17),
)
def test_files_that_are_no_interchange_change_nothing(body):
    protection = SlashingProtection(None, CHAIN)
    before = protection.export_interchange()
    with pytest.raises(InterchangeError):
        protection.import_interchange(body)
    assert protection.export_interchange() == before
    protection.close()


SIGNER = """
import sys
from dvtfast.duties.slashing import SignedAttestation, SignedBlock
from dvtfast.services.node.signing.slashing_protection import SlashingProtection
protection = SlashingProtection(__import__("pathlib").Path(sys.argv[1]), bytes([7]) * 32, kept_epochs=3)
keys = [bytes([n]) * 48 for n in range(1, 9)]
epoch = int(sys.argv[2])
print("ready", flush=True)
while True:
    root = bytes([epoch % 251 + 1]) * 32
    if not any(protection.record_attestations(keys, [SignedAttestation(epoch - 1, epoch, root)] * 8)):
        print("vote", epoch, flush=True)
    if not any(protection.record_blocks(keys, [SignedBlock(epoch, root)] * 8)):
        print("block", epoch, flush=True)
    epoch += 1
"""
KILLS = int(os.environ.get("DVTFAST_KILLS", "8"))


def test_what_left_before_a_kill_is_on_disk(path):
    """Whatever was said to be safe is refused in any other form after kill -9 at any moment."""
    moments = random.Random(3)
    epoch = 1
    for _ in range(KILLS):
        command = [sys.executable, "-c", SIGNER, str(path), str(epoch)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as signer:
            lines = [signer.stdout.readline() for _ in range(1 + moments.randrange(1, 12))]
            signer.send_signal(signal.SIGKILL)
            lines += signer.stdout.readlines()
        assert lines[0] == b"ready\n", lines
        said = [line.split() for line in lines[1:] if line.endswith(b"\n")]
        protection = SlashingProtection(path, CHAIN, kept_epochs=3)
        for kind, number in said[-6:]:
            last = int(number)
            for key in (b"\1" * 48, b"\x08" * 48):
                if kind == b"vote":
                    votes = [
                        SignedAttestation(last - 1, last, b"\xff" * 32),
                        SignedAttestation(0, last + 1, A),
                    ]
                    assert SAFE not in protection.record_attestations([key, key], votes)
                else:
                    assert SAFE not in protection.record_blocks([key], [SignedBlock(last, b"\xff" * 32)])
        protection.close()
        epoch = max([epoch, *(int(number) for _, number in said)]) + 1
