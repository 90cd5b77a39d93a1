"""How many validators are registered at once, with how much each, and what is offered for gas."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dvtfast import HOODI
from dvtfast.services.operator.plan import NothingToDoError
from dvtfast.services.operator.registration.batch import batch_amounts
from dvtfast.services.operator.registration.planner import RegistrationPlanner

ETHER = 10**9  # in gwei
FULL = 32 * ETHER


@pytest.mark.parametrize(
    ("available", "most", "count"),
    [(0, 50, 0), (FULL - 1, 50, 0), (FULL, 50, 1), (3 * FULL + 5, 50, 3), (3 * FULL, 2, 2),
     (23 * FULL, 50, 22), (24 * FULL, 50, 24), (1000 * FULL, 23, 22), (46 * FULL, 50, 45)],
)  # fmt: skip
def test_validators_of_32_each(available: int, most: int, count: int) -> None:
    """Never 23 or a multiple of it, which a vault could not tell from others."""
    amounts = batch_amounts(available, validator_type=1, max_balance_gwei=FULL, most=most)
    assert amounts == [FULL] * count


@pytest.mark.parametrize(
    ("available", "most", "amounts"),
    [(FULL - 1, 50, []), (FULL, 50, [32]), (100 * ETHER, 50, [60, 40]), (91 * ETHER, 50, [60]),
     (152 * ETHER, 2, [60, 60]), (22 * 60 * ETHER, 50, [60] * 21), (21 * 60 * ETHER + FULL, 50, [60] * 21)],
)  # fmt: skip
def test_validators_that_compound(available: int, most: int, amounts: list[int]) -> None:
    found = batch_amounts(available, validator_type=2, max_balance_gwei=60 * ETHER, most=most)
    assert found == [amount * ETHER for amount in amounts]


@pytest.mark.parametrize(("reserve", "count"), [(0, 3), (1, 2), (32 * 10**18, 2), (70 * 10**18, 0)])
async def test_what_stays_in_the_vault(reserve: int, count: int) -> None:
    """Nothing of the reserve is registered with."""

    async def most(_: Any) -> int:
        return 50

    network: Any = SimpleNamespace(network=HOODI)
    method: Any = SimpleNamespace(remaining=most, validator_type=1)
    nobody: Any = None
    planner = RegistrationPlanner(network, nobody, method, nobody, b"", FULL, reserve_wei=reserve)
    assets = SimpleNamespace(withdrawable_wei=96 * 10**18)
    state: Any = SimpleNamespace(batch_limit=50, assets=assets)
    if count:
        assert await planner.amounts(state) == [FULL] * count
    else:
        with pytest.raises(NothingToDoError, match="96 ETH withdrawable, of which 70 ETH stay; a validator"):
            await planner.amounts(state)
