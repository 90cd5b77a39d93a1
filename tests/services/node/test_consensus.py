"""Four nodes on this machine agree: well, without one, parted, late, and beside one that cheats."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from structlog.testing import capture_logs

from dvtfast import protobuf
from dvtfast.duties.duty_types import DutyType
from dvtfast.protobuf import bytes_field, message_field, read_varint, text_field
from dvtfast.qbft import wire
from dvtfast.qbft.leaders import leader
from dvtfast.qbft.messages import Duty, Kind, Message
from dvtfast.services.node.consensus import consensus as module
from dvtfast.services.node.consensus.consensus import Consensus
from dvtfast.services.node.deadlines import Deadlines
from dvtfast.services.p2p.errors import UnreachableError
from dvtfast.services.process.offload import Workers
from tests.services.p2p.hosts import cluster, identities, until
from tests.services.patience import PATIENCE_SECONDS

NODES = 4
DUTY = Duty(3, DutyType.INFO_SYNC)  # node 1 leads round 1
KEY = "0x" + "ab" * 48
PEER = "16Uiu2HA" + "m" * 45


def result(data):
    """What nodes prefer, as far as consensus looks at it."""
    return wire.Value(wire.PRIORITY_RESULT, message_field(1, bytes_field(2, data) + text_field(3, PEER)))


VALUES = [result(b"of %d" % node) for node in range(NODES)]
DATA = [wire.Value(wire.DATA_SET, wire.encode_data_set({KEY: b"data of %d" % node})) for node in range(NODES)]


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


class Unhurried(Deadlines):
    """Rounds last until the test ends them: how fast a machine is decides nothing."""

    def round_end(self, duty, round, *, extended):
        return super().round_end(duty, round, extended=extended) + 10 * PATIENCE_SECONDS

    def present_round(self, duty):
        return 1


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
async def consenting(clock=None, running=range(NODES), deadlines=Deadlines):
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
                made = deadlines(clock or Clock.starting())
                opened = Consensus.open(host, key, public, made, workers, validators=1)
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
        await until(lambda: all(not node._tasks for node in found.nodes))
        found.part()
        assert one([*early, await found.nodes[3].agree(DUTY, VALUES[3])]) == VALUES[0]


async def test_several_duties_at_once():
    duties = [Duty(slot, DutyType.ATTESTER) for slot in range(3)]
    async with consenting(Clock.starting(duties[-1])) as found:
        agreements = await asyncio.gather(
            *(
                node.agree(duty, value)
                for duty in duties
                for node, value in zip(found.nodes, DATA, strict=True)
            )
        )
        for place in range(0, len(agreements), NODES):
            assert one(agreements[place : place + NODES]) in DATA


async def test_what_nobody_accepts_is_not_agreed_on():
    """The first leader's proposal is looked at, early or not, and the second leader's is taken."""
    asked = []

    async def accepts(value, round):
        asked.append(round)
        return round != 1

    async with consenting(deadlines=Unhurried) as found:
        first = asyncio.ensure_future(found.nodes[1].agree(DUTY, VALUES[1]))
        await until(lambda: all(DUTY in node._instances for node in found.nodes))
        others = asyncio.gather(
            *(found.nodes[position].agree(DUTY, VALUES[position], accepts=accepts) for position in (0, 2, 3))
        )
        await until(lambda: asked == [1, 1, 1])
        for node in found.nodes:
            node._instances[DUTY]._ring(1)
        agreed = [await first, *await others]
        assert one(agreed) == VALUES[2]
        assert all(agreement.round > 1 for agreement in agreed)
    assert set(asked) == {1, 2}


async def test_what_a_quorum_voted_for_is_taken_unseen():
    """One does not accept it; the others decide, and it learns what."""

    async def refuses(value, round):
        return False

    async with consenting(deadlines=Unhurried) as found:
        agreed = await asyncio.gather(
            *(found.nodes[position].agree(DUTY, VALUES[position]) for position in range(3)),
            found.nodes[3].agree(DUTY, VALUES[3], accepts=refuses),
        )
        assert one(agreed) == VALUES[1]


def followers(found):
    """All but node 1, which leads round 1 and lies."""
    return [node for node in found.nodes if node is not None]


async def proposed(found, message, *contents):
    """The liar's proposal reaches each follower, with one content or another of its hash."""
    liar = found.keys[message.peer]
    signed = wire.with_signature(message, liar.sign(wire.signing_digest(message)))
    for number, node in enumerate(followers(found)):
        values = {message.value_hash: contents[number % len(contents)]}
        await node._received(liar.public_key, wire.encode_envelope(signed, values))


