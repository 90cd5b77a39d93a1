"""Bytes and JSON of duties that are none: refused with the place, never half read."""

import json
from dataclasses import replace

import numpy as np
import pytest

from dvtfast._native import ssz as kernel
from dvtfast.duties import attestations, blocks, payloads
from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.presets import MINIMAL_PRESET
from dvtfast.duties.ssz import SszError
from dvtfast.duties.wrappers import decode_agreed, decode_signed, encode_signed
from dvtfast.errors import InputError
from tests.unit.duties.test_duty_sets import BLOCK, ELECTRA_VOTE, PAYLOAD, VALUES

VOTES = codec(attestations.AttestationElectra)
VOTE = VOTES.encode(ELECTRA_VOTE)
PAYLOADS = codec(payloads.ExecutionPayload)
FILLED = PAYLOADS.encode(PAYLOAD)
BITS_AT = 236  # of the vote, where its offset says


def with_bytes(data, at, new):
    return data[:at] + new + data[at + len(new) :]


@pytest.mark.parametrize("length", range(len(VOTE)))
def test_what_is_cut_short(length):
    with pytest.raises(SszError):
        VOTES.decode(VOTE[:length])


@pytest.mark.parametrize("offset", [0, 1, 235, 237, 238, 2**31, 2**32 - 1])
def test_an_offset_that_leads_elsewhere(offset):
    with pytest.raises(SszError):
        VOTES.decode(with_bytes(VOTE, 0, offset.to_bytes(4, "little")))


@pytest.mark.parametrize(
    ("end", "place"),
    [
        (b"", "aggregation_bits"),
        (b"\0", "aggregation_bits"),
        (b"\xff\0", "aggregation_bits"),
        (b"\0" * 16384 + b"\x02", "aggregation_bits"),  # one bit beyond 64 committees of 2,048
        (b"\0" * 20000 + b"\x01", "aggregation_bits"),
    ],
)
def test_bits_beyond(end, place):
    with pytest.raises(SszError, match=rf"AttestationElectra\.{place}: "):
        VOTES.decode(VOTE[:BITS_AT] + end)
    assert VOTES.decode(VOTE[:BITS_AT] + b"\0" * 16384 + b"\x01")


def test_bits_beyond_a_bitvector():
    votes = codec(attestations.AttestationElectra, MINIMAL_PRESET)
    vote = VOTE[:4].replace(b"\xec", b"\xe5") + VOTE[4:228] + b"\x0f" + b"\x01"
    assert votes.decode(vote).committee_bits == b"\x0f"
    for beyond in (b"\x10", b"\x80", b"\xff"):
        with pytest.raises(SszError, match=r"committee_bits"):
            votes.decode(with_bytes(vote, 228, beyond))


TRANSACTIONS_AT = int.from_bytes(FILLED[504:508], "little")


@pytest.mark.parametrize("count_offset", [0, 1, 3, 7, 12, 2**30, 2**32 - 4])
def test_a_list_whose_first_offset_is_wrong(count_offset):
    with pytest.raises(SszError, match="transactions"):
        PAYLOADS.decode(with_bytes(FILLED, TRANSACTIONS_AT, count_offset.to_bytes(4, "little")))


@pytest.mark.parametrize("second", [0, 7, 11, 2**32 - 1])
def test_a_list_whose_offsets_go_back(second):
    with pytest.raises(SszError, match="transactions"):
        PAYLOADS.decode(with_bytes(FILLED, TRANSACTIONS_AT + 4, second.to_bytes(4, "little")))


def test_more_elements_than_a_list_may_have():
    contents = codec(blocks.BeaconBlockElectra)
    exits = BLOCK.body.voluntary_exits + (VALUES["exit"][1],) * 17
    with pytest.raises(SszError, match=r"body\.voluntary_exits"):
        contents.encode(replace(BLOCK, body=replace(BLOCK.body, voluntary_exits=exits)))
    assert contents.encode(replace(BLOCK, body=replace(BLOCK.body, voluntary_exits=exits[:16])))


def test_one_bad_value_of_a_batch_is_named():
    with pytest.raises(SszError, match=r"^\[1\]\.AttestationElectra"):
        VOTES.encoded_roots([VOTE, VOTE[:-1], VOTE])
    assert [bool(problem) for problem in VOTES.problems([VOTE, b"", VOTE])] == [False, True, False]


def test_rows_of_another_width():
    with pytest.raises(InputError):
        codec(attestations.AttestationData).rows_roots(np.zeros((2, 127), np.uint8))


