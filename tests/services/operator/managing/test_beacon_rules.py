"""What is let through to the beacon chain, it does; what it did, shows. The specification is the judge."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from dvtfast import GNOSIS, HOODI
from dvtfast.services.chain.beacon.client import (
    FAR_FUTURE_EPOCH,
    BeaconClient,
    BeaconError,
    PendingConsolidation,
    PendingWithdrawal,
    ValidatorDetails,
)
from dvtfast.services.chain.encoding import ADDRESS_BYTES
from dvtfast.services.operator.managing.beacon_rules import PENDING_PARTIAL_WITHDRAWALS_LIMIT, BeaconRules
from dvtfast.services.operator.managing.beacon_view import BeaconView
from dvtfast.services.operator.managing.outcomes import balances_before, not_shown
from dvtfast.services.operator.sending.action import Action, ActionKind
from dvtfast.services.settings.orders import AmountOrder, ConsolidationOrder
from dvtfast.services.wire import PublicKey
from tests.services.chain.beacon.beacon_nodes import of_network
from tests.services.chain.servers import serving
from tests.services.operator.managing.beacon_chain import BeaconChain, Validator
from tests.services.patience import ANSWER_SECONDS

GWEI = 10**9
VAULT, STRANGER = bytes(range(20)), bytes(20)
KEYS = [PublicKey(bytes([n + 1]) * 48) for n in range(4)]
OTHERS = [bytes([n + 101]) * 48 for n in range(3)]  # whose stake is on its way
EPOCH = 1_000
MOST = 2_048 * GWEI
NO_WORLD: Any = None  # there is no execution chain to follow


class AtEpoch(BeaconChain):
    """Whose clock stands still."""

    @property
    def epoch(self) -> int:
        return EPOCH


def view_of(chain: BeaconChain) -> BeaconView:
    details = [
        ValidatorDetails(
            index,
            each.status(chain.epoch),
            each.balance,
            each.effective_balance,
            each.withdrawal_credentials,
            each.slashed,
            each.activation_epoch,
            each.exit_epoch,
        )
        for index, each in enumerate(chain.validators)
    ]
    keys = [each.public_key for each in chain.validators]
    return BeaconView(
        chain.epoch,
        0,
        dict(zip(keys, details, strict=True)),
        [PendingWithdrawal(index, amount) for index, amount in chain.pending_withdrawals],
        [PendingConsolidation(source, target) for source, target in chain.pending_consolidations],
        moving=dict(enumerate(details)),
    )


def rules_of(chain: BeaconChain, **others: Any) -> BeaconRules:
    return BeaconRules(
        **{"view": view_of(chain), "network": HOODI, "vault": VAULT, "max_balance_gwei": MOST, **others}
    )


def credentials(kind: int, address: bytes = VAULT) -> bytes:
    return bytes([kind]) + bytes(11) + address


SPOILT: list[dict[str, Any]] = [
    {"withdrawal_credentials": credentials(1)},
    {"withdrawal_credentials": credentials(2, STRANGER)},
    {"withdrawal_credentials": credentials(0)},
    {"activation_epoch": EPOCH - 255},
    {"activation_epoch": EPOCH + 1},
    {"exit_epoch": EPOCH - 1},
    {"exit_epoch": EPOCH + 5},
    {"exit_epoch": EPOCH + 5, "slashed": True},
    {"balance": 31 * GWEI},
    {"balance": 33 * GWEI - 1, "effective": 31 * GWEI},
    {"balance": 40 * GWEI, "effective": 31 * GWEI},
    {"balance": 40 * GWEI, "effective": 60 * GWEI},
]


@st.composite
def chains(draw: st.DrawFn) -> AtEpoch:
    """Most of the validators may do everything."""
    validators = []
    for key in KEYS[: draw(st.integers(2, 4))]:
        good = {
            "withdrawal_credentials": credentials(2),
            "balance": draw(st.sampled_from([40, 48, 2_047])) * GWEI,
            "activation_epoch": draw(st.sampled_from([0, EPOCH - 256])),
        }
        spoilt = draw(st.sampled_from([{}] * 2 * len(SPOILT) + SPOILT))
        validators.append(Validator(bytes(key), **{**good, **spoilt}))
    place, gwei = st.integers(0, len(validators) - 1), st.sampled_from([1, GWEI, 8 * GWEI])
    withdrawals = draw(st.just([]) | st.lists(st.tuples(place, gwei), max_size=2))
    consolidations = []
    for key in OTHERS[: draw(st.sampled_from([0, 0, 1, 3]))]:
        consolidations.append((len(validators), draw(st.integers(0, len(validators) - 1))))
        balance = draw(st.sampled_from([31 * GWEI, 1_000 * GWEI + 7, 1_900 * GWEI]))
        slashed = draw(st.sampled_from([False, False, True]))
        kind = draw(st.sampled_from([1, 2]))
        validators.append(Validator(key, credentials(kind), balance, slashed, 0, EPOCH - 1))
    return AtEpoch(
        NO_WORLD, validators, pending_withdrawals=withdrawals, pending_consolidations=consolidations
    )


def action(kind: ActionKind, keys: list[PublicKey], **details: Any) -> Action:
    return Action(kind, VAULT, VAULT, b"", public_keys=tuple(map(bytes, keys)), details=details)


def withdrawal(chain: AtEpoch, wanted: AmountOrder) -> Action:
    """What the journal has of it before it is sent."""
    amounts = [[wanted.shown, wanted.gwei or 0]]
    compared = balances_before(ActionKind.WITHDRAW, [wanted], view_of(chain))
    return action(ActionKind.WITHDRAW, [wanted.public_key], amounts=amounts, **compared)


@settings(max_examples=500)
@given(
    chain=chains(), key=st.sampled_from(KEYS), gwei=st.sampled_from([None, 1, GWEI, 8 * GWEI, 2_016 * GWEI])
)
def test_withdrawals_that_are_let_through_are_done(chain: AtEpoch, key: PublicKey, gwei: int | None) -> None:
    rules = rules_of(chain)
    if rules.of_withdrawals([AmountOrder(key, gwei)]):
        return
    done = withdrawal(chain, AmountOrder(key, gwei))
    assert not_shown(done, rules.view) == [bytes(key)]
    asked = list(chain.pending_withdrawals)
    chain.process_withdrawal_request(VAULT, bytes(key), gwei or 0)
    assert not_shown(done, view_of(chain)) == []
    if gwei is not None:
        assert chain.pending_withdrawals == [*asked, (chain.index(key.to_wire()), gwei)]


@settings(max_examples=500)
@given(chain=chains(), source=st.sampled_from(KEYS), target=st.sampled_from(KEYS))
def test_consolidations_that_are_let_through_are_done(
    chain: AtEpoch, source: PublicKey, target: PublicKey
) -> None:
    if rules_of(chain).of_consolidations([ConsolidationOrder(source, target)]):
        return
    done = action(ActionKind.CONSOLIDATE, [source], pairs=[[source.to_wire(), target.to_wire()]])
    assert not_shown(done, view_of(chain)) == [bytes(source)]
    chain.process_consolidation_request(VAULT, bytes(source), bytes(target))
    assert not_shown(done, view_of(chain)) == []
    until_moved(chain)
    assert chain[target.to_wire()].balance <= MOST


@settings(max_examples=500)
@given(
    chain=chains(),
    pairs=st.lists(st.tuples(st.sampled_from(KEYS[:3]), st.sampled_from(KEYS[:3])), max_size=3),
)
def test_several_that_are_let_through_together(
    chain: AtEpoch, pairs: list[tuple[PublicKey, PublicKey]]
) -> None:
    """One may make another one impossible: a target that ends as a source."""
    chosen = {source: ConsolidationOrder(source, target) for source, target in pairs if source != target}
    if rules_of(chain).of_consolidations(list(chosen.values())):
        return
    details = [[pair.source.to_wire(), pair.target.to_wire()] for pair in chosen.values()]
    for pair in chosen.values():
        chain.process_consolidation_request(VAULT, bytes(pair.source), bytes(pair.target))
    assert not_shown(action(ActionKind.CONSOLIDATE, list(chosen), pairs=details), view_of(chain)) == []
    until_moved(chain)
    assert all(chain[pair.target.to_wire()].balance <= MOST for pair in chosen.values())


@settings(max_examples=500)
@given(chain=chains(), key=st.sampled_from(KEYS), gwei=st.sampled_from([GWEI, 100 * GWEI, 1_000 * GWEI]))
def test_a_top_up_that_is_let_through_is_not_too_much(chain: AtEpoch, key: PublicKey, gwei: int) -> None:
    if rules_of(chain).of_top_ups([AmountOrder(key, gwei)]):
        return
    chain[key.to_wire()].balance += gwei
    until_moved(chain)
    assert chain[key.to_wire()].balance <= MOST


def until_moved(chain: BeaconChain) -> None:
    """All that waits to be consolidated is done."""
    chain.process_effective_balance_updates()
    chain.process_pending_consolidations(EPOCH + 10_000)
    assert chain.pending_consolidations == []


CAREFUL = (
    "are wanted",  # it would be cut to what can be had
    "consolidations with it wait",
    "more than 2048 ETH",
)


@settings(max_examples=500)
@given(
    chain=chains(),
    key=st.sampled_from(KEYS),
    other=st.sampled_from(KEYS),
    gwei=st.sampled_from([None, 1, GWEI, 8 * GWEI]),
)
def test_what_is_refused_would_not_be_done(
    chain: AtEpoch, key: PublicKey, other: PublicKey, gwei: int | None
) -> None:
    """But for what is more careful than the beacon chain, each of which says why."""
    found = rules_of(chain).of_withdrawals([AmountOrder(key, gwei)])
    if found and not any(each in line for each in CAREFUL for line in found):
        was = state_of(chain)
        chain.process_withdrawal_request(VAULT, bytes(key), gwei or 0)
        assert state_of(chain) == was
    found = rules_of(chain).of_consolidations([ConsolidationOrder(key, other)])
    is_other = any("not this vault's" in line and other.to_wire() in line for line in found)
    if found and not is_other and not any(each in line for each in CAREFUL for line in found):
        was = state_of(chain)
        chain.process_consolidation_request(VAULT, bytes(key), bytes(other))
        assert state_of(chain) == was


def state_of(chain: AtEpoch) -> str:
    return repr((chain.validators, chain.pending_withdrawals, chain.pending_consolidations))


def test_what_is_right_is_let_through() -> None:
    """Else the laws above would hold of rules that refuse everything."""
    first, second, third, _ = KEYS
    chain = AtEpoch(
        NO_WORLD,
        [
            Validator(bytes(first), credentials(1), 32 * GWEI, activation_epoch=EPOCH - 256),
            Validator(bytes(second), credentials(2), 40 * GWEI, activation_epoch=EPOCH - 256),
            Validator(bytes(third), credentials(2), 32 * GWEI, activation_epoch=EPOCH + 1),
        ],
        pending_withdrawals=[(1, 3 * GWEI)],
    )
    rules = rules_of(chain)
    assert rules.of_withdrawals([AmountOrder(first, None), AmountOrder(second, 5 * GWEI)]) == []
    assert rules.of_top_ups([AmountOrder(second, 2_008 * GWEI), AmountOrder(third, GWEI)]) == []
    assert rules.of_consolidations([ConsolidationOrder(first, second)]) == []
    assert rules.of_consolidations([ConsolidationOrder(first, first)]) == []


def test_a_switch_need_not_be_old() -> None:
    chain = AtEpoch(NO_WORLD, [Validator(bytes(KEYS[0]), credentials(1), 32 * GWEI, activation_epoch=EPOCH)])
    assert rules_of(chain).of_consolidations([ConsolidationOrder(KEYS[0], KEYS[0])]) == []


def test_a_full_queue_of_withdrawals() -> None:
    chain = AtEpoch(NO_WORLD, [Validator(bytes(KEYS[0]), credentials(2), 40 * GWEI)])
    view = view_of(chain)
    many: Any = range(PENDING_PARTIAL_WITHDRAWALS_LIMIT)
    full = BeaconView(view.epoch, 0, view.validators, many)
    rules = rules_of(chain, view=full)
    object.__setattr__(rules.view, "withdrawing_gwei", lambda _: 0)
    assert "is full" in rules.of_withdrawals([AmountOrder(KEYS[0], GWEI)])[0]
    assert rules.of_withdrawals([AmountOrder(KEYS[0], None)]) == []


def test_amounts_are_in_what_people_know() -> None:
    """32 of the beacon chain's are one GNO."""
    chain = AtEpoch(NO_WORLD, [Validator(bytes(KEYS[0]), credentials(2), 64 * GWEI)])
    (problem,) = rules_of(chain, network=GNOSIS).of_withdrawals([AmountOrder(KEYS[0], 48 * GWEI)])
    assert "1.5 GNO are wanted, 1 GNO can be had: it has 2 GNO, less the 1 GNO that stay" in problem


