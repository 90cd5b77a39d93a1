"""`dvtfast relayer token`: each function returns an exit code."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from time import time

import click
import msgspec
from rich.console import Console
from rich.table import Table

from ... import wire
from ...process import logs
from ...settings import DatabaseSettings, TokenCreateSettings, TokenListSettings
from ..database_commands import reported, run
from ..store.engine.database import Database
from ..store.sealing.rewrite import open_existing
from ..store.tokens import (
    KeptToken,
    NodeOfCluster,
    Role,
    Scope,
    add_token,
    all_tokens,
    revoke_token,
)
from .token_text import digest_of, new_token

FAILED = 1

log = logs.get("access")


def create(settings: TokenCreateSettings) -> int:
    """Make a token and show it, once."""

    def work() -> None:
        # Before there is a token, so that none is made that nobody gets.
        descriptor = None if settings.output is None else _new_file(settings.output)
        token_id, token = run(_create(settings))
        if descriptor is None:
            click.echo(token)
            click.echo("this is shown once; give it to its holder on a safe way", err=True)
        else:
            with os.fdopen(descriptor, "w") as file:
                file.write(token + "\n")
            click.echo(f"token {token_id} is in {settings.output}", err=True)

    return reported(work)


async def _create(settings: TokenCreateSettings) -> tuple[str, str]:
    database = await Database.open(settings.database)
    try:
        while True:
            token_id, token = new_token()
            kept = KeptToken(
                token_id, digest_of(token), Role(settings.role), _scope(settings), settings.note, int(time())
            )
            if await database.run(add_token, kept):
                log.info("token made", id=token_id, role=settings.role, scope=described(kept))
                return token_id, token
    finally:
        await database.close()


def revoke(settings: DatabaseSettings, ids: tuple[str, ...]) -> int:
    """Make tokens worthless; 1 when one is unknown."""
    missing: list[str] = []

    async def work() -> None:
        database = await open_existing(settings.database)
        try:
            for token_id in ids:
                kept = await database.run(revoke_token, token_id, int(time()))
                if kept is None:
                    missing.append(token_id)
                else:
                    log.info("token revoked", id=token_id, role=kept.role.value, scope=described(kept))
        finally:
            await database.close()

    code = reported(lambda: run(work()))
    for token_id in missing:
        click.echo(f"error: no token has the id {logs.printable(token_id)}", err=True)
    return code or (FAILED if missing else 0)


def show(settings: TokenListSettings) -> int:
    """Print all tokens, without their secrets."""

    async def work() -> None:
        database = await open_existing(settings.database)
        try:
            tokens = await database.read(all_tokens)
        finally:
            await database.close()
        if settings.json:
            items = [_item(token) for token in tokens]
            sys.stdout.write(msgspec.json.format(msgspec.json.encode(items)).decode() + "\n")
        else:
            _print(tokens)

    return reported(lambda: run(work()))


def described(token: KeptToken) -> str:
    """What a token is for, on one line."""
    scope = token.scope
    parts = [f"{node.cluster} share index {node.share_index}" for node in scope.nodes]
    parts += [f"vault {vault.to_wire()}" for vault in scope.vaults]
    parts += [f"cluster {cluster}" for cluster in scope.clusters]
    return "; ".join(parts) or ("all vaults" if scope.everything else "everything there is to see")


def _scope(settings: TokenCreateSettings) -> Scope:
    if settings.role == Role.SIDECAR:
        return Scope(nodes=tuple(NodeOfCluster(*node) for node in settings.nodes))
    vaults = tuple(map(wire.Address, settings.vaults))
    return Scope(vaults=vaults, clusters=settings.clusters, everything=settings.all_vaults)


def _new_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _item(token: KeptToken) -> dict[str, object]:
    return {
        "id": token.id,
        "role": token.role.value,
        "scope": described(token),
        "note": token.note,
        "created_at": token.created_at,
        "revoked_at": token.revoked_at,
    }


def _print(tokens: list[KeptToken]) -> None:
    table = Table("id", "role", "for", "note", "made", "revoked")
    for token in tokens:
        times = (token.created_at, token.revoked_at)
        shown = [wire.timestamp_string(at) if at is not None else "" for at in times]
        texts = token.id, token.role.value, described(token), token.note, *shown
        table.add_row(*(logs.printable(text) for text in texts))
    if tokens:
        Console(highlight=False, markup=False).print(table)
    valid = sum(token.revoked_at is None for token in tokens)
    click.echo(f"{valid} tokens, and {len(tokens) - valid} revoked ones")
