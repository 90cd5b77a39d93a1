"""Checks a registration bundle as the oracles would, and against the validators' keys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvtfast import (
    Network,
    PublicKeys,
    SignatureError,
    check_public_key_shares,
    exit_signing_roots,
    recover_signatures,
    verify_signatures,
)
from dvtfast.deposits import check_deposit_data, read_deposit_data
from dvtfast.ecies import decrypt_batch

from .. import wire
from .cluster import DemoCluster


class ProofError(Exception):
    """The result is not what it must be."""


@dataclass(frozen=True)
class Proof:
    """What was shown.

    Attributes:
        shares: that many decrypted and verified.
        subsets: sets of oracles that recovered every exit signature.
    """

    shares: int
    subsets: int


def prove(
    bundle: wire.RegistrationBundle,
    cluster: DemoCluster,
    *,
    network: Network,
    start_index: int,
    threshold: int,
) -> Proof:
    """Show that deposits are signed, and that any `threshold` oracles hold all exits, and no fewer.

    Raises:
        ProofError: it is not so.
    """
    _check_deposits(cluster, network)
    k = len(cluster.oracle_secrets)
    keys = cluster.public_keys.encoded
    if [bytes(item.public_key) for item in bundle.validators] != [key.tobytes() for key in keys]:
        raise ProofError("the bundle does not hold the validators of the deposit data, in their order")
    key_shares, encrypted = _columns(bundle, k)
    indices = np.arange(start_index, start_index + len(keys), dtype=np.uint64)
    return prove_shares(cluster, key_shares, encrypted, indices, network=network, threshold=threshold)


def prove_shares(
    cluster: DemoCluster,
    key_shares: NDArray[np.uint8],
    encrypted: NDArray[np.uint8],
    indices: NDArray[np.uint64],
    *,
    network: Network,
    threshold: int,
) -> Proof:
    """The same of arrays.

    Args:
        key_shares: uint8[n, k, 48], of the cluster's validators for the oracles.
        encrypted: uint8[n, k, 193], the shares of their exits.
        indices: uint64[n], of the validators on the beacon chain.

    Raises:
        ProofError: as `prove`.
    """
    n, k = len(cluster.public_keys), len(cluster.oracle_secrets)
    share_indices = np.arange(1, k + 1, dtype=np.uint64)
    public_key_shares = PublicKeys(key_shares)
    if not check_public_key_shares(
        cluster.public_keys, public_key_shares, share_indices, threshold=threshold
    ).all():
        raise ProofError("public key shares do not interpolate to the validators' keys")
    signature_shares = np.stack(
        [decrypt_batch(encrypted[:, p], secret) for p, secret in enumerate(cluster.oracle_secrets)], axis=1
    )
    roots = exit_signing_roots(indices, network)
    try:
        verify_signatures(
            PublicKeys.concatenate([public_key_shares[:, p] for p in range(k)]),
            np.tile(roots, (k, 1)),
            np.ascontiguousarray(signature_shares.swapaxes(0, 1)).reshape(n * k, -1),
        )
    except SignatureError as error:
        raise ProofError(f"shares do not verify under their public key shares: {error}") from None
    subsets = _subsets(k, threshold)
    _check_recovery(signature_shares, share_indices, subsets, cluster.public_keys, roots)
    return Proof(n * k, len(subsets))


def _check_deposits(cluster: DemoCluster, network: Network) -> None:
    deposits = read_deposit_data(cluster.deposit_data, network=network)
    if problems := [line for lines in check_deposit_data(deposits) for line in lines]:
        raise ProofError(f"deposit data: {problems[0]}")


def _columns(bundle: wire.RegistrationBundle, k: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Public key shares uint8[n, k, 48] and encrypted signature shares uint8[n, k, 193]."""
    shares = [validator.oracles_exit_signature_shares for validator in bundle.validators]
    if any(len(s.public_keys) != k or len(s.encrypted_exit_signatures) != k for s in shares):
        raise ProofError(f"not every validator has one share for each of {k} oracles")
    public_keys = b"".join(key for s in shares for key in s.public_keys)
    encrypted = b"".join(blob for s in shares for blob in s.encrypted_exit_signatures)
    return (
        np.frombuffer(public_keys, np.uint8).reshape(len(shares), k, wire.PublicKey.width),
        np.frombuffer(encrypted, np.uint8).reshape(len(shares), k, wire.EncryptedSignature.width),
    )


def _subsets(k: int, threshold: int) -> list[NDArray[np.intp]]:
    """The last oracles, and any others."""
    return [np.arange(k - threshold, k), np.random.default_rng().permutation(k)[:threshold]]


def _check_recovery(
    signature_shares: NDArray[np.uint8],
    share_indices: NDArray[np.uint64],
    subsets: list[NDArray[np.intp]],
    public_keys: PublicKeys,
    roots: NDArray[np.uint8],
) -> None:
    for subset in subsets:
        threshold = len(subset)
        exits = recover_signatures(signature_shares[:, subset], share_indices[subset], threshold=threshold)
        try:
            verify_signatures(public_keys, roots, exits)
        except SignatureError:
            raise ProofError(
                f"oracles {share_indices[subset].tolist()} do not recover the exit signatures"
            ) from None
        if threshold == 1:
            continue
        fewer = subset[:-1]
        recovered = recover_signatures(
            signature_shares[:, fewer], share_indices[fewer], threshold=threshold - 1
        )
        if (recovered == exits).all(axis=1).any():
            raise ProofError(
                f"oracles {share_indices[fewer].tolist()} recover an exit signature; they are too few"
            )