def test_a_top_up_that_the_deposit_contract_does_not_take() -> None:
    chain = AtEpoch(NO_WORLD, [Validator(bytes(KEYS[0]), credentials(2), 64 * GWEI)])
    (problem,) = rules_of(chain).of_top_ups([AmountOrder(KEYS[0], GWEI - 1)])
    assert "0.999999999 ETH are wanted, the deposit contract takes 1 ETH or more" in problem
    (problem,) = rules_of(chain, network=GNOSIS).of_top_ups([AmountOrder(KEYS[0], GWEI - 1)])
    assert "takes 0.03125 GNO or more" in problem
    assert rules_of(chain).of_top_ups([AmountOrder(KEYS[0], GWEI)]) == []


def test_what_waits_counts() -> None:
    """Somebody's deposit that waits is the validator's, too."""
    chain = AtEpoch(NO_WORLD, [Validator(bytes(KEYS[0]), credentials(2), 2_000 * GWEI)])
    view = view_of(chain)
    view = BeaconView(view.epoch, 0, view.validators, deposits={bytes(KEYS[0]): 40 * GWEI})
    (problem,) = rules_of(chain, view=view).of_top_ups([AmountOrder(KEYS[0], 9 * GWEI)])
    assert "40 ETH wait to be deposited" in problem


