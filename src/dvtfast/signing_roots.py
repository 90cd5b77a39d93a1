"""What is signed: domains and signing roots of voluntary exits and deposits, in batch.

Source: consensus-specs, phase0/beacon-chain.md (compute_domain, compute_signing_root) and
deneb/beacon-chain.md (EIP-7044).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from dvtfast._arrays import Bytes, Rows, Uint64s, as_row, as_rows, as_uint64s, leading_index, same_length
from dvtfast._backend import lanes_for
from dvtfast._native import points as _points
from dvtfast._native import roots as _kernel
from dvtfast._parallel import for_slices
from dvtfast.constants import (
    PUBLIC_KEY_BYTES,
    ROOT_BYTES,
    SIGNATURE_BYTES,
    WITHDRAWAL_CREDENTIALS_BYTES,
)
from dvtfast.errors import InputError
from dvtfast.networks import Network, as_network

# An affine point of G2 in blst's own form: four field elements of six words.
HASH_WORDS = 24


class HashedRoots:
    """Signing roots that are hashed to G2: hashed once, used often.

    Recovering, checking and splitting a signature each need the hash, a third of their cost.

    Args:
        roots: uint8[n, 32].

    Attributes:
        roots: the same bytes, read-only.
    """

    __slots__ = ("_hashes", "roots")

    roots: Bytes
    _hashes: Uint64s

    def __init__(self, roots: Rows, *, threads: int | None = None) -> None:
        rows = as_rows("signing_roots", roots, ROOT_BYTES)[0].copy()
        hashes = np.zeros((len(rows), HASH_WORDS), dtype=np.uint64)
        for_slices(len(rows), lambda s: _hash(rows[s], hashes[s]), threads=threads)
        self._set(rows, hashes)

    def _set(self, roots: Bytes, hashes: Uint64s) -> None:
        roots.flags.writeable = hashes.flags.writeable = False
        self.roots, self._hashes = roots, hashes

    def __len__(self) -> int:
        return len(self.roots)

    def __getitem__(self, index: Any) -> HashedRoots:
        """Those at a slice, an index array or a mask, without hashing again.

        Raises:
            InputError: the index reaches into the roots, or is for one alone.
            IndexError: there is no such place.
        """
        roots = self.roots[leading_index("signing_roots", (len(self),), index)]
        chosen = type(self).__new__(type(self))
        chosen._set(np.ascontiguousarray(roots), np.ascontiguousarray(self._hashes[index]))
        return chosen

    def __repr__(self) -> str:
        return f"HashedRoots(n={len(self)})"


# What a function accepts where it documents signing roots.
RootsLike: TypeAlias = "HashedRoots | Rows"


def as_roots(roots: RootsLike) -> HashedRoots | Bytes:
    """Hashed roots, or uint8[n, 32]."""
    return roots if isinstance(roots, HashedRoots) else as_rows("signing_roots", roots, ROOT_BYTES)[0]


def hashes_of(roots: HashedRoots | Bytes, rows: slice) -> Uint64s:
    """Affine points uint64[n, 24] of some rows, as kernels take them; hashed here if need be."""
    if isinstance(roots, HashedRoots):
        return roots._hashes[rows]
    hashes = np.zeros((rows.stop - rows.start, HASH_WORDS), dtype=np.uint64)
    _hash(roots[rows], hashes)
    return hashes


def _hash(roots: Bytes, hashes: Uint64s) -> None:
    _points.hash_roots(roots, hashes, lanes_for("hash", len(roots)))


def compute_signing_roots(object_roots: Rows, domain: Rows) -> Bytes:
    """Signing roots of objects uint8[n, 32] under one domain."""
    objects, lone = as_rows("object_roots", object_roots, ROOT_BYTES)
    roots = np.zeros_like(objects)
    _kernel.signing_roots(objects, as_row("domain", domain, ROOT_BYTES), roots)
    return roots[0] if lone else roots


def exit_signing_roots(validator_indices: Any, network: Network, *, epoch: int | None = None) -> Bytes:
    """Signing roots uint8[n, 32] of voluntary exits.

    Args:
        validator_indices: uint64[n], or one integer.
        network: gives the domain, and the epoch that StakeWise signs.
        epoch: another epoch than the network's `capella_epoch`.
    """
    network = as_network(network)
    indices, lone = as_validator_indices(validator_indices)
    objects = np.zeros((indices.size, ROOT_BYTES), dtype=np.uint8)
    _kernel.exit_roots(exit_epoch(network, epoch), indices, objects)
    roots = compute_signing_roots(objects, network.exit_domain)
    return roots[0] if lone else roots


def as_validator_indices(values: Any) -> tuple[Uint64s, bool]:
    """uint64[n], and whether a lone integer came."""
    indices = as_uint64s("validator_indices", values)
    if indices.ndim > 1:
        raise InputError(f"validator_indices: expected uint64[n], got uint64{list(indices.shape)}")
    return indices.reshape(-1), indices.ndim == 0


def exit_epoch(network: Network, epoch: int | None) -> int:
    """The epoch of exits: a given one, or the network's `capella_epoch`."""
    return int(as_uint64s("epoch", as_network(network).capella_epoch if epoch is None else epoch))


def deposit_message_roots(public_keys: Rows, withdrawal_credentials: Rows, amounts_gwei: Any) -> Bytes:
    """Object roots uint8[n, 32] of deposit messages: what a deposit signs, before its domain."""
    return _deposit_roots(public_keys, withdrawal_credentials, amounts_gwei, None)


def deposit_data_roots(
    public_keys: Rows, withdrawal_credentials: Rows, amounts_gwei: Any, signatures: Rows
) -> Bytes:
    """Object roots uint8[n, 32] of deposit data: what the deposit contract checks."""
    rows, _ = as_rows("signatures", signatures, SIGNATURE_BYTES)
    return _deposit_roots(public_keys, withdrawal_credentials, amounts_gwei, rows)


def deposit_signing_roots(
    public_keys: Rows, withdrawal_credentials: Rows, amounts_gwei: Any, network: Network
) -> Bytes:
    """Signing roots uint8[n, 32] of deposit messages on a network."""
    objects = deposit_message_roots(public_keys, withdrawal_credentials, amounts_gwei)
    return compute_signing_roots(objects, as_network(network).deposit_domain)


def _deposit_roots(
    public_keys: Rows, withdrawal_credentials: Rows, amounts_gwei: Any, signatures: Bytes | None
) -> Bytes:
    keys, lone = as_rows("public_keys", public_keys, PUBLIC_KEY_BYTES)
    credentials, _ = as_rows("withdrawal_credentials", withdrawal_credentials, WITHDRAWAL_CREDENTIALS_BYTES)
    amounts = as_uint64s("amounts_gwei", amounts_gwei).reshape(-1)
    same_length(public_keys=keys, withdrawal_credentials=credentials, amounts_gwei=amounts)
    if signatures is not None:
        same_length(public_keys=keys, signatures=signatures)
    roots = np.zeros((len(keys), ROOT_BYTES), dtype=np.uint8)
    _kernel.deposit_roots(keys, credentials, amounts, signatures, roots)
    return roots[0] if lone else roots
