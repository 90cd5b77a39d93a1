"""A charon ceremony from a definition to the node's folder."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path

import numpy as np

from dvtfast import FileError
from dvtfast.dkg.dvtfast_dkg.kept import kept_keys, record_of_keys
from dvtfast.dkg.frost.ceremony import Ceremony
from dvtfast.dkg.frost.dialects import Dialect
from dvtfast.dkg.frost.outputs import LockWanted, Sealed
from dvtfast.dkg.frost.terms import Terms
from dvtfast.dkg.outputs import GeneratedKeys
from dvtfast.errors import EncodingError, InputError
from dvtfast.networks import Network
from dvtfast.obol import ClusterDefinition, ClusterLock, read_cluster_lock, signed_cluster_lock
from dvtfast.secp256k1 import IdentityKey

from ..p2p.host import Host
from ..process import logs
from .charon_node import CharonNode
from .definition import ClusterAgreement
from .errors import CeremonyError
from .folder import LOCK_FILE, NodeResult
from .plan import ClusterPlan
from .running.driver import Patience
from .running.records_file import RecordsFile, charons_files, keep_keys, read_records
from .running.running import Participant, Show, trouble_of
from .running.running import terms_of as native_terms_of
from .staging import WRITTEN, Left
from .storing import NodeStore, ResultOrigin

GONE = (
    "what all have stored is gone from here: put it in its place, or make the folder with `dvtfast dkg"
    " recover` and the lock of another node; docs/dkg.md"
)
NICKNAME = "dvtfast"
WAY = "frost "  # then the dialect's version: where what it has written comes from

log = logs.get("ceremony")


def terms_of(
    definition: ClusterDefinition,
    network: Network,
    *,
    nodes: Sequence[bytes],
    position: int,
    dialect: Dialect,
    nickname: str = "",
) -> Terms:
    """What a definition says of its ceremony.

    Args:
        nodes: the operators' compressed keys.
        position: of this node among them, from 0.

    Raises:
        InputError: there is no such ceremony; the definition asks for another key generation, for one.
    """
    return Terms(
        dialect=dialect,
        definition_hash=definition.definition_hash,
        nodes=tuple(nodes),
        position=position,
        validators=len(definition.withdrawal_addresses),
        threshold=definition.threshold,
        algorithm=definition.dkg_algorithm,
        exchanges=ClusterPlan(definition, network).exchanges,
        nickname=nickname,
    )


def unsigned_lock(definition: ClusterDefinition, network: Network, wanted: LockWanted) -> ClusterLock:
    """The lock that all are about to sign."""
    keys = wanted.keys
    return ClusterPlan(definition, network).unsigned_lock(
        keys.public_keys, keys.public_shares, wanted.signatures
    )


async def run_charon_ceremony(
    agreement: ClusterAgreement,
    node: Participant,
    host: Host,
    *,
    dialect: Dialect,
    store: NodeStore,
    patience: Patience,
    show: Show,
) -> None:
    """Make keys with the nodes of a definition as charon does; afterwards they are in the node's folder.

    Nothing of it can be gone on with later, but for what all have stored. The key shares are kept, sealed,
    from before anybody can have signed with them: a charon has its files when it has the lock, whoever else
    has.

    Raises:
        CeremonyFailedError: there are no keys.
        CeremonyError: this node cannot take part.
        UnpublishedError: all have stored their keys, and this node cannot publish its own; a later start can.
        OSError, FileError: the disk does not take what it must have.
    """
    if trouble := trouble_of(agreement, node, store):
        raise CeremonyError(trouble)
    definition, network = agreement.definition, agreement.network
    key = IdentityKey(node.secret)
    position = agreement.node_index_of(key.public_key)
    terms = terms_of(
        definition,
        network,
        nodes=agreement.node_keys,
        position=position,
        dialect=dialect,
        nickname=NICKNAME,
    )
    locks: list[ClusterLock] = []
    kept: list[RecordsFile] = []

    def keep(keys: GeneratedKeys) -> Coroutine[None, None, None]:
        record = record_of_keys(node.secret, definition.definition_hash, keys)

        async def put() -> None:
            kept.append(
                await asyncio.to_thread(keep_keys, node.directory, definition.definition_hash, record)
            )

        return put()

    async def make_lock(wanted: LockWanted) -> bytes:
        locks.append(await asyncio.to_thread(unsigned_lock, definition, network, wanted))
        return locks[0].lock_hash

    async def write(sealed: Sealed) -> None:
        lock = signed_cluster_lock(
            locks[0],
            signature_aggregate=sealed.signature_aggregate,
            node_signatures=sealed.node_signatures,
        )
        result = NodeResult(lock, network, position, sealed.keys.secret_shares)
        origin = ResultOrigin.of(definition.definition_hash, WAY + dialect.version, lock.lock_hash)
        await asyncio.to_thread(store.write, result, origin)

    async def publish() -> None:
        store.confirm()
        if store.settle() is not Left.CONFIRMED:
            raise FileError(GONE, store.directory / WRITTEN)
        with store.keys_are_here():
            kept.pop().remove()
        await store.publish()

    machine = CharonNode(
        host,
        Ceremony(terms, key),
        terms,
        keep=keep,
        make_lock=make_lock,
        store=write,
        publish=publish,
        patience=patience,
        show=show,
    )
    try:
        await machine.run()
    finally:
        for file in kept:
            file.close()
            log.warning(
                "key shares are kept, in case somebody has what they signed: docs/dkg.md", file=str(file.path)
            )


def forget_kept_keys(agreement: ClusterAgreement, node: Participant) -> None:
    """Erase sealed keys that are those of the node's lock: a process was killed before it had done so.

    Raises:
        OSError, FileError: they, or the lock, cannot be read or erased.
    """
    definition_hash = agreement.definition.definition_hash
    for path in charons_files(node.directory, definition_hash):
        if _has_keys_of(read_cluster_lock(node.directory / LOCK_FILE), path, agreement, node):
            RecordsFile(path, 0).remove()


def _has_keys_of(lock: ClusterLock, path: Path, agreement: ClusterAgreement, node: Participant) -> bool:
    """Whether a file has the lock's keys, or none any more."""
    try:
        if not (records := read_records(path)):
            return True
        keys = kept_keys(node.secret, records, native_terms_of(agreement, 0))
    except (CeremonyError, EncodingError, InputError):
        return False  # whatever it has, it is kept
    keys.wipe()
    return np.array_equal(keys.public_keys, lock.public_keys)