def test_what_is_on_its_way_counts() -> None:
    """As much as the beacon chain will move, and by way of others; not what is slashed, or paid out."""
    first, second = KEYS[:2]
    chain = AtEpoch(
        NO_WORLD,
        [
            Validator(bytes(first), credentials(2), 1_500 * GWEI),
            Validator(bytes(second), credentials(1), 48 * GWEI),
            Validator(OTHERS[0], credentials(2), 400 * GWEI + 1, exit_epoch=EPOCH - 9),
            Validator(OTHERS[1], credentials(1), 100 * GWEI, exit_epoch=EPOCH - 9),
            Validator(OTHERS[2], credentials(2), 300 * GWEI, slashed=True, exit_epoch=EPOCH - 9),
        ],
        pending_consolidations=[(3, 2), (2, 0), (4, 0)],
    )
    exact = rules_of(chain, max_balance_gwei=1_964 * GWEI)
    assert exact.of_consolidations([ConsolidationOrder(second, first)]) == []
    assert exact.of_top_ups([AmountOrder(first, 32 * GWEI)]) == []
    too_little = rules_of(chain, max_balance_gwei=1_964 * GWEI - 1)
    for (problem,) in (
        too_little.of_consolidations([ConsolidationOrder(second, first)]),
        too_little.of_top_ups([AmountOrder(first, 32 * GWEI)]),
    ):
        assert "432 ETH to be moved to it, and 32 ETH would be added" in problem


