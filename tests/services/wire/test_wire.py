"""The wire: hex, integers, and what comes of bodies that are wrong in some places."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from dvtfast.services import wire

KEY = bytes(range(48))
POINT = bytes(range(96))


@pytest.mark.parametrize("text", [KEY.hex(), "0x" + KEY.hex(), "0X" + KEY.hex().upper()])
def test_a_key_is_one_key_however_it_is_written(text: str) -> None:
    body = json.dumps({"public_keys": [text]}).encode()
    request = wire.decode(body, wire.ValidatorsRequest)
    assert request.public_keys == [KEY]
    assert wire.encode(request) == b'{"public_keys":["0x%s"]}' % KEY.hex().encode()


def test_optional_fields_stay_out_of_requests() -> None:
    """The first makers' relayers do not know them."""
    share = wire.ExitShare(wire.PublicKey(KEY), wire.Signature(POINT))
    request = wire.ExitSignatureRequest(wire.ShareIndex(1), [share])
    assert set(json.loads(wire.encode(request))["shares"][0]) == {"public_key", "exit_signature"}
    share.validator_index = wire.UInt64(2**64 - 1)
    assert json.loads(wire.encode(request))["shares"][0]["validator_index"] == 2**64 - 1


def test_what_the_first_makers_relayers_answer() -> None:
    exits = b"""{"exits": [{"public_key": "%s", "validator_index": 5, "is_exit_signature_ready": false,
        "created_at_timestamp": 1, "created_at_string": "x", "share_indexes_ready": [1, 2]}]}"""
    (exit_,) = wire.decode(exits % KEY.hex().encode(), wire.ExitsAnswer).exits
    assert (exit_.share_indexes_ready, exit_.share_indexes_rejected) == ([1, 2], [])
    assert wire.decode(b"{}", wire.ExitSignatureAnswer).rejected == []
    answer = b'{"ready": false, "validators": [{"public_key": "%s", "oracles_exit_signature_shares": null}]}'
    (validator,) = wire.decode(answer % KEY.hex().encode(), wire.ValidatorsAnswer).validators
    assert validator.oracles_exit_signature_shares is None


@pytest.mark.parametrize("prefix", ["0x", ""])
def test_an_address_in_mixed_case_has_its_checksum(prefix: str) -> None:
    text = "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # of EIP-55
    for right in (text, text.lower(), text.upper()):
        assert wire.Address.from_wire(prefix + right).to_wire() == "0x" + text
    for wrong in (text.replace("5aA", "5aa"), text.swapcase()):
        with pytest.raises(ValueError, match="mistyped"):
            wire.Address.from_wire(prefix + wrong)


def test_the_field_that_is_wrong_is_named() -> None:
    with pytest.raises(wire.WireError) as caught:
        wire.decode(b'{"public_keys": ["0x00"]}', wire.ValidatorsRequest)
    assert caught.value.field == "public_keys[0]"
    assert caught.value.reason == "expected 48 bytes of hex, got 2 digits"


def test_malformed_items_do_not_spoil_the_others() -> None:
    good = {"public_key": KEY.hex(), "exit_signature": POINT.hex()}
    items = [1, good, {**good, "public_key": "?"}, {**good, "validator_index": -1}, good]
    received = wire.decode_shares(json.dumps({"share_index": 3, "shares": items}).encode(), wire.ExitShare)
    assert list(received.shares) == [1, 4]
    assert [rejected.reason.partition(":")[0] for rejected in received.rejected] == [
        "shares[0]",
        "shares[2].public_key",
        "shares[3].validator_index",
    ]
    assert [rejected.public_key for rejected in received.rejected] == ["", "?", KEY.hex()]


def request_of(items: int, item: str = "0") -> bytes:
    return f'{{"share_index": 1, "shares": [{", ".join([item] * items)}]}}'.encode()


def test_as_many_items_as_a_request_may_have() -> None:
    assert len(wire.decode_shares(request_of(wire.ITEMS_LIMIT), wire.ExitShare).rejected) == wire.ITEMS_LIMIT
    share = wire.ExitShare(wire.PublicKey(KEY), wire.Signature(POINT), wire.UInt64(2**64 - 1))
    item = wire.encode(share).decode()
    assert (
        len(wire.decode_shares(request_of(wire.ITEMS_LIMIT, item), wire.ExitShare).shares) == wire.ITEMS_LIMIT
    )
    with pytest.raises(wire.WireError, match=f"shares: .*<= {wire.ITEMS_LIMIT}"):
        wire.decode_shares(request_of(wire.ITEMS_LIMIT + 1, item), wire.ExitShare)
    keys = ", ".join([f'"{KEY.hex()}"'] * (wire.ITEMS_LIMIT + 1))
    with pytest.raises(wire.WireError, match=f"public_keys: .*<= {wire.ITEMS_LIMIT}"):
        wire.decode_request(f'{{"public_keys": [{keys}]}}'.encode(), wire.ValidatorsRequest)


@pytest.mark.parametrize("junk", ["0", "[]", "{}", '{"": 0}', "[" * 400 + "]" * 400])
@pytest.mark.parametrize("where", ['{"public_keys": [[%s]]}', '{"public_keys": [], "unknown": [%s]}'])
def test_junk_takes_no_memory(junk: str, where: str) -> None:
    """It would take up to fifty times the size of the body."""
    body = (where % ",".join([junk] * (2_000_000 // len(junk)))).encode()
    tracemalloc.start()
    try:
        with pytest.raises(wire.WireError, match="at most 50000 items"):
            wire.decode_request(body, wire.ValidatorsRequest)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_rows_that_are_one_behind_the_other() -> None:
    assert wire.PublicKey.rows(KEY + KEY[::-1]) == [KEY, KEY[::-1]]


def test_the_form_of_created_at_string() -> None:
    assert wire.timestamp_string(1_700_000_000) == "2023-11-14 22:13:20+0000"
