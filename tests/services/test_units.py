"""Amounts in words: what is staked and what gas costs on each network, also in what people are asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dvtfast import HOODI, MAINNET, InputError, network_with_chain_id
from dvtfast.networks import GNOSIS, NETWORKS, Network
from dvtfast.services.chain import units
from dvtfast.services.operator.commands.metrics import OperatorMetrics
from dvtfast.services.operator.commands.parts import _policy
from dvtfast.services.operator.commands.results import CommandResult, print_result
from dvtfast.services.operator.commands.summary import as_table
from dvtfast.services.operator.registration.plan import RegistrationPlan
from dvtfast.services.operator.sending.action import Action, ActionKind, Conclusion, JournalEntry, Outcome
from dvtfast.services.operator.sending.estimator import Estimate
from dvtfast.services.operator.sending.fees import Offer
from dvtfast.services.settings import ConsolidateSettings, SendingSettings, WithdrawSettings
from tests.services.operator.test_orders import BASE, FIRST, SECOND

FULL = 32 * 10**9
KEY = b"\x81" * 48


@pytest.mark.parametrize(
    ("gwei", "network", "text"),
    [
        (FULL, MAINNET, "32 ETH"),
        (1_500_000_000, HOODI, "1.5 ETH"),
        (1, HOODI, "0.000000001 ETH"),
        (0, HOODI, "0 ETH"),
        (3 * FULL, GNOSIS, "3 GNO"),
        (1, GNOSIS, "0.00000000003125 GNO"),
        (2**64 - 1, GNOSIS, "576460752.30342348796875 GNO"),
    ],
)
def test_stake(gwei: int, network: Network, text: str) -> None:
    assert units.stake(gwei, network) == text
    assert units.stake_gwei(units.stake_wei(gwei, network), network) == gwei


def test_what_a_vault_has() -> None:
    assert units.stake_gwei(32 * 10**18 + 999, HOODI) == FULL
    assert units.stake_gwei(10**18, GNOSIS) == FULL
    assert units.gas(10**15, GNOSIS) == "0.001000000 xDAI"
    assert units.gas(10**15, HOODI) == "0.001000000 ETH"


def test_each_network_has_its_own() -> None:
    assert {each.name: each.mev_is_stake for each in NETWORKS.values()} == {
        "mainnet": True,
        "hoodi": True,
        "gnosis": False,
    }
    assert [each.max_validator_balance_gwei // 10**9 for each in (MAINNET, HOODI, GNOSIS)] == [
        1945,
        1945,
        1800,
    ]
    assert network_with_chain_id(100) is GNOSIS
    with pytest.raises(InputError, match=r"chain_id: expected one of 1 \(mainnet\)"):
        network_with_chain_id(5)


def plan_on(network: Network) -> RegistrationPlan:
    """Three validators."""
    action = Action(
        ActionKind.REGISTER,
        vault=b"\x11" * 20,
        to=b"\x22" * 20,
        data=b"",
        public_keys=(KEY,) * 3,
        registry_root=bytes(32),
        details={"amount_gwei": 3 * FULL},
    )
    return RegistrationPlan(action, network, [FULL] * 3, 0)


def concluded_on(network: Network) -> JournalEntry:
    conclusion = Conclusion(Outcome.DONE, bytes(32), 5, bytes(32), gas_used=100_000, fee_wei=10**15)
    return replace(_entry(network), conclusion=conclusion)


def _entry(network: Network) -> JournalEntry:
    return JournalEntry(
        id=1,
        action=plan_on(network).action,
        chain_id=network.chain_id,
        account=b"\x33" * 20,
        nonce=0,
        at=1,
        transactions=(),
        conclusion=None,
    )


def test_a_registration_on_gnosis_is_of_gno(capsys: pytest.CaptureFixture[str]) -> None:
    """Three GNO are asked for, not 96 ETH; gas costs xDAI."""
    plan = plan_on(GNOSIS)
    assert plan.questions == ["Register 3 validators with 3 GNO of 0x" + "11" * 20]
    assert all(line.endswith(" 1 GNO") for line in plan.lines)
    print_result(CommandResult(0, plan=plan, estimate=Estimate(100_000, Offer(10**10, 1))), is_json=False)
    print_result(CommandResult(0, entry=concluded_on(GNOSIS)), is_json=False)
    told = capsys.readouterr().out
    assert "at most 0.001000000 xDAI" in told
    assert "register of 3 validators, 3 GNO: done" in told
    assert "gas 100000, 0.001000000 xDAI" in told
    assert "ETH" not in told


@pytest.mark.parametrize(("network", "symbols"), [(GNOSIS, ("3 GNO", "xDAI")), (HOODI, ("96 ETH", "ETH"))])
def test_the_journal_and_the_metrics_say_which(network: Network, symbols: tuple[str, str]) -> None:
    entry = concluded_on(network)
    cells = [next(iter(column.cells)) for column in as_table([entry]).columns]
    assert symbols[0] in cells
    assert f"0.001000000 {symbols[1]}" in cells
    metrics = OperatorMetrics()
    metrics.concluded(entry)
    value = metrics.fees.labels(symbols[1])._value.get()
    assert value == pytest.approx(0.001)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=lambda network: network.name)
def test_fee_caps_are_the_networks(network: Network) -> None:
    told: dict[str, Any] = {**BASE, "network": network.name, "validators": [f"{FIRST}=1gwei"]}
    settings = WithdrawSettings.load(told, {})
    assert _policy(settings, network).max_fee_wei == network.max_fee_gwei * 10**9
    settings = WithdrawSettings.load(told, {"MAX_FEE_PER_GAS_GWEI": "7.5"})
    assert _policy(settings, network).max_fee_wei == 7_500_000_000
    assert all(each.name in SendingSettings.sources()["max_fee_gwei"].help for each in NETWORKS.values())


def test_each_kind_of_request_has_a_fee_cap_of_its_own() -> None:
    environment = {"MAX_WITHDRAWAL_REQUEST_FEE_GWEI": "3", "MAX_CONSOLIDATION_REQUEST_FEE_GWEI": "4"}
    withdraw = WithdrawSettings.load({**BASE, "validators": [f"{FIRST}=1gwei"]}, environment)
    consolidate = ConsolidateSettings.load({**BASE, "pairs": [f"{FIRST}={SECOND}"]}, environment)
    assert (withdraw.max_request_fee_gwei, consolidate.max_request_fee_gwei) == (3, 4)