def test_a_balance_that_will_count_moves() -> None:
    """What somebody deposited a moment ago is effective before anything moves."""
    first, second = KEYS[:2]
    chain = AtEpoch(
        NO_WORLD,
        [
            Validator(bytes(first), credentials(2), 1_500 * GWEI),
            Validator(bytes(second), credentials(2), 500 * GWEI, effective=32 * GWEI),
        ],
    )
    (problem,) = rules_of(chain, max_balance_gwei=1_945 * GWEI).of_consolidations(
        [ConsolidationOrder(second, first)]
    )
    assert "500 ETH would be added" in problem


def test_no_part_of_what_was_less_than_whole() -> None:
    """Though it has enough by now: the chain goes by the effective balance, which lags."""
    chain = AtEpoch(NO_WORLD, [Validator(bytes(KEYS[0]), credentials(2), 33 * GWEI, effective=31 * GWEI)])
    (problem,) = rules_of(chain).of_withdrawals([AmountOrder(KEYS[0], GWEI)])
    assert "its effective balance is 31 ETH; no part is paid out while that is below 32 ETH" in problem
    (problem,) = rules_of(chain, network=GNOSIS).of_withdrawals([AmountOrder(KEYS[0], GWEI)])
    assert "below 1 GNO" in problem
    assert rules_of(chain).of_withdrawals([AmountOrder(KEYS[0], None)]) == []


