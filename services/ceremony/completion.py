"""A ceremony that has come to its end in a folder: a later start finds so, and that the folder is whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvtfast import FileError, ssv
from dvtfast.obol import deposit_file_name, read_cluster_lock

from ..files import paths
from .definition import ClusterAgreement
from .errors import CeremonyError
from .folder import KEYSTORES, LOCK_FILE, verify_files_of, verify_lock
from .ssv_files import is_for, read_deposits, verify_own_shares
from .ssv_plan import SsvPlan
from .storing import NodeStore

NOT_WHOLE = (
    "the keys of this definition are made, and all nodes have stored theirs: put back what was here, and"
    " begin nothing anew"
)


def is_of(directory: Path, agreement: ClusterAgreement, *, told: bool) -> bool:
    """Whether the file that comes last to a folder is there, and of this definition; it is not verified.

    Args:
        told: whether all nodes have said that theirs is stored. A file of SSV does not say of which
            definition it is, so that there it takes that.
    """
    path, definition = directory / agreement.last_file, agreement.definition
    if not paths.is_there(path):
        return False
    try:
        if agreement.ssv is not None:
            return told and is_for(path, agreement.ssv, len(definition.fee_recipients))
        return read_cluster_lock(path).definition.definition_hash == definition.definition_hash
    except FileError:
        return False


def verify_finished(
    store: NodeStore,
    agreement: ClusterAgreement,
    position: int,
    key: ssv.OperatorKey | None,
    *,
    lock_hashes: Collection[bytes],
) -> None:
    """Verify all that a ceremony leaves in a node's folder, from the disk.

    Args:
        position: of the node.
        key: of its operator of SSV, where the cluster is one of these.
        lock_hashes: of locks that all have stored, as they have said; empty where they do not say it, as in
            a charon ceremony.

    Raises:
        CeremonyError: something is missing, or not what was made.

    Cost: one key derivation per keystore, or one.
    """
    try:
        if key is None:
            lock_hash = _verify_cluster(store, agreement, position)
        else:
            lock_hash = _verify_ssv(store, agreement, position, key)
        if lock_hashes and lock_hash not in lock_hashes:
            raise FileError("not what all nodes have stored", store.directory / agreement.last_file)
    except FileError as error:
        raise CeremonyError(f"{error}; {NOT_WHOLE}") from None


def _verify_cluster(store: NodeStore, agreement: ClusterAgreement, position: int) -> bytes:
    """The hash of the lock."""
    lock = read_cluster_lock(store.directory / LOCK_FILE)
    verify_lock(lock, store.threads)
    is_elsewhere = store.has_keymanager and not paths.is_there(store.directory / KEYSTORES)
    verify_files_of(
        store.directory,
        lock,
        agreement.network,
        node_index=None if is_elsewhere else position,
        threads=store.threads,
    )
    return lock.lock_hash


def _verify_ssv(store: NodeStore, agreement: ClusterAgreement, position: int, key: ssv.OperatorKey) -> bytes:
    """What stands for a lock there: a hash of all that nodes have alike."""
    terms, path = agreement.ssv, store.directory / agreement.last_file
    assert terms is not None
    validators = ssv.read_keyshares(path)
    verify_own_shares(path, validators, terms.ids[position], key, store.threads)
    signatures = [
        read_deposits(store.directory / deposit_file_name(amount), agreement.network).signatures
        for amount in agreement.amounts_gwei
    ]
    signatures.append(_rows(each.owner_signature for each in validators))
    if any(len(each) != len(validators) for each in signatures):
        raise FileError("has other deposits than these validators'", path)
    plan = SsvPlan(agreement.definition, agreement.network, terms)
    shares = np.stack([each.public_key_shares for each in validators], axis=1)
    return plan.lock_hash(_rows(each.public_key for each in validators), shares, np.stack(signatures))


def _rows(rows: Iterable[bytes]) -> NDArray[np.uint8]:
    return np.stack([np.frombuffer(row, dtype=np.uint8) for row in rows])