JSON = VOTES.to_json(ELECTRA_VOTE)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("signature", "0x00", "signature: expected 96 bytes, got 1"),
        ("signature", "00" * 96, "signature: expected hex"),
        ("signature", "0x" + "0" * 191, "signature: expected hex"),
        ("signature", "0x" + "zz" * 96, "signature: expected hex"),
        ("signature", "0x" + "٠٠" * 96, "signature: expected hex"),
        ("signature", None, "signature: expected hex"),
        ("aggregation_bits", "0x", "aggregation_bits"),
        ("aggregation_bits", "0x00", "aggregation_bits"),
        ("committee_bits", "0x01", "committee_bits: expected 8 bytes, got 1"),
        ("data", [], "data: expected an object"),
        ("data", {}, "data.slot: is missing"),
        ("data", JSON["data"] | {"slot": 96}, "data.slot: expected a decimal"),
        ("data", JSON["data"] | {"slot": "-1"}, "data.slot: expected a decimal"),
        ("data", JSON["data"] | {"slot": "01"}, "data.slot: expected a decimal"),
        ("data", JSON["data"] | {"slot": "1e3"}, "data.slot: expected a decimal"),
        ("data", JSON["data"] | {"slot": "٣"}, "data.slot: expected a decimal"),
        ("data", JSON["data"] | {"slot": str(2**64)}, "data.slot: expected an integer of 64 bits"),
        ("data", JSON["data"] | {"slot": "9" * 100_000}, "data.slot: expected a decimal"),
        ("data", JSON["data"] | {"source": {"epoch": "1"}}, "data.source.root: is missing"),
    ],
)
def test_json_that_is_none(field, value, message):
    with pytest.raises(SszError) as caught:
        VOTES.from_json(JSON | {field: value})
    assert str(caught.value).startswith(f"AttestationElectra.{message}")


def test_json_may_say_more():
    assert VOTES.from_json(JSON | {"new": 1}) == ELECTRA_VOTE


@pytest.mark.parametrize(("duty", "value"), VALUES.values(), ids=VALUES)
def test_wrappers_cut_short_or_spoilt(duty, value):
    encoded = encode_signed(duty, value)
    for length in [*range(0, min(len(encoded), 60)), len(encoded) - 1]:
        with pytest.raises(SszError):
            decode_signed(duty, encoded[:length])
    with pytest.raises(SszError):
        decode_signed(duty, encoded + b"\0")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{}",
        b"[]",
        b"null",
        b'{"version":6}',
        b'{"version":true,"attestation":{}}',
        b'{"version":99,"attestation":{}}',
        b'{"version":"6","attestation":{}}',
        b"{" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000,
        b'{"version":1' + b"0" * 100_000 + b"}",
        b"\xff" * 300,
        b"\0" * 300,
    ],
    ids=range(15),
)
def test_bytes_that_are_nothing(data):
    for duty in set(DutyType) - {DutyType.INFO_SYNC}:
        with pytest.raises(SszError):
            decode_signed(duty, data)
    for duty in (DutyType.ATTESTER, DutyType.PROPOSER, DutyType.AGGREGATOR, DutyType.SYNC_CONTRIBUTION):
        with pytest.raises(SszError):
            decode_agreed(duty, data)


def test_duties_without_values():
    with pytest.raises(InputError):
        decode_signed(DutyType.INFO_SYNC, b"")
    with pytest.raises(InputError):
        decode_agreed(DutyType.RANDAO, b"")


def test_blinded_is_yes_or_no():
    duty, value = VALUES["blinded block"]
    encoded = encode_signed(duty, value)
    with pytest.raises(SszError, match="blinded: expected 0 or 1"):
        decode_signed(duty, encoded[:8] + b"\2" + encoded[9:])
    text = json.dumps({"version": 6, "attestation": JSON, "blinded": True}).encode()
    with pytest.raises(SszError, match="blinded"):
        decode_signed(DutyType.ATTESTER, text)


NUMBER, LIST, CONTAINER = 0, 7, 8


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [[99, 8, 0, 0, 0]],
        [[NUMBER, 0, 0, 0, 0]],
        [[NUMBER, 33, 0, 0, 0]],
        [[LIST, 0, 4, 0, 2]],  # made of itself
        [[NUMBER, 8, 0, 0, 0], [LIST, 0, 5, 0, 2]],  # no room in its tree
        [[NUMBER, 8, 0, 0, 0], [LIST, 0, 1, 0, 57]],
        [[NUMBER, 8, 0, 0, 0], [CONTAINER, 8, 2, 0, 1]],  # a field too much
        [[NUMBER, 8, 0, 0, 0], [CONTAINER, 8, 1, 2**63, 0]],
        [[1, 2**63, 0, 0, 0]],
        [[5, 0, 2**60, 8, 56]],
    ],
)
def test_tables_that_describe_no_types(rows):
    table = np.array(rows, dtype=np.uint64).reshape(-1, 5)
    with pytest.raises(ValueError, match="roots: "):
        call(table, b"", [0])


@pytest.mark.parametrize("ends", [[5, 4], [9], [2**63]])
def test_values_that_lie_elsewhere(ends):
    with pytest.raises(ValueError, match="one behind the other"):
        call(np.array([[NUMBER, 8, 0, 0, 0]], dtype=np.uint64), bytes(8), ends)


def call(table, data, ends):
    n = len(ends)
    kernel.roots(
        table,
        np.zeros(1, np.uint64),
        np.frombuffer(data, np.uint8),
        np.array(ends, np.uint64),
        np.zeros((n, 32), np.uint8),
        np.zeros(n, np.uint8),
        np.zeros(n, np.uint64),
    )