def test_one_like_it_that_waited_before_is_not_it() -> None:
    """The same once more, which the beacon chain passes over, and then does; until it is paid."""
    key = KEYS[0]
    chain = AtEpoch(
        NO_WORLD, [Validator(bytes(key), credentials(2), 40 * GWEI)], pending_withdrawals=[(0, GWEI)]
    )
    again = withdrawal(chain, AmountOrder(key, GWEI))
    assert not_shown(again, view_of(chain)) == [bytes(key)]
    chain.process_withdrawal_request(VAULT, bytes(key), GWEI)
    assert not_shown(again, view_of(chain)) == []
    for _ in range(2):  # the earlier one first
        del chain.pending_withdrawals[0]
        chain.validators[0].balance -= GWEI
        assert not_shown(again, view_of(chain)) == []


def test_penalties_are_no_withdrawal() -> None:
    """However little is wanted: what is less than they may be shows while it waits."""
    key = KEYS[0]
    chain = AtEpoch(NO_WORLD, [Validator(bytes(key), credentials(2), 40 * GWEI)])
    little = withdrawal(chain, AmountOrder(key, 7))
    chain.validators[0].balance -= 20_000
    assert not_shown(little, view_of(chain)) == [bytes(key)]
    chain.process_withdrawal_request(VAULT, bytes(key), 7)
    assert not_shown(little, view_of(chain)) == []


def test_a_journal_of_an_earlier_version() -> None:
    """It has nothing to compare with, or not all."""
    key = KEYS[0]
    chain = AtEpoch(NO_WORLD, [Validator(bytes(key), credentials(2), 40 * GWEI)])
    for details in ({}, {"before_gwei": [40 * GWEI]}):
        chain.pending_withdrawals.clear()
        old = action(ActionKind.WITHDRAW, [key], amounts=[[key.to_wire(), GWEI]], **details)
        assert not_shown(old, view_of(chain)) == [bytes(key)]
        chain.process_withdrawal_request(VAULT, bytes(key), GWEI)
        assert not_shown(old, view_of(chain)) == []


