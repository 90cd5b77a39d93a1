"""What is proposed is read: a validator has one name; and whom a proposal may leave out."""

from __future__ import annotations

import pytest

from dvtfast.duties.attestations import AttestationDuty
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.presets import MAINNET_PRESET
from dvtfast.duties.wrappers import AttesterValue, encode_agreed
from dvtfast.qbft import wire
from dvtfast.services.node.flows.agreeing import STRANGER, decoded
from dvtfast.services.node.flows.insisting import ExpectedValidators, HeadDoubts
from tests.services.node.flows.flow_parts import DATA, SLOT

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


def test_who_is_left_out_by_one_leader_is_insisted_on() -> None:
    """However often it leads."""
    wanted = ExpectedValidators(range(6), 4)
    for _ in range(3):
        assert wanted.missing({0, 1, 2}, 1) == [3, 4, 5]
    assert wanted.missing(range(6), 2) == []
    assert wanted.missing({0}, 1) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("nodes", "faulty"), [(4, 1), (6, 1), (7, 2), (10, 3), (13, 4)])
def test_whom_more_leaders_leave_out_than_may_lie_is_not_insisted_on(nodes: int, faulty: int) -> None:
    """It is this node that may be wrong: its beacon node, or proofs that came nowhere else."""
    wanted = ExpectedValidators(range(3), nodes)
    for leader in range(faulty):
        assert wanted.missing({0, 1}, leader) == [2]
    assert wanted.missing({0, 1}, faulty) == []
    if nodes - 1 - faulty > faulty + 1:  # a liar that leads then can leave out nobody else
        assert wanted.missing({0}, 0) == [1]


@pytest.mark.parametrize("nodes", range(2, 14))
def test_nodes_that_each_know_of_another_validator_agree(nodes: int) -> None:
    """Nobody's proposal has all that the others know of; those who may lie say nothing."""
    honest = range((nodes - 1) // 3, nodes)
    known = {node: set(honest) - {node} for node in honest}
    wanted = {node: ExpectedValidators(known[node], nodes) for node in honest}
    for leader in honest:
        against = [node for node in honest if node != leader and wanted[node].missing(known[leader], leader)]
        if not against:
            return
    pytest.fail("each was refused")


@pytest.mark.parametrize(("nodes", "faulty"), [(2, 1), (4, 1), (6, 1), (7, 2), (10, 3), (13, 4)])
def test_doubts_about_heads_are_a_reason_in_so_many_rounds_as_there_may_be_liars(
    nodes: int, faulty: int
) -> None:
    """However often a leader proposes in its round."""
    doubts = HeadDoubts(nodes)
    assert all(doubts.insists(round) for round in range(1, faulty + 1) for _ in range(3))
    assert not doubts.insists(faulty + 5)
    assert not doubts.insists(1)
