"""The oracle as a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import click
import msgspec
from aiohttp import web
from coincurve import PrivateKey

from dvtfast import DvtfastError, FileError
from dvtfast.files import read_text
from dvtfast.protocol_config import read_oracle_config

from ... import wire
from ...chain.calls import ContractError
from ...chain.encoding import read_data, write_address
from ...chain.execution.node import NodeClient, NodeError, TooManyLogsError
from ...process import logs, running
from ...process.offload import UnavailableError, Workers
from ...settings import EXIT_CODE
from ...web import http
from ..world.deployed_contracts import address_of_oracle
from .bodies import read_approval, read_consolidation, read_rotation
from .oracle import DemoOracle
from .settings import DemoOracleSettings
from .states import Contracts, States

HOST = "127.0.0.1"
SECRET_BYTES = 32
KEY_FILE_BYTES = 1024

log = logs.get("oracle")


def run(settings: DemoOracleSettings) -> int:
    """Run until told to stop; the exit code."""
    try:
        secret = read_secret(settings)
        read_oracle_config(settings.config)
    except (DvtfastError, ValueError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        return EXIT_CODE
    return running.run(partial(_serve, settings, secret))


def read_secret(settings: DemoOracleSettings) -> bytes:
    """The secp256k1 secret in the key file; ValueError without it."""
    try:
        text = read_text(settings.key_file, limit_bytes=KEY_FILE_BYTES).strip()
        secret = read_data("0x" + text.removeprefix("0x"), width=SECRET_BYTES)
        PrivateKey(secret)
    except (FileError, ValueError):
        raise ValueError(f"{settings.key_file}: expected a secp256k1 secret of 64 hex digits") from None
    return secret


async def _serve(settings: DemoOracleSettings, secret: bytes, stop: asyncio.Event) -> int:
    public_key = PrivateKey(secret).public_key.format(compressed=False)[1:]
    try:
        async with serving(settings, secret) as port:
            log.info("listening", port=port, oracle=write_address(address_of_oracle(public_key)))
            await stop.wait()
    except OSError as error:
        log.error("cannot run", error=str(error))
        return 1
    return 0


@asynccontextmanager
async def serving(settings: DemoOracleSettings, secret: bytes) -> AsyncIterator[int]:
    """Run an oracle inside the block; yields its port."""
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(
            NodeClient(
                settings.execution_endpoints,
                timeout_seconds=settings.execution_timeout,
                chain_id=settings.network.chain_id,
            )
        )
        workers = Workers("oracle", threads=1)
        stack.push_async_callback(workers.close)
        contracts = Contracts(
            settings.deposit_contract, settings.keeper, settings.registry, settings.first_block
        )
        states = States(node, contracts, settings.network)
        oracle = DemoOracle(
            secret, settings.config, settings.keeper, states, settings.network, workers, settings.uploads
        )
        app = http.application()
        app.add_routes(routes(oracle))
        yield await stack.enter_async_context(http.listening(app, HOST, settings.port))


def routes(oracle: DemoOracle) -> list[web.RouteDef]:
    """What an oracle answers."""

    async def approve(request: web.Request) -> msgspec.Struct:
        return await oracle.approve(read_approval(await http.read_body(request)))

    async def rotate(request: web.Request) -> msgspec.Struct:
        return await oracle.rotate(read_rotation(await http.read_body(request)))

    async def rotation_info(request: web.Request) -> msgspec.Struct:
        try:
            vault = wire.Address.from_wire(request.match_info["vault"])
        except ValueError as error:
            raise wire.WireError("vault", str(error)) from None
        return await oracle.rotation_info(vault)

    async def consolidate(request: web.Request) -> msgspec.Struct:
        return await oracle.consolidate(read_consolidation(await http.read_body(request)))

    return [
        web.post("/", _answering(approve)),
        web.post("/signatures", _answering(rotate)),
        web.get("/signatures/{vault}", _answering(rotation_info)),
        # An operator joins it to the address in one way or another, with more slashes or fewer.
        web.post("/{before:/?}consolidate-validators{behind:/?}", _answering(consolidate)),
    ]


def _answering(
    handle: Callable[[web.Request], Awaitable[msgspec.Struct]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """JSON, also where the request is refused, which is 400 as with StakeWise's oracles."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            content = await handle(request)
        except wire.WireError as error:
            log.info("refused", path=request.path, reason=str(error))
            return http.json_answer(wire.ErrorAnswer(str(error), error.field), status=400)
        except (NodeError, ContractError, TooManyLogsError) as error:
            raise UnavailableError(str(error)) from error
        log.info("signed" if request.method == "POST" else "told", path=request.path)
        return http.json_answer(content)

    return answer
