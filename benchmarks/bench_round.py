"""What does one validator cost, in each step of the round?"""

from __future__ import annotations

from collections.abc import Callable

import ecies
import milagro_bls_binding as milagro
import numpy as np

import dvtfast

from .cases import (
    ORACLE_THRESHOLD,
    ORACLES,
    SHARE_INDICES,
    THRESHOLD,
    case,
    oracle_keys,
    oracle_public_keys,
)

COMPARED_ROWS = 4  # with the slower, independent implementation


def bench_sign(n: int, timed: Callable[..., None]) -> None:
    batch = case().first(n)
    signatures = dvtfast.sign(batch.secret_keys, batch.signing_roots)
    for i in range(min(n, COMPARED_ROWS)):
        assert signatures[i].tobytes() == milagro.Sign(
            batch.secret_keys[i].tobytes(), batch.signing_roots[i].tobytes()
        )
    timed(lambda: dvtfast.sign(batch.secret_keys, batch.signing_roots))


def bench_check(n: int, timed: Callable[..., None]) -> None:
    batch = case().first(n)
    for i in range(min(n, COMPARED_ROWS)):
        assert milagro.Verify(
            batch.public_keys.encoded[i].tobytes(),
            batch.signing_roots[i].tobytes(),
            batch.signatures[i].tobytes(),
        )
    wrong = batch.signatures.copy()
    wrong[0] = dvtfast.sign(batch.secret_keys[0], bytes(32))
    assert np.flatnonzero(
        ~dvtfast.check_signatures(batch.public_keys, batch.signing_roots, wrong)
    ).tolist() == [0]
    timed(lambda: dvtfast.verify_signatures(batch.public_keys, batch.signing_roots, batch.signatures))


def bench_recover_and_check(n: int, timed: Callable[..., None]) -> None:
    batch = case().first(n)

    def run() -> dvtfast.RecoveredSignatures:
        return dvtfast.recover_and_check(
            batch.public_keys,
            batch.signing_roots,
            batch.partial_signatures,
            SHARE_INDICES,
            threshold=THRESHOLD,
        )

    assert np.array_equal(run().signatures, batch.signatures)  # those of the whole keys
    timed(run)


def bench_split(n: int, timed: Callable[..., None]) -> None:
    batch = case().first(n)

    def run() -> dvtfast.OracleShares:
        return dvtfast.split_exit_signatures(
            batch.signatures,
            batch.public_keys,
            batch.signing_roots,
            total=ORACLES,
            threshold=ORACLE_THRESHOLD,
        )

    shares = run()
    indices = np.arange(1, ORACLES + 1)
    assert np.array_equal(
        dvtfast.recover_signatures(
            shares.signature_shares[:, ::-1], indices[::-1], threshold=ORACLE_THRESHOLD
        ),
        batch.signatures,
    )
    assert milagro.Verify(
        shares.public_key_shares[0, 10].tobytes(),
        batch.signing_roots[0].tobytes(),
        shares.signature_shares[0, 10].tobytes(),
    )
    timed(run)


def bench_encrypt(n: int, timed: Callable[..., None]) -> None:
    batch = case().first(n)
    shares = dvtfast.split_exit_signatures(
        batch.signatures, batch.public_keys, batch.signing_roots, total=ORACLES, threshold=ORACLE_THRESHOLD
    ).signature_shares
    keys = oracle_public_keys()
    blobs = dvtfast.encrypt_to_oracles(shares, keys)
    for oracle, key in enumerate(oracle_keys()):
        assert ecies.decrypt(key.to_hex(), blobs[0, oracle].tobytes()) == shares[0, oracle].tobytes()
    timed(lambda: dvtfast.encrypt_to_oracles(shares, keys))
