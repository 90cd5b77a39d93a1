"""What was agreed on is read: a validator has one name, and what has another is a stranger's."""

from __future__ import annotations

import pytest

from dvtfast.duties.attestations import AttestationDuty
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.presets import MAINNET_PRESET
from dvtfast.duties.wrappers import AttesterValue, encode_agreed
from dvtfast.qbft import wire
from dvtfast.services.node.flows.agreeing import STRANGER, decoded
from tests.services.node.flow_parts import DATA, SLOT

KEY = bytes(range(0xA0, 0xD0))
NAME = "0x" + KEY.hex()
VALUE = AttesterValue(DATA, AttestationDuty(KEY, SLOT, 1, 0, 10, 1, 1))


def read(named: dict[str, bytes]) -> dict[bytes, object]:
    value = wire.Value(wire.DATA_SET, wire.encode_data_set(named))
    return dict(decoded(DutyType.ATTESTER, value, MAINNET_PRESET))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "0x",
        "0x" + KEY.hex().upper(),
        NAME[:-1] + "F",
        "0X" + KEY.hex(),
        KEY.hex(),
        NAME[:-2],
        NAME + "00",
    ],
)
def test_a_name_that_no_node_gives_is_a_strangers(name: str) -> None:
    """Beside the right one it changes nothing of it; and it is not passed over."""
    good = encode_agreed(DutyType.ATTESTER, VALUE)
    assert read({name: good}) == {STRANGER: None}
    assert read({name: b"another", NAME: good}) == {STRANGER: None, KEY: VALUE}


def test_what_cannot_be_read_is_nothing() -> None:
    assert read({NAME: b"noise"}) == {KEY: None}
