"""Whole registrations while oracles are out, and while the chain takes blocks back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from dvtfast.services.demo.chain_proof import read_chain
from dvtfast.services.demo.on_chain import ChainDemo
from dvtfast.services.demo.processes import Service
from dvtfast.services.demo.world.deployed_contracts import ETH

from .. import rounds

SECONDS = 550
ORACLES, NEEDED = 11, 8
BATCH = 2
TAKEN_BACK = 8  # blocks
TAKEN_BACK_TOLD = "a reorganisation took back what was concluded; the action is open again"

pytestmark = pytest.mark.timeout(SECONDS)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainDemo]:
    """As many oracles as mainnet has, and a vault with deposit data for four batches."""
    settings = rounds.settings_of(
        4 * BATCH // 2, chain="true", nodes="3", threshold="2", timeout_seconds=str(SECONDS)
    )
    assert (settings.oracles, settings.oracle_threshold) == (ORACLES, NEEDED)
    with ChainDemo(settings, tmp_path_factory.mktemp("demo"), rounds.silent_steps()) as demo:
        demo.start()
        yield demo


@pytest.fixture(scope="module")
def deposit_data(demo: ChainDemo) -> list[str]:
    return demo.use_deposit_data()


def stake(demo: ChainDemo) -> None:
    demo.loop.run(demo.world.stake(BATCH * 32 * ETH))


def height(demo: ChainDemo) -> int:
    return demo.loop.run(demo.world.chain.height())


def wait(demo: ChainDemo, condition: Callable[[], object]) -> None:
    while not condition():
        demo.services.pause()


def registered(demo: ChainDemo) -> int:
    """Validators of the cluster with a deposit; each has one at most."""
    found = demo.loop.run(read_chain(demo.world, demo.node))
    counts = Counter(row.tobytes() for row in found.deposits.public_keys)
    ours = [counts[key.tobytes()] for key in demo.cluster.public_keys.encoded]
    assert max(ours) <= 1
    return sum(ours)


def test_eight_oracles_are_enough_and_seven_are_not(demo: ChainDemo, deposit_data: list[str]) -> None:
    def refused(operator: Service) -> list[str]:
        return [line["why"] for line in operator.events("not registered")]

    before = registered(demo)
    for oracle in demo.oracle_processes[: ORACLES - NEEDED]:
        oracle.stop()
    stake(demo)
    operator = demo.start_operator("few-oracles", deposit_data)
    wait(demo, lambda: len(demo.registered()) == 1)
    assert refused(operator) == []
    assert registered(demo) == before + BATCH

    last = demo.oracle_processes[NEEDED]
    last.stop()
    stake(demo)
    wait(demo, lambda: refused(operator))
    assert (
        f"expected the same answer of {NEEDED} of {ORACLES} oracles, got {NEEDED - 1}" in refused(operator)[0]
    )
    assert refused(operator)[0].endswith("nothing was sent")
    assert (len(demo.actions()), registered(demo)) == (1, before + BATCH)
    last.start()
    wait(demo, lambda: len(demo.registered()) == 2)
    assert registered(demo) == before + 2 * BATCH
    demo.stop_operator(operator)
    for oracle in demo.oracle_processes[: ORACLES - NEEDED]:
        oracle.start()
        oracle.wait()


def test_blocks_that_are_taken_back(demo: ChainDemo, deposit_data: list[str]) -> None:
    """The registration is out of the chain for a while, and in it once in the end."""
    before, done = registered(demo), len(demo.registered())
    stake(demo)
    staked = height(demo)
    wait(demo, lambda: height(demo) >= staked + TAKEN_BACK)  # the stake stays
    operator = demo.start_operator("reorg", [*deposit_data, "--confirmations", "8"])
    wait(demo, lambda: operator.events("confirmations"))
    assert registered(demo) == before + BATCH
    demo.loop.run(demo.world.chain.reorg(TAKEN_BACK))
    assert registered(demo) == before
    assert len(demo.registered()) == done
    wait(demo, lambda: len(demo.registered()) == done + 1)
    assert operator.events("transaction is in the chain no more")
    assert registered(demo) == before + BATCH
    demo.stop_operator(operator)


@pytest.mark.thorough  # within a process: tests/services/operator/sending/test_sender_reorganisations.py
def test_blocks_that_are_taken_back_after_it_was_concluded(demo: ChainDemo, deposit_data: list[str]) -> None:
    """Deeper than the confirmations, while the operator is dead: the next one registers them, once."""
    before, done = registered(demo), len(demo.registered())
    stake(demo)
    staked = height(demo)
    wait(demo, lambda: height(demo) >= staked + 1)  # the stake stays
    options = [*deposit_data, "--confirmations", "2"]
    operator = demo.start_operator("killed", options)
    wait(demo, lambda: len(demo.registered()) == done + 1)
    demo.services.forget(operator)
    operator.kill()
    last = demo.registered()[-1]
    assert last.conclusion is not None
    assert last.conclusion.block_number is not None
    demo.loop.run(demo.world.chain.reorg(height(demo) - last.conclusion.block_number + 1))
    assert registered(demo) == before
    operator = demo.start_operator("after", options)
    wait(demo, lambda: operator.events(TAKEN_BACK_TOLD))
    # It is told before it is on record, where the action still counts as done until then.
    wait(demo, lambda: [bool(each.reopenings) for each in demo.registered()[done:]] == [True])
    assert registered(demo) == before + BATCH
    again = demo.registered()[-1]
    assert (again.id, again.nonce, len(again.reopenings)) == (last.id, last.nonce, 1)
    demo.stop_operator(operator)