def test_an_exit_is_no_consolidation() -> None:
    """A source that ended on its own kept its stake; one that is consolidated waits, then has none."""
    source, target = KEYS[:2]
    chain = AtEpoch(
        NO_WORLD,
        [
            Validator(bytes(source), credentials(1), 32 * GWEI),
            Validator(bytes(target), credentials(2), 40 * GWEI),
        ],
    )
    wanted = action(ActionKind.CONSOLIDATE, [source], pairs=[[source.to_wire(), target.to_wire()]])
    chain.process_withdrawal_request(VAULT, bytes(source), 0)
    assert not_shown(wanted, view_of(chain)) == [bytes(source)]
    chain.validators[0].exit_epoch = FAR_FUTURE_EPOCH
    chain.process_consolidation_request(VAULT, bytes(source), bytes(target))
    assert not_shown(wanted, view_of(chain)) == []
    chain.validators[0].exit_epoch = EPOCH - 256
    chain.process_pending_consolidations(EPOCH)
    assert not_shown(wanted, view_of(chain)) == []


VALIDATOR = {
    "index": "7",
    "balance": "33000000000",
    "status": "active_ongoing",
    "validator": {
        "pubkey": KEYS[0].to_wire(),
        "withdrawal_credentials": "0x02" + "00" * (31 - ADDRESS_BYTES) + VAULT.hex(),
        "effective_balance": "32000000000",
        "slashed": False,
        "activation_eligibility_epoch": "0",
        "activation_epoch": "5",
        "exit_epoch": "18446744073709551615",
        "withdrawable_epoch": "18446744073709551615",
    },
}
ANSWERS = {
    "validators": [VALIDATOR],
    "pending_partial_withdrawals": [{"validator_index": "7", "amount": "5", "withdrawable_epoch": "9"}],
    "pending_consolidations": [{"source_index": "7", "target_index": "8"}],
}


async def test_what_beacon_nodes_answer() -> None:
    """Source: beacon API, in its own words."""

    async def handle(request: web.Request) -> web.Response:
        assert request.path.startswith("/eth/v1/beacon/states/0xab/")
        return web.json_response(
            {"execution_optimistic": False, "data": ANSWERS[request.path.split("/")[-1]]}
        )

    async with (
        serving(of_network(handle)) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as beacon,
    ):
        found = await beacon.details([bytes(KEYS[0])], state="0xab")
        assert found == {
            bytes(KEYS[0]): ValidatorDetails(
                7, "active_ongoing", 33 * GWEI, 32 * GWEI, credentials(2), False, 5, FAR_FUTURE_EPOCH
            )
        }
        assert await beacon.details_by_index([7], state="0xab") == {7: found[bytes(KEYS[0])]}
        with pytest.raises(BeaconError, match="not asked for"):
            await beacon.details_by_index([8], state="0xab")
        with pytest.raises(BeaconError, match="expected a validator 8"):
            await beacon.details_by_index([7, 8], state="0xab")
        assert await beacon.pending_withdrawals("0xab") == [PendingWithdrawal(7, 5)]
        assert await beacon.pending_consolidations("0xab") == [PendingConsolidation(7, 8)]


WRONG = [
    {"data": [VALIDATOR], "execution_optimistic": True},
    {"data": [VALIDATOR | {"status": "\x1b[2Jwell"}]},
    {"data": [VALIDATOR | {"balance": "-1"}]},
    {"data": [VALIDATOR | {"balance": 5}]},
    {"data": [{**VALIDATOR, "validator": VALIDATOR["validator"] | {"pubkey": KEYS[1].to_wire()}}]},
    {"data": [{**VALIDATOR, "validator": VALIDATOR["validator"] | {"withdrawal_credentials": "0x02"}}]},
    {"data": [{"source_index": "7"}]},
    {"data": [{"validator_index": "7", "amount": "1e9"}]},
    {},
]


@pytest.mark.parametrize("answer", WRONG, ids=range(len(WRONG)))
async def test_answers_that_are_none(answer: dict[str, Any]) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=json.dumps(answer))

    async with (
        serving(of_network(handle)) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as beacon,
    ):
        for asked in (
            beacon.details([bytes(KEYS[0])], state="head"),
            beacon.pending_withdrawals("head"),
            beacon.pending_consolidations("head"),
        ):
            with pytest.raises(BeaconError):
                await asked
