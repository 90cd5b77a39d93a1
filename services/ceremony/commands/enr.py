"""`dvtfast create enr`: the key of a node, and the record by which others name it."""

from __future__ import annotations

import click
from coincurve import PrivateKey

from dvtfast import FileError
from dvtfast.obol import KEY_FILE, make_enr, read_node_key, write_node_key

from ...files import paths
from ...settings import CreateEnrSettings
from ..staging import DIRECTORY_MODE
from .terminal import run

KEEP_IT = "keep a copy of it: it is this node's name in the cluster, and cannot be made again"


def create(settings: CreateEnrSettings) -> int:
    """Make a key in the node's folder, and print the record; 1 if there is one."""
    return run(lambda: _create(settings))


def _create(settings: CreateEnrSettings) -> int:
    directory, path = settings.data_dir, settings.data_dir / KEY_FILE
    if paths.is_there(path):
        record = make_enr(read_node_key(path))
        raise FileError(f"is there already, and is not made anew; its record is\n{record}", path)
    directory.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
    secret = PrivateKey().secret
    write_node_key(path, secret)
    click.echo(f"made {path}; {KEEP_IT}", err=True)
    click.echo(make_enr(secret))
    return 0
