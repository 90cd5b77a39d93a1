"""What nodes prefer: the bytes, the points, and what four of them settle, one of which may lie."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.message_sizes import PREFERENCES_BYTES, MessageSizes
from dvtfast.errors import DvtfastError
from dvtfast.protobuf import ProtobufError, message_field, number_field, text_field
from dvtfast.qbft import wire
from dvtfast.qbft.leaders import leader
from dvtfast.qbft.messages import Duty
from dvtfast.services.node import priority as module
from dvtfast.services.node.deadlines import Deadlines
from dvtfast.services.node.info_sync import (
    VERSION,
    VERSIONS,
    InfoSync,
    knows_plural_contributions,
    topics,
)
from dvtfast.services.node.priority import Priorities, scores
from dvtfast.services.node.slots import SlotClock
from dvtfast.services.node.wire.priority import (
    OLD_PROTOCOL,
    PROTOCOL,
    PriorityMessage,
    Topic,
    any_text,
    decode_result,
    encode_result,
)
from dvtfast.services.p2p.errors import P2PError
from dvtfast.services.p2p.host import IdentityKey
from dvtfast.services.p2p.wire.peers import peer_text
from dvtfast.services.process.offload import Workers
from tests import vector_files
from tests.services.p2p.hosts import PATIENT, identities
from tests.services.patience import PATIENCE_SECONDS

from .test_consensus import NODES, Clock, consenting

VECTOR = vector_files.load("charon_priority.json")
KEY = IdentityKey(bytes([2]) * 32)  # of node 1 in the vectors
DUTY = Duty(12351, DutyType.INFO_SYNC)
THRESHOLD = 3


def said(*priorities, key=KEY, duty=DUTY, topic="t"):
    return PriorityMessage(duty, (Topic(topic, priorities),), key.public_key).signed(key)


# Bytes.


def test_what_charon_would_send() -> None:
    message = PriorityMessage(DUTY, topics(builder=False), KEY.public_key)
    assert message.encode().hex() == VECTOR["unsigned"]
    signed = message.signed(KEY)
    assert signed.signature.hex() == VECTOR["signature"]
    assert signed.is_signed()
    frame = bytes.fromhex(VECTOR["frame"])
    assert frame.endswith(signed.encode())
    assert PriorityMessage.decode(signed.encode()) == signed
    for name, text in VECTOR["topic_any"].items():
        assert any_text(name).hex() == text


def test_builders_come_first_where_they_are_wanted() -> None:
    assert [topic.priorities for topic in topics(builder=True)][2] == ("builder", "full")


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
each_once = st.lists(texts, max_size=5, unique=True).map(tuple)
messages = st.builds(
    PriorityMessage,
    st.builds(Duty, st.integers(0, 2**64 - 1), st.just(DutyType.INFO_SYNC)),
    st.lists(st.builds(Topic, texts, each_once), max_size=4, unique_by=lambda topic: topic.name).map(tuple),
    st.just(KEY.public_key),
    st.binary(max_size=70),
)


@given(messages)
def test_there_and_back(message: PriorityMessage) -> None:
    assert PriorityMessage.decode(message.encode()) == message
    assert decode_result(encode_result([message], scores([message], 1)), MessageSizes(1, 0)) == [message]


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    for read in (PriorityMessage.decode, lambda data: decode_result(data, MessageSizes(3, 0))):
        try:
            read(data)
        except DvtfastError:
            continue


TOPIC = message_field(1, any_text("t"))
PEER = peer_text(KEY.public_key)


def written(*, duty=(12351, 13), topic=TOPIC, peer=PEER, n=1):
    of = number_field(1, duty[0]) + number_field(2, duty[1])
    return message_field(1, of) + n * message_field(2, topic) + text_field(3, peer)


def topic_of(*priorities: bytes, name: bytes = any_text("t")) -> bytes:
    return message_field(1, name) + b"".join(message_field(2, each) for each in priorities)


NUMBER = text_field(1, "type.googleapis.com/google.protobuf.Value") + message_field(2, b"\x11" + bytes(8))
HOSTILE = {
    "no duty": (written()[9:], "expected a duty"),
    "another type": (written(duty=(12351, 2)), "type 13, got 2"),
    "no peer": (written(peer=""), "peer id"),
    "a peer of another kind": (written(peer="QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"), "peer id"),
    "too many topics": (written(n=33), "at most 32 topics, got 33"),
    "a topic twice": (written(n=2), "each once"),
    "no name": (written(topic=b""), "expected a text"),
    "an empty name": (written(topic=topic_of(name=any_text(""))), "expected a text"),
    "another type of name": (written(topic=topic_of(name=NUMBER)), "expected a text"),
    "no Value": (written(topic=topic_of(any_text("x").replace(b"Value", b"Other"))), "expected a text"),
    "a priority twice": (written(topic=topic_of(any_text("x"), any_text("x"))), "each once"),
    "too many priorities": (
        written(topic=topic_of(*(any_text(f"{n}") for n in range(1000)))),
        "at most 1000 fields",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages(name: str) -> None:
    data, reason = HOSTILE[name]
    assert PriorityMessage.decode(written())
    with pytest.raises(ProtobufError, match=reason):
        PriorityMessage.decode(data)


def test_too_many_messages_of_a_result() -> None:
    with pytest.raises(ProtobufError, match="at most 2 messages, got 3"):
        decode_result(encode_result([said("x")] * 3, []), MessageSizes(2, 0))


@pytest.mark.parametrize(
    "change",
    [
        lambda message: replace(message, duty=replace(DUTY, slot=DUTY.slot - 16)),
        lambda message: replace(message, topics=()),
        lambda message: replace(message, node=IdentityKey.generate().public_key),
        lambda message: replace(message, signature=b""),
        lambda message: replace(message, signature=bytes(65)),
    ],
)
def test_what_nobody_signed(change) -> None:
    message = said("x")
    assert message.is_signed()
    assert not change(message).is_signed()


# Points.


def by_hand(wanted: list[list[str]], threshold: int) -> list[tuple[str, int]]:
    """The same by the words of the sheet; nodes in the order of their ids."""
    every = list(dict.fromkeys(each for priorities in wanted for each in priorities))
    total = {each: sum(1000 - p.index(each) for p in wanted if each in p) for each in every}
    kept = [each for each in every if total[each] > (threshold - 1) * 1000]
    return [(each, total[each]) for each in sorted(kept, key=lambda each: (-total[each], every.index(each)))]


def in_order(count: int) -> list[IdentityKey]:
    return sorted(identities(count), key=lambda key: peer_text(key.public_key))


KEYS = in_order(6)


@given(st.lists(st.lists(st.sampled_from("vwxyz"), unique=True), min_size=1, max_size=6), st.randoms())
def test_points(wanted: list[list[str]], random) -> None:
    given_messages = [
        PriorityMessage(DUTY, (Topic("t", tuple(each)),), key.public_key)
        for key, each in zip(KEYS, wanted, strict=False)
    ]
    random.shuffle(given_messages)
    (result,) = scores(given_messages, THRESHOLD)
    assert list(result.scores) == by_hand(wanted, THRESHOLD)


def test_points_as_charon_counts_them() -> None:
    path = vector_files.given("charon/misc/constants.json")
    vector = json.loads(path.read_text())["priority_scores"]
    for case in vector["cases"]:
        given_messages = [
            PriorityMessage(DUTY, (Topic("t", tuple(each)),), key.public_key)
            for key, each in zip(KEYS, case["input"], strict=False)
        ]
        (result,) = scores(given_messages, vector["min_required"])
        assert list(map(list, result.scores)) == case["result"]


def test_topics_are_in_the_order_of_their_hashes() -> None:
    order = sorted(VECTOR["topic_hash"], key=VECTOR["topic_hash"].__getitem__)
    message = PriorityMessage(DUTY, topics(builder=False), KEY.public_key)
    assert [result.name for result in scores([message], 1)] == order
    for result in scores([message], 1):
        name = VECTOR["topic_any"][result.name]
        assert result.encode().hex().startswith(message_field(1, bytes.fromhex(name)).hex())


@pytest.mark.parametrize(
    ("versions", "knows"),
    [
        ([], False),
        (["v1.10", "v1.9"], False),
        (["v1.11"], True),
        (["v1.10", "v1.12"], True),
        (["v2.0"], True),
        (["1.11", "v1.11.0", "v1.11-rc", "v", "v1.", "vx.y"], False),
    ],
)
def test_who_knows_plural_contributions(versions: list[str], knows: bool) -> None:
    assert knows_plural_contributions({VERSION: versions}) is knows


# Nodes.

SETTLED = Duty(31, DutyType.INFO_SYNC)


@asynccontextmanager
async def settling(*, wanted=(VERSIONS,) * NODES, running=range(NODES)):
    """Nodes of which each prefers its own; None where one does not run."""
    async with AsyncExitStack() as stack:
        clock = Clock.starting(SETTLED)
        found = await stack.enter_async_context(consenting(clock, running=running))
        public = [key.public_key for key in found.keys]
        is_open, workers = Deadlines(clock).is_open, Workers("priority", threads=1)
        stack.push_async_callback(workers.close)
        found.priorities = [
            None
            if found.nodes[position] is None
            else Priorities(
                found.hosts[position], found.nodes[position], key, public, THRESHOLD,
                [Topic(VERSION, tuple(wanted[position]))], is_open=is_open, workers=workers,
            )
            for position, key in enumerate(found.keys)
        ]  # fmt: skip
        yield found


def settle_all(found):
    return asyncio.gather(*(each.settle(SETTLED) for each in found.priorities if each is not None))


async def test_all_settle_the_same() -> None:
    new, old = ("v1.11", "v1.10"), ("v1.10",)
    async with settling(wanted=[new, old, new, new]) as found:
        assert await settle_all(found) == [{VERSION: ("v1.10", "v1.11")}] * NODES


async def test_too_few_know_the_newest() -> None:
    new, old = ("v1.11", "v1.10"), ("v1.10",)
    async with settling(wanted=[new, old, old, new]) as found:
        assert await settle_all(found) == [{VERSION: ("v1.10",)}] * NODES


async def test_one_is_down(monkeypatch) -> None:
    monkeypatch.setattr(module, "EXCHANGE_SECONDS", 1.0)
    down = (leader(SETTLED, 1, NODES) + 1) % NODES
    async with settling(running=[each for each in range(NODES) if each != down]) as found:
        assert await settle_all(found) == [{VERSION: VERSIONS}] * 3


async def test_nodes_up_to_v1_10_are_asked_by_the_old_name() -> None:
    async with settling() as found:
        found.hosts[2].forget(PROTOCOL)
        others = [each for position, each in enumerate(found.priorities) if position != 2]
        for each in others:  # which ask, and are not asked
            await each._ask(found.keys[2].public_key, SETTLED)
            assert found.keys[2].public_key in each._round(SETTLED).said


async def test_whoever_asks_is_heard_and_answered() -> None:
    async with settling() as found:
        message = said("x", key=found.keys[0], duty=SETTLED)
        for protocol in (PROTOCOL, OLD_PROTOCOL):
            answer = await found.hosts[0].request(
                found.keys[1].public_key, protocol, message.encode(), terms=PATIENT
            )
            assert PriorityMessage.decode(answer).is_signed()
        assert found.priorities[1]._round(SETTLED).said[found.keys[0].public_key] == message


async def test_what_others_say_is_not_read_on_the_event_loop(monkeypatch) -> None:
    async with settling() as found:
        peer, node, threads = found.keys[0].public_key, found.priorities[1], set()
        decode = PriorityMessage.decode

        def seen(data):
            threads.add(threading.get_ident())
            return decode(data)

        monkeypatch.setattr(PriorityMessage, "decode", seen)
        message = said("x", key=found.keys[0], duty=SETTLED)
        assert await node._answer(peer, message.encode()) is not None
        assert await node._answer(peer, b"\x78\x00" * 1000) is None
        assert len(threads) == 1
        assert threading.get_ident() not in threads


async def test_what_one_node_prefers_is_small() -> None:
    """Whatever it is: more is not taken, though it be signed and in order."""
    async with settling() as found:
        for wanted, is_taken in ((900, True), (1300, False)):
            topics = [Topic(f"{n}", tuple(f"{n}" for n in range(wanted // 2))) for n in range(2)]
            message = PriorityMessage(SETTLED, tuple(topics), found.keys[0].public_key).signed(found.keys[0])
            assert (len(message.encode()) <= PREFERENCES_BYTES) is is_taken
            asked = found.hosts[0].request(
                found.keys[1].public_key, PROTOCOL, message.encode(), terms=PATIENT
            )
            if is_taken:
                assert PriorityMessage.decode(await asked).is_signed()
            else:
                with pytest.raises(P2PError):
                    await asked


@pytest.mark.parametrize("wrong", ["other node", "unsigned", "over", "far", "nonsense"])
async def test_what_is_not_heard(wrong: str) -> None:
    async with settling() as found:
        own, other = found.keys[0], found.keys[2]
        message = {
            "other node": said("x", key=other, duty=SETTLED),
            "unsigned": replace(said("x", key=own, duty=SETTLED), signature=bytes(65)),
            "over": said("x", key=own, duty=Duty(29, DutyType.INFO_SYNC)),
            "far": said("x", key=own, duty=Duty(31 + 3 * 32, DutyType.INFO_SYNC)),
        }.get(wrong)
        data = b"\xff" if message is None else message.encode()
        with pytest.raises(P2PError):
            await found.hosts[0].request(found.keys[1].public_key, PROTOCOL, data, terms=PATIENT)
        assert [*found.priorities[1]._round(SETTLED).said] == [found.keys[1].public_key]


async def test_the_first_that_a_node_says_counts() -> None:
    async with settling() as found:
        for each in ("x", "y"):
            message = said(each, key=found.keys[0], duty=SETTLED)
            await found.hosts[0].request(found.keys[1].public_key, PROTOCOL, message.encode(), terms=PATIENT)
        heard = found.priorities[1]._round(SETTLED).said[found.keys[0].public_key]
        assert heard.topics == (Topic("t", ("x",)),)


def value_of(*said_by_nodes):
    return wire.Value(wire.PRIORITY_RESULT, encode_result(said_by_nodes, scores(said_by_nodes, 1)))


LIES = {
    "a node twice": lambda keys: value_of(*[said("x", key=keys[0], duty=SETTLED)] * 2),
    "a stranger": lambda keys: value_of(said("x", duty=SETTLED)),
    "unsigned": lambda keys: value_of(replace(said("x", key=keys[0], duty=SETTLED), signature=b"")),
    "another duty": lambda keys: value_of(said("x", key=keys[0], duty=Duty(63, DutyType.INFO_SYNC))),
    "too many": lambda keys: value_of(*[said("x", key=key, duty=SETTLED) for key in [*keys, KEY]]),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_leader_that_lies(lie: str) -> None:
    async with settling() as found:
        liar = leader(SETTLED, 1, NODES)
        value = LIES[lie](found.keys)
        honest = [
            asyncio.ensure_future(each.settle(SETTLED))
            for position, each in enumerate(found.priorities)
            if position != liar
        ]
        assert (await found.nodes[liar].agree(SETTLED, value)).value == value
        for settled in await asyncio.gather(*honest, return_exceptions=True):
            assert isinstance(settled, ProtobufError)


async def test_points_of_a_leader_are_not_believed() -> None:
    async with settling() as found:
        honest = [said("v1.10", key=key, duty=SETTLED, topic=VERSION) for key in found.keys]
        lie = scores([said("v1.11", key=key, duty=SETTLED, topic=VERSION) for key in found.keys], 1)
        value = wire.Value(wire.PRIORITY_RESULT, encode_result(honest, lie))
        assert found.priorities[0]._read(SETTLED, value) == {VERSION: ("v1.10",)}


# Epochs.


class Settles:
    """Settles at once, or not at all."""

    def __init__(self, *outcomes):
        self.outcomes, self.duties = list(outcomes), []

    async def settle(self, duty):
        self.duties.append(duty)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return {VERSION: outcome}


async def test_what_counts_is_what_was_settled_before() -> None:
    outcomes = [["v1.11"], TimeoutError(), ["v1.10"], ["v1.11"], ProtobufError("no"), ["v1.10"], ["v1.10"]]
    info = InfoSync(Settles(*outcomes), SlotClock(0.0, 1.0, 4))
    assert not info.plural_contributions(100)
    await info.settle(3)
    assert [info.plural_contributions(slot) for slot in (2, 3, 100)] == [False, True, True]
    for epoch in range(1, 7):
        await info.settle(4 * epoch + 3)
    slots = (10, 11, 14, 15, 22, 23, 99)  # of before 11 is known no longer
    found = [info.plural_contributions(slot) for slot in slots]
    assert found == [False, False, False, True, True, False, False]


async def test_it_is_settled_in_the_last_slot_of_each_epoch_once() -> None:
    """Also when it begins in such a slot, when the clock is set back, and when some are over."""
    now = [3.5]

    class Clock(SlotClock):
        async def pause(self, moment):
            now[0] = max(now[0], moment)

    settles = Settles(*[["v1.11"]] * 4)
    jumps = iter([7.0, 5.0, 17.0])

    async def settle(duty):
        found = await Settles.settle(settles, duty)
        now[0] = next(jumps, None)
        if now[0] is None:
            raise asyncio.CancelledError
        return found

    info = InfoSync(SimpleNamespace(settle=settle), Clock(0.0, 1.0, 4, now=lambda: now[0]))
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(info.run(), PATIENCE_SECONDS)
    assert [duty.slot for duty in settles.duties] == [7, 11, 15, 19]
