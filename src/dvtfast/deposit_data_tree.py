"""The Merkle tree of a StakeWise vault's deposit data, and proofs that validators are in it.

The vault's admin sets the root; who registers the records of some positions proves them together. A leaf
is key, deposit signature and deposit data root of a record, with its position. Leaves are in the order of
their hashes; a node is the hash of the lesser child and the greater one.

Source: OpenZeppelin, StandardMerkleTree over ["bytes", "uint256"] and MerkleProof.multiProofVerify;
StakeWise v3-core, DepositDataRegistry.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast._keccak import keccak256
from dvtfast.constants import PUBLIC_KEY_BYTES, ROOT_BYTES, SIGNATURE_BYTES
from dvtfast.deposits import DepositData
from dvtfast.errors import InputError

WORD_BYTES = 32
RECORD_BYTES = PUBLIC_KEY_BYTES + SIGNATURE_BYTES + ROOT_BYTES
PADDED_RECORD_BYTES = -(-RECORD_BYTES // WORD_BYTES) * WORD_BYTES


@dataclass(frozen=True)
class MultiProof:
    """That the records of some positions are in a tree.

    Attributes:
        positions: of the records in the deposit data, in the order of their leaves.
        leaves: 32 bytes each, from the least to the greatest.
        proof: the hashes that do not follow from the leaves.
        flags: for each hash to be made, whether both its children follow, instead of one of `proof`.
    """

    positions: tuple[int, ...]
    leaves: tuple[bytes, ...]
    proof: tuple[bytes, ...]
    flags: tuple[bool, ...]

    @cached_property
    def indexes(self) -> tuple[int, ...]:
        """Of each record, in the order of the deposit data, its place among the leaves."""
        return tuple(np.argsort(self.positions).tolist())

    @property
    def root(self) -> bytes:
        """The root of the tree that this is a proof for."""
        return multiproof_root(self.leaves, self.proof, self.flags)


class DepositDataTree:
    """The tree of all records of a file: leaving one out moves the others, and is another tree.

    Args:
        deposits: one record or more, with data roots that fit.

    Cost: two hashes and a half for each record, so 25 ms for 1,000.
    """

    def __init__(self, deposits: DepositData) -> None:
        if not len(deposits):
            raise InputError("deposits: expected at least one, got none")
        leaves = deposit_leaves(deposits)
        n = len(leaves)
        self._order = sorted(range(n), key=leaves.__getitem__)
        nodes = [b""] * (n - 1) + [leaves[position] for position in reversed(self._order)]
        for i in reversed(range(n - 1)):
            nodes[i] = _hash_pair(nodes[2 * i + 1], nodes[2 * i + 2])
        self._nodes = nodes
        self._place_of = {position: len(nodes) - 1 - rank for rank, position in enumerate(self._order)}

    def __len__(self) -> int:
        return len(self._order)

    @property
    def root(self) -> bytes:
        """What the vault's admin sets, 32 bytes."""
        return self._nodes[0]

    def prove(self, first: int, count: int) -> MultiProof:
        """That the records of `count` positions from `first` on are in the tree.

        Raises:
            InputError: there are no such positions.
        """
        if first < 0 or count < 1 or first + count > len(self):
            raise InputError(f"positions: expected some of 0..{len(self) - 1}, got {count} from {first} on")
        positions = sorted(range(first, first + count), key=self._place_of.__getitem__, reverse=True)
        open_places = deque(self._place_of[position] for position in positions)
        leaves = tuple(self._nodes[place] for place in open_places)
        proof, flags = [], []
        while open_places[0] > 0:
            place = open_places.popleft()
            sibling = place + 1 if place % 2 else place - 1
            follows = bool(open_places) and open_places[0] == sibling
            flags.append(follows)
            if follows:
                open_places.popleft()
            else:
                proof.append(self._nodes[sibling])
            open_places.append((place - 1) // 2)
        return MultiProof(tuple(positions), leaves, tuple(proof), tuple(flags))


def deposit_leaves(deposits: DepositData) -> list[bytes]:
    """The leaves of all records, in their order, 32 bytes each."""
    n = len(deposits)
    rows = np.zeros((n, 3 * WORD_BYTES + PADDED_RECORD_BYTES), np.uint8)  # abi.encode(bytes, uint256)
    rows[:, WORD_BYTES - 1] = 2 * WORD_BYTES  # where the record is
    rows[:, 2 * WORD_BYTES - 8 : 2 * WORD_BYTES] = np.arange(n, dtype=">u8").view(np.uint8).reshape(n, 8)
    rows[:, 3 * WORD_BYTES - 1] = RECORD_BYTES
    record: Bytes = np.hstack([deposits.public_keys, deposits.signatures, deposits.data_roots])
    rows[:, 3 * WORD_BYTES : 3 * WORD_BYTES + RECORD_BYTES] = record
    return [keccak256(keccak256(row.tobytes())) for row in rows]


def multiproof_root(leaves: Sequence[bytes], proof: Sequence[bytes], flags: Sequence[bool]) -> bytes:
    """The root that follows from leaves and a proof, which a verifier compares with the one it trusts.

    Raises:
        InputError: they do not fit together.
    """
    if any(len(node) != WORD_BYTES for node in (*leaves, *proof)):
        raise InputError(f"leaves and proof: expected {WORD_BYTES} bytes each")
    if len(leaves) + len(proof) != len(flags) + 1:
        given = f"{len(flags)} for {len(leaves)} and {len(proof)}"
        raise InputError(f"flags: expected one less than leaves and proof, got {given}")
    nodes, others = deque(leaves), iter(proof)
    for follows in flags:
        if not nodes:
            raise InputError("flags: the leaves do not lead to one root")
        left = nodes.popleft()
        nodes.append(_hash_pair(left, _next(nodes if follows else others)))
    left_over = [*nodes, *others]
    if len(left_over) != 1:
        raise InputError("flags: the leaves do not lead to one root")
    return left_over[0]


def _next(nodes: deque[bytes] | Iterator[bytes]) -> bytes:
    try:
        return nodes.popleft() if isinstance(nodes, deque) else next(nodes)
    except (IndexError, StopIteration):
        raise InputError("flags: the leaves do not lead to one root") from None


def _hash_pair(a: bytes, b: bytes) -> bytes:
    return keccak256(a + b if a < b else b + a)
