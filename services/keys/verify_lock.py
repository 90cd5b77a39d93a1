"""`dvtfast cluster verify`: everything that can be said of a cluster lock."""

from __future__ import annotations

from pathlib import Path

import click

from dvtfast import FileError
from dvtfast.obol import Check, ClusterLock, Verdict, check_cluster_lock, read_cluster_lock

from ..settings import ClusterVerifySettings
from . import output


def verify(settings: ClusterVerifySettings, file: Path) -> int:
    """Print the verdict, check by check; 1 on any fault."""
    try:
        lock = read_cluster_lock(file)
        checks = [_format(lock), *check_cluster_lock(lock, threads=settings.threads)]
    except FileError as error:
        checks = [Check("format", Verdict.FAULT, str(error).removeprefix(f"{file}: "))]
    rows = [{"check": check.name, "verdict": check.verdict.value, "detail": check.detail} for check in checks]
    output.show(("check", "verdict", "detail"), rows, as_json=settings.json)
    faults = sum(check.verdict is Verdict.FAULT for check in checks)
    if not settings.json:
        click.echo(f"{file}: {f'{faults} faults' if faults > 1 else '1 fault' if faults else 'no fault'}")
    return 1 if faults else 0


def _format(lock: ClusterLock) -> Check:
    definition = lock.definition
    n, k = len(lock.public_keys), len(definition.operators)
    detail = (
        f"{definition.version.text} {definition.name!r}: {n} validators, {definition.threshold} of {k} nodes"
    )
    return Check("format", Verdict.OK, detail)
