"""One oracle: what it approves, and what it remembers of that."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from coincurve import PrivateKey

from dvtfast import Network
from dvtfast.protocol_config import OracleConfig, read_oracle_config

from ...chain.encoding import write_data
from ...chain.execution.node import Block
from ...process.offload import UnavailableError, Workers
from ...wire import ManagerSignature, WireError
from ..world.ipfs import cid_of
from . import typed_data
from .bodies import (
    ApprovalV3,
    ApprovalV4,
    Approved,
    Consolidation,
    ConsolidationSignature,
    Index,
    ReceivedRotation,
    RotationInfoBody,
)
from .checks import (
    check_deposits,
    check_shapes,
    check_shards,
    deposit_data_leaf,
    multiproof_root,
    upload_of,
)
from .states import States
from .typed_data import Domain, signature_of, signer_of

DEFAULT_VALIDITY_SECONDS = 180
ITEM_BYTES = 176


class DemoOracle:
    """Signs as one of the oracles of the config, after it checked what it signs.

    Args:
        config: the file; it may change.
        secret: secp256k1, 32 bytes.
        uploads: the directory for what would go to IPFS.
    """

    def __init__(
        self,
        secret: bytes,
        config: Path,
        keeper: bytes,
        states: States,
        network: Network,
        workers: Workers,
        uploads: Path | None = None,
    ) -> None:
        self._secret = secret
        self._public_key = PrivateKey(secret).public_key.format(compressed=False)[1:]
        self._config = config
        self._states = states
        self._network = network
        self._workers = workers
        self._uploads = uploads
        self._keeper = Domain("KeeperOracles", keeper, network.chain_id)
        self._checker = Domain("ConsolidationsChecker", keeper, network.chain_id)
        self._rotated: dict[str, frozenset[bytes]] = {}  # what was signed to be rotated, by its hash

    async def approve(self, request: ApprovalV4 | ApprovalV3) -> Approved:
        """Sign that the validators may be registered.

        Raises:
            WireError: they may not.
        """
        config, position = await self._own_place()
        check_shapes(request, config, "validators_approval_batch_limit")
        block = await self._states.node.block("latest")
        await self._states.check_vault(request.vault_address, block)
        self._check_deadline(request.deadline, config, block)
        root = await self._states.registry_root(block)
        if root != request.validators_root:
            raise WireError("validators_root", f"expected {write_data(root)}, as the deposit contract says")
        indices = await self._states.indices(block)
        if request.validator_index != len(indices):
            raise WireError("validator_index", f"expected {len(indices)}, got {request.validator_index}")
        if used := [i for i, key in enumerate(request.public_keys) if key in indices]:
            raise WireError(f"public_keys[{used[0]}]", "there is a validator with this key")
        amounts = request.amounts if isinstance(request, ApprovalV4) else None
        _, validators = await self._workers.run(check_deposits, request, amounts, self._network)
        if isinstance(request, ApprovalV3):
            await self._check_proof(request, validators, block)
        else:
            await self._check_manager(request, validators, block)
        places = np.arange(len(request.public_keys), dtype=np.uint64) + np.uint64(len(indices))
        await self._workers.run(check_shards, request, config, position, self._secret, places, self._network)
        ipfs_hash = await self._workers.run(self._upload, upload_of(request))
        message = self._keeper.message(
            "KeeperValidators",
            typed_data.APPROVAL,
            root,
            bytes(request.vault_address),
            validators,
            ipfs_hash,
            int(request.deadline),
        )
        signature = ManagerSignature(signature_of(message, self._secret))
        return Approved(ipfs_hash, signature, request.deadline)

    async def rotate(self, request: ReceivedRotation) -> Approved:
        """Sign that the exits of registered validators are split for the oracles of today; as `approve`."""
        config, position = await self._own_place()
        check_shapes(request, config, "validators_exit_rotation_batch_limit")
        block = await self._states.node.block("latest")
        await self._states.check_vault(request.vault_address, block)
        self._check_deadline(request.deadline, config, block)
        places = await self._indices_of(request.vault_address, "public_keys", request.public_keys, block)
        await self._workers.run(check_shards, request, config, position, self._secret, places, self._network)
        ipfs_hash = await self._workers.run(self._upload, upload_of(request))
        nonce = await self._states.exit_signatures_nonce(request.vault_address, block)
        message = self._keeper.message(
            "KeeperValidators",
            typed_data.ROTATION,
            bytes(request.vault_address),
            ipfs_hash,
            nonce,
            int(request.deadline),
        )
        self._rotated[ipfs_hash] = frozenset(request.public_keys)
        signature = ManagerSignature(signature_of(message, self._secret))
        return Approved(ipfs_hash, signature, request.deadline)

    async def rotation_info(self, vault: bytes) -> RotationInfoBody:
        """Which validators of a vault have exits that were split before the config of today was announced.

        A rotation that this process did not sign counts for all validators that were registered before it.
        """
        block = await self._states.node.block("latest")
        await self._states.check_vault(vault, block)
        split_at = await self._states.registered(vault, block)
        rotations = await self._states.rotations(vault, block)
        for rotation in rotations:
            rotated = self._rotated.get(rotation.ipfs_hash, split_at.keys())
            for key in rotated:
                split_at[key] = max(split_at.get(key, 0), rotation.block_number)
        announced = await self._states.config_block(block)
        indices = await self._states.indices(block)
        outdated = [indices[key] for key, number in split_at.items() if number < announced and key in indices]
        return RotationInfoBody(
            exit_signature_block_number=rotations[-1].block_number if rotations else None,
            validators=[Index(index) for index in sorted(outdated)],
        )

    async def consolidate(self, request: Consolidation) -> ConsolidationSignature:
        """Sign that a validator of the vault switches to type 0x02; as `approve`.

        What StakeWise's oracles say of other consolidations is not known; their operator asks for none.
        """
        block = await self._states.node.block("latest")
        await self._states.check_vault(request.vault_address, block)
        await self._own_place()
        if len(request.public_keys) != 1:
            raise WireError("public_keys", f"expected the one that switches, got {len(request.public_keys)}")
        await self._indices_of(request.vault_address, "public_keys", request.public_keys, block)
        validators = 2 * bytes(request.public_keys[0])  # as source and as target
        message = self._checker.message(
            "ConsolidationsChecker", typed_data.CONSOLIDATION, bytes(request.vault_address), validators
        )
        return ConsolidationSignature(ManagerSignature(signature_of(message, self._secret)))

    def _upload(self, content: bytes) -> str:
        """Keep the content where it is told to; its CID."""
        cid = cid_of(content)
        if self._uploads is not None:
            unfinished = self._uploads / f"{cid}.{os.getpid()}"  # other oracles write the same
            unfinished.write_bytes(content)
            unfinished.replace(self._uploads / cid)
        return cid

    async def _own_place(self) -> tuple[OracleConfig, int]:
        """The config of this moment, and where this oracle is in it."""
        config = await self._workers.run(read_oracle_config, self._config)
        for position, key in enumerate(config.public_keys):
            if key.tobytes() == self._public_key:
                return config, position
        raise UnavailableError("this oracle is not in the protocol config")

    async def _indices_of(self, vault: bytes, field: str, keys: Sequence[bytes], block: Block) -> list[int]:
        registered = await self._states.registered(vault, block)
        indices = await self._states.indices(block)
        for i, key in enumerate(keys):
            if key not in registered or key not in indices:
                raise WireError(f"{field}[{i}]", "not a validator of this vault")
        return [indices[key] for key in keys]

    async def _check_proof(self, request: ApprovalV3, validators: bytes, block: Block) -> None:
        """That the validators are the next ones of the vault's deposit data."""
        root, first = await self._states.deposit_data(request.vault_address, block)
        n = len(request.public_keys)
        if sorted(request.proof_indexes) != list(range(first, first + n)):
            raise WireError("proof_indexes", f"expected {first}..{first + n - 1}, each once")
        leaves = [
            deposit_data_leaf(validators[(place - first) * ITEM_BYTES :][:ITEM_BYTES], place)
            for place in request.proof_indexes
        ]
        if root == bytes(32) or multiproof_root(leaves, request.proof, request.proof_flags) != root:
            raise WireError("proof", "does not lead to the deposit data root of the vault")

    async def _check_manager(self, request: ApprovalV4, validators: bytes, block: Block) -> None:
        signature = request.validators_manager_signature
        if signature is None:
            raise WireError("validators_manager_signature", "expected one")
        vault = bytes(request.vault_address)
        message = Domain("VaultValidators", vault, self._network.chain_id).message(
            "VaultValidators", typed_data.MANAGER, bytes(request.validators_root), validators
        )
        if signer_of(message, signature) != await self._states.manager(vault, block):
            raise WireError("validators_manager_signature", "not by the validators manager of the vault")

    def _check_deadline(self, deadline: int, config: OracleConfig, block: Block) -> None:
        """Contracts compare with the time of their block, operators with their clock: either may be ahead."""
        period = config.raw.get("signature_validity_period", DEFAULT_VALIDITY_SECONDS)
        latest = max(block.timestamp, int(time.time())) + period
        if not block.timestamp < deadline <= latest:
            raise WireError("deadline", f"expected {block.timestamp + 1}..{latest}, got {deadline}")
