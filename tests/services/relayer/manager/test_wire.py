"""What operators of v4 send for a vault's validators, and what else may come."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvtfast.services import wire
from tests.vector_files import load

ADDRESS = load("manager_eip712.json")["address"]
KEYS = ["0x" + f"{i:02x}" * 48 for i in range(3)]
FUND = {"vault": ADDRESS, "public_keys": KEYS, "amounts": [1, 2, 2**64 - 1]}
CONSOLIDATE = {"vault": ADDRESS, "source_public_keys": KEYS, "target_public_keys": KEYS[:1] * 3}
KINDS = (wire.FundRequest, wire.WithdrawRequest, wire.ConsolidateRequest)
LEFT_OUT = object()

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def read(kind: Any, body: Any, **changes: Any) -> Any:
    changed = {name: value for name, value in {**body, **changes}.items() if value is not LEFT_OUT}
    return wire.decode_request(json.dumps(changed).encode(), kind)


# The examples of EIP-55.
@pytest.mark.parametrize(
    "text",
    [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ],
)
def test_addresses(text: str) -> None:
    for form in (text, text.lower(), text[2:], "0X" + text[2:].upper()):
        assert wire.Address.from_wire(form).to_wire() == text


def test_the_address_of_the_manager_is_left_out_when_there_is_none() -> None:
    assert wire.encode(wire.InfoAnswer("hoodi")) == b'{"network":"hoodi"}'
    assert wire.decode(b'{"network": "hoodi"}', wire.InfoAnswer).validators_manager_address is None
    info = wire.InfoAnswer("hoodi", wire.Address.from_wire(ADDRESS.lower()))
    assert json.loads(wire.encode(info)) == {"network": "hoodi", "validators_manager_address": ADDRESS}
    assert wire.decode(wire.encode(info), wire.InfoAnswer) == info


def test_a_signature_in_an_answer() -> None:
    answer = wire.ManagerSignatureAnswer(wire.ManagerSignature(bytes(64) + b"\x1b"))
    assert json.loads(wire.encode(answer)) == {"validators_manager_signature": "0x" + "00" * 64 + "1b"}
    assert wire.encode(wire.ManagerSignatureAnswer(None)) == b'{"validators_manager_signature":null}'


def test_what_operators_send() -> None:
    fund = read(wire.FundRequest, FUND)
    assert (fund.vault.to_wire(), len(fund.public_keys), fund.amounts) == (ADDRESS, 3, FUND["amounts"])
    assert read(wire.WithdrawRequest, FUND, amounts=[0, 0, 5]).amounts == [0, 0, 5]
    consolidate = read(wire.ConsolidateRequest, CONSOLIDATE)
    assert len(set(consolidate.target_public_keys)) == 1
    read(wire.ConsolidateRequest, CONSOLIDATE, target_public_keys=KEYS)  # each its own target


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"vault": "0x00"}, "vault"),
        ({"vault": ADDRESS + "00"}, "vault"),
        ({"vault": 5}, "vault"),
        ({"vault": None}, "vault"),
        ({"vault": LEFT_OUT}, ""),
        ({"amounts": LEFT_OUT}, ""),
        ({"public_keys": [], "amounts": []}, "public_keys"),
        ({"public_keys": KEYS[:2]}, "amounts"),
        ({"amounts": [1]}, "amounts"),
        ({"amounts": [1, 2, 3, 4]}, "amounts"),
        ({"amounts": [1, -1, 1]}, "amounts[1]"),
        ({"amounts": [1, 1, 2**64]}, "amounts[2]"),
        ({"amounts": ["1", 1, 1]}, "amounts[0]"),
        ({"amounts": [1.0, 1, 1]}, "amounts[0]"),
        ({"amounts": [True, 1, 1]}, "amounts[0]"),
        ({"amounts": "111"}, "amounts"),
        ({"public_keys": [KEYS[0], KEYS[1], KEYS[0]]}, "public_keys[2]"),
        ({"public_keys": [KEYS[0], KEYS[1], KEYS[0][2:].upper()]}, "public_keys[2]"),
        ({"public_keys": [KEYS[0], KEYS[1], "0x"]}, "public_keys[2]"),
    ],
)
def test_what_is_refused(kind: Any, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(wire.WireError) as caught:
        read(kind, FUND, **changes)
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field or 'body'}: ")


def test_nothing_is_no_top_up() -> None:
    with pytest.raises(wire.WireError, match=r"amounts\[2\]: expected an integer in 1\.\."):
        read(wire.FundRequest, FUND, amounts=[1, 1, 0])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"source_public_keys": [], "target_public_keys": []}, "source_public_keys"),
        ({"target_public_keys": KEYS[:2]}, "target_public_keys"),
        ({"source_public_keys": [KEYS[0], KEYS[0], KEYS[1]]}, "source_public_keys[1]"),
        ({"target_public_keys": [KEYS[0], KEYS[0], 1]}, "target_public_keys[2]"),
    ],
)
def test_what_is_no_consolidation(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(wire.WireError) as caught:
        read(wire.ConsolidateRequest, CONSOLIDATE, **changes)
    assert caught.value.field == field


@pytest.mark.parametrize("kind", KINDS)
def test_too_many_items(kind: Any) -> None:
    many = wire.ITEMS_LIMIT + 1
    keys = ["0x" + f"{i:096x}" for i in range(many)]
    body = CONSOLIDATE if kind is wire.ConsolidateRequest else FUND
    lists = {name: keys if name != "amounts" else [1] * many for name in body if name != "vault"}
    with pytest.raises(wire.WireError, match=f"<= {wire.ITEMS_LIMIT}"):
        read(kind, body, **lists)


@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_anything_in_any_field(data: st.DataObject, kind: Any) -> None:
    """Either it is read, or it is a WireError."""
    body = CONSOLIDATE if kind is wire.ConsolidateRequest else FUND
    names = data.draw(st.sets(st.sampled_from(sorted(body)), min_size=1))
    value = json_values | st.lists(st.sampled_from([*KEYS, 1, 2**64, None]), max_size=4)
    try:
        request = read(kind, body, **{name: data.draw(value) for name in names})
    except wire.WireError as error:
        assert error.reason  # noqa: PT017 - either way is right
    else:
        assert isinstance(request, kind)


@given(st.binary(max_size=200), st.sampled_from(KINDS))
def test_any_bytes(body: bytes, kind: Any) -> None:
    with pytest.raises(wire.WireError):
        wire.decode_request(body, kind)
