"""`dvtfast keys`: what is in a directory of keystores, whether it is right, and copies of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from dvtfast import DvtfastError, KeystoreError
from dvtfast.key_cache import fits_key_cache
from dvtfast.keystores import (
    KeystoreFile,
    KeystoreFiles,
    LoadedKeystores,
    parse_keystore_file,
    read_keystore_files,
    write_keystores,
)
from dvtfast.obol import read_cluster_lock

from .. import wire
from ..files import paths
from ..process.hardening import forbid_dumps
from ..process.progress import showing_progress
from ..settings import (
    EXIT_CODE,
    ExportSettings,
    KeyCacheSettings,
    KeysSettings,
    ListSettings,
    SettingsError,
    VerifySettings,
)
from . import output
from .grouped_problems import in_directory
from .key_share_files import LoadedKeyShares, LockFile, default_cache, load_key_shares

COLUMNS = ("file", "public key share", "validator", "node", "status")
NOT_TOLD = "-"
OK = "ok"
SHOWN_VALIDATORS = 10  # of those without a keystore

Row = dict[str, str]


def run(command: Callable[[], int]) -> int:
    """The exit code of a command; what it cannot do is told."""
    forbid_dumps()
    try:
        return command()
    except (DvtfastError, OSError, SettingsError) as error:
        click.echo(f"error: {paths.told(error)}", err=True)
        return EXIT_CODE


def import_keys(settings: KeyCacheSettings, directory: Path) -> int:
    """Decrypt all keystores, and keep them in the key cache; 1 if one of them is of no use."""
    cache = settings.key_cache or default_cache(directory)
    loaded = _load(settings, directory, cache)
    loaded.keystores.wipe()
    _tell(loaded.keystores)
    if not fits_key_cache(cache, read_keystore_files(directory)):
        click.echo(f"error: {cache}: no key cache was written", err=True)
        return 1
    count, problems = len(loaded.keystores.sources), len(loaded.keystores.problems)
    click.echo(f"{count} of {count + problems} keystores are in {cache}")
    return 1 if problems else 0


def list_keys(settings: ListSettings, directory: Path) -> int:
    """Print the keystores as they state themselves, none decrypted; 1 if one is of no use."""
    files = read_keystore_files(directory)
    lock = read_cluster_lock(settings.cluster_lock) if settings.cluster_lock else None
    owners = _Owners(lock.public_keys, lock.public_key_shares) if lock else None
    rows = [_stated(file, owners) for file in files.files]
    output.show(COLUMNS, rows, as_json=settings.json)
    if not settings.json:
        _tell_missing(owners)
        _tell_cache(settings.key_cache or default_cache(directory), files)
    return 0 if all(row["status"] == OK for row in rows) else 1


def verify_keys(settings: VerifySettings, directory: Path) -> int:
    """Decrypt everything, whatever the key cache says, and print what is wrong; 1 if anything is."""
    loaded = _load(settings, directory, None)
    keystores, cluster = loaded.keystores, loaded.cluster
    keystores.wipe()
    owners = _Owners(cluster.public_keys.encoded, cluster.public_key_shares.encoded) if cluster else None
    rows = [
        _row(path, key.tobytes(), owners)
        for path, key in zip(keystores.sources, keystores.public_keys, strict=True)
    ]
    faults = [row for row in rows if row["status"] != OK]
    faults += [_fault(problem) for problem in keystores.problems]
    output.show(COLUMNS, faults, as_json=settings.json)
    nodes = {row["node"] for row in rows} - {NOT_TOLD}
    if not settings.json:
        total = len(rows) + len(keystores.problems)
        click.echo(f"{len(rows)} of {total} keystores open and hold the key that they state")
        _tell_missing(owners)
        if len(nodes) > 1:
            click.echo(f"they are key shares of several nodes: {', '.join(sorted(nodes))}")
    is_wrong = faults or len(nodes) > 1 or (owners is not None and owners.missing())
    return 1 if is_wrong else 0


def export_keys(settings: ExportSettings, directory: Path, output: Path) -> int:
    """Write all keys as new keystores to a new directory; 1 if a keystore is of no use."""
    if not paths.is_empty(output):
        raise KeystoreError("is there already; expected a new or an empty directory", output)
    password = settings.password()
    loaded = _load(settings, directory, settings.key_cache or default_cache(directory))
    keystores = loaded.keystores
    _tell(keystores)
    if not keystores.sources:
        raise KeystoreError("none of its keystores can be used", directory)
    try:
        output.mkdir(parents=True, exist_ok=True, mode=0o700)
        with showing_progress("encrypting keystores") as progress:
            write_keystores(
                output,
                keystores.secret_keys,
                public_keys=keystores.public_keys,
                kdf=settings.kdf(),
                password=password,
                threads=settings.threads,
                progress=progress,
            )
    finally:
        keystores.wipe()
    under = "the password given" if password is not None else "its own password, in the .txt next to it"
    click.echo(f"{len(keystores.sources)} keystores are in {output}, each under {under}")
    return 1 if keystores.problems else 0


def _tell(keystores: LoadedKeystores) -> None:
    """What is wrong with single keystores."""
    for line in in_directory(keystores.problems):
        click.echo(f"error: {line}", err=True)


def _load(settings: KeysSettings, directory: Path, cache: Path | None) -> LoadedKeyShares:
    lock = LockFile(settings.cluster_lock, verify=not settings.no_verify) if settings.cluster_lock else None
    with showing_progress("decrypting keystores") as progress:
        return load_key_shares(directory, lock=lock, cache=cache, threads=settings.threads, progress=progress)


class _Owners:
    """Of a cluster: whose key share a public key is.

    Args:
        public_keys: uint8[n, 48].
        public_key_shares: uint8[n, k, 48].
    """

    def __init__(self, public_keys: NDArray[np.uint8], public_key_shares: NDArray[np.uint8]) -> None:
        self._places = {
            share.tobytes(): (public_keys[row].tobytes(), node)
            for row, shares in enumerate(public_key_shares)
            for node, share in enumerate(shares)
        }
        self._lacking = dict.fromkeys(key.tobytes() for key in public_keys)

    def take(self, public_key: bytes) -> tuple[bytes, int] | None:
        """Its validator and node, which then have a keystore."""
        if (place := self._places.get(public_key)) is not None:
            self._lacking.pop(place[0], None)
        return place

    def missing(self) -> list[bytes]:
        """Validators of which no share was taken."""
        return list(self._lacking)


def _stated(file: KeystoreFile, owners: _Owners | None) -> Row:
    try:
        if isinstance(file.content, KeystoreError):
            raise file.content
        public_key = parse_keystore_file(file.content, file.path).public_key
        if isinstance(file.password, KeystoreError):
            raise file.password
    except KeystoreError as error:
        return _fault(error)
    if public_key is None:
        return _row_of(file.path, None, status="states no pubkey; dvtfast keys verify tells it")
    return _row(file.path, public_key, owners)


def _row(path: Path, public_key: bytes, owners: _Owners | None) -> Row:
    if owners is None:
        return _row_of(path, public_key)
    if (place := owners.take(public_key)) is None:
        return _row_of(path, public_key, status="no key share of the cluster")
    validator, node = place
    return _row_of(path, public_key, validator=_hex(validator), node=str(node))


def _row_of(
    path: Path, public_key: bytes | None, *, validator: str = NOT_TOLD, node: str = NOT_TOLD, status: str = OK
) -> Row:
    share = _hex(public_key) if public_key else NOT_TOLD
    return dict(zip(COLUMNS, (path.name, share, validator, node, status), strict=True))


def _fault(error: KeystoreError) -> Row:
    path = error.path or Path(NOT_TOLD)
    return _row_of(path, None, status=error.reason)


def _tell_missing(owners: _Owners | None) -> None:
    missing = owners.missing() if owners else []
    if missing:
        few = ", ".join(map(_hex, missing[:SHOWN_VALIDATORS]))
        click.echo(f"no keystore for {len(missing)} validators, such as {few}")


def _tell_cache(cache: Path, files: KeystoreFiles) -> None:
    fit = "fits" if fits_key_cache(cache, files) else "does not fit"
    click.echo(f"key cache: {cache} {fit} these keystores" if paths.is_there(cache) else "key cache: none")


def _hex(public_key: bytes) -> str:
    return wire.PublicKey(public_key).to_wire()
