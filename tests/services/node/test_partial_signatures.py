"""Partial signatures of a duty: enough good ones make a signature, whatever else comes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvtfast import PublicKeys, derive_public_keys, generate_secret_keys, sign, split_secret_keys
from dvtfast.services.node import partial_signatures
from dvtfast.services.node.partial_signatures import (
    ClusterKeys,
    DutyShares,
    Fault,
    PartialSignatures,
    SignedRoots,
)
from dvtfast.services.process.offload import OverloadedError, Workers
from tests import reference
from tests.services.p2p.hosts import until
from tests.services.patience import PATIENCE_SECONDS

VALIDATORS, NODES, THRESHOLD = 5, 4, 3
SECRETS = generate_secret_keys(VALIDATORS)
SHARES = split_secret_keys(SECRETS, threshold=THRESHOLD, share_indices=range(1, NODES + 1))


def keys_of(shares: np.ndarray, threshold: int) -> ClusterKeys:
    public = derive_public_keys(shares.reshape(-1, 32)).reshape(*shares.shape[:2], 48)
    return ClusterKeys(threshold, PublicKeys(derive_public_keys(SECRETS)), PublicKeys(public))


KEYS = keys_of(SHARES, THRESHOLD)
ALL = np.arange(VALIDATORS)
ROOTS = np.repeat(np.arange(1, VALIDATORS + 1, dtype=np.uint8)[:, np.newaxis], 32, axis=1)
WHOLE = sign(SECRETS, ROOTS)
OTHER_ROOTS = ROOTS + 100


def signed(node: int, roots: np.ndarray = ROOTS, validators: np.ndarray = ALL) -> SignedRoots:
    return SignedRoots(validators, roots[validators], sign(SHARES[validators, node], roots[validators]))


def wrong(node: int, validators: np.ndarray = ALL) -> SignedRoots:
    """Points that are signatures, of something else."""
    return SignedRoots(validators, ROOTS[validators], signed(node, OTHER_ROOTS, validators).signatures)


class Gathered:
    """What a test does with a duty, and what came of it."""

    def __init__(self, keys: ClusterKeys = KEYS) -> None:
        self.faults: list[Fault] = []
        self._workers = Workers("test", threads=1)
        self.partials = PartialSignatures[str](
            keys, self._workers, lambda _, fault: self.faults.append(fault)
        )

    async def add(self, node: int, each: SignedRoots) -> None:
        await self.partials.add("duty", node, each)

    @property
    def shares(self) -> DutyShares:
        shares = self.partials.shares("duty")
        assert shares is not None
        return shares

    def there(self, roots: np.ndarray = ROOTS) -> list[int]:
        found, signatures = self.shares.of(ALL, roots)
        whole = sign(SECRETS, roots)
        assert (signatures[found] == whole[found]).all()
        assert not signatures[~found].any()
        return list(np.flatnonzero(found))

    async def close(self) -> None:
        await self._workers.close()


@pytest.fixture
async def gathered() -> AsyncIterator[Gathered]:
    gathered = Gathered()
    yield gathered
    await gathered.close()


async def test_enough_make_a_signature(gathered: Gathered) -> None:
    for node in (3, 0):
        await gathered.add(node, signed(node))
        assert gathered.there() == []
    await gathered.add(1, signed(1))
    assert gathered.there() == list(ALL)
    assert gathered.faults == []
    key = KEYS.public_keys.encoded[2].tobytes()
    assert key == reference.public_key(int.from_bytes(SECRETS[2].tobytes()))
    assert WHOLE[2].tobytes() == reference.sign(int.from_bytes(SECRETS[2].tobytes()), ROOTS[2].tobytes())


async def test_each_validator_by_itself(gathered: Gathered) -> None:
    await gathered.add(0, signed(0))
    await gathered.add(1, signed(1, validators=np.array([4, 1])))
    await gathered.add(2, signed(2, validators=np.array([1, 0])))
    assert gathered.there() == [1]
    await gathered.add(3, signed(3, validators=np.array([0, 4])))
    assert gathered.there() == [0, 1, 4]
    assert gathered.shares.signers(0) == [0, 2, 3]
    assert gathered.shares.signers(3) == [0]


@pytest.mark.parametrize("bad", range(NODES))
async def test_a_bad_node_is_named_and_does_not_stop_the_others(gathered: Gathered, bad: int) -> None:
    """It comes first; all that it sends is wrong."""
    await gathered.add(bad, wrong(bad))
    for node in set(range(NODES)) - {bad}:
        await gathered.add(node, signed(node))
    assert gathered.there() == list(ALL)
    assert gathered.faults == [Fault(bad, tuple(range(VALIDATORS)), "a wrong partial signature")]


async def test_one_bad_entry_costs_that_entry(gathered: Gathered) -> None:
    each = signed(0)
    each.signatures[3] = wrong(0).signatures[3]
    await gathered.add(0, each)
    await gathered.add(1, signed(1))
    await gathered.add(2, signed(2))
    assert gathered.there() == [0, 1, 2, 4]
    assert gathered.faults == [Fault(0, (3,), "a wrong partial signature")]
    await gathered.add(0, each)  # again: it stays bad, and nothing is done for it
    assert not len(gathered.shares.due())
    await gathered.add(3, signed(3))
    assert gathered.there() == list(ALL)


async def test_bytes_that_are_no_point(gathered: Gathered) -> None:
    junk = SignedRoots(ALL, ROOTS, np.full((VALIDATORS, 96), 0xFF, np.uint8))
    infinity = SignedRoots(ALL, ROOTS, np.zeros((VALIDATORS, 96), np.uint8))
    infinity.signatures[:, 0] = 0xC0
    two = Gathered(keys_of(split_secret_keys(SECRETS, threshold=2, share_indices=range(1, NODES + 1)), 2))
    await two.add(0, junk)
    await two.add(1, infinity)
    await two.close()
    assert {fault.node for fault in two.faults} == {0, 1}
    await gathered.add(0, junk)
    for node in (1, 2, 3):
        await gathered.add(node, signed(node))
    assert gathered.there() == list(ALL)
    assert [fault.node for fault in gathered.faults] == [0]


async def test_nodes_that_disagree(gathered: Gathered) -> None:
    """Only what enough of them sign alike is a signature."""
    for node, roots in ((0, ROOTS), (1, OTHER_ROOTS), (2, ROOTS)):
        await gathered.add(node, signed(node, roots))
    assert gathered.there() == gathered.there(OTHER_ROOTS) == []
    await gathered.add(3, signed(3))
    assert gathered.there() == list(ALL)
    assert gathered.there(OTHER_ROOTS) == []
    assert gathered.faults == []


async def test_who_signs_two_things_is_named_and_the_first_counts(gathered: Gathered) -> None:
    await gathered.add(0, signed(0))
    await gathered.add(0, signed(0))  # the same again is nothing
    assert gathered.faults == []
    await gathered.add(0, signed(0, OTHER_ROOTS))
    assert gathered.faults == [Fault(0, tuple(ALL), "it signed something else for this duty before")]
    for node in (1, 2):
        await gathered.add(node, signed(node, OTHER_ROOTS))
    assert gathered.there(OTHER_ROOTS) == []
    await gathered.add(3, signed(3, OTHER_ROOTS))
    assert gathered.there(OTHER_ROOTS) == list(ALL)


async def test_a_validator_twice_in_a_message(gathered: Gathered) -> None:
    both = SignedRoots(np.array([1, 1]), np.stack([ROOTS[1], OTHER_ROOTS[1]]), np.stack([WHOLE[1], WHOLE[2]]))
    await gathered.add(0, both)
    assert gathered.faults == [Fault(0, (1,), "it signed something else for this duty before")]


async def test_what_is_kept_is_bounded(gathered: Gathered) -> None:
    for number in range(50):
        roots = np.full((VALIDATORS, 32), number, np.uint8)
        await gathered.add(2, SignedRoots(ALL, roots, WHOLE))
    assert len(gathered.shares.due()) == 0
    assert gathered.shares.rows == VALIDATORS


async def test_who_waits_gets_them_as_they_come(gathered: Gathered) -> None:
    came: list[list[int]] = []

    async def wait() -> None:
        async for each in gathered.partials.signatures("duty", ALL, ROOTS):
            assert (each.signatures == WHOLE[each.validators]).all()
            came.append(each.validators.tolist())

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    for node in (0, 1):
        await gathered.add(node, signed(node))
    await gathered.add(2, signed(2, validators=np.array([0, 2])))
    await gathered.add(3, signed(3))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await waiting
    assert came == [[0, 2], [1, 3, 4]]
    gathered.partials.forget(lambda duty: duty != "duty")
    assert gathered.partials.shares("duty") is not None
    gathered.partials.forget(lambda duty: duty == "duty")
    assert gathered.partials.shares("duty") is None


async def test_no_more_is_kept_of_a_node_than_it_has_duties(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial_signatures, "MOST_OF_VALIDATOR", 2)
    monkeypatch.setattr(partial_signatures, "MOST_OF_SEAT", 0)
    gathered = Gathered()
    for duty in ("one", "two", "two", "three"):
        await gathered.partials.add(duty, 1, signed(1))
    assert gathered.partials.shares("three") is None
    fault = Fault(1, (), "more partial signatures than it has duties for")
    assert gathered.faults == [fault, fault]  # what is kept already is no excuse
    await gathered.partials.add("three", 2, signed(2))
    gathered.partials.forget(lambda duty: duty == "one")
    await gathered.partials.add("three", 1, signed(1))
    assert gathered.faults == [fault, fault]
    await gathered.close()


@settings(max_examples=30, deadline=None)
@given(
    st.permutations([(node, half) for node in range(NODES) for half in (0, 1)]),
    st.integers(0, NODES - 1),
    st.lists(st.integers(0, VALIDATORS - 1), unique=True),
)
def test_whatever_the_order(order: list[tuple[int, int]], bad: int, of: list[int]) -> None:
    """Halves of what each node sends come in any order; one node's are wrong for some validators."""

    async def run() -> None:
        gathered = Gathered()
        for node, half in order:
            each = signed(node, validators=ALL[half::2])
            if node == bad:
                spoilt = np.isin(each.validators, of)
                each.signatures[spoilt] = wrong(node, each.validators[spoilt]).signatures
            await gathered.add(node, each)
        assert gathered.there() == list(ALL)
        named = [validator for fault in gathered.faults for validator in fault.validators]
        assert set(named) <= set(of)
        assert {fault.node for fault in gathered.faults} <= {bad}
        await gathered.close()

    asyncio.run(run())


