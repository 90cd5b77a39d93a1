"""Four nodes on this machine agree: well, without one, parted, late, and beside one that cheats."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from dvtfast.duties.duty_types import DutyType
from dvtfast.qbft import wire
from dvtfast.qbft.messages import Duty, Kind, Message
from dvtfast.qbft.quorums import leader
from dvtfast.services.node.consensus import consensus as module
from dvtfast.services.node.consensus.consensus import Consensus
from dvtfast.services.node.timetable import Timetable
from dvtfast.services.p2p.errors import UnreachableError
from dvtfast.services.process.offload import Workers
from tests.services.p2p.hosts import cluster, identities, until
from tests.services.patience import PATIENCE_SECONDS

NODES = 4
DUTY = Duty(3, DutyType.INFO_SYNC)  # node 1 leads round 1
KEYS = [f"0x{position:096x}" for position in range(NODES)]
VALUES = [wire.Value(wire.DATA_SET, wire.encode_data_set({key: b"data of " + key.encode()})) for key in KEYS]


@dataclass(frozen=True)
class Clock:
    """Slots so long that no duty is over before its test, and the duty begins now."""

    seconds_per_slot: float = 10 * PATIENCE_SECONDS
    slots_per_epoch: int = 32
    now: object = time.time
    genesis_time: float = field(default=0.0)

    @classmethod
    def starting(cls, duty=DUTY, **more):
        clock = cls(**more)
        return replace(clock, genesis_time=clock.now() - duty.slot * clock.seconds_per_slot)


class Cluster:
    """Nodes, and who cannot reach whom."""

    def __init__(self, keys):
        self.keys, self.nodes, self.parted = keys, [], set()

    def between(self, position, host):
        """Let what a host sends depend on who is parted."""
        send, public = host.send, [key.public_key for key in self.keys]

        async def through(peer, protocol, message, **more):
            if (position, public.index(peer)) in self.parted:
                raise UnreachableError("parted")
            await send(peer, protocol, message, **more)

        host.send = through

    def part(self, *sides):
        side_of = {position: side for side in sides for position in side}
        self.parted = {(a, b) for a in side_of for b in side_of if side_of[a] is not side_of[b]}


@asynccontextmanager
async def consenting(clock=None, running=range(NODES)):
    """A cluster of four, of which some run."""
    keys = identities(NODES)
    public = [key.public_key for key in keys]
    async with cluster(keys) as hosts, AsyncExitStack() as stack:
        found = Cluster(keys)
        found.hosts = hosts
        for position, (key, host) in enumerate(zip(keys, hosts, strict=True)):
            found.between(position, host)
            if position in running:
                workers = Workers("consensus", threads=1)
                stack.push_async_callback(workers.close)
                opened = Consensus.open(host, key, public, Timetable(clock or Clock.starting()), workers)
                found.nodes.append(await stack.enter_async_context(opened))
            else:
                found.nodes.append(None)
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield found


def all_agree(nodes, *, own=VALUES):
    """What the nodes that run agree on, each with its own value."""
    return asyncio.gather(
        *(node.agree(DUTY, value) for node, value in zip(nodes, own, strict=True) if node is not None)
    )


def one(agreements):
    (value,) = {agreement.value for agreement in agreements}
    return value


async def test_all_agree_on_a_value_of_one():
    async with consenting() as found:
        assert one(await all_agree(found.nodes)) in VALUES


async def test_a_leader_provides_its_value_later():
    async with consenting() as found:
        agreed = asyncio.ensure_future(all_agree(found.nodes, own=[None] * NODES))
        for node in found.nodes:
            await node.provide(DUTY, VALUES[0])
        assert one(await agreed) == VALUES[0]


@pytest.mark.parametrize("down", [leader(DUTY, 1, NODES), leader(DUTY, 3, NODES)], ids=["leader", "other"])
async def test_one_is_down(down):
    running = [position for position in range(NODES) if position != down]
    async with consenting(running=running) as found:
        agreements = await all_agree(found.nodes)
        assert len(agreements) == 3
        assert one(agreements) in [VALUES[position] for position in running]


async def test_parted_nodes_agree_when_they_meet():
    async with consenting() as found:
        found.part([0, 1], [2, 3])
        agreed = asyncio.ensure_future(all_agree(found.nodes))
        await asyncio.sleep(2.5)
        assert not agreed.done()
        found.part()
        assert one(await agreed) in VALUES


async def test_a_late_node_finds_what_was_said():
    async with consenting() as found:
        early = await asyncio.gather(*(found.nodes[position].agree(DUTY, VALUES[0]) for position in range(3)))
        assert one([*early, await found.nodes[3].agree(DUTY, VALUES[3])]) == VALUES[0]


async def test_a_late_node_that_heard_nothing_is_told():
    async with consenting() as found:
        found.part([0, 1, 2], [3])
        early = await asyncio.gather(*(found.nodes[position].agree(DUTY, VALUES[0]) for position in range(3)))
        await until(lambda: all(not node._sends for node in found.nodes))
        found.part()
        assert one([*early, await found.nodes[3].agree(DUTY, VALUES[3])]) == VALUES[0]


async def test_several_duties_at_once():
    duties = [Duty(slot, DutyType.ATTESTER) for slot in range(3)]
    async with consenting(Clock.starting(duties[-1])) as found:
        agreements = await asyncio.gather(
            *(
                node.agree(duty, value)
                for duty in duties
                for node, value in zip(found.nodes, VALUES, strict=True)
            )
        )
        for place in range(0, len(agreements), NODES):
            assert one(agreements[place : place + NODES]) in VALUES


async def test_what_nobody_accepts_is_not_agreed_on():
    """The first leader's proposal is looked at, early or not, and the second leader's is taken."""
    asked = []

    async def accepts(value, proposer):
        asked.append(proposer)
        return proposer != 1

    async with consenting() as found:
        first = asyncio.ensure_future(found.nodes[1].agree(DUTY, VALUES[1]))
        await until(lambda: all(DUTY in node._instances for node in found.nodes))
        agreed = await asyncio.gather(
            first,
            *(found.nodes[position].agree(DUTY, VALUES[position], accepts=accepts) for position in (0, 2, 3)),
        )
        assert one(agreed) == VALUES[2]
        assert all(agreement.round > 1 for agreement in agreed)
    assert set(asked) == {1, 2}


async def test_what_a_quorum_voted_for_is_taken_unseen():
    """One does not accept it; the others decide, and it learns what."""

    async def refuses(value, proposer):
        return False

    async with consenting() as found:
        agreed = await asyncio.gather(
            *(found.nodes[position].agree(DUTY, VALUES[position]) for position in range(3)),
            found.nodes[3].agree(DUTY, VALUES[3], accepts=refuses),
        )
        assert one(agreed) == VALUES[1]


async def test_two_of_four_do_not_agree():
    clock = Clock.starting(seconds_per_slot=2.0)
    async with consenting(clock, running=[0, 1]) as found:
        with pytest.raises(TimeoutError, match="did not agree in time"):
            await all_agree(found.nodes)
        assert not any(node._instances for node in found.nodes if node is not None)


@pytest.mark.parametrize(
    "duty",
    [Duty(3, DutyType.EXIT), Duty(1, DutyType.INFO_SYNC), Duty(96, DutyType.ATTESTER)],
    ids=["no consensus", "over", "far ahead"],
)
async def test_duties_that_are_not_open(duty):
    async with consenting() as found:
        with pytest.raises(TimeoutError, match="is over, or too far ahead"):
            await found.nodes[0].agree(duty, VALUES[0])


def sealed(key, message, values):
    """As a node sends it."""
    signed = wire.with_signature(message, key.sign(wire.signing_digest(message)))
    return wire.encode_envelope(signed, {value.hash(): value for value in values})


async def test_what_a_cheat_says_in_others_names_is_not_used():
    async with consenting(running=[0]) as found:
        node, cheat = found.nodes[0], found.keys[2]
        vote = Message(Kind.COMMIT, DUTY, 2, 1, VALUES[2].hash())
        far = replace(vote, duty=Duty(10_000, DutyType.ATTESTER))
        for data in (
            b"junk",
            sealed(cheat, replace(vote, peer=1), [VALUES[2]]),
            sealed(cheat, far, [VALUES[2]]),
            sealed(cheat, vote, [VALUES[2]])[:-1],
        ):
            await node._received(cheat.public_key, data)
        assert not node._instances
        await node._received(cheat.public_key, sealed(cheat, vote, [VALUES[2]]))
        assert list(node._instances) == [DUTY]


async def test_values_of_one_node_are_bounded(monkeypatch):
    async with consenting(running=[0]) as found:
        node, cheat = found.nodes[0], found.keys[1]
        for round in range(1, 40):
            value = wire.Value(wire.DATA_SET, wire.encode_data_set({KEYS[0]: round.to_bytes(2, "big") * 500}))
            vote = Message(Kind.PREPARE, DUTY, 1, round, value.hash())
            await node._received(cheat.public_key, sealed(cheat, vote, [value]))
        assert node._instances[DUTY].bytes_of(1) == 0  # what one votes for is not kept
        large = wire.Value(wire.DATA_SET, wire.encode_data_set({KEYS[0]: bytes(5000)}))
        proposal = Message(Kind.PRE_PREPARE, DUTY, 1, 1, large.hash())
        monkeypatch.setattr(module, "MOST_VALUE_BYTES", 5000)
        await node._received(cheat.public_key, sealed(cheat, proposal, [large]))
        assert node._instances[DUTY].bytes_of(1) == 0
        monkeypatch.setattr(module, "MOST_VALUE_BYTES", 6000)
        await node._received(cheat.public_key, sealed(cheat, proposal, [large]))
        assert node._instances[DUTY].bytes_of(1) == len(large.content)


@pytest.mark.parametrize(
    ("type", "seconds"),
    [
        (DutyType.PROPOSER, 5.0),
        (DutyType.ATTESTER, 32 * 12 + 1.0),
        (DutyType.AGGREGATOR, 32 * 12 + 1.0),
        (DutyType.SYNC_CONTRIBUTION, 13.0),
        (DutyType.INFO_SYNC, 13.0),
    ],
)
def test_duties_end(type, seconds):
    moment = 0.0
    clock = Clock(seconds_per_slot=12.0, now=lambda: moment, genesis_time=1000.0)
    timetable, duty = Timetable(clock), Duty(10, type)
    assert timetable.deadline(duty) == pytest.approx(1120 + seconds)
    moment = 1120 + seconds - 0.01
    assert timetable.is_open(duty)
    moment = 1120 + seconds + 0.01
    assert not timetable.is_open(duty)
    assert timetable.seconds_until(1120) == 0


def test_nothing_is_agreed_on_of_a_slot_that_began_before_the_process():
    clock = Clock(seconds_per_slot=12.0, now=lambda: 1125.0, genesis_time=1000.0)
    timetable = Timetable(clock, since=1121.0)
    assert [timetable.is_agreed_on(Duty(slot, DutyType.ATTESTER)) for slot in (9, 10, 11)] == [
        False,
        False,
        True,
    ]
    assert timetable.is_open(Duty(10, DutyType.ATTESTER))


def test_duties_of_the_next_two_epochs_may_be_spoken_of():
    timetable = Timetable(Clock(seconds_per_slot=12.0, now=lambda: 1000.0, genesis_time=1000.0))
    assert timetable.is_open(Duty(3 * 32 - 1, DutyType.ATTESTER))
    assert not timetable.is_open(Duty(3 * 32, DutyType.ATTESTER))
