"""`dvtfast dkg recover`: the keys of an attempt that was set aside, as a node's folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import numpy as np

from dvtfast import FileError
from dvtfast.constants import SIGNATURE_BYTES
from dvtfast.dkg.dvtfast_dkg.kept import kept_keys
from dvtfast.dkg.outputs import GeneratedKeys
from dvtfast.keystores import write_keystores
from dvtfast.obol import KEY_FILE, ClusterLock, read_cluster_lock, read_node_key, write_cluster_lock
from dvtfast.secp256k1 import IdentityKey

from ...files import paths
from ...settings import RecoverSettings
from ..definition import ClusterAgreement, read_agreement
from ..errors import CeremonyError
from ..folder import FILE_MODE, KEYSTORES, LOCK_FILE, Cost, NodeResult, staging_of, write_node_files
from ..plan import ClusterPlan
from ..running.records_file import read_records
from ..running.running import terms_of
from .costs import cost_of
from .terminal import run

ORIGIN = b"dvtfast dkg recover"
INFINITY = 0xC0  # first byte of the compressed point, which stands where nobody has signed
UNSIGNED = "nobody has signed the lock in it: `dvtfast combine --no-verify` takes it"


def recover(settings: RecoverSettings, file: Path) -> int:
    """Write what a node had of an attempt to a new directory; its exit code."""
    return run(lambda: asyncio.run(_recover(settings, file)))


async def _recover(settings: RecoverSettings, file: Path) -> int:
    output = settings.output_dir
    if not paths.is_empty(output):
        raise CeremonyError(f"{output}: is there already; name a new directory with --output-dir")
    agreement = await read_agreement(settings.definition_file, verify=not settings.no_verify)
    cost = cost_of(settings, agreement.network)
    secret = read_node_key(settings.data_dir / KEY_FILE)
    position = agreement.node_index_of(IdentityKey(secret).public_key)
    keys = kept_keys(secret, read_records(file), terms_of(agreement, 0))
    staging = staging_of(output)
    writing = staging.begin(ORIGIN)
    try:
        if settings.lock_file is not None:
            lock = _lock_of(settings.lock_file, keys)
            write_node_files(writing, NodeResult(lock, agreement.network, position, keys.secret_shares), cost)
        else:
            _write_unsigned(writing, agreement, position, keys, cost)
        staging.complete()
        staging.publish()
    except BaseException:
        staging.discard(ORIGIN)
        raise
    finally:
        keys.wipe()
    told = "with the lock" if settings.lock_file is not None else UNSIGNED
    click.echo(f"{len(keys.public_keys)} key shares of node {position} are in {output}; {told}")
    return 0


def _lock_of(path: Path, keys: GeneratedKeys) -> ClusterLock:
    lock = read_cluster_lock(path)
    shares = keys.public_shares.swapaxes(0, 1)
    if not (
        np.array_equal(lock.public_keys, keys.public_keys) and np.array_equal(lock.public_key_shares, shares)
    ):
        raise FileError("has other keys than were set aside", path)
    return lock


def _write_unsigned(
    directory: Path, agreement: ClusterAgreement, position: int, keys: GeneratedKeys, cost: Cost
) -> None:
    """Key shares, and a lock that says whose they are, for who knows that it is right."""
    plan = ClusterPlan(agreement.definition, agreement.network)
    signatures = np.zeros((len(plan.names), len(keys.public_keys), SIGNATURE_BYTES), dtype=np.uint8)
    signatures[..., 0] = INFINITY
    write_keystores(
        directory / KEYSTORES,
        keys.secret_shares,
        public_keys=keys.public_shares[position],
        kdf=cost.kdf,
        one_derivation=cost.one_derivation,
        threads=cost.threads,
    )
    lock = plan.unsigned_lock(keys.public_keys, keys.public_shares, signatures)
    write_cluster_lock(directory / LOCK_FILE, lock, mode=FILE_MODE)