@pytest.mark.parametrize("begun", [True, False], ids=["begun", "early"])
async def test_a_prepare_of_its_own_leader_spares_a_proposal_no_look(begun):
    """Of the first round nothing may come with a proposal: it is dropped, and nobody is asked about it."""
    lie, asked = VALUES[1], []

    async def accepts(value, round):
        asked.append(value)
        return value != lie

    async with consenting(running=[0, 2, 3]) as found:
        own = Message(Kind.PREPARE, DUTY, 1, 1, lie.hash())
        own = wire.with_signature(own, found.keys[1].sign(wire.signing_digest(own)))
        message = Message(Kind.PRE_PREPARE, DUTY, 1, 1, lie.hash(), justification=(own,))
        if not begun:
            await proposed(found, message, lie)
        agreed = asyncio.gather(*(node.agree(DUTY, VALUES[0], accepts=accepts) for node in followers(found)))
        if begun:
            await until(lambda: all(DUTY in node._instances for node in followers(found)))
            await proposed(found, message, lie)
        agreements = await agreed
        assert one(agreements) == VALUES[0]
        assert lie not in asked


async def test_a_proposal_that_is_not_justified_is_not_looked_at():
    asked = []

    async def accepts(value, round):
        asked.append(value)
        return True

    async with consenting(running=[3], deadlines=Unhurried) as found:
        agreeing = asyncio.ensure_future(found.nodes[3].agree(DUTY, accepts=accepts))
        await until(lambda: DUTY in found.nodes[3]._instances)
        await proposed(found, Message(Kind.PRE_PREPARE, DUTY, 2, 2, VALUES[2].hash()), VALUES[2])
        await proposed(found, Message(Kind.PRE_PREPARE, DUTY, 1, 1, VALUES[1].hash()), VALUES[1])
        await until(lambda: asked)
        assert asked == [VALUES[1]]
        agreeing.cancel()


async def test_a_quorum_that_prepared_nothing_spares_no_look_for_a_prepare_more():
    """In a later round a proposal is looked at, unless a quorum of PREPAREs for it is there."""
    asked = []

    async def accepts(value, round):
        asked.append(value)
        return False

    async with consenting(running=[3], deadlines=Unhurried) as found:
        agreeing = asyncio.ensure_future(found.nodes[3].agree(DUTY, accepts=accepts))
        await until(lambda: DUTY in found.nodes[3]._instances)
        said = [Message(Kind.ROUND_CHANGE, DUTY, peer, 2) for peer in range(3)]
        said.append(Message(Kind.PREPARE, DUTY, 2, 1, VALUES[2].hash()))
        because = [
            wire.with_signature(each, found.keys[each.peer].sign(wire.signing_digest(each))) for each in said
        ]
        message = Message(Kind.PRE_PREPARE, DUTY, 2, 2, VALUES[2].hash(), justification=tuple(because))
        await proposed(found, message, VALUES[2])
        await until(lambda: asked)
        assert asked == [VALUES[2]]
        agreeing.cancel()


BLOCK = Duty(3, DutyType.PROPOSER)  # node 1 leads round 1
AGGREGATES = Duty(3, DutyType.AGGREGATOR)  # so it does here, of several validators


def twins(order):
    """One validator twice, in two cases."""
    return b"".join(
        message_field(1, message_field(1, name.encode()) + message_field(2, data))
        for name, data in [(KEY, b"A"), ("0x" + "AB" * 48, b"B")][::order]
    )


FORMS = {
    "another order": [
        wire.encode_data_set({KEY: b"A"}) + wire.encode_data_set({"0x" + "cd" * 48: b"B"}),
        wire.encode_data_set({"0x" + "cd" * 48: b"B"}) + wire.encode_data_set({KEY: b"A"}),
    ],
    "another case": [twins(1), twins(-1)],
    "a field more": [
        wire.encode_data_set({KEY: b"A"}),
        wire.encode_data_set({KEY: b"A"}) + message_field(7, b"x"),
    ],
}


