"""Hosts of libp2p on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from dvtfast.services.p2p.host import Host, IdentityKey, Terms
from dvtfast.services.p2p.limits import Limits
from dvtfast.services.p2p.relay.relaying import Relaying, relaying
from dvtfast.services.p2p.swarm.swarm import Swarm
from tests.services.patience import PATIENCE_SECONDS

HERE = ("127.0.0.1", 0)
ECHO = "/echo/1.0.0"
PATIENT = Terms(seconds=PATIENCE_SECONDS)
# Machines are slow now and then; what is not about time has a lot of it.
SLOW = Limits(
    pong_seconds=PATIENCE_SECONDS, negotiation_seconds=PATIENCE_SECONDS, handshake_seconds=PATIENCE_SECONDS
)


def identities(count: int) -> list[IdentityKey]:
    """New ones, in the order of their keys: who comes first dials through relays."""
    return sorted((IdentityKey.generate() for _ in range(count)), key=lambda key: key.public_key)


async def echo(peer: bytes, message: bytes) -> bytes:
    return message


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def cluster(
    keys: list[IdentityKey], *, relays: list[str] | None = None, listens: bool = True, **more: Any
) -> AsyncIterator[list[Host]]:
    """Hosts that know each other's addresses when they listen, and answer with what they were sent."""
    public = [key.public_key for key in keys]
    async with AsyncExitStack() as stack:
        hosts: list[Host] = []
        for key in keys:
            known = {host.public_key: host.bound for host in hosts}
            opened = Host.open(
                key,
                peers=public,
                listen=[HERE] if listens else [],
                relays=relays or [],
                addresses=known,
                **{"limits": SLOW} | more,
            )
            host = await stack.enter_async_context(opened)
            host.handle(ECHO, echo, terms=PATIENT)
            hosts.append(host)
        yield hosts


@asynccontextmanager
async def relay(**more: Any) -> AsyncIterator[tuple[Relaying, list[str]]]:
    """A relay of ours, and where it is."""
    async with relaying(IdentityKey.generate(), listen=[HERE], shows_private=True, **more) as running:
        yield running, running.addresses()


@asynccontextmanager
async def swarm(
    identity: IdentityKey,
    *,
    limits: Limits = SLOW,
    is_welcome: Callable[[bytes], bool] = lambda _: True,
    listens: bool = True,
    handlers: dict[str, Callable[[Any], Awaitable[None]]] | None = None,
) -> AsyncIterator[tuple[Swarm, tuple[str, int]]]:
    """Connections without a host above, and where it listens."""
    made = Swarm(identity, is_welcome=is_welcome, limits=limits)
    made.handlers.update(handlers or {})
    try:
        yield made, await made.listen(*HERE) if listens else HERE
    finally:
        await made.close()
