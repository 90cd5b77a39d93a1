"""Exits of a cluster among its nodes, one of which may send anything."""

from __future__ import annotations

import asyncio
import stat
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import structlog.testing

from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.validator_messages import SignedVoluntaryExit, VoluntaryExit
from dvtfast.duties.wrappers import encode_signed
from dvtfast.services.chain.beacon.client import ValidatorDetails
from dvtfast.services.node.commands.run import exits_of
from dvtfast.services.node.exits import exits as module
from dvtfast.services.node.exits.messages import ExitMessage, PartialExit
from dvtfast.services.node.exits.states import ExitState, exit_states
from dvtfast.services.node.exits.store import MOST_MESSAGES, ExitStore, ExitStoreError
from dvtfast.services.node.wire.partial_signatures import PROTOCOL, PartiallySigned, PartialSignaturesMessage
from tests.services.p2p.hosts import until

from .exiting import (
    EPOCH,
    FIRST_INDEX,
    LOCK_HASH,
    NAMES,
    NODES,
    OPERATORS,
    SCHEDULE,
    THRESHOLD,
    VALIDATORS,
    ExitingNodes,
    check,
    duty_of,
    exiting_nodes,
    partial_exit,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[ExitingNodes]:
    async with exiting_nodes(tmp_path) as nodes:
        yield nodes


async def for_a_while(nodes: ExitingNodes) -> None:
    """Until each node has looked several times whether there is something to do."""
    await asyncio.sleep(0.5)
    assert not any(task.done() for task in nodes.running.values())


def signed_by(nodes: ExitingNodes) -> list[int]:
    return [node for node in range(NODES) if nodes.signers[node].signed]


async def test_the_threshold_of_operators_is_needed(nodes: ExitingNodes) -> None:
    nodes.order(0, 1, 3, is_wanted=True)
    await until(lambda: all(nodes.signers_of(node, 3) == [0] for node in range(NODES)))
    await for_a_while(nodes)
    assert signed_by(nodes) == [0]
    nodes.order(1, 1, 3)
    await until(lambda: all(nodes.signers_of(node, 3) == [0, 1] for node in range(NODES)))
    await for_a_while(nodes)
    assert signed_by(nodes) == [0, 1]
    assert not any(nodes.whole(node) for node in range(NODES))
    nodes.order(2, 3)
    await until(lambda: all(nodes.whole(node) == [3] for node in range(NODES)))
    assert signed_by(nodes) == [0, 1, 2]
    # Sent by the one whose operator wants that, and of the other validator there are too few.
    await until(lambda: bool(nodes.beacon.sent))
    await for_a_while(nodes)
    (sent,) = nodes.beacon.sent
    assert sent.message == VoluntaryExit(0, FIRST_INDEX + 3)
    check([sent])
    assert [store.whole()[0].sent_at for store in nodes.stores] == [nodes.now(), None, None, None]


async def test_it_is_sent_each_epoch_until_the_chain_shows_it(nodes: ExitingNodes) -> None:
    nodes.beacon.refuses = "not active long enough"
    for node in range(3):
        nodes.order(node, 0, is_wanted=node == 0)
    await until(lambda: any(each.problem for each in nodes.stores[0].whole()))
    assert nodes.stores[0].whole()[0].problem == "not active long enough"
    nodes.beacon.refuses = ""
    for count in (1, 2):
        nodes.epoch += 1
        await until(lambda count=count: len(nodes.beacon.sent) == count)
    assert nodes.stores[0].whole()[0].problem == ""
    nodes.beacon.statuses[0] = "active_exiting"
    nodes.epoch += 1
    await for_a_while(nodes)
    assert len(nodes.beacon.sent) == 2


async def test_one_of_a_later_epoch_is_kept_until_then(nodes: ExitingNodes) -> None:
    for node in range(3):
        nodes.order(node, 0, epoch=EPOCH + 1, is_wanted=True)
    await until(lambda: nodes.whole(0) == [0])
    await for_a_while(nodes)
    assert not nodes.beacon.sent
    nodes.epoch += 1
    await until(lambda: len(nodes.beacon.sent) == 3)


async def test_validators_that_wait(nodes: ExitingNodes) -> None:
    """One that has an index is signed for; one without as soon as it has one; both are sent once active."""
    nodes.beacon.statuses[0] = "pending_queued"
    del nodes.beacon.statuses[1]
    for node in range(3):
        nodes.order(node, 0, 1, is_wanted=node == 0)
    await until(lambda: nodes.whole(3) == [0])
    assert not any(nodes.signers_of(node, 1) for node in range(NODES))
    (left,) = nodes.stores[0].unsigned(0)
    assert left.problem.startswith("the beacon chain does not know the validator yet")
    nodes.beacon.statuses[1] = "pending_initialized"
    nodes.epoch += 1
    await until(lambda: sorted(nodes.whole(3)) == [0, 1])
    await for_a_while(nodes)
    assert not nodes.beacon.sent
    nodes.beacon.statuses |= {0: "active_ongoing", 1: "active_ongoing"}
    nodes.epoch += 1
    await until(lambda: len(nodes.beacon.sent) == 2)


async def test_who_has_left_is_not_signed_for(nodes: ExitingNodes) -> None:
    nodes.beacon.statuses[2] = "exited_unslashed"
    nodes.order(0, 2)
    await until(lambda: bool(nodes.stores[0].unsigned(0)[0].problem))
    assert nodes.stores[0].unsigned(0)[0].problem == "the beacon chain shows it as exited_unslashed"
    assert signed_by(nodes) == []


async def test_what_the_signer_refuses_is_told_and_tried_again(nodes: ExitingNodes) -> None:
    nodes.signers[0].why = "another value is signed for the duty"
    nodes.order(0, 2)
    await until(lambda: bool(nodes.stores[0].unsigned(0)[0].problem))
    assert nodes.stores[0].unsigned(0)[0].problem == "another value is signed for the duty"
    nodes.signers[0].why = ""
    await until(lambda: nodes.signers_of(3, 2) == [0])
    assert nodes.stores[0].orders()[0].problem == ""


async def test_without_a_beacon_node_the_nodes_go_on(nodes: ExitingNodes) -> None:
    """With what they know; who knows nothing signs nothing."""
    nodes.order(0, 2, is_wanted=True)
    await until(lambda: nodes.signers_of(3, 2) == [0])
    nodes.beacon.is_away = True
    nodes.epoch += 1
    await nodes.receive(1, message_of(1, {2: partial_exit(1, 2)}))
    await nodes.receive(2, message_of(2, {2: partial_exit(2, 2)}))
    await until(lambda: nodes.whole(3) == [2])
    await nodes.end(3)
    nodes.begin(3)
    nodes.order(3, 1)
    nodes.order(0, 1)  # which knows the chain
    await until(lambda: nodes.signers_of(3, 1) == [0])
    await for_a_while(nodes)
    assert not nodes.signers[3].signed
    assert not nodes.beacon.sent
    nodes.beacon.is_away = False
    await until(lambda: nodes.signers_of(0, 1) == [0, 3])
    await until(lambda: len(nodes.beacon.sent) == 1)


async def test_killed_in_the_middle(nodes: ExitingNodes) -> None:
    """What was ordered and signed before is on disk; nothing is signed twice."""
    nodes.order(0, 0, 1)
    await until(lambda: all(nodes.signers_of(node, 1) == [0] for node in range(NODES)))
    await nodes.end(0)
    await nodes.end(3)
    nodes.order(1, 0, 1)
    nodes.order(2, 0, 1)
    nodes.order(3, 0, 1)  # which does not run
    await until(lambda: sorted(nodes.whole(1)) == [0, 1])
    await nodes.end(1)
    await nodes.end(2)
    for node in range(NODES):
        nodes.begin(node)
    everything: Callable[[], bool] = lambda: all(  # noqa: E731 - said twice
        sorted(nodes.whole(node)) == [0, 1] and nodes.signers_of(node, 0) == [0, 1, 2, 3]
        for node in range(NODES)
    )
    await until(everything)
    assert all(len(nodes.signers[node].signed) == 2 for node in range(NODES))


async def test_one_epoch_unless_the_operator_says_otherwise(nodes: ExitingNodes) -> None:
    nodes.order(0, 0, epoch=5)
    (before,) = nodes.stores[0].order([NAMES[0], NAMES[1]], 6)
    assert (before.validator, before.epoch) == (NAMES[0], 5)
    assert [order.validator for order in nodes.stores[0].orders()] == [NAMES[0]]
    await until(lambda: nodes.signers_of(1, 0, epoch=5) == [0])
    assert not nodes.stores[0].order([NAMES[0]], 6, replace=True)
    await until(lambda: nodes.signers_of(1, 0, epoch=6) == [0])
    assert [each.duty for each in nodes.signers[0].signed] == [duty_of(5), duty_of(6)]


async def test_different_epochs_make_no_exit(nodes: ExitingNodes) -> None:
    for node in range(NODES):
        nodes.order(node, 0, epoch=node // 2, is_wanted=True)
    await until(lambda: all(nodes.signers_of(node, 0, epoch=1) == [2, 3] for node in range(NODES)))
    await for_a_while(nodes)
    assert not any(nodes.whole(node) for node in range(NODES))


async def test_exits_of_validator_clients(nodes: ExitingNodes) -> None:
    """A client's exit is its operator's order; it takes the threshold of these, too."""

    async def submit(node: int, value: SignedVoluntaryExit) -> str:
        return await nodes.exits[node].submit(value, nodes.signers[node])

    wrong = "its signature is not one of this node's key share"
    assert await submit(0, partial_exit(1, 2)) == wrong
    assert await submit(0, replace(partial_exit(0, 2), signature=partial_exit(0, 3).signature)) == wrong
    assert await submit(0, partial_exit(0, 2, index=7)) == "it is no validator of this cluster"
    nodes.signers[0].why = "another value is signed for the duty"
    assert await submit(0, partial_exit(0, 4)) == "another value is signed for the duty"
    nodes.signers[0].why = ""
    assert not any(nodes.signers_of(node, position) for node in range(NODES) for position in (2, 3))
    for node in range(3):
        assert not any(nodes.whole(each) for each in range(NODES))
        assert await submit(node, partial_exit(node, 2)) == ""
        assert await submit(node, partial_exit(node, 2)) == ""  # once more
    assert await submit(0, partial_exit(0, 2, epoch=1)) == "an exit of epoch 0 was ordered before"
    await until(lambda: nodes.whole(3) == [2])
    await until(lambda: len(nodes.beacon.sent) == 3)
    check(nodes.beacon.sent)


async def test_only_the_exit_that_is_wanted_is_sent(nodes: ExitingNodes) -> None:
    """One of another epoch, which the cluster signed before, stays where it is."""
    for node in range(3):
        nodes.order(node, 0)
    await until(lambda: nodes.whole(0) == [0])
    nodes.stores[0].order([NAMES[0]], EPOCH + 1, is_wanted=True, replace=True)
    await until(lambda: nodes.signers_of(0, 0, epoch=EPOCH + 1) == [0])
    await for_a_while(nodes)
    assert not nodes.beacon.sent
    (state,) = exit_states(nodes.stores[0], NAMES[:1])
    assert (state.epoch, state.whole, state.is_wanted, state.other_epochs) == (EPOCH + 1, None, True, [0])
    for node in (1, 2):
        nodes.stores[node].order([NAMES[0]], EPOCH + 1, replace=True)
    await until(lambda: nodes.whole(0) == [0, 0])
    nodes.epoch += 1
    await until(lambda: bool(nodes.beacon.sent))
    await for_a_while(nodes)
    assert [each.message.epoch for each in nodes.beacon.sent] == [EPOCH + 1]


async def test_what_is_replaced_is_no_more_wanted(nodes: ExitingNodes) -> None:
    store = nodes.stores[0]
    assert not store.order(NAMES[:2], 0, is_wanted=True)
    store.want([(NAMES[0], 3), (NAMES[0], 7)])  # as broadcasting does
    assert not store.order(NAMES[:1], 7, replace=True)
    assert store.wanted() == {(NAMES[0], 7), (NAMES[1], 0)}


async def test_one_that_cannot_be_sent_keeps_no_other_waiting(nodes: ExitingNodes) -> None:
    """Neither refused nor taken: a beacon node failed, or one of two did not answer."""
    nodes.beacon.fails_for = {FIRST_INDEX + position for position in range(VALIDATORS - 1)}
    for node in range(3):
        nodes.order(node, *range(VALIDATORS), is_wanted=node == 0)
    await until(lambda: len(nodes.whole(0)) == VALIDATORS)
    for epoch in range(1, 3):
        await until(lambda epoch=epoch: len(nodes.beacon.sent) == epoch)
        await until(lambda epoch=epoch: len(nodes.beacon.failed) >= epoch * (VALIDATORS - 1))
        await for_a_while(nodes)
        assert len(nodes.beacon.sent) == epoch
        assert len(nodes.beacon.failed) == epoch * (VALIDATORS - 1)  # each once in an epoch
        nodes.epoch += 1
    problems = {each.message.index: each.problem for each in nodes.stores[0].whole()}
    assert problems == {
        FIRST_INDEX + position: "" if position == VALIDATORS - 1 else "beacon: HTTP 503"
        for position in range(VALIDATORS)
    }


async def test_a_wrong_index_spoils_no_validator(nodes: ExitingNodes) -> None:
    """A beacon node that lied for an epoch: what was signed so is of no use, and hides nothing."""
    nodes.beacon.indices[0] = 999
    for node in range(3):
        nodes.order(node, 0, is_wanted=node == 0)
    await until(lambda: [each.message.index for each in nodes.stores[0].whole()] == [999])
    for node in range(3):
        nodes.signers[node].why = "another value is signed for the duty"  # as the record says
    nodes.beacon.indices[0] = FIRST_INDEX
    nodes.epoch += 1
    await until(lambda: bool(nodes.stores[0].orders()[0].problem))
    assert nodes.stores[0].unsigned(0, {NAMES[0]: FIRST_INDEX}) == nodes.stores[0].orders()
    await for_a_while(nodes)
    before = len(nodes.beacon.sent)
    (state,) = exit_states(nodes.stores[0], NAMES[:1], {NAMES[0]: FIRST_INDEX})
    assert (state.epoch, state.whole, state.signed_by) == (0, None, ())
    assert state.problem == (
        f"signed of index 999, the chain says {FIRST_INDEX}: order another epoch at all nodes"
    )
    for node in range(3):
        nodes.signers[node].why = ""
        nodes.stores[node].order([NAMES[0]], 1, is_wanted=node == 0, replace=True)
    await until(lambda: any(each.sent_at and each.message.epoch == 1 for each in nodes.stores[0].whole()))
    check(nodes.beacon.sent[before:])

    def last_state() -> ExitState:
        (state,) = exit_states(nodes.stores[0], NAMES[:1], {NAMES[0]: FIRST_INDEX})
        return state

    await until(lambda: last_state().described(THRESHOLD) == "sent, epoch 1")
    assert (last_state().other_epochs, last_state().problem) == ([0], "")


async def test_partial_exits_of_two_indices_are_not_counted_together(nodes: ExitingNodes) -> None:
    store = nodes.store(0)
    for node, index in enumerate((FIRST_INDEX, FIRST_INDEX, 999)):
        message = ExitMessage(NAMES[0], 0, index)
        store.add([PartialExit(message, node, partial_exit(node, 0, index=index).signature)])
    (state,) = exit_states(store, NAMES[:1])
    assert state.signed_by == [1, 2]
    (state,) = exit_states(store, NAMES[:1], {NAMES[0]: 999})
    assert state.signed_by == [3]
    store.close()


async def test_an_order_is_taken_back(nodes: ExitingNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the cluster signed is not sent then, and what this node signed goes to nobody who lacks it."""
    for node in range(3):
        nodes.order(node, 0, epoch=EPOCH + 1, is_wanted=node == 0)
    await until(lambda: nodes.whole(0) == [0])
    await nodes.end(3)
    nodes.order(0, 1)
    await until(lambda: nodes.signers_of(1, 1) == [0])
    giver, is_cancelled, quiet = nodes.exits[0]._giver, False, False
    give = giver.give

    async def noted(on_chain: Mapping[int, ValidatorDetails]) -> None:
        nonlocal quiet
        begun_after = is_cancelled
        await give(on_chain)
        quiet = quiet or begun_after

    monkeypatch.setattr(giver, "give", noted)
    nodes.stores[0].cancel(NAMES[:2])
    is_cancelled = True
    await until(lambda: quiet)  # nothing is on its way that was looked up before
    nodes.begin(3)
    nodes.order(1, 1)
    await until(lambda: nodes.signers_of(3, 1) == [1])
    nodes.epoch += 1
    await for_a_while(nodes)
    assert not nodes.beacon.sent
    assert nodes.signers_of(3, 1) == [1]
    assert not nodes.stores[0].wanted()


async def test_a_node_that_ends_ends_no_other(nodes: ExitingNodes) -> None:
    """What was on its way to it is not taken any more; whoever sent it goes on."""
    async with AsyncExitStack() as held:
        for turn in nodes.exits[3]._turns:
            await held.enter_async_context(turn)
        for node in range(3):
            nodes.order(node, 0)
        await until(lambda: all(nodes.exits[3]._to_take[node] for node in range(3)))
        await nodes.end(3)
        await for_a_while(nodes)
    nodes.begin(3)
    nodes.order(0, 1)
    await until(lambda: nodes.signers_of(3, 1) == [0])


def remove_file(nodes: ExitingNodes, lock_hash: bytes | None) -> None:
    """Under the first node; an empty one of a cluster may take its place."""
    path, other = nodes.folder / "exits-0.db", nodes.folder / "other.db"
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink()
    if lock_hash is None:
        path.unlink()
    else:
        ExitStore(other, lock_hash).close()
        other.replace(path)


@pytest.mark.parametrize("is_replaced", [True, False])
async def test_a_file_that_is_gone_orders_nothing(nodes: ExitingNodes, is_replaced: bool) -> None:
    for node in range(3):
        nodes.order(node, 0, epoch=EPOCH + 1, is_wanted=node == 0)
    await until(lambda: nodes.whole(0) == [0])
    with structlog.testing.capture_logs() as logged:
        remove_file(nodes, LOCK_HASH if is_replaced else None)
        await until(lambda: any("removed or replaced" in line["event"] for line in logged))
    nodes.epoch += 1
    await for_a_while(nodes)
    assert not nodes.beacon.sent
    nodes.stores[0].close()
    nodes.stores[0] = nodes.store(0)
    nodes.order(0, 2)
    await until(lambda: nodes.signers_of(1, 2) == [0])


async def test_a_file_of_another_cluster_is_not_taken(nodes: ExitingNodes) -> None:
    nodes.order(0, 0)
    await until(lambda: nodes.signers_of(1, 0) == [0])
    with structlog.testing.capture_logs() as logged:
        remove_file(nodes, bytes(32))
        await until(lambda: any("another cluster" in line.get("why", "") for line in logged))
        await for_a_while(nodes)
    assert len([line for line in logged if line["event"] == "exits wait"]) == 1


# What a node may send.


def message_of(
    node: int, values: dict[int, SignedVoluntaryExit], *, epoch: int = 0
) -> PartialSignaturesMessage:
    """By the validator's position."""
    entries = [
        PartiallySigned(NAMES[position], encode_signed(DutyType.EXIT, value), value.signature, node + 1)
        for position, value in values.items()
    ]
    return PartialSignaturesMessage(duty_of(epoch).slot, DutyType.EXIT, entries)


async def faults_of(
    nodes: ExitingNodes, node: int, message: PartialSignaturesMessage
) -> set[tuple[int, str]]:
    """What all others say of a message."""
    with structlog.testing.capture_logs() as logged:
        await nodes.receive(node, message)
    return {(line["node"], line["fault"]) for line in logged if line["event"] == "partial exits"}


async def test_hostile_partial_exits(nodes: ExitingNodes) -> None:
    """Each costs its own entry, names its sender, and makes nobody sign."""
    wrong = "a wrong partial signature"
    good = {0: partial_exit(3, 0)}
    for spoilt, fault in [
        ({1: replace(partial_exit(3, 1), signature=partial_exit(3, 0).signature)}, wrong),
        ({1: partial_exit(2, 1)}, wrong),  # replayed as its own
        ({1: partial_exit(3, 1, epoch=7)}, "an exit of another epoch than its message"),
        ({1: partial_exit(3, 1, index=FIRST_INDEX + 2)}, "an exit of another validator"),
        ({1: replace(partial_exit(3, 1), signature=bytes(96))}, wrong),
    ]:
        assert await faults_of(nodes, 3, message_of(3, good | spoilt)) == {(3, fault)}
    foreign = message_of(3, {1: partial_exit(2, 1)})
    foreign = replace(foreign, entries=[replace(foreign.entries[0], share_index=3)])
    assert await faults_of(nodes, 3, foreign) == {(3, "another node's share index")}
    beyond = message_of(3, {1: partial_exit(3, 1, epoch=2**62)}, epoch=0)
    beyond = replace(beyond, slot=2**62 * SCHEDULE.slots_per_epoch % 2**64)
    await faults_of(nodes, 3, beyond)
    for node in range(3):
        assert nodes.signers_of(node, 0) == [3]
        assert not [each for each in nodes.stores[node].partials() if each.message.validator == NAMES[1]]
    await for_a_while(nodes)
    assert signed_by(nodes) == []


async def test_what_is_told_of_a_node_is_bounded(
    nodes: ExitingNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 1e9)
    wrong = message_of(3, {1: partial_exit(2, 1)})
    assert await faults_of(nodes, 3, wrong) == {(3, "a wrong partial signature")}
    assert await faults_of(nodes, 3, wrong) == set()
    foreign = message_of(3, {1: partial_exit(3, 1, epoch=7)})
    assert await faults_of(nodes, 3, foreign) == {(3, "an exit of another epoch than its message")}


async def test_a_replay_changes_nothing(nodes: ExitingNodes) -> None:
    message = message_of(3, {0: partial_exit(3, 0)})
    for _ in range(3):
        assert await faults_of(nodes, 3, message) == set()
    assert nodes.signers_of(0, 0) == [3]
    nodes.order(0, 0)
    nodes.order(1, 0)
    await until(lambda: nodes.whole(2) == [0])
    assert await faults_of(nodes, 3, message) == set()
    assert nodes.whole(2) == [0]


async def test_what_is_kept_of_a_node_is_bounded(nodes: ExitingNodes) -> None:
    for epoch in range(3 * MOST_MESSAGES):
        await nodes.receive(3, message_of(3, {0: partial_exit(3, 0, epoch=epoch)}, epoch=epoch))
    kept = [each.message.epoch for each in nodes.stores[0].partials()]
    assert kept == list(range(2 * MOST_MESSAGES, 3 * MOST_MESSAGES))


async def test_partials_that_somebody_changed_in_the_file_make_no_exit(nodes: ExitingNodes) -> None:
    message = ExitMessage(NAMES[0], 0, FIRST_INDEX)
    for node in (1, 2):
        nodes.stores[0].add([PartialExit(message, node, partial_exit(3, 0).signature)])
    nodes.order(0, 0)
    await until(lambda: nodes.signers_of(0, 0) == [0])
    assert not nodes.stores[0].whole()


async def test_without_a_file_there_are_no_exits(nodes: ExitingNodes) -> None:
    nodes.exits[0]._store.close()
    with structlog.testing.capture_logs() as logged:
        await nodes.receive(3, message_of(3, {0: partial_exit(3, 0)}))
        await until(lambda: {line["event"] for line in logged} == {"partial exits not kept", "exits wait"})
        await for_a_while(nodes)
    assert len(logged) == 2  # however often it looks
    assert nodes.signers_of(1, 0) == [3]


async def test_what_is_begun_is_taken_to_the_end(nodes: ExitingNodes) -> None:
    """The time of a message may be over before others' are done."""
    exits, gate = nodes.exits[0], threading.Event()
    held = asyncio.create_task(exits._workers.run(gate.wait))
    message = message_of(3, {0: partial_exit(3, 0)})
    sending = asyncio.create_task(nodes.lines.of(OPERATORS[3]).send(OPERATORS[0], PROTOCOL, message.encode()))
    await until(lambda: exits._to_take[3] > 0)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    gate.set()
    await until(lambda: nodes.signers_of(0, 0) == [3])
    await held


async def test_no_node_keeps_the_others_waiting(nodes: ExitingNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch of each is done at once; of one node no more waits than it may have to say."""
    exits, gate = nodes.exits[0], threading.Event()
    held = asyncio.create_task(exits._workers.run(gate.wait))
    monkeypatch.setattr(module, "SMALL", VALIDATORS)
    monkeypatch.setattr(module, "MOST_SMALL", 3)
    most = 2 * MOST_MESSAGES + 3
    wrong = message_of(3, {each: partial_exit(2, each) for each in range(VALIDATORS)})

    async def send(node: int, message: PartialSignaturesMessage) -> None:
        await nodes.lines.of(OPERATORS[node]).send(OPERATORS[0], PROTOCOL, message.encode())

    with structlog.testing.capture_logs() as logged:
        sending = [asyncio.create_task(send(3, wrong)) for _ in range(most + 2)]
        sending.append(asyncio.create_task(send(1, message_of(1, {0: partial_exit(1, 0)}))))
        await until(lambda: exits._to_take == {3: most * VALIDATORS, 1: VALIDATORS})
        assert exits._workers.under_way <= 4  # what holds it up, one of each node, and a look of its own
        gate.set()
        await asyncio.gather(held, *sending)
    assert nodes.signers_of(0, 0) == [1]
    faults = Counter(line["fault"] for line in logged if line["event"] == "partial exits")
    assert faults == {"more partial exits at once than there can be": 2, "a wrong partial signature": most}
    assert exits._to_take.total() == 0


# The file.


def test_the_file_is_for_its_owner_and_its_cluster(tmp_path: Path) -> None:
    path = tmp_path / "exits.db"
    store = ExitStore(path, LOCK_HASH)
    store.order([NAMES[0]], 0)
    assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}
    store.close()
    with pytest.raises(ExitStoreError, match="another cluster"):
        ExitStore(path, bytes(32))
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ExitStoreError, match="no exits can be kept in it"):
        ExitStore(path, LOCK_HASH)


def test_a_file_that_cannot_be_used_costs_the_exits_only(tmp_path: Path) -> None:
    """The node that opens it starts without."""
    path = tmp_path / "exits.db"
    path.write_bytes(b"nothing of the kind")
    with structlog.testing.capture_logs() as logged:
        assert exits_of(path, LOCK_HASH) is None
    [line] = logged
    assert (line["event"], line["log_level"]) == ("no exits until the next start", "error")
    assert str(path) in line["why"]


def test_signatures_are_not_shown() -> None:
    partial = PartialExit(ExitMessage(NAMES[0], 0, 1), 0, b"\xab" * 96)
    assert "signature" not in repr(partial)
    assert repr(b"\xab" * 4)[2:-1] not in repr(partial)
