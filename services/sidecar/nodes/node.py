"""A node of a cluster: one share index, the validators it serves, and what signs for them.

Where key shares are (in this process, in a remote signer) is a `NodeSigner`; where nodes come from (the files
of charon, those of an SSV operator) is a `NodeSource`. The rest of the sidecar knows neither.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from dvtfast import Network, deposit_signing_roots, exit_signing_roots

SHOWN_ITEMS = 10  # of a long list, in a message


@dataclass(frozen=True, eq=False)
class MessagesToSign:
    """What a node is to sign: a row for each message.

    Attributes:
        places: intp[n], the validators by their places in the node.
        signing_roots: uint8[n, 32].
    """

    places: NDArray[np.intp]
    signing_roots: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> Self:
        """Some of them."""
        return type(self)(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})


@dataclass(frozen=True, eq=False)
class ExitMessages(MessagesToSign):
    """Voluntary exits.

    Attributes:
        validator_indices: uint64[n].
    """

    validator_indices: NDArray[np.uint64]

    @classmethod
    def of(cls, places: Sequence[int], validator_indices: Sequence[int], network: Network) -> ExitMessages:
        """The exits of these validators, at the epoch that the network's keeper submits."""
        indices = np.array(validator_indices, np.uint64)
        return cls(np.array(places, np.intp), exit_signing_roots(indices, network), indices)


@dataclass(frozen=True, eq=False)
class DepositMessages(MessagesToSign):
    """Deposits.

    Attributes:
        public_keys: uint8[n, 48], of the validators.
        withdrawal_credentials: uint8[n, 32].
        amounts_gwei: uint64[n].
    """

    public_keys: NDArray[np.uint8]
    withdrawal_credentials: NDArray[np.uint8]
    amounts_gwei: NDArray[np.uint64]

    @classmethod
    def of(
        cls,
        node: Node,
        places: Sequence[int],
        withdrawal_credentials: NDArray[np.uint8],
        amounts_gwei: Sequence[int],
        network: Network,
    ) -> DepositMessages:
        """Deposits to validators of a node."""
        rows, amounts = np.array(places, np.intp), np.array(amounts_gwei, np.uint64)
        keys = node.public_keys[rows]
        roots = deposit_signing_roots(keys, withdrawal_credentials, amounts, network)
        return cls(rows, roots, keys, withdrawal_credentials, amounts)


@dataclass(frozen=True, eq=False)
class SignedMessages:
    """What came of `MessagesToSign`, row by row.

    Attributes:
        signatures: uint8[n, 96].
        ok: bool[n]; the rows that are signatures. A signer has said why others are none.
    """

    signatures: NDArray[np.uint8]
    ok: NDArray[np.bool_]


class NodeSigner(Protocol):
    """What has the key shares of a node's validators, in the order of the node."""

    async def sign(self, messages: MessagesToSign) -> SignedMessages:
        """Sign all of them, or those that can be signed now."""
        ...

    async def close(self) -> None:
        """Forget the keys; what is being signed is finished first."""
        ...


@dataclass(frozen=True, eq=False)
class Node:
    """One share index of a cluster, or of several clusters in which it is the same.

    Attributes:
        cluster: its name, for people.
        public_keys: uint8[n, 48], of the validators that it can sign for.
        public_key_shares: of all nodes, where they are known: by share index uint8[n, 48].
    """

    cluster: str
    share_index: int
    public_keys: NDArray[np.uint8]
    signer: NodeSigner = field(repr=False)
    public_key_shares: Mapping[int, NDArray[np.uint8]] | None = None

    @cached_property
    def places(self) -> dict[bytes, int]:
        """Of each validator's public key, its row."""
        return {key.tobytes(): row for row, key in enumerate(self.public_keys)}


class NodeSource(Protocol):
    """Where nodes come from."""

    async def load(self) -> Sequence[Node]:
        """Read everything; what is wrong with single keys is logged.

        Raises:
            NoKeysError, DvtfastError: nothing can be signed.
        """
        ...

    def fingerprint(self) -> Hashable:
        """Differs when it is worth to load again."""
        ...
