"""The node's key shares, as the settings name them, and what signs with them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from ...chain.beacon.duties import DutiesClient
from ...keys.key_share_files import LockFile, default_cache
from ...keys.key_shares import NodeKeys, NoKeysError
from ...keys.node_keys import read_node_keys
from ...keys.remote_signer import remote_keys
from ...process import logs
from ...process.background import until_cancelled
from ...process.offload import UnavailableError, Workers
from ...settings import NodeSettings
from ..exchange import ClusterMembers
from ..signing.keys import KeySharesInMemory, NodeKeyShares
from ..signing.record import SigningRecord
from ..signing.remote import KeySharesElsewhere
from ..signing.signer import DutySigner
from ..validator_api.intake import SignedElsewhere
from .files import NodeFiles

ASK_AGAIN_SECONDS: Final = 2.0  # a remote signer that does not answer

Offered = NodeKeys | Sequence[bytes]
"""Key shares in memory, or public key shares that a remote signer signs for; none where a client has them."""

log = logs.get("node")


async def offered_keys(settings: NodeSettings, files: NodeFiles) -> Offered:
    """The key shares of a node, decrypted; or those that the remote signer has, once it answers.

    Raises:
        NoKeysError, DvtfastError: there are none that can be used.
    """
    if settings.validator_api_address is not None:
        return ()
    if settings.remote_signer is not None:
        return await _remote(settings.remote_signer, settings.remote_signer_timeout, files.cluster.members)
    lock = LockFile(settings.lock_path, verify=not settings.no_verify, any_network=True)
    directory = settings.keystores_path
    return await until_cancelled(
        lambda stopped: read_node_keys(
            lock,
            directory,
            node_index=files.cluster.members.position,
            cache=default_cache(directory),
            threads=settings.threads,
            stopped=stopped,
        )
    )


def signer_of(
    settings: NodeSettings, members: ClusterMembers, offered: Offered, beacon: DutiesClient, workers: Workers
) -> DutySigner:
    """What signs with them, all of it on record first; or puts on record what a validator client signed.

    Args:
        workers: for nothing else, so that nothing keeps a signature waiting.

    Raises:
        SlashingProtectionError: the record cannot be kept, or is of another chain.
    """
    shares = members.keys.key_shares.encoded[:, members.position]
    record = SigningRecord(settings.protection_path, beacon.chain.genesis_validators_root, shares)
    keys: NodeKeyShares
    if settings.validator_api_address is not None:
        keys = SignedElsewhere(len(members.validators))
    elif isinstance(offered, NodeKeys):
        keys = KeySharesInMemory(offered, members, workers, threads=settings.threads)
    else:
        assert settings.remote_signer is not None
        keys = KeySharesElsewhere(
            settings.remote_signer,
            offered,
            members,
            workers,
            beacon.schedule,
            timeout_seconds=settings.remote_signer_timeout,
            preset=beacon.preset,
            threads=settings.threads,
        )
    return DutySigner(keys, record, workers, beacon.schedule, preset=beacon.preset)


async def _remote(address: str, timeout_seconds: float, members: ClusterMembers) -> Sequence[bytes]:
    told = ""
    while True:
        try:
            keys = await remote_keys(address, timeout_seconds=timeout_seconds)
            break
        except UnavailableError as error:
            if (why := str(error)) != told:
                log.warning("waiting for the remote signer", why=why)
                told = why
        await asyncio.sleep(ASK_AGAIN_SECONDS)
    shares = {share.tobytes() for share in members.keys.key_shares.encoded[:, members.position]}
    ours = shares.intersection(map(bytes, keys))
    if not ours:
        raise NoKeysError(f"--remote-signer: none of its {len(keys)} keys is a key share of this node")
    if missing := len(shares) - len(ours):
        log.warning("the remote signer lacks key shares", missing=missing, validators=len(shares))
    return sorted(ours)
