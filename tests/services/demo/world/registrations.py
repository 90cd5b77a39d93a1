"""Validators to register, and everything that is signed for them, by plain means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from coincurve import PrivateKey
from eth_account import Account
from numpy.typing import NDArray

from dvtfast import (
    HOODI,
    derive_public_keys,
    encrypt_to_oracles,
    exit_signing_roots,
    generate_secret_keys,
    sign,
    split_exit_signatures,
)
from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.deposits import DepositData, sign_deposits
from dvtfast.protocol_config import read_oracle_config
from dvtfast.services.chain.encoding import keccak256, write_address, write_data
from dvtfast.services.demo.oracle import typed_data
from dvtfast.services.demo.oracle.checks import deposit_data_leaf
from dvtfast.services.demo.oracle.typed_data import Domain, signature_of
from dvtfast.services.demo.world.deployed_contracts import World, address_of_oracle
from dvtfast.services.demo.world.oracles import OracleSet
from tests.services.chain.anvil import CHAIN_ID

MANAGER = Account.from_key("0x" + "11" * 32)
MANAGER_ADDRESS = bytes.fromhex(MANAGER.address[2:])
APPROVAL = "(bytes32,uint256,bytes,bytes,string)"
CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"


@dataclass(frozen=True)
class Validators:
    """New validators of a vault."""

    secret_keys: NDArray[np.uint8]
    deposits: DepositData
    kind: int

    @property
    def public_keys(self) -> list[bytes]:
        return [key.tobytes() for key in self.deposits.public_keys]

    @property
    def items(self) -> list[bytes]:
        """As the vault's `registerValidators` takes them, one by one."""
        columns = zip(self.public_keys, self.deposits.signatures, self.deposits.data_roots, strict=True)
        amounts = [int(amount).to_bytes(8, "big") if self.kind == 2 else b"" for amount in self.amounts]
        rows = [key + sig.tobytes() + root.tobytes() for key, sig, root in columns]
        return [row + amount for row, amount in zip(rows, amounts, strict=True)]

    @property
    def amounts(self) -> list[int]:
        return self.deposits.amounts_gwei.tolist()


def new_validators(vault: bytes, count: int, kind: int = 1, amount: int = GWEI_PER_VALIDATOR) -> Validators:
    secrets = generate_secret_keys(count)
    credentials = np.frombuffer(bytes([kind]) + bytes(11) + vault, np.uint8)
    deposits = sign_deposits(secrets, np.tile(credentials, (count, 1)), [amount] * count, HOODI)
    return Validators(secrets, deposits, kind)


def manager_signature(world: World, root_or_nonce: bytes, validators: bytes, key: Any = MANAGER) -> bytes:
    domain = Domain("VaultValidators", world.vault.address, CHAIN_ID)
    return signature_of(
        domain.message("VaultValidators", typed_data.MANAGER, root_or_nonce, validators), key.key
    )


def oracle_signatures(
    world: World,
    name: str,
    kind: str,
    fields: dict[str, str],
    values: Sequence[Any],
    secrets: Sequence[bytes],
) -> bytes:
    """By each of these oracles, in the order that the Keeper wants."""
    message = Domain(name, world.keeper.address, CHAIN_ID).message(kind, fields, *values)
    return b"".join(signature_of(message, secret) for secret in by_address(secrets))


def by_address(secrets: Sequence[bytes]) -> list[bytes]:
    def address(secret: bytes) -> bytes:
        return address_of_oracle(PrivateKey(secret).public_key.format(compressed=False)[1:])

    return sorted(secrets, key=address)


async def approval(
    world: World, validators: bytes, secrets: Sequence[bytes], *, deadline: int | None = None
) -> tuple[Any, ...]:
    """`ApprovalParams`, signed by these oracles."""
    root = await world.registry_root()
    deadline = await world.chain.timestamp() + 600 if deadline is None else deadline
    values = [root, world.vault.address, validators, CID, deadline]
    signatures = oracle_signatures(
        world, "KeeperOracles", "KeeperValidators", typed_data.APPROVAL, values, secrets
    )
    return root, deadline, validators, signatures, CID


def shards(validators: Validators, oracles: OracleSet, first_index: int) -> dict[str, Any]:
    """The exits of validators, split for the oracles: two fields of a request."""
    config = read_oracle_config(oracles.config)
    n = len(validators.secret_keys)
    roots = exit_signing_roots(np.arange(first_index, first_index + n, dtype=np.uint64), HOODI)
    split = split_exit_signatures(
        sign(validators.secret_keys, roots),
        derive_public_keys(validators.secret_keys),
        roots,
        total=len(config.public_keys),
        threshold=config.exit_signature_recover_threshold,
    )
    encrypted = encrypt_to_oracles(split.signature_shares, config.public_keys)
    return {
        "public_key_shards": [[write_data(s.tobytes()) for s in row] for row in split.public_key_shares],
        "exit_signature_shards": [[write_data(s.tobytes()) for s in row] for row in encrypted],
    }


async def request_v4(
    world: World, validators: Validators, oracles: OracleSet, first_index: int, **changes: Any
) -> dict[str, Any]:
    """A request for approval that oracles grant."""
    root = await world.registry_root()
    joined = b"".join(validators.items)
    return {
        "validator_index": first_index,
        "vault_address": write_address(world.vault.address),
        "validators_root": write_data(root),
        "public_keys": [write_data(key) for key in validators.public_keys],
        "deposit_signatures": [write_data(s.tobytes()) for s in validators.deposits.signatures],
        **shards(validators, oracles, first_index),
        "validators_manager_signature": write_data(manager_signature(world, root, joined)),
        "deadline": await world.chain.timestamp() + 600,
        "amounts": validators.amounts if validators.kind == 2 else None,
        **changes,
    }


class Tree:
    """Deposit data as OpenZeppelin's StandardMerkleTree has it, with its multiproofs."""

    def __init__(self, items: Sequence[bytes]) -> None:
        self.leaves = [deposit_data_leaf(item, place) for place, item in enumerate(items)]
        ordered = sorted(self.leaves)
        self.nodes = [b""] * (len(ordered) - 1) + ordered[::-1]
        for at in reversed(range(len(ordered) - 1)):
            self.nodes[at] = keccak256(b"".join(sorted(self.nodes[2 * at + 1 : 2 * at + 3])))

    @property
    def root(self) -> bytes:
        return self.nodes[0]

    def proof(self, place: int) -> list[bytes]:
        at, proof = self.nodes.index(self.leaves[place]), []
        while at:
            proof.append(self.nodes[at + 1 if at % 2 else at - 1])
            at = (at - 1) // 2
        return proof

    def multiproof(self, places: Sequence[int]) -> tuple[list[int], list[bool], list[bytes]]:
        """The places in the order of the proof's leaves, its flags, its hashes."""
        positions = {self.nodes.index(self.leaves[place]): place for place in places}
        queue = sorted(positions, reverse=True)
        order = [positions[at] for at in queue]
        flags, proof = [], []
        while queue and queue[0] > 0:
            at = queue.pop(0)
            sibling = at + 1 if at % 2 else at - 1
            if queue and queue[0] == sibling:
                queue.pop(0)
                flags.append(True)
            else:
                proof.append(self.nodes[sibling])
                flags.append(False)
            queue.append((at - 1) // 2)
        return order, flags, proof
