"""What is offered for gas: between floors and caps, with room for what cancels it."""

from __future__ import annotations

import msgspec
import pytest

from dvtfast.networks import GNOSIS, HOODI, MAINNET, NETWORKS, Network
from dvtfast.services.chain.execution import transactions
from dvtfast.services.chain.execution.transactions import DEFAULT_PRIORITY_FEE_WEI, Fees
from dvtfast.services.operator.commands import parts
from dvtfast.services.operator.sending.action import SignedTransaction
from dvtfast.services.operator.sending.fees import Bounds, Offer, first_offer, higher_offer
from dvtfast.services.operator.sending.policy import SendingPolicy
from dvtfast.services.settings import RegisterSettings, SettingsError

GWEI = 10**9
BOUNDS = Bounds(10 * GWEI, 5 * GWEI, 0)


def signed(offer: Offer) -> SignedTransaction:
    return SignedTransaction(b"h" * 32, b"raw", offer.max_fee_wei, offer.priority_fee_wei, False, 0)


def cheap(tip: float, base: float = 1.0) -> Fees:
    return Fees(round(base * GWEI), round(tip * GWEI))


def test_the_base_fee_may_double() -> None:
    assert first_offer(cheap(0.5), BOUNDS) == Offer(round(2.5 * GWEI), GWEI // 2)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=lambda network: network.name)
@pytest.mark.parametrize("tip", [0, 1e-9, 0.4, 1.9, 34, 10**9])
@pytest.mark.parametrize("base", [0, 0.5, 0.9, 3, 8.7, 50])
def test_whatever_nodes_say_it_can_be_cancelled(network: Network, tip: float, base: float) -> None:
    """A first offer, and each raise of it, leaves room for one that replaces it below the caps."""
    bounds = policy(network).bounds
    offer = first_offer(cheap(tip, base), bounds)
    if offer is None:
        assert base + network.min_priority_fee_gwei > network.max_fee_gwei / 2
        return
    offers = [offer]
    for _ in range(200):
        assert network.min_priority_fee_gwei * GWEI <= offers[-1].priority_fee_wei
        assert offers[-1].priority_fee_wei <= offers[-1].max_fee_wei
        cancelling = higher_offer(cheap(tip, base), [*map(signed, offers)], bounds, cancels=True)
        assert cancelling is not None
        assert cancelling.max_fee_wei <= bounds.max_fee_wei
        assert cancelling.priority_fee_wei <= bounds.max_priority_fee_wei
        assert cancelling.max_fee_wei * 8 > offers[-1].max_fee_wei * 9
        assert cancelling.priority_fee_wei * 8 > offers[-1].priority_fee_wei * 9
        higher = higher_offer(cheap(tip, base), [*map(signed, offers)], bounds, cancels=False)
        if higher is None:
            break
        offers.append(higher)
    else:
        pytest.fail("offers rise for ever")


def policy(network: Network, **told: str) -> SendingPolicy:
    return parts._policy(settings(network, **told), network)


def settings(network: Network, **told: str) -> RegisterSettings:
    return RegisterSettings.load(needed(network) | told, {})


def needed(network: Network) -> dict[str, object]:
    return {
        "network": network.name,
        "relayer": "http://127.0.0.1:1",
        "vault": "0x" + "12" * 20,
        "execution_endpoints": ["http://127.0.0.1:1"],
        "ipfs_gateways": ["http://127.0.0.1:1"],
        "start_index": "1",
        "signer": "http://127.0.0.1:1",
        "signer_address": "0x" + "12" * 20,
    }


def test_gas_that_costs_too_much() -> None:
    assert first_offer(cheap(0.1, 8.8), BOUNDS) is None  # 9 would leave no room below 10
    assert first_offer(cheap(0.1, 8.7), BOUNDS) == Offer(8_888_888_888, GWEI // 10)


def test_a_floor_that_is_above_what_others_pay() -> None:
    assert first_offer(cheap(0.0), Bounds(2 * GWEI, 2 * GWEI, GWEI)) is None  # 1 and 1, and no room
    offer = first_offer(cheap(0.0, 0.1), Bounds(2 * GWEI, 2 * GWEI, GWEI))
    assert offer == Offer(round(1.2 * GWEI), GWEI)


@pytest.mark.parametrize(
    ("network", "cap", "tip_cap", "floor"), [(MAINNET, 10, 5, 0), (HOODI, 10, 5, 0), (GNOSIS, 2, 2, 1)]
)
def test_the_networks_bounds(network: Network, cap: int, tip_cap: int, floor: int) -> None:
    found = policy(network)
    assert found.bounds == Bounds(cap * GWEI, tip_cap * GWEI, floor * GWEI)
    assert (found.fee_blocks, found.fee_percentile) == (10, 80.0)
    assert found.raise_seconds == network.seconds_per_slot


def test_bounds_that_are_told() -> None:
    found = policy(HOODI, max_fee_gwei="40", max_priority_fee_gwei="2.5")
    assert found.bounds == Bounds(40 * GWEI, round(2.5 * GWEI), 0)
    assert policy(HOODI, max_fee_gwei="3").bounds == Bounds(3 * GWEI, 3 * GWEI, 0)
    given = {"PRIORITY_FEE_NUM_BLOCKS": "4", "PRIORITY_FEE_PERCENTILE": "55.5"}
    loaded = RegisterSettings.load(needed(HOODI), given)
    assert (loaded.priority_fee_blocks, loaded.priority_fee_percentile) == (4, 55.5)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            {"max_fee_gwei": "1.1"},
            "--max-fee-gwei (DVTFAST_MAX_FEE_GWEI or MAX_FEE_PER_GAS_GWEI): expected at",
        ),
        ({"max_priority_fee_gwei": "1"}, "--max-priority-fee-gwei (DVTFAST_MAX_PRIORITY_FEE_GWEI): expected"),
        ({"priority_fee_blocks": "1025"}, "expected at most 1024, got '1025'"),
        ({"priority_fee_percentile": "101"}, "expected a number in 0..100, got '101'"),
        ({"priority_fee_percentile": "nan"}, "expected a number in 0..100, got 'nan'"),
    ],
)
def test_bounds_that_cannot_be(told: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        settings(GNOSIS, **told)
    (problem,) = raised.value.problems
    assert words in problem


@pytest.mark.parametrize("option", ["max_fee_gwei", "max_priority_fee_gwei"])
def test_the_least_bound_that_can_be(option: str) -> None:
    """What the message asks for is taken, and something can be offered and cancelled under it."""
    with pytest.raises(SettingsError) as raised:
        settings(GNOSIS, **{option: "1.125"})
    (problem,) = raised.value.problems
    asked_for = problem.partition("expected at least ")[2].partition(",")[0]
    bounds = policy(GNOSIS, **{option: asked_for}).bounds
    offer = first_offer(cheap(0.0, 0.0), bounds)
    assert offer is not None
    assert higher_offer(cheap(0.0, 0.0), [signed(offer)], bounds, cancels=True) is not None


def history(rewards: object, used: list[float]) -> msgspec.Raw:
    answer = {"baseFeePerGas": ["0x1", "0x64"], "gasUsedRatio": used, "reward": rewards}
    return msgspec.Raw(msgspec.json.encode(answer))


@pytest.mark.parametrize(
    ("rewards", "used", "tip"),
    [
        ([["0x5"], ["0x9"], ["0x7"]], [0.5, 0.1, 1.0], 7),
        ([["0x5"], ["0x9"]], [0.5, 0.1], 5),
        ([["0x0"], ["0x9"], ["0x0"]], [0, 0.1, 0.0], 9),  # nobody was in the others
        ([["0x0"]], [0], DEFAULT_PRIORITY_FEE_WEI),
        (None, [0.5], DEFAULT_PRIORITY_FEE_WEI),
        ([[]], [0.5], DEFAULT_PRIORITY_FEE_WEI),
        ([["0x5"], ["0x5"], [hex(2**255)]], [0.5, 0.5, 0.5], 5),
    ],
)
def test_what_others_pay(rewards: object, used: list[float], tip: int) -> None:
    assert transactions._read_fees(history(rewards, used)) == Fees(100, tip)
