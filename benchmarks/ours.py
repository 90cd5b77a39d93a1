"""What dvtfast does, as the benchmarks call it: a batch in, a function without arguments out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

import dvtfast
from dvtfast import _lagrange

from .cases import ORACLES, Bytes, Exits, oracle_public_keys

Bools = NDArray[np.bool_]

# What StakeWise's protocol config asks for, of ORACLES.
ORACLE_THRESHOLD = 8


def sign(batch: Exits, threads: int = 1) -> Callable[[], Bytes]:
    """One signature each."""
    return lambda: dvtfast.sign(batch.secret_keys, batch.signing_roots, threads=threads)


def verify_from_bytes(batch: Exits, threads: int = 1) -> Callable[[], None]:
    """Keys are decoded and checked, too."""
    keys = batch.public_keys.encoded
    return lambda: dvtfast.verify_signatures(keys, batch.signing_roots, batch.signatures, threads=threads)


def recover(
    batch: Exits,
    threads: int = 1,
    public_key_shares: dvtfast.PublicKeys | None = None,
    present: Bools | None = None,
) -> Callable[[], Bytes]:
    """All partial signatures are given, or those that are present; the library takes the cheapest of them."""

    def run() -> Bytes:
        return dvtfast.recover_and_check(
            batch.public_keys,
            batch.signing_roots,
            batch.partial_signatures,
            batch.cluster.share_indices,
            threshold=batch.cluster.threshold,
            present=present,
            public_key_shares=public_key_shares,
            threads=threads,
        ).signatures

    return run


def recover_with_new_rules(batch: Exits, present: Bools) -> Callable[[], Bytes]:
    """Some partial signatures are missing, and for no set of share indices it is known yet how to recover."""
    recovering = recover(batch, present=present)

    def run() -> Bytes:
        _lagrange.forget()
        return recovering()

    return run


def split(
    batch: Exits, threshold: int = ORACLE_THRESHOLD, threads: int = 1
) -> Callable[[], dvtfast.OracleShares]:
    """For all oracles."""
    return lambda: dvtfast.split_exit_signatures(
        batch.signatures,
        batch.public_keys,
        batch.signing_roots,
        total=ORACLES,
        threshold=threshold,
        threads=threads,
    )


def encrypt(batch: Exits, threads: int = 1) -> Callable[[], Bytes]:
    """All shares to their oracles; on one thread."""
    shares = split(batch, threads=threads)().signature_shares
    return lambda: dvtfast.encrypt_to_oracles(shares, oracle_public_keys())


def relayer(batch: Exits, threads: int = 1) -> Callable[[], Bytes]:
    """What the relayer computes for a batch: recover, check, split, encrypt."""

    def run() -> Bytes:
        roots = dvtfast.HashedRoots(batch.signing_roots, threads=threads)
        found = dvtfast.recover_and_check(
            batch.public_keys,
            roots,
            batch.partial_signatures,
            batch.cluster.share_indices,
            threshold=batch.cluster.threshold,
            threads=threads,
        )
        shares = dvtfast.split_exit_signatures(
            found.signatures,
            batch.public_keys,
            roots,
            total=ORACLES,
            threshold=ORACLE_THRESHOLD,
            threads=threads,
        )
        return dvtfast.encrypt_to_oracles(shares.signature_shares, oracle_public_keys())

    return run
