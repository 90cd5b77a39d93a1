"""What type checkers see of the public surface. Never run: tests/house/test_public_api.py shows it to mypy.

`assert_type` fails where a type is another one; so does an ignored error that is none.
"""

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import dvtfast
from dvtfast import clusters, deposits, derivation, keystores, obol, ssv
from dvtfast.dkg import polynomials, proof_of_knowledge

Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Uint64s = NDArray[np.uint64]

lone, rows, listed = b"", np.zeros((1, 48), np.uint8), [b""]
view = memoryview(lone)
keys = dvtfast.PublicKeys(rows)


def errors_are_errors_of_python(error: dvtfast.DvtfastError) -> None:
    """What each kind has."""
    assert_type(dvtfast.InputError(""), dvtfast.InputError)
    of_python: list[ValueError | ImportError] = [dvtfast.InputError(""), dvtfast.MissingExtraError("")]
    assert_type(of_python, list[ValueError | ImportError])
    if isinstance(error, dvtfast.EncodingError):
        assert_type(error.statuses, tuple[str, ...])
    if isinstance(error, dvtfast.SignatureError | dvtfast.ThresholdError):
        assert_type(error.indices, tuple[int, ...])
    if isinstance(error, dvtfast.FileError | dvtfast.KeystoreError):
        assert_type(error.path, Path | None)
        assert_type(error.reason, str)


def keys_and_points() -> None:
    """Arrays of a batch, and one bool where a lone row of bytes came."""
    assert_type(dvtfast.generate_secret_keys(8), Bytes)
    assert_type(dvtfast.derive_public_keys(rows, threads=1), Bytes)
    assert_type(dvtfast.derive_public_keys(lone), Bytes)
    assert_type(dvtfast.check_secret_keys(rows), Bools)
    assert_type(dvtfast.check_secret_keys(lone), np.bool_)
    assert_type(dvtfast.check_public_keys(listed), Bools)
    assert_type(dvtfast.check_public_keys(view), np.bool_)
    assert_type(dvtfast.check_public_key_encodings(rows, infinity=True), Bools)
    assert_type(dvtfast.check_public_key_encodings(lone), np.bool_)
    assert_type(dvtfast.check_signature_encodings(rows, subgroup=False), Bools)
    assert_type(dvtfast.check_signature_encodings(bytearray(lone)), np.bool_)
    assert_type(dvtfast.hash_to_g2(listed, dst=b"dst"), Bytes)
    assert_type(keys.shape, tuple[int, ...])
    assert_type(keys.encoded, Bytes)
    assert_type(keys[:1], dvtfast.PublicKeys)
    assert_type(dvtfast.PublicKeys.concatenate([keys, keys]), dvtfast.PublicKeys)


def keys_of_a_seed() -> None:
    """Arrays that can be wiped, from texts that cannot."""
    seed = derivation.mnemonic_to_seed("abandon", passphrase="")
    assert_type(seed, Bytes)
    assert_type(derivation.derive_signing_keys(seed, range(8)), Bytes)
    assert_type(derivation.derive_secret_key(lone, derivation.signing_path(0)), Bytes)
    derivation.derive_master_key("seed")  # type: ignore[arg-type]


def networks_and_roots() -> None:
    """A network is no name, and a root is bytes in rows."""
    assert_type(dvtfast.network_named("hoodi"), dvtfast.Network)
    assert_type(dvtfast.network_with_chain_id(1), dvtfast.Network)
    assert_type(dvtfast.network_with_fork_version(lone), dvtfast.Network)
    assert_type(dvtfast.NETWORKS, Mapping[str, dvtfast.Network])
    assert_type(dvtfast.MAINNET, dvtfast.Network)
    assert_type(dvtfast.HOODI.exit_domain, bytes)
    assert_type(dvtfast.GNOSIS.ssv_contract, str | None)
    assert_type(dvtfast.compute_domain(lone, lone, lone), bytes)
    assert_type(dvtfast.compute_signing_roots(rows, lone), Bytes)
    assert_type(dvtfast.exit_signing_roots(range(8), dvtfast.HOODI, epoch=1), Bytes)
    assert_type(dvtfast.deposit_message_roots(rows, rows, [1]), Bytes)
    assert_type(dvtfast.deposit_data_roots(rows, rows, [1], rows), Bytes)
    assert_type(dvtfast.deposit_signing_roots(rows, rows, [1], dvtfast.HOODI), Bytes)
    assert_type(dvtfast.HashedRoots(rows)[:1], dvtfast.HashedRoots)
    dvtfast.exit_signing_roots(range(8), "hoodi")  # type: ignore[arg-type]


