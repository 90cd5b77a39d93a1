"""Forks that beacon nodes tell of by and by, as they are made ready for them one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest
from aiohttp import web

from dvtfast.duties.duty_types import DutyType
from dvtfast.services.chain import clock
from dvtfast.services.chain.beacon.client import FAR_FUTURE_EPOCH, BeaconError
from dvtfast.services.chain.beacon.duties import DutiesClient
from tests.services.chain.beacon.test_duties_client import (
    DATA,
    FORK_SCHEDULE,
    GENESIS,
    SPEC,
    VERSIONS,
    asking,
)

EPOCH_SECONDS: Final = 32 * 12
PATH: Final = "/eth/v1/config/fork_schedule"
NEXT, OTHER = "0x80000910", "0x90000910"  # versions of forks that are not known here
FORK: Final = 100  # the epoch in which the next one begins
FULU: Final = bytes.fromhex(VERSIONS[-1][2:])
VOTES: Final = {"/eth/v1/validator/attestation_data": {"data": DATA}}
WELL: Final = {
    "/eth/v1/node/syncing": {"data": {"head_slot": "1", "sync_distance": "0", "is_syncing": False}},
}


@dataclass
class Time:
    """What the clock shows: an epoch of the chain."""

    epoch: int = 0

    def seconds(self) -> float:
        return int(GENESIS["genesis_time"]) + self.epoch * EPOCH_SECONDS + 1


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time(FORK - 50)
    monkeypatch.setattr(clock, "now_seconds", time.seconds)
    return time


def node(*more: tuple[str, int]) -> dict[str, Any]:
    """What a beacon node says that knows of these forks, too."""
    answers = VOTES | WELL
    tell(answers, *more)
    return answers


def tell(answers: dict[str, Any], *more: tuple[str, int]) -> None:
    """It was updated."""
    forks = [*FORK_SCHEDULE, *({"current_version": version, "epoch": str(epoch)} for version, epoch in more)]
    answers[PATH] = {"data": forks}


def version_in(client: DutiesClient, epoch: int) -> str:
    return "0x" + client.schedule.at(epoch).version.hex()


async def answering(client: DutiesClient) -> list[bool]:
    return [health.answers for health in await client.health()]


@pytest.mark.parametrize("before", [(), ((NEXT, FAR_FUTURE_EPOCH),), ((NEXT, FORK + 7),)])
async def test_a_fork_that_is_announced_later_counts_for_whoever_holds_the_schedule(
    time: Time, before: Sequence[tuple[str, int]]
) -> None:
    """Not listed before, of no epoch, or of another one."""
    beacon = node(*before)
    async with asking(beacon) as client:
        held = client.schedule
        was = held.domain(DutyType.ATTESTER, FORK)
        assert version_in(client, FORK) == VERSIONS[-1]
        tell(beacon, (NEXT, FORK))
        await client.look_again()
        assert client.schedule is held
        assert version_in(client, FORK) == NEXT
        assert version_in(client, FORK - 1) == VERSIONS[-1]
        assert held.domain(DutyType.ATTESTER, FORK) not in (was, held.domain(DutyType.ATTESTER, FORK - 1))
        assert client.chain.schedule.at(FORK).version == held.at(FORK).version
        time.epoch = FORK
        await client.look_again()
        await client.attestation_data(33)


async def test_a_fork_is_adopted_when_a_beacon_node_comes_back(time: Time) -> None:
    beacon = node()
    async with asking(beacon) as client:
        tell(beacon, (NEXT, FORK))
        beacon |= {path: {"data": "nothing"} for path in VOTES}
        with pytest.raises(BeaconError):
            await client.attestation_data(33)
        beacon |= VOTES
        await client.attestation_data(33)
        assert version_in(client, FORK) == NEXT


async def test_of_no_epoch_is_no_fork(time: Time) -> None:
    async with asking(node((NEXT, FAR_FUTURE_EPOCH), (OTHER, FAR_FUTURE_EPOCH))) as client:
        assert version_in(client, FAR_FUTURE_EPOCH) == VERSIONS[-1]
        assert len(client.chain.forks) == len(VERSIONS)


@pytest.mark.parametrize("new", [0, 1])
async def test_two_beacon_nodes_are_updated_one_after_the_other(time: Time, new: int) -> None:
    """Also when the node starts in between; at the fork the one that was not updated is not believed."""
    nodes = [node((NEXT, FAR_FUTURE_EPOCH)), node((NEXT, FAR_FUTURE_EPOCH))]
    tell(nodes[new], (NEXT, FORK))
    async with asking(*nodes) as client:
        assert version_in(client, FORK) == NEXT
        await client.look_again()
        assert await answering(client) == [True, True]
        time.epoch = FORK
        await client.look_again()
        assert await answering(client) == [new == 0, new == 1]
        await client.attestation_data(33)
        tell(nodes[1 - new], (NEXT, FORK))
        assert await answering(client) == [True, True]


async def test_two_beacon_nodes_updated_while_the_node_runs(time: Time) -> None:
    nodes = [node(), node()]
    async with asking(*nodes) as client:
        for each in nodes:
            tell(each, (NEXT, FORK))
            await client.look_again()
            assert version_in(client, FORK) == NEXT
            assert await answering(client) == [True, True]


async def test_a_start_after_the_fork_with_one_of_two_updated(time: Time) -> None:
    time.epoch = FORK
    async with asking(node(), node((NEXT, FORK))) as client:
        assert version_in(client, FORK) == NEXT
        assert await answering(client) == [False, True]


async def test_both_updated_after_the_fork_has_begun(time: Time) -> None:
    nodes = [node(), node()]
    async with asking(*nodes) as client:
        time.epoch = FORK + 3
        for each in nodes:
            tell(each, (NEXT, FORK))
        await client.look_again()
        assert version_in(client, FORK) == NEXT
        assert await answering(client) == [True, True]


async def test_of_three_beacon_nodes_one_alone_tells_no_fork(time: Time) -> None:
    nodes = [node(), node((OTHER, FORK - 50)), node()]
    async with asking(*nodes) as client:
        assert version_in(client, FORK) == VERSIONS[-1]
        assert await answering(client) == [True, False, True]
        tell(nodes[1], (NEXT, FORK))
        await client.look_again()
        assert version_in(client, FORK) == VERSIONS[-1]
        assert await answering(client) == [True, True, True]
        tell(nodes[2], (NEXT, FORK))
        await client.look_again()
        assert version_in(client, FORK) == NEXT


async def test_two_that_know_of_different_later_forks_take_back_what_a_liar_announced(
    time: Time,
) -> None:
    later = (NEXT, FORK + 400)
    async with asking(node(later), node(), node((OTHER, FORK + 1), later)) as client:
        await client.look_again()
        time.epoch = FORK + 1
        await client.look_again()
        assert version_in(client, FORK + 1) == VERSIONS[-1]
        assert await answering(client) == [True, True, False]


@pytest.mark.parametrize("version", [[], {}, None, 7])
async def test_a_version_that_is_none_stops_one_beacon_node_only(time: Time, version: Any) -> None:
    nodes = [node(), node(), node()]
    async with asking(*nodes) as client:
        nodes[0]["/eth/v1/config/spec"] = {"data": SPEC | {"FULU_FORK_VERSION": version}}
        await client.look_again()
        await client.attestation_data(33)
        assert version_in(client, FORK) == VERSIONS[-1]


async def test_other_forks_that_have_begun_are_another_chain(time: Time) -> None:
    time.epoch = FORK
    async with asking(node((NEXT, FORK)), node((OTHER, FORK)), learn=False) as client:
        with pytest.raises(BeaconError, match="expected nodes of one chain, got as many of another"):
            await client.learn()


async def test_before_the_genesis_the_first_forks_count(time: Time) -> None:
    time.epoch = -5
    other = node()
    other[PATH] = {"data": [{"current_version": OTHER, "epoch": "0"}]}
    async with asking(node(), other, learn=False) as client:
        with pytest.raises(BeaconError, match="got as many of another"):
            await client.learn()


async def test_a_beacon_node_of_another_chain_is_left_out_whatever_its_forks(time: Time) -> None:
    beacon = node()
    async with asking(beacon) as client:
        tell(beacon, (NEXT, FORK))
        beacon["/eth/v1/config/spec"] = {"data": SPEC | {"SYNC_COMMITTEE_SIZE": "32"}}
        await client.look_again()
        assert client.are_elsewhere
        assert version_in(client, FORK) == VERSIONS[-1]


async def gone(_request: web.Request) -> web.Response:
    return web.Response(status=503)


GONE: Final = {"/eth/v1/beacon/genesis": gone}


async def test_beacon_nodes_that_are_away_do_not_outvote_the_one_that_is_there(time: Time) -> None:
    nodes = [node(), node(), node()]
    async with asking(*nodes) as client:
        time.epoch = FORK
        for each in nodes[:2]:
            each |= GONE
        await client.look_again()
        tell(nodes[2], (NEXT, FORK))
        await client.look_again()
        assert version_in(client, FORK) == NEXT
        assert await answering(client) == [False, False, True]


async def test_one_that_was_not_updated_does_not_take_a_fork_back(time: Time) -> None:
    """Not while the updated ones are away either; two that say so do."""
    nodes = [node((NEXT, FORK)), node((NEXT, FORK)), node()]
    async with asking(*nodes) as client:
        time.epoch = FORK
        for each in nodes[:2]:
            each |= GONE
        for _ in range(3):
            await client.look_again()
        assert version_in(client, FORK) == NEXT
        assert await answering(client) == [False, False, False]
        for each in nodes[:2]:
            del each["/eth/v1/beacon/genesis"]
            tell(each)
        await client.look_again()
        assert version_in(client, FORK) == VERSIONS[-1]
