"""Which validator has which index: a file goes before deposits, deposits before a beacon node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dvtfast import HOODI
from dvtfast.services.chain.beacon.client import BeaconClient, BeaconError
from dvtfast.services.chain.deposits.ledger import Ledger, LedgerSource, Totals
from dvtfast.services.chain.execution.scanner import Checkpoint
from dvtfast.services.chain.index.keys_by_index import KeysByIndex, KeysDifferError
from tests.services.chain.beacon.beacon_nodes import BeaconState, beacon_with
from tests.services.patience import ANSWER_SECONDS


def key(number: int) -> bytes:
    """As the beacon node of tests has them."""
    return number.to_bytes(48, "big")


class Deposits:
    """A scan that knows some validators."""

    def __init__(self, known: dict[int, bytes], *, gives_index: bool = True) -> None:
        self.known = known
        self.gives_index = gives_index
        self.asked: list[int] = []

    async def public_keys(self, indices: list[int]) -> dict[int, bytes]:
        self.asked += indices
        return {index: self.known[index] for index in indices if index in self.known}


async def test_who_is_asked_for_what() -> None:
    deposits: Any = Deposits({1: key(1), 2: key(2)})
    async with (
        beacon_with(BeaconState(count=4)) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as beacon,
    ):
        keys = KeysByIndex({1: b"g"}, deposits, beacon)
        assert await keys.public_keys([1]) == {1: b"g"}
        assert deposits.asked == []
        assert await keys.public_keys([1, 2, 3, 4]) == {1: b"g", 2: key(2), 3: key(3)}
        assert deposits.asked == [2, 3, 4]


async def test_deposits_and_beacon_node_are_compared() -> None:
    deposits: Any = Deposits({2: b"d"})
    async with (
        beacon_with(BeaconState(count=4)) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as beacon,
    ):
        keys = KeysByIndex({}, deposits, beacon)
        with pytest.raises(KeysDifferError, match=rf"validator 2 has another key .* beacon node \({url}\)"):
            await keys.public_keys([2])


async def test_deposits_that_do_not_give_indices() -> None:
    deposits: Any = Deposits({1: b"d"}, gives_index=False)
    assert await KeysByIndex({}, deposits).public_keys([1]) == {}


async def test_many_of_a_beacon_node() -> None:
    state = BeaconState(count=250)
    async with (
        beacon_with(state) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as beacon,
    ):
        assert await beacon.public_keys(range(240, 260)) == {n: key(n) for n in range(240, 250)}
        assert await beacon.public_keys(range(250)) == {n: key(n) for n in range(250)}
    assert state.largest_answer == 100


async def test_a_beacon_node_that_tells_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    state = BeaconState(count=10)
    other = state._validator("7")
    monkeypatch.setattr(state, "_validator", lambda _: other)
    async with (
        beacon_with(state) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as beacon,
    ):
        with pytest.raises(BeaconError, match="not asked for"):
            await beacon.public_keys([3])


def test_keys_of_the_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "deposits.db", LedgerSource(1, bytes(20), 0))
    made = [(key(5000 - number), 1) for number in range(2500)]
    ledger.learn(0, Checkpoint(1, bytes(32)), made, Totals(2500, 2500))
    assert ledger.keys_at([0, 2499, 2500]) == {0: key(5000), 2499: key(2501)}
    assert len(ledger.keys_at(range(3000))) == 2500
    ledger.close()
