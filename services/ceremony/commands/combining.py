"""`dvtfast combine`: whole keys from the folders of enough nodes; that ends a cluster, so it asks twice."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from dvtfast import FileError, PublicKeys, derive_public_keys, recover_secret_keys
from dvtfast.clusters import ClusterShares
from dvtfast.constants import SECRET_KEY_BYTES
from dvtfast.files import reason
from dvtfast.keystores import Derivations, load_keystores, write_keystores

from ...files import paths
from ...keys.locks import read_lock
from ...process.progress import showing_progress
from ...settings import CombineSettings
from ..errors import CeremonyError
from ..folder import KEYSTORES, LOCK_FILE
from ..staging import Left, Staging
from .terminal import NOT_MEANT, is_meant, run, typed

ORIGIN = b"dvtfast combine"
DANGER = """\
This makes {count} whole validator keys from key shares, in {output}. From then on this
machine alone can sign for these validators, and can lose them: that no machine could was what the cluster
was for. Where the cluster goes on signing while somebody else signs with these keys, the validators are
slashed.
"""
FIRST = "Is the cluster stopped on every node, for good?"
SECOND = "Then type the name of the cluster, {name!r}"
SECOND_NAMELESS = "Then type how many validators it has"


@dataclass(frozen=True, eq=False)
class NodeShares:
    """The key shares of one node.

    Attributes:
        key_shares: uint8[n, 32], zeros where there is none.
        is_there: bool[n].
    """

    folder: Path
    node_index: int
    key_shares: NDArray[np.uint8] = field(repr=False)
    is_there: NDArray[np.bool_]


def combine(settings: CombineSettings) -> int:
    """Write keystores of whole keys to a new directory."""
    return run(lambda: _combine(settings))


def _combine(settings: CombineSettings) -> int:
    output = settings.output_dir
    if Staging(output).settle() is Left.PUBLISHED:
        click.echo(f"what was begun before is whole now, in {output}")
        return 0
    if not paths.is_empty(output):
        raise CeremonyError(f"{output}: is there already; name a new directory with --output-dir")
    folders = _folders_in(settings.cluster_dir)
    cluster = _one_cluster(folders, settings)
    threshold, count = cluster.threshold, len(cluster.public_keys)
    if len(folders) < threshold:
        raise CeremonyError(
            f"{settings.cluster_dir}: has folders of {len(folders)} nodes, and {threshold} are needed"
        )
    if not settings.yes and not _is_meant(cluster, output):
        click.echo("nothing was combined", err=True)
        return NOT_MEANT
    nodes = [_shares_of(folder, cluster, settings.threads) for folder in folders]
    secret_keys = np.zeros((count, SECRET_KEY_BYTES), dtype=np.uint8)
    try:
        _recover(nodes, cluster, secret_keys, settings.threads)
        _write(output, secret_keys, cluster.public_keys.encoded, settings.threads)
    finally:
        secret_keys.fill(0)
        for node in nodes:
            node.key_shares.fill(0)
    click.echo(f"{count} keystores are in {output}, each with its password in the .txt next to it")
    return 0


def _folders_in(directory: Path) -> list[Path]:
    """Those with a lock."""
    try:
        with os.scandir(directory) as entries:
            folders = sorted(Path(entry.path) for entry in entries)
    except OSError as error:
        raise CeremonyError(f"{directory}: {reason(error, directory)}") from None
    found = [folder for folder in folders if paths.is_there(folder / LOCK_FILE)]
    if not found:
        raise CeremonyError(f"{directory}: no folder in it has a {LOCK_FILE}")
    return found


def _one_cluster(folders: Sequence[Path], settings: CombineSettings) -> ClusterShares:
    first: ClusterShares | None = None
    for folder in folders:
        cluster, _ = read_lock(folder / LOCK_FILE, verify=not settings.no_verify, threads=settings.threads)
        if first is None:
            first = cluster
        elif cluster.lock_hash != first.lock_hash:
            raise FileError(f"of another cluster than that of {folders[0]}", folder / LOCK_FILE)
    assert first is not None
    return first


def _is_meant(cluster: ClusterShares, output: Path) -> bool:
    count = len(cluster.public_keys)
    click.echo(DANGER.format(count=count, output=output), err=True)
    if not is_meant(FIRST):
        return False
    if cluster.name:
        return typed(SECOND.format(name=cluster.name)) == cluster.name
    return typed(SECOND_NAMELESS) == str(count)


def _shares_of(folder: Path, cluster: ClusterShares, threads: int | None) -> NodeShares:
    with showing_progress(f"decrypting keystores of {folder.name}") as progress:
        loaded = load_keystores(folder / KEYSTORES, threads=threads, progress=progress)
    try:
        places = {
            share.tobytes(): (row, node)
            for row, shares in enumerate(cluster.public_key_shares.encoded)
            for node, share in enumerate(shares)
        }
        found = [places.get(key.tobytes()) for key in loaded.public_keys]
        nodes = {place[1] for place in found if place}
        if None in found or len(nodes) != 1:
            raise FileError("has keystores that are no key shares of one node of this cluster", folder)
        n = len(cluster.public_keys)
        shares, is_there = np.zeros((n, SECRET_KEY_BYTES), dtype=np.uint8), np.zeros(n, dtype=np.bool_)
        for place, secret in zip(found, loaded.secret_keys, strict=True):
            assert place is not None
            shares[place[0]], is_there[place[0]] = secret, True
        return NodeShares(folder, nodes.pop(), shares, is_there)
    finally:
        loaded.wipe()


def _recover(
    nodes: Sequence[NodeShares], cluster: ClusterShares, secret_keys: NDArray[np.uint8], threads: int | None
) -> None:
    """Fill in the whole keys, each from the first nodes that have a share of it."""
    by_index = {node.node_index: node for node in nodes}
    if len(by_index) != len(nodes):
        raise CeremonyError("two of the folders are of the same node")
    there = np.stack([node.is_there for node in nodes], axis=1)
    few = np.flatnonzero(there.sum(axis=1) < cluster.threshold)
    if few.size:
        raise CeremonyError(
            f"{few.size} validators have fewer than {cluster.threshold} key shares in these folders, such as"
            f" the one at place {few[0]} of the lock"
        )
    chosen = np.argsort(~there, axis=1, kind="stable")[:, : cluster.threshold]
    shares = np.stack([node.key_shares for node in nodes], axis=1)
    used = np.take_along_axis(shares, chosen[:, :, np.newaxis], axis=1)
    indices = cluster.share_indices[np.array([node.node_index for node in nodes])][chosen]
    try:
        secret_keys[:] = recover_secret_keys(used, indices, threshold=cluster.threshold, threads=threads)
    finally:
        shares.fill(0)
        used.fill(0)
    _require_keys(secret_keys, cluster.public_keys, threads)


def _require_keys(secret_keys: NDArray[np.uint8], public_keys: PublicKeys, threads: int | None) -> None:
    if not np.array_equal(derive_public_keys(secret_keys, threads=threads), public_keys.encoded):
        raise CeremonyError("the key shares do not give the validators' keys of the lock")


def _write(
    output: Path, secret_keys: NDArray[np.uint8], public_keys: NDArray[np.uint8], threads: int | None
) -> None:
    """All or none, read again before they count."""
    staging = Staging(output)
    staging.discard(ORIGIN)
    writing = staging.begin(ORIGIN)
    derivations = Derivations()
    try:
        with showing_progress("encrypting keystores") as progress:
            write_keystores(
                writing,
                secret_keys,
                public_keys=public_keys,
                derivations=derivations,
                threads=threads,
                progress=progress,
            )
        loaded = load_keystores(writing, derivations=derivations, threads=threads)
        loaded.wipe()
        if loaded.problems or not np.array_equal(loaded.public_keys, public_keys):
            raise FileError("keystores are not as they were written", writing)
        staging.complete()
        staging.publish()
    except BaseException:
        staging.discard(ORIGIN)
        raise