@pytest.mark.parametrize("form", FORMS)
async def test_nodes_with_one_hash_have_one_content(form):
    """A leader gives each follower another form of what it proposes: all sign the same, or the next leads."""
    forms = [wire.Value(wire.DATA_SET, content) for content in FORMS[form]]
    hashes = {wire.proto_hash(wire.encode_data_set(wire.decode_data_set(each.content))) for each in forms}
    assert len(hashes) == 1
    refused = form == "another case"  # so the first round has to end
    deadlines = Deadlines if refused else Unhurried
    duty = AGGREGATES if form == "another order" else BLOCK
    async with consenting(Clock.starting(duty), running=[0, 2, 3], deadlines=deadlines) as found:
        agreed = asyncio.gather(*(node.agree(duty, DATA[0]) for node in followers(found)))
        await until(lambda: all(duty in node._instances for node in followers(found)))
        await proposed(found, Message(Kind.PRE_PREPARE, duty, 1, 1, hashes.pop()), *forms)
        assert one(await agreed) == (DATA[0] if refused else forms[0])


async def test_a_vote_does_not_bring_a_value_of_another_type():
    """The type is not hashed: while one looks, votes come for the same bytes as another type."""
    looking = asyncio.Event()

    async def slowly(value, round):
        await looking.wait()
        return True

    twin = wire.Value(wire.PRIORITY_RESULT, DATA[2].content)
    assert wire.proto_hash(twin.content) == DATA[2].hash()
    async with consenting(Clock.starting(BLOCK), running=[3], deadlines=Unhurried) as found:
        node = found.nodes[3]
        agreed = asyncio.ensure_future(node.agree(BLOCK, accepts=slowly))
        await until(lambda: BLOCK in node._instances)
        await proposed(found, Message(Kind.PRE_PREPARE, BLOCK, 1, 1, DATA[2].hash()), DATA[2])
        for value in (twin, DATA[2]):
            for peer in range(3):
                vote = Message(Kind.COMMIT, BLOCK, peer, 1, DATA[2].hash())
                await node._received(found.keys[peer].public_key, sealed(found.keys[peer], vote, [value]))
        assert (await agreed).value == DATA[2]
        looking.set()


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
    return wire.encode_envelope(signed, {wire.proto_hash(value.content): value for value in values})


async def test_what_a_cheat_says_in_others_names_is_not_used():
    async with consenting(running=[0]) as found:
        node, cheat = found.nodes[0], found.keys[2]
        vote = Message(Kind.COMMIT, DUTY, 2, 1, VALUES[2].hash())
        for data in (
            b"junk",
            sealed(cheat, replace(vote, peer=1), [VALUES[2]]),
            sealed(cheat, vote, [VALUES[2]])[:-1],
        ):
            await node._received(cheat.public_key, data)
        assert not node._instances
        await node._received(cheat.public_key, sealed(cheat, vote, [VALUES[2]]))
        assert list(node._instances) == [DUTY]


@pytest.mark.parametrize(
    "duty",
    [Duty(DUTY.slot - 2, DUTY.type), Duty(10_000, DutyType.ATTESTER)],
    ids=["over", "far ahead"],
)
async def test_who_speaks_at_another_time_is_not_heard_and_sent_no_junk(duty):
    async with consenting(running=[0]) as found:
        node, other = found.nodes[0], found.keys[2]
        vote = Message(Kind.COMMIT, duty, 2, 1, VALUES[2].hash())
        with capture_logs() as lines:
            await node._received(other.public_key, sealed(other, vote, [VALUES[2]]))
            assert "message not used" not in {line["event"] for line in lines}
            await node._received(other.public_key, b"junk")
        assert [line["node"] for line in lines if line["event"] == "message not used"] == [2]
        assert not node._instances


@pytest.mark.parametrize(
    "junk",
    [
        b"\x78\x00" * 500_000,
        b"\x12\x00" * 500_000,
        message_field(3, b"\x0a\x00" * 500_000),
        message_field(3, bytes_field(2, b"\x0a\x00" * 500_000)),
    ],
    ids=["unknown fields", "justifications", "fields of a value", "entries of a value"],
)
async def test_junk_of_one_keeps_nobody_from_agreeing(junk, monkeypatch):
    """A few of its fields are read, whatever there is of it."""
    read = 0

    def counted(data, start=0):
        nonlocal read
        read += 1
        return read_varint(data, start)

    junks = 8
    liar = (leader(DUTY, 1, NODES) + 1) % NODES
    running = [each for each in range(NODES) if each != liar]
    async with consenting(running=running, deadlines=Unhurried) as found:
        monkeypatch.setattr(protobuf, "read_varint", counted)
        key, nodes = found.keys[liar], [node for node in found.nodes if node is not None]
        vote = Message(Kind.PREPARE, DUTY, liar, 1, VALUES[liar].hash())
        data = sealed(key, vote, [VALUES[liar]]) + junk
        for node in nodes:
            await asyncio.gather(*(node._received(key.public_key, data) for _ in range(junks)))
        assert read < 3 * junks * 200
        assert not any(node._instances for node in nodes)
        monkeypatch.setattr(protobuf, "read_varint", read_varint)
        assert {each.round for each in await all_agree(found.nodes)} == {1}


