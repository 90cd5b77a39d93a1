"""Payloads of a ceremony in parts, longer than a circuit of a relay; what is held of them, and how long."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvtfast.dkg.dvtfast_dkg.messages.wanting import SIGN_OF_LIFE
from dvtfast.services.ceremony.running import mailbox as mailbox_module
from dvtfast.services.ceremony.running import parts
from dvtfast.services.ceremony.running.mailbox import Mailbox
from dvtfast.services.ceremony.running.parts import IncomingPayload, OutgoingPayload
from dvtfast.services.p2p.errors import WireError
from dvtfast.services.p2p.limits import MIB
from dvtfast.services.p2p.relay.hop import RelayLimits
from dvtfast.services.p2p.wire.messages import Status

from ..p2p.hosts import cluster, identities, relay
from ..patience import ANSWER_SECONDS, PATIENCE_SECONDS

MOST = 64 * MIB


@asynccontextmanager
async def mailboxes(hosts):
    """One of each host, open."""
    operators = [host.public_key for host in hosts]
    async with AsyncExitStack() as stack:
        made = [Mailbox(host, operators, place, most_bytes=MOST) for place, host in enumerate(hosts)]
        for mailbox in made:
            await stack.enter_async_context(mailbox.open())
        yield made


async def test_a_payload_that_is_longer_than_a_circuit():
    """Through a relay of ours with charon's limits: 32 MiB, then the circuit is cut."""
    assert RelayLimits().circuit_bytes == 32 * MIB
    long = os.urandom(MIB) * 40
    async with (
        relay() as (running, places),
        cluster(identities(2), relays=places, listens=False) as hosts,
        mailboxes(hosts) as (one, other),
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        one.send(1, long)
        one.send(1, b"short")
        other.send(0, b"back")
        assert await other.next() == (0, long)
        assert await other.next() == (0, b"short")
        assert await one.next() == (1, b"back")
        assert running.service.counts.answers["connect", Status.OK] == 2  # circuits, one after the other
        # Both, as who hands over the last one waits until it was worked on.
        await asyncio.gather(*(box.flush(PATIENCE_SECONDS, for_all=True, but=()) for box in (one, other)))


async def test_payloads_of_a_peer_come_in_order():
    async with cluster(identities(3)) as hosts, mailboxes(hosts) as boxes, asyncio.timeout(PATIENCE_SECONDS):
        payloads = [bytes([n]) * (1 + n * 300_000) for n in range(12)]
        for payload in payloads:
            boxes[0].send(2, payload)
            boxes[1].send(2, payload)
        came = [await boxes[2].next() for _ in range(24)]
        for sender in (0, 1):
            assert [payload for peer, payload in came if peer == sender] == payloads


async def test_who_has_ended_is_not_waited_for():
    """Nobody takes what comes in the end: it is answered all the same, or all would wait for each other."""
    async with cluster(identities(3)) as hosts, mailboxes(hosts) as boxes, asyncio.timeout(PATIENCE_SECONDS):
        for box in boxes:
            box.send_all(b"last")
            box.send_all(b"words")
        longer = 10 * PATIENCE_SECONDS
        await asyncio.gather(*(box.flush(longer, for_all=True, but=()) for box in boxes))


async def test_a_payload_that_is_refused_does_not_stop_the_next():
    """It is too long for who gets it, whatever it says."""
    async with cluster(identities(2)) as hosts, mailboxes(hosts) as boxes, asyncio.timeout(PATIENCE_SECONDS):
        boxes[1]._coming[0]._most = 10
        boxes[0].send(1, bytes(11))
        boxes[0].send(1, bytes(10))
        assert await boxes[1].next() == (0, bytes(10))


@given(st.binary(min_size=1, max_size=40), st.lists(st.sampled_from(["there", "lost", "twice", "restart"])))
def test_any_parts_make_the_payload(payload, schedule):
    """Though one comes twice, its answer is lost, or who gets it begins anew: it is there once, and whole."""
    size, parts.PART_BYTES = parts.PART_BYTES, 7
    try:
        outgoing, incoming = OutgoingPayload(payload), IncomingPayload(40)
        came = []
        failures = 0
        steps = iter(schedule)
        while not outgoing.is_there:
            step = next(steps, "there")
            if step == "restart" and failures < parts.MOST_FAILURES - 1:
                incoming, failures = IncomingPayload(40), failures + 1
                came.clear()
            for _ in range(2 if step == "twice" else 1):
                answer, whole = incoming.take(outgoing.part())
                came += [whole] if whole is not None else []
            if step != "lost":
                outgoing.answered(answer)
        assert came == [payload]
    finally:
        parts.PART_BYTES = size


def test_a_peer_that_never_has_anything():
    """Nobody sends to it for ever."""
    outgoing = OutgoingPayload(bytes(10 * parts.PART_BYTES))
    nothing = (0).to_bytes(4)
    for _ in range(parts.MOST_FAILURES - 1):
        outgoing.answered(nothing)
    outgoing.answered(parts.PART_BYTES.to_bytes(4))
    for _ in range(parts.MOST_FAILURES - 1):
        outgoing.answered(nothing)
    with pytest.raises(WireError, match="nothing"):
        outgoing.answered(nothing)


@pytest.mark.parametrize("answer", [b"", bytes(3), bytes(5), b"\xff" * 4, (1).to_bytes(4)])
def test_answers_that_are_none(answer):
    outgoing = OutgoingPayload(bytes(100))
    outgoing.part()
    with pytest.raises(WireError, match="answer"):
        outgoing.answered(answer)


@pytest.mark.parametrize(
    "part",
    [
        b"",
        bytes(15),
        bytes(8) + (101).to_bytes(4) + bytes(4),
        bytes(8) + (10).to_bytes(4) + (5).to_bytes(4) + bytes(6),
        bytes(8) + (10).to_bytes(4) + (0xFFFFFFFF).to_bytes(4),
    ],
)
def test_parts_that_are_none(part):
    with pytest.raises(WireError, match="part"):
        IncomingPayload(100).take(part)


def test_a_length_takes_no_memory():
    """Only what comes does, and of one payload at a time."""
    incoming = IncomingPayload(MOST)
    for number in range(100):
        incoming.take(number.to_bytes(8) + MOST.to_bytes(4) + bytes(4) + bytes(1000))
    assert len(incoming._content) == 1000


US, PEER = b"us", b"peer"


class SilentHost:
    """One that takes what is sent, and keeps it to itself until it may leave."""

    def __init__(self):
        self.handlers = {}
        self.sent = []
        self.may_leave = asyncio.Event()

    def handle(self, protocol, function, *, terms):
        self.handlers[protocol] = function

    def forget(self, protocol):
        del self.handlers[protocol]

    async def request(self, peer, protocol, message, *, terms):
        await self.may_leave.wait()
        answer, payload = IncomingPayload(MOST).take(message)
        self.sent.append(payload)
        return answer

    def states(self):
        return [SimpleNamespace(key=PEER, is_connected=True)]


@asynccontextmanager
async def alone(most_bytes=1000):
    """A mailbox, its host, and what takes the payloads of a peer."""
    host = SilentHost()
    mailbox = Mailbox(host, [US, PEER], 0, most_bytes=most_bytes)
    async with asyncio.timeout(ANSWER_SECONDS), mailbox.open():
        receive = host.handlers[mailbox_module.PROTOCOL]

        def hand_over(payload):
            return asyncio.create_task(receive(PEER, OutgoingPayload(payload).part()))

        yield mailbox, host, hand_over


async def test_what_came_is_held_until_it_was_worked_on():
    """Whoever hands it over waits so long, and with it what counts the peer's bytes; the next one behind."""
    async with alone() as (mailbox, _, hand_over):
        first, second = hand_over(b"1"), hand_over(b"2")
        assert await mailbox.next() == (1, b"1")
        for _ in range(10):
            await asyncio.sleep(0)
        assert mailbox._came.empty()
        assert not first.done()
        assert await mailbox.next() == (1, b"2")
        await first
        assert not second.done()


async def test_nothing_of_an_attempt_is_left_when_it_is_over():
    async with alone() as (mailbox, host, hand_over):
        handed = [hand_over(bytes([number + 1])) for number in range(40)]
        await mailbox.next()
    async with asyncio.timeout(ANSWER_SECONDS):
        await asyncio.gather(*handed)
    assert not host.handlers


async def test_a_sign_of_life_is_heard_and_waits_for_nobody():
    async with alone() as (mailbox, _, hand_over):
        mailbox.heard[1] = 0.0
        await hand_over(SIGN_OF_LIFE)
        assert mailbox.heard[1] > 0.0


async def test_a_sign_of_life_passes_what_is_under_way():
    """It comes while another payload is worked on, or half there, and changes nothing of that."""
    long = bytes(range(256)) * 3 * (parts.PART_BYTES // 256)
    async with alone(len(long)) as (mailbox, host, hand_over):
        receive, outgoing = host.handlers[mailbox_module.PROTOCOL], OutgoingPayload(long)
        for _ in range(2):
            outgoing.answered(await receive(PEER, outgoing.part()))
        await hand_over(SIGN_OF_LIFE)
        handed = asyncio.create_task(receive(PEER, outgoing.part()))
        assert await mailbox.next() == (1, long)
        assert not handed.done()
        await hand_over(SIGN_OF_LIFE)


async def test_who_works_for_long_is_waited_for_while_it_gives_signs_of_life(monkeypatch):
    """A payload is on its way once, however long its answer takes; who gives none is given up."""
    monkeypatch.setattr(mailbox_module, "STALL_SECONDS", 0.0)
    async with alone() as (mailbox, host, _):
        mailbox.heard[1] += 2 * ANSWER_SECONDS  # it was heard so lately
        mailbox.send(1, b"much work")
        for _ in range(10):
            await asyncio.sleep(0)
        assert not mailbox._out[1].is_empty.is_set()
        host.may_leave.set()
        await mailbox._out[1].is_empty.wait()
        assert host.sent == [b"much work"]
        host.may_leave.clear()
        mailbox.heard[1] = 0.0
        mailbox.send(1, b"nobody is there")
        await mailbox._out[1].is_empty.wait()
        assert len(host.sent) == 1


async def test_signs_of_life_do_not_wait_for_what_is_on_its_way():
    async with alone() as (mailbox, host, _):
        mailbox.send(1, b"much work")
        mailbox.show_life()
        mailbox.show_life()
        await asyncio.sleep(0)
        host.may_leave.set()
        await mailbox._out[1].is_empty.wait()
        await mailbox._signs[1]
        assert sorted(host.sent) == sorted([SIGN_OF_LIFE, b"much work"])


async def test_bytes_that_wait_for_a_peer_are_bounded():
    """The oldest is forgotten, whoever lacks it asks again; what waits once waits no second time."""
    payloads = [bytes([number]) * MIB for number in range(10)]
    async with alone(MIB) as (mailbox, host, _):
        for payload in (*payloads, *payloads[-2:], SIGN_OF_LIFE):
            mailbox.send(1, payload)
        host.may_leave.set()
        await mailbox.flush(ANSWER_SECONDS, for_all=False, but=())
    assert host.sent == [*payloads[-2:], SIGN_OF_LIFE]
