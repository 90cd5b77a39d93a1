"""Which deposits make a validator: the same as milagro, py_ecc and a plain model say."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from py_ecc.bls import G2ProofOfPossession as py_ecc

from dvtfast import HOODI
from dvtfast.deposits import check_deposit_signatures
from dvtfast.services.chain.contracts.reads import DepositEvents, decode_deposits
from dvtfast.services.chain.deposits import validity
from dvtfast.services.chain.deposits.validity import DepositJudge
from tests.samples import rows
from tests.services.chain.deposits.deposit_events import (
    BAD_KINDS,
    GWEI,
    Deposit,
    Model,
    bad,
    logs_of,
    proves_possession,
    signed,
)


def mixed(n: int, seed: int) -> list[Deposit]:
    """New validators, top-ups, repeated deposits, bad ones, and good ones after them."""
    random = Random(seed)
    deposits: list[Deposit] = []
    for secret_key in range(1, n + 1):
        fate = random.random()
        if fate < 0.2:
            deposits += [bad(secret_key, random.randrange(BAD_KINDS)) for _ in range(random.randint(1, 3))]
        if fate > 0.1:
            deposits.append(signed(secret_key, amount_gwei=random.choice([10**9, GWEI, 2**64 - 1])))
        if deposits and random.random() < 0.3:
            again = random.choice(deposits)
            deposits.append(random.choice([again, replace(again, signature=bytes(96), amount_gwei=1)]))
    return deposits


def columns(deposits: list[Deposit]) -> DepositEvents:
    return decode_deposits(logs_of(deposits))


def test_every_verdict_is_that_of_milagro() -> None:
    deposits = [*mixed(60, 1), *(bad(500 + kind, kind) for kind in range(BAD_KINDS))]
    found = columns(deposits)
    ok = check_deposit_signatures(
        found.public_keys,
        found.withdrawal_credentials,
        found.amounts_gwei,
        found.signatures,
        HOODI,
        threads=1,
    )
    assert ok.tolist() == [proves_possession(deposit) for deposit in deposits]
    assert 10 < ok.sum() < len(deposits) - BAD_KINDS


@pytest.mark.parametrize("kind", [None, 3, 4, 10])
def test_some_verdicts_are_those_of_py_ecc(kind: int | None) -> None:
    deposit = signed(77) if kind is None else bad(77, kind)
    truth = py_ecc.Verify(deposit.public_key, deposit.signing_root(), deposit.signature)
    assert proves_possession(deposit) == truth == (kind is None)


@pytest.mark.parametrize("seed", range(4))
def test_batches_come_to_what_a_plain_list_does(seed: int) -> None:
    deposits, random = mixed(40, seed), Random(seed)
    judge, model, known = DepositJudge(HOODI, threads=1), Model(), []
    bad_signatures = begin = 0
    while begin < len(deposits):
        batch = deposits[begin : begin + random.randint(1, 30)]
        judged = judge.judge(columns(batch), known)
        known += [batch[place].public_key for place in judged.places]
        bad_signatures += judged.bad_signatures
        begin += len(batch)
        model.apply(*batch)
        assert (known, bad_signatures) == (model.validators, model.bad_signatures)
    assert bad_signatures > 3


def test_a_good_deposit_after_bad_ones_in_the_same_batch() -> None:
    batch = [bad(1, 0), bad(1, 1), signed(2), signed(1), bad(1, 0), signed(1), signed(2)]
    judged = DepositJudge(HOODI).judge(columns(batch), ())
    assert (judged.places.tolist(), judged.bad_signatures) == ([2, 3], 2)
    judged = DepositJudge(HOODI).judge(columns(batch), {signed(1).public_key})
    assert (judged.places.tolist(), judged.bad_signatures) == ([2], 0)
    judged = DepositJudge(HOODI).judge(columns([]), ())
    assert (judged.places.tolist(), judged.bad_signatures) == ([], 0)


def test_keys_that_end_in_zeros_are_different_ones() -> None:
    """Numpy's texts end where zeros begin."""
    short = signed(3).public_key[:40] + bytes(8)
    batch = [replace(signed(3), public_key=key) for key in (short, short[:39] + b"\x01" + bytes(8))]
    judged = DepositJudge(HOODI).judge(columns(batch), {short})
    assert (judged.places.tolist(), judged.bad_signatures) == ([], 1)


def test_pending_deposits_are_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[int] = []
    check = validity.check_deposit_signatures

    def counting(public_keys: np.ndarray, *others: object, **options: object) -> np.ndarray:
        checked.append(len(public_keys))
        return check(public_keys, *others, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(validity, "check_deposit_signatures", counting)
    judge, batch = DepositJudge(HOODI), [signed(1), bad(2, 3), signed(2), signed(4)]

    def made(
        deposits: list[Deposit], known: tuple[bytes, ...] = (), *, are_pending: bool = True
    ) -> list[int]:
        checked.clear()
        return judge.judge(columns(deposits), known, are_pending=are_pending).places.tolist()

    assert (made(batch), checked) == ([0, 2, 3], [3, 1])
    assert (made(batch), checked) == ([0, 2, 3], [0, 0])
    # Some of them become final, and then others are pending.
    assert (made(batch[:2], are_pending=False), checked) == ([0], [0, 0])
    known = (signed(1).public_key,)
    assert (made([*batch[2:], signed(5)], known), checked) == ([0, 1, 2], [1, 0])
    assert (made([signed(1)]), checked) == ([0], [1, 0])


def test_a_signature_counts_for_its_own_deposit_only() -> None:
    """Nothing that was found out about one deposit is taken for another."""
    judge = DepositJudge(HOODI)
    good = signed(1)
    others = [
        replace(good, amount_gwei=good.amount_gwei ^ 1),
        replace(good, withdrawal_credentials=b"\x02" + bytes(31)),
        replace(good, signature=signed(2).signature),
    ]
    assert judge.judge(columns([good]), (), are_pending=True).places.tolist() == [0]
    for other in others:
        assert judge.judge(columns([other]), (), are_pending=True).places.tolist() == []


def test_the_library_takes_rows_and_no_rows() -> None:
    good = signed(1)
    one = rows([good.public_key], 48), rows([good.withdrawal_credentials], 32)
    assert check_deposit_signatures(*one, [good.amount_gwei], rows([good.signature], 96), HOODI).tolist() == [
        True
    ]
    none = np.zeros((0, 48), np.uint8), np.zeros((0, 32), np.uint8), np.zeros(0, np.uint64)
    assert check_deposit_signatures(*none, np.zeros((0, 96), np.uint8), HOODI).tolist() == []
