"""What was signed, taken over from another signer or handed to one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from dvtfast import FileError
from dvtfast.files import read_bytes
from dvtfast.obol import read_node_key
from dvtfast.secp256k1 import IdentityKey

from ...chain.encoding import write_data
from ...files import paths
from ...settings import EXIT_CODE, ImportSettings, ProtectionSettings
from ..cluster import read_cluster
from ..signing.interchange import InterchangeError, chain_of, read_interchange
from ..signing.record import ONE_WRITER
from ..signing.slashing_protection import SlashingProtection, SlashingProtectionError, chain_of_file

MOST_BYTES = 1024**3  # 20,000 validators' votes of a month


def import_file(settings: ImportSettings, file: Path) -> int:
    """Take over a file; the exit code."""
    return _run(lambda: _import(settings, file))


def export_file(settings: ProtectionSettings, file: Path) -> int:
    """Write a file; the exit code."""
    return _run(lambda: _export(settings, file))


def _run(work: Callable[[], None]) -> int:
    try:
        work()
    except (FileError, InterchangeError, SlashingProtectionError, OSError) as error:
        click.echo(f"error: {paths.told(error)}", err=True)
        return EXIT_CODE
    return 0


def _import(settings: ImportSettings, file: Path) -> None:
    body = read_bytes(file, limit_bytes=MOST_BYTES)
    path, shares = settings.protection_path, _shares(settings)
    try:
        root = chain_of_file(path) or chain_of(body)
        told = {bytes(entry.pubkey) for entry in read_interchange(body, root).data}
        if not told & shares:
            raise InterchangeError(
                f"none of its {len(told)} keys is a key share of this node, so it would protect nothing:"
                " export what the validator client of this very node has signed"
            )
        protection = SlashingProtection(path, root, one_writer=ONE_WRITER)
        try:
            imported = protection.import_interchange(body, keeps_gaps=settings.keep_gaps)
        finally:
            protection.close()
    except InterchangeError as error:
        raise InterchangeError(f"{file}: {error}") from None
    click.echo(
        f"{imported.blocks} blocks and {imported.attestations} votes of {imported.validators} validators are"
        f" in {path}, of the chain with genesis validators root {write_data(root)}"
    )
    if strangers := len(told - shares):
        click.echo(f"warning: {strangers} of these validators are no key shares of this node", err=True)
    if missing := len(shares - told):
        click.echo(
            f"warning: of {missing} of this node's {len(shares)} key shares the file has nothing", err=True
        )


def _shares(settings: ImportSettings) -> set[bytes]:
    """The public key shares of this node."""
    identity = IdentityKey(read_node_key(settings.key_path))
    members = read_cluster(settings.lock_path, identity.public_key, verify=False).members
    return {share.tobytes() for share in members.keys.key_shares.encoded[:, members.position]}


def _export(settings: ProtectionSettings, file: Path) -> None:
    path = settings.protection_path
    if (root := chain_of_file(path)) is None:
        raise FileError("no such file: nothing was signed here", path)
    protection = SlashingProtection(path, root, one_writer=ONE_WRITER)
    try:
        body = protection.export_interchange()
    finally:
        protection.close()
    with file.open("xb") as output:  # which may be what another signer has signed
        output.write(body)
    click.echo(f"{file} has what was signed here; sign nothing here any more")