async def test_values_of_one_node_are_bounded(monkeypatch):
    async with consenting(running=[0]) as found:
        node, cheat = found.nodes[0], found.keys[1]
        for round in range(1, 40):
            value = result(round.to_bytes(2, "big") * 500)
            vote = Message(Kind.PREPARE, DUTY, 1, round, value.hash())
            await node._received(cheat.public_key, sealed(cheat, vote, [value]))
        assert node._instances[DUTY].bytes_of(1) == 0  # what one votes for is not kept
        large = result(bytes(5000))
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
    deadlines, duty = Deadlines(clock), Duty(10, type)
    assert deadlines.deadline(duty) == pytest.approx(1120 + seconds)
    moment = 1120 + seconds - 0.01
    assert deadlines.is_open(duty)
    moment = 1120 + seconds + 0.01
    assert not deadlines.is_open(duty)
    assert deadlines.seconds_until(1120) == 0


def test_nothing_is_agreed_on_of_a_slot_that_began_before_the_process():
    clock = Clock(seconds_per_slot=12.0, now=lambda: 1125.0, genesis_time=1000.0)
    deadlines = Deadlines(clock, began=1121.0)
    assert [deadlines.is_agreed_on(Duty(slot, DutyType.ATTESTER)) for slot in (9, 10, 11)] == [
        False,
        False,
        True,
    ]
    assert deadlines.is_open(Duty(10, DutyType.ATTESTER))


def test_duties_of_the_next_two_epochs_may_be_spoken_of():
    deadlines = Deadlines(Clock(seconds_per_slot=12.0, now=lambda: 1000.0, genesis_time=1000.0))
    assert deadlines.is_open(Duty(3 * 32 - 1, DutyType.ATTESTER))
    assert not deadlines.is_open(Duty(3 * 32, DutyType.ATTESTER))


def timetable_of(clock: dict[str, float], began: float) -> Deadlines:
    slots = Clock(seconds_per_slot=12.0, now=lambda: clock["now"], genesis_time=0.0)
    return Deadlines(slots, began=began, monotonic=lambda: clock["monotonic"])


def test_a_process_that_began_while_the_clock_was_ahead_goes_on_within_two_epochs():
    """Another one before it may have done the duties of these, as beacon nodes told them."""
    clock, epoch = {"now": 100 * 384.0 + 10, "monotonic": 5.0}, 384.0
    deadlines = timetable_of(clock, clock["now"])
    assert not deadlines.is_agreed_on(Duty(100 * 32, DutyType.ATTESTER))
    for name in clock:
        clock[name] += 60.0
    clock["now"] -= 40 * epoch
    begins = [slot for slot in range(58 * 32, 64 * 32) if slot * 12.0 >= deadlines.since]
    assert begins[0] == 62 * 32
    clock["now"] += 2 * epoch
    clock["monotonic"] += 2 * epoch
    assert deadlines.is_agreed_on(Duty(62 * 32 + 5, DutyType.ATTESTER))
    assert not deadlines.is_agreed_on(Duty(62 * 32 - 1, DutyType.ATTESTER))


@pytest.mark.parametrize("behind", [30.0, 600.0, 40 * 384.0])
def test_a_process_that_began_while_the_clock_was_behind_agrees_on_nothing_of_before_it(behind):
    """Another one before it may have told the others, with a right clock, for what it is."""
    truly, slot = 12000 * 12.0 + 6, 12000
    clock = {"now": truly - behind, "monotonic": 5.0}
    deadlines = timetable_of(clock, clock["now"])
    clock["now"] += 5.0 + behind
    clock["monotonic"] += 5.0
    assert [deadlines.is_agreed_on(Duty(slot + more, DutyType.ATTESTER)) for more in (-10, -1, 0, 1)] == [
        *[False] * 3,
        True,
    ]
    assert deadlines.since == truly


@pytest.mark.parametrize("back", [0.0, 20.0, 384.0, 40 * 384.0])
def test_a_clock_that_is_wrong_for_a_moment_opens_nothing_of_before_the_process(back):
    clock = {"now": 60 * 384.0 + 10, "monotonic": 5.0}
    deadlines = timetable_of(clock, clock["now"])
    clock["now"] -= back
    assert not deadlines.is_agreed_on(Duty(60 * 32, DutyType.ATTESTER))
    clock["now"] += back
    assert deadlines.since == 60 * 384.0 + 10