async def test_what_was_not_recovered_for_lack_of_room_is_due_again(monkeypatch: pytest.MonkeyPatch) -> None:
    of = Gathered()
    run, refused = Workers.run, []

    async def refusing(self: Workers, function: object, *args: object) -> object:
        if len(refused) < 2:
            refused.append(function)
            raise OverloadedError("too much to do")
        return await run(self, function, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Workers, "run", refusing)
    monkeypatch.setattr(partial_signatures, "AGAIN_SECONDS", 0.0)
    for node in range(THRESHOLD):
        await of.add(node, signed(node))
    assert len(refused) == 2
    assert len(of.shares.recovered()) == VALIDATORS


async def test_nothing_is_left_pending_in_the_end() -> None:
    of, go = Gathered(), threading.Event()
    busy = asyncio.create_task(of._workers.run(go.wait))
    adding = [asyncio.create_task(of.add(node, signed(node))) for node in range(NODES)]
    await until(lambda: of._workers.under_way == 2)
    await of.partials.close()
    await asyncio.wait(adding)
    await of.partials.add("late", 0, signed(0))  # whoever is still heard does not begin anew
    await asyncio.wait([asyncio.create_task(of.partials.add("late", node, signed(node))) for node in (1, 2)])
    assert asyncio.all_tasks() == {asyncio.current_task(), busy}
    go.set()
    await busy
    await of._workers.close()


async def test_who_brings_the_last_share_may_be_cut_off() -> None:
    of = Gathered()
    for node in range(THRESHOLD - 1):
        await of.add(node, signed(node))
    last = asyncio.create_task(of.add(THRESHOLD - 1, signed(THRESHOLD - 1)))
    await asyncio.sleep(0)
    last.cancel()
    await asyncio.wait([last])
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for each in of.partials.signatures("duty", ALL, ROOTS):
            assert len(each) == VALIDATORS
    assert last.cancelled()


def test_arrays_double_where_rows_come_one_by_one() -> None:
    shares = DutyShares(KEYS)
    rooms = set()
    for row in range(100):
        roots = np.full((1, 32), row, np.uint8)
        shares.add(0, SignedRoots(np.array([row]), roots, np.zeros((1, 96), np.uint8)))
        rooms.add(len(shares._shares.base))
    assert rooms == {1, 2, 4, 8, 16, 32, 64, 128}
