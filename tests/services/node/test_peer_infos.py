"""Nodes tell each other what they are; between real hosts, and with peers that say anything."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dvtfast.services.node.peer_infos import PeerInfos, PeerReport
from dvtfast.services.node.wire.peer_info import PROTOCOL, PeerInfo
from dvtfast.services.p2p.errors import UnreachableError
from dvtfast.services.p2p.swarm.exchange import Terms
from tests.services.p2p.hosts import cluster, identities

LOCK_HASH = b"\x44" * 32
NOW = 1_780_000_000.0
PEER = b"\2" * 33


class Line:
    """To one peer, which answers what the test wants."""

    def __init__(self, answer: bytes | Exception) -> None:
        self.answer = answer
        self.asked: list[bytes] = []

    def handle(self, protocol: str, function: object, **_: Any) -> None:
        assert protocol == PROTOCOL

    async def send(self, peer: bytes, protocol: str, message: bytes) -> None:
        raise AssertionError("nothing is sent")

    async def request(self, peer: bytes, protocol: str, message: bytes, *, terms: Terms) -> bytes:
        assert (peer, protocol) == (PEER, PROTOCOL)
        self.asked.append(message)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def said(seconds: float = NOW, **others: Any) -> PeerInfo:
    moment = round(seconds * 1e9)
    return PeerInfo(**{
        "charon_version": "v1.10.3", "lock_hash": LOCK_HASH, "sent_at": moment, "started_at": moment,
        "git_hash": "0abcdef", **others,
    })  # fmt: skip


async def report_of(answer: bytes | Exception) -> PeerReport | None:
    infos = PeerInfos(line := Line(answer), [PEER], LOCK_HASH, now=lambda: NOW)
    await infos.ask()
    asked = PeerInfo.decode(line.asked[0])
    assert (asked.lock_hash, asked.client, asked.sent_at) == (LOCK_HASH, "dvtfast", round(NOW * 1e9))
    return infos.reports.get(PEER)


async def test_a_peer_of_charon() -> None:
    assert await report_of(said(nickname="rock").encode()) == PeerReport("v1.10.3", "", "rock")


PROBLEMS = {
    "ahead": (said(NOW + 0.5), "its clock is 0.50 s ahead"),
    "behind": (said(NOW - 0.3), "its clock is 0.30 s behind"),
    "no time": (said(sent_at=None), "what its clock shows"),
    "another lock": (said(lock_hash=b""), "another cluster lock"),
    "builder": (said(builder=True), "it wants blocks of builders"),
    "git hash": (said(git_hash="0ABCDEF"), "git hash"),
}


@pytest.mark.parametrize("name", PROBLEMS)
async def test_what_people_should_know(name: str) -> None:
    info, problem = PROBLEMS[name]
    report = await report_of(info.encode())
    assert report is not None
    (found,) = report.problems
    assert problem in found


async def test_texts_are_fit_to_be_shown() -> None:
    report = await report_of(said(charon_version="\x1b[31mred\n" + "v" * 1000, client="\u202e").encode())
    assert report is not None
    assert report.version == "[31mred" + "v" * 57
    assert report.client == ""


async def test_no_answer_and_no_message() -> None:
    assert await report_of(UnreachableError("away")) is None
    assert await report_of(TimeoutError()) is None
    report = await report_of(b"\xff")
    assert report is not None
    assert "its answer is none" in report.problems[0]


async def test_real_hosts() -> None:
    keys = identities(3)
    async with cluster(keys) as hosts:
        peers = [host.public_key for host in hosts]
        infos = [
            PeerInfos(
                host, [peer for peer in peers if peer != host.public_key], LOCK_HASH, nickname=f"node {index}"
            )
            for index, host in enumerate(hosts)
        ]
        await asyncio.gather(*(each.ask() for each in infos))
        for index, each in enumerate(infos):
            assert {report.nickname for report in each.reports.values()} == {
                f"node {other}" for other in range(3) if other != index
            }
            assert {report.client for report in each.reports.values()} == {"dvtfast"}
