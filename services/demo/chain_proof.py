"""Checks what is on the chain in the end: deposits, approvals, and the exits that these stand for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from eth_abi.abi import decode
from numpy.typing import NDArray

from dvtfast import Network
from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.deposits import check_deposit_signatures

from .. import wire
from ..chain.contracts.manager_messages import ETH1_ADDRESS, withdrawal_credentials
from ..chain.contracts.reads import DEPOSIT_EVENT, DepositEvents, decode_deposits
from ..chain.encoding import keccak256
from ..chain.execution.node import NodeClient
from .cluster import DemoCluster
from .oracle.bodies import Shards
from .proof import Proof, ProofError, prove_shares
from .world.deployed_contracts import World
from .world.ipfs import cid_of

APPROVED = keccak256(b"ValidatorsApproval(address,string)")


@dataclass(frozen=True)
class OnChain:
    """What the chain says in the end.

    Attributes:
        deposits: all there are, other people's among them.
        uploads: the CIDs of the exits that the oracles approved, one for each batch.
    """

    deposits: DepositEvents
    uploads: Sequence[str]


async def read_chain(world: World, node: NodeClient) -> OnChain:
    """Read it at the head."""
    head = await node.block("latest")
    events = await node.logs(
        world.deposit_contract.address, [DEPOSIT_EVENT], first=world.first_block, last=head
    )
    approvals = await node.logs(world.keeper.address, [APPROVED], first=world.first_block, last=head)
    return OnChain(decode_deposits(events), [decode(["string"], log.data)[0] for log in approvals])


def prove_on_chain(
    found: OnChain, uploads: Path, cluster: DemoCluster, vault: bytes, *, network: Network, threshold: int
) -> Proof:
    """Show that each validator was deposited for once, and that oracles hold its exit at its index.

    Args:
        uploads: the directory that stands for IPFS.
        threshold: oracles that must recover each exit, and no fewer.

    Raises:
        ProofError: it is not so.
    """
    _check_deposits(found.deposits, cluster, vault)
    indices = _validator_indices(found.deposits, network)
    keys = [key.tobytes() for key in cluster.public_keys.encoded]
    if unknown := [key for key in keys if key not in indices]:
        raise ProofError(f"{len(unknown)} of the validators' deposit signatures are wrong")
    key_shares, encrypted = _shares(found.uploads, uploads, keys)
    places = np.array([indices[key] for key in keys], np.uint64)
    return prove_shares(cluster, key_shares, encrypted, places, network=network, threshold=threshold)


def _check_deposits(deposits: DepositEvents, cluster: DemoCluster, vault: bytes) -> None:
    """One event of each validator, with 32 ETH, which come back to the vault."""
    credentials = withdrawal_credentials(vault, ETH1_ADDRESS)
    counts = Counter(row.tobytes() for row in deposits.public_keys)
    for key in cluster.public_keys.encoded:
        if (count := counts[key.tobytes()]) != 1:
            raise ProofError(f"validator {wire.PublicKey(key).to_wire()} has {count} deposits")
    of_vault = (deposits.withdrawal_credentials == np.frombuffer(credentials, np.uint8)).all(axis=1)
    if (deposits.amounts_gwei[of_vault] != GWEI_PER_VALIDATOR).any():
        raise ProofError("a deposit of the vault is not of a full validator")
    ours = {key.tobytes() for key in cluster.public_keys.encoded}
    if {row.tobytes() for row in deposits.public_keys[of_vault]} != ours:
        raise ProofError("the deposits of the vault are not those of the cluster's validators")


def _validator_indices(deposits: DepositEvents, network: Network) -> dict[bytes, int]:
    """What the beacon chain makes of the deposits: an index for each new key with a valid signature."""
    ok = check_deposit_signatures(
        deposits.public_keys,
        deposits.withdrawal_credentials,
        deposits.amounts_gwei,
        deposits.signatures,
        network,
    )
    indices: dict[bytes, int] = {}
    for key, is_signed in zip(deposits.public_keys, ok, strict=True):
        if is_signed:
            indices.setdefault(key.tobytes(), len(indices))
    return indices


def _shares(
    cids: Sequence[str], uploads: Path, keys: Sequence[bytes]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What was approved for these validators: uint8[n, k, 48] and uint8[n, k, 193]."""
    of_key: dict[bytes, tuple[bytes, bytes]] = {}
    for cid in cids:
        content = (uploads / cid).read_bytes()
        if cid_of(content) != cid:
            raise ProofError(f"upload {cid} is another file")
        batch = wire.decode(content, Shards)
        for key, shards, blobs in zip(
            batch.public_keys, batch.public_key_shards, batch.exit_signature_shards, strict=True
        ):
            of_key[bytes(key)] = b"".join(shards), b"".join(blobs)
    if missing := [key for key in keys if key not in of_key]:
        raise ProofError(f"no oracle has the exits of {len(missing)} validators")
    columns = zip(*(of_key[key] for key in keys), strict=True)
    key_shares, encrypted = (np.frombuffer(b"".join(column), np.uint8) for column in columns)
    return (
        key_shares.reshape(len(keys), -1, wire.PublicKey.width),
        encrypted.reshape(len(keys), -1, wire.EncryptedSignature.width),
    )