def signatures() -> None:
    """`check_*` answers, `verify_*` returns nothing."""
    assert_type(dvtfast.sign(rows, rows), Bytes)
    assert_type(dvtfast.sign_exits(rows, [1], dvtfast.HOODI), Bytes)
    assert_type(dvtfast.aggregate(listed), Bytes)
    assert_type(dvtfast.check_signatures(keys, dvtfast.HashedRoots(rows), rows), Bools)
    assert_type(dvtfast.check_same_message(keys, dvtfast.HashedRoots(rows), rows), Bools)
    assert_type(dvtfast.check_signatures(rows, rows, rows), Bools)
    assert_type(dvtfast.check_same_message(rows, rows, rows), Bools)
    assert_type(dvtfast.check_signatures(lone, lone, lone), np.bool_)
    assert_type(dvtfast.check_same_message(lone, lone, lone), np.bool_)
    assert_type(dvtfast.verify_signatures(keys, rows, rows), None)
    assert_type(dvtfast.fast_aggregate_verify(keys, lone, lone), None)
    assert_type(dvtfast.aggregate_verify(keys, rows, lone), None)
    dvtfast.sign("key", rows)  # type: ignore[arg-type]
    dvtfast.sign(rows, rows, 1)  # type: ignore[call-arg]


def shares() -> None:
    """`threshold` is never left out."""
    assert_type(dvtfast.split_secret_keys(rows, threshold=3, share_indices=[1, 2, 3, 4]), Bytes)
    assert_type(dvtfast.recover_secret_keys(rows, [1, 2, 3], threshold=3), Bytes)
    assert_type(dvtfast.recover_public_keys(keys, [1, 2, 3], threshold=3), Bytes)
    assert_type(dvtfast.recover_signatures(rows, [1, 2, 3], threshold=3), Bytes)
    assert_type(dvtfast.lagrange_coefficients([1, 2, 3], at=0), list[int])
    assert_type(dvtfast.checked_share_indices([1, 2, 3]), Uint64s)
    assert_type(dvtfast.check_public_key_shares(keys, rows, [1, 2, 3], threshold=3), Bools)
    assert_type(dvtfast.check_public_key_shares(lone, rows, [1, 2, 3], threshold=3), np.bool_)
    recovered = dvtfast.recover_and_check(keys, rows, rows, [1, 2, 3], threshold=3, suspects={2})
    assert_type(recovered, dvtfast.RecoveredSignatures)
    assert_type(recovered.ok, Bools)
    assert_type(recovered.signatures, Bytes)
    assert_type(recovered.bad_share_indices(0), Uint64s)
    steps = dvtfast.recover_in_steps(keys, rows, rows, [1, 2, 3], threshold=3)
    assert_type(steps, Generator[None, None, dvtfast.RecoveredSignatures])
    dvtfast.recover_and_check(keys, rows, rows, [1, 2, 3])  # type: ignore[call-arg]


def oracles() -> None:
    """From exits to what is sent."""
    split = dvtfast.split_exit_signatures(rows, keys, rows, total=11, threshold=8)
    assert_type(split, dvtfast.OracleShares)
    assert_type(split.signature_shares, Bytes)
    assert_type(dvtfast.encrypt_to_oracles(split.signature_shares, rows), Bytes)
    assert_type(dvtfast.backend_info(), dvtfast.BackendInfo)
    assert_type(dvtfast.backend_info().crossovers, Mapping[str, int])


def files(path: Path) -> None:
    """Of each format what is read most."""
    loaded = keystores.load_keystores(path)
    assert_type(loaded, keystores.LoadedKeystores)
    assert_type(loaded.public_keys, Bytes)
    assert_type(keystores.read_keystore(path).public_key, bytes | None)
    assert_type(keystores.decrypt(keystores.read_keystore(path), "password"), bytes)
    assert_type(deposits.read_deposit_data(path, network=dvtfast.HOODI), deposits.DepositData)
    assert_type(obol.read_cluster_lock(path), obol.ClusterLock)
    assert_type(ssv.read_keyshares(path), list[ssv.KeyShares])
    assert_type(clusters.read_cluster_lock(path), clusters.ClusterShares)


def key_generation() -> None:
    """The mathematics of one dealer."""
    dealer = polynomials.Coefficients.generate(8, 3)
    assert_type(dealer, polynomials.Coefficients)
    assert_type(polynomials.commit(dealer), dvtfast.PublicKeys)
    assert_type(polynomials.evaluate(dealer, [1, 2]), Bytes)
    assert_type(proof_of_knowledge.prove(dealer, b"session"), bytes)
