"""Consensus next to figures of others: leaders, quorums, and an exchange of charon's messages to the byte."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.message_sizes import MessageSizes
from dvtfast.protobuf import varint
from dvtfast.qbft import wire
from dvtfast.qbft.justification import is_justified
from dvtfast.qbft.leaders import leader
from dvtfast.qbft.messages import Duty, Kind, Message
from dvtfast.qbft.quorums import faulty, quorum
from dvtfast.secp256k1 import IdentityKey, recovered_signer
from tests.vector_files import cases, given, load, unhex

LEADERS = load("qbft_leader.json")
EXCHANGE = load("qbft_attester.json")
NODES = 4
SIZES = MessageSizes(NODES, 2)
KEYS = [IdentityKey(bytes([position + 1]) * 32) for position in range(NODES)]
DUTY = Duty(12345, DutyType.ATTESTER)
DATA = {key: unhex(entry) for key, entry in EXCHANGE["value"]["unsigned_data_hex"].items()}
VALUE = wire.Value(wire.DATA_SET, wire.encode_data_set(DATA))
HASH = unhex(EXCHANGE["value"]["value_hash"])


@pytest.mark.parametrize("case", cases(LEADERS["cases"], lambda case: "-".join(map(str, case.values()))))
def test_leaders(case):
    duty = Duty(case["slot"], DutyType(case["duty_type"]))
    assert leader(duty, case["round"], case["nodes"]) == case["leader"]


@pytest.mark.parametrize("nodes", LEADERS["quorum"])
def test_quorums(nodes):
    assert quorum(int(nodes)) == LEADERS["quorum"][nodes]
    assert faulty(int(nodes)) == LEADERS["faulty"][nodes]


def said(kind, peer, round, value_hash=HASH, *, prepared_round=0, justification=()):
    """A message of the exchange, signed."""
    message = Message(
        kind,
        DUTY,
        peer,
        round,
        None if kind == Kind.ROUND_CHANGE else value_hash,
        prepared_round,
        value_hash if prepared_round else None,
        tuple(justification),
    )
    return wire.with_signature(message, KEYS[peer].sign(wire.signing_digest(message)))


def exchange():
    """The messages of the vector, in its order."""
    prepares = [said(Kind.PREPARE, peer, 1) for peer in range(3)]
    nothing = [said(Kind.ROUND_CHANGE, peer, 2) for peer in range(4)]
    changed = said(Kind.ROUND_CHANGE, 2, 2, prepared_round=1, justification=prepares)
    return [
        said(Kind.PRE_PREPARE, 0, 1),
        prepares[1],
        said(Kind.COMMIT, 1, 1),
        nothing[3],
        changed,
        said(Kind.PRE_PREPARE, 1, 2, justification=nothing[:3]),
        said(Kind.PRE_PREPARE, 1, 2, justification=[*nothing[:2], changed.bare(), *prepares]),
        said(Kind.DECIDED, 0, 1, justification=[said(Kind.COMMIT, peer, 1) for peer in range(3)]),
    ]


def test_the_value_of_a_duty():
    assert VALUE.content == unhex(EXCHANGE["value"]["deterministic_proto"])
    assert VALUE.hash() == HASH
    assert VALUE.encode() == unhex(EXCHANGE["value"]["any"])
    backwards = wire.Value(wire.DATA_SET, b"".join(reversed(pairs(VALUE.content))))
    assert backwards.content != VALUE.content
    assert backwards.hash() == HASH
    assert backwards.canonical() == VALUE


def pairs(content):
    half = len(content) // 2  # two validators, as long as each other
    return content[:half], content[half:]


@pytest.mark.parametrize("number", range(len(EXCHANGE["messages"])))
def test_an_exchange_to_the_byte(number):
    expected, message = EXCHANGE["messages"][number], exchange()[number]
    assert wire.signing_digest(message) == unhex(expected["sign_hash"])
    unsigned = replace(message, signed=b"")
    assert wire.with_signature(unsigned, unhex(expected["signature"])).signed == message.signed
    envelope = wire.encode_envelope(message, {HASH: VALUE})
    assert envelope == unhex(expected["envelope"])
    assert varint(len(envelope)) + envelope == unhex(expected["stream_frame"])


@pytest.mark.parametrize("case", cases(EXCHANGE["messages"], lambda case: case["name"].replace(" ", "-")))
def test_an_exchange_is_read(case):
    envelope = wire.decode_envelope(unhex(case["envelope"]), SIZES)
    assert is_justified(envelope.message, NODES)
    assert envelope.message == exchange()[EXCHANGE["messages"].index(case)]
    for claim in envelope.claims:
        assert recovered_signer(claim.digest, claim.signature) == KEYS[claim.peer].public_key
    values = wire.checked_values(envelope, SIZES)
    assert values == ({HASH: VALUE} if envelope.message.value_hashes() else {})
    assert wire.encode_envelope(envelope.message, values) == unhex(case["envelope"])


def test_charons_hash_of_a_value():
    content = json.loads(given("charon/qbft/TestHashProto.json").read_text())
    expected = json.loads(given("charon/misc/constants.json").read_text())["hash_proto"]["expected_hash"]
    data = {key: attestation_data(**entry) for key, entry in content.items()}
    assert wire.Value(wire.DATA_SET, wire.encode_data_set(data)).hash() == unhex(expected)


def attestation_data(attestation_data, attestation_duty):
    """charon's form of what an attester agrees on, 232 bytes."""

    def number(text):
        return int(text).to_bytes(8, "little")

    def checkpoint(fields):
        return number(fields["epoch"]) + unhex(fields["root"])

    data, duty = attestation_data, attestation_duty
    parts = [
        (8).to_bytes(4, "little"),
        (136).to_bytes(4, "little"),
        number(data["slot"]),
        number(data["index"]),
        unhex(data["beacon_block_root"]),
        checkpoint(data["source"]),
        checkpoint(data["target"]),
        unhex(duty["pubkey"]),
        *(
            number(duty[name])
            for name in (
                "slot",
                "validator_index",
                "committee_index",
                "committee_length",
                "committees_at_slot",
                "validator_committee_index",
            )
        ),
    ]
    assert sum(map(len, parts)) == 232
    return b"".join(parts)
