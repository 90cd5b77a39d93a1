"""The relay as a process: its key, where it listens, and where nodes look it up."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
from aiohttp import web

from dvtfast import FileError
from dvtfast.obol import KEY_FILE, make_enr, read_node_key, write_node_key
from dvtfast.secp256k1 import IdentityKey, new_secret_key

from ...files import paths
from ...process import logs, running
from ...settings import EXIT_CODE, P2PRelaySettings
from ...web import http
from ..wire.addresses import IP4, Multiaddr
from ..wire.peers import peer_text
from .hop import RelayLimits
from .metrics import Metrics
from .relaying import SWARM_LIMITS, Relaying, relaying

DIRECTORY_MODE = 0o700
# Of one address, beside the peers that can be reached there: some only dial, and each may have some circuits.
CONNECTIONS_PER_RESERVATION, CIRCUITS_PER_RESERVATION = 2, 4
DEFAULT_LISTEN = (("0.0.0.0", 3641),)  # noqa: S104 - a relay is for others

log = logs.get("relay")


def run(settings: P2PRelaySettings) -> int:
    """Relay until told to stop; the exit code."""
    return running.run(partial(_serve, settings))


async def _serve(settings: P2PRelaySettings, stop: asyncio.Event) -> int:
    try:
        secret = await asyncio.to_thread(secret_of, settings.data_dir)
    except (FileError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        return EXIT_CODE
    async with AsyncExitStack() as stack:
        try:
            relay = await stack.enter_async_context(relay_of(settings, secret))
            app = look_up(relay, secret)
            port = await stack.enter_async_context(http.listening(app, *settings.http_address))
            if settings.metrics_port is not None:
                pages = Metrics(relay).application()
                await stack.enter_async_context(
                    http.listening(pages, settings.metrics_host, settings.metrics_port)
                )
        except OSError as error:
            click.echo(f"error: cannot listen: {error.strerror or error}", err=True)
            return EXIT_CODE
        if not relay.addresses():
            log.warning("nobody is told where it is", do="--p2p-external-ip, or --p2p-external-hostname")
        peer = peer_text(relay.swarm.identity.public_key)
        log.info("relaying", peer=peer, ports=[bound[1] for bound in relay.bound], http_port=port)
        await stop.wait()
    log.info("stopped")
    return 0


def relay_of(settings: P2PRelaySettings, secret: bytes) -> AbstractAsyncContextManager[Relaying]:
    """The relay that settings ask for; it runs inside the block."""
    reservations = settings.p2p_max_reservations
    return relaying(
        IdentityKey(secret),
        listen=settings.p2p_tcp_address or DEFAULT_LISTEN,
        external=settings.external_names,
        shows_private=settings.p2p_advertise_private_addresses,
        limits=RelayLimits(
            reservations=settings.p2p_max_connections,
            address_reservations=reservations,
            address_circuits=CIRCUITS_PER_RESERVATION * reservations,
            peer_circuits=reservations,
        ),
        swarm_limits=replace(
            SWARM_LIMITS,
            connections=settings.p2p_max_connections,
            address_connections=CONNECTIONS_PER_RESERVATION * reservations,
        ),
    )


def secret_of(directory: Path) -> bytes:
    """The relay's key, which is made when there is none.

    Raises:
        FileError, OSError: it cannot be read, or made.
    """
    path = directory / KEY_FILE
    if not paths.is_there(path):
        directory.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
        write_node_key(path, new_secret_key())
        log.info("made a key", file=str(path))
    return read_node_key(path)


def look_up(relay: Relaying, secret: bytes) -> web.Application:
    """A server that says where the relay is."""

    async def addresses(_: web.Request) -> web.Response:
        return web.json_response(relay.addresses())

    async def record(_: web.Request) -> web.Response:
        found = (Multiaddr.from_text(text) for text in relay.addresses())
        ip, port = next((a.endpoint for a in found if a.parts[0][0] == IP4 and a.endpoint), ("", 0))
        return web.Response(text=make_enr(secret, ip=ip, tcp=port))

    app = http.application()
    app.router.add_get("/", addresses)
    app.router.add_get("/enr", record)
    return app
