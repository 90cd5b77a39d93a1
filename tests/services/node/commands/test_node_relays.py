"""Nodes that nobody can dial meet through relays, of which there may be several."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ...patience import PATIENCE_SECONDS
from .processes import LOOK_SECONDS, NODES, Nodes, before_a_chain, ready, relay, started, status_of, stop


async def test_through_relays(tmp_path: Path) -> None:
    """Of which one is named by its multiaddr, the other one by where it is looked up."""
    with (
        before_a_chain(tmp_path, validators=8, start_seconds=PATIENCE_SECONDS * 10) as (nodes, _),
        relay(tmp_path / "one") as (multiaddr, _),
        relay(tmp_path / "two") as (_, url),
    ):
        nodes.relays = [multiaddr, url]
        with started(nodes) as processes:
            await asyncio.gather(*(ready(nodes, position) for position in range(NODES)))
            async with asyncio.timeout(PATIENCE_SECONDS):
                for position in range(NODES):
                    await relayed(nodes, position)
            assert [stop(process) for process in processes] == [0] * NODES


async def relayed(nodes: Nodes, position: int) -> None:
    """Wait until a node reaches all others through relays, and both relays let others in to it."""
    while True:
        status = await status_of(nodes, position)
        assert [each["name"] for each in status["relays"]] == nodes.relays
        others = [node for node in status["nodes"] if not node["own"]]
        is_reached = all(each["connected"] and each["relayed"] for each in others)
        if is_reached and not any(each["problem"] for each in status["relays"]):
            return
        await asyncio.sleep(LOOK_SECONDS)
