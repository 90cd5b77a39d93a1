"""New validators of an SSV cluster: their key shares encrypted to the operators, signed for their owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dvtfast._arrays import Bytes, Rows, as_rows, same_length
from dvtfast._parallel import for_slices
from dvtfast._secrets import secret_rows
from dvtfast.constants import PUBLIC_KEY_BYTES, SECRET_KEY_BYTES, SIGNATURE_BYTES
from dvtfast.errors import InputError
from dvtfast.keys import derive_public_keys
from dvtfast.signatures import sign
from dvtfast.ssv.operator_keys import OperatorPublicKey
from dvtfast.ssv.owners import owner_signing_roots
from dvtfast.ssv.shares import CIPHERTEXT_BYTES, KeyShares, parse_key_shares


def build_key_shares(
    secret_keys: Rows,
    key_shares: Rows,
    operator_keys: Mapping[int, OperatorPublicKey],
    *,
    owner_address: bytes,
    first_nonce: int = 0,
    with_0x: bool = True,
    threads: int | None = None,
) -> list[KeyShares]:
    """What an owner registers.

    Args:
        secret_keys: uint8[n, 32], of the validators; they sign for the owner.
        key_shares: uint8[n, k, 32], at the operator ids in their order.
        operator_keys: k of them, by operator id, ascending.
        owner_address: 20 bytes.
        first_nonce: how many validators the owner registered before.
        with_0x: as ssv-keys writes shares; SSV's DKG leaves it out.

    Raises:
        InputError: that is no cluster.
    """
    secrets, _ = as_rows("secret_keys", secret_keys, SECRET_KEY_BYTES)
    shares, _ = as_rows("key_shares", key_shares, SECRET_KEY_BYTES, leading=2)
    n, k = len(secrets), len(operator_keys)
    if shares.shape[:2] != (n, k):
        raise InputError(f"key_shares: expected uint8[{n}, {k}, 32], got uint8{list(shares.shape)}")
    public_key_shares = derive_public_keys(shares.reshape(n * k, -1), threads=threads)
    ciphertexts = [
        encrypt_key_shares(shares[:, column], key, with_0x=with_0x, threads=threads)
        for column, key in enumerate(operator_keys.values())
    ]
    roots = owner_signing_roots(owner_address, range(first_nonce, first_nonce + n))
    return assemble_key_shares(
        derive_public_keys(secrets, threads=threads),
        public_key_shares.reshape(n, k, PUBLIC_KEY_BYTES),
        tuple(operator_keys),
        owner_signatures=sign(secrets, roots, threads=threads),
        encrypted_shares=np.stack(ciphertexts, axis=1),
        owner_address=owner_address,
        first_nonce=first_nonce,
    )


def encrypt_key_shares(
    key_shares: Rows, operator_key: OperatorPublicKey, *, with_0x: bool = True, threads: int | None = None
) -> Bytes:
    """The key shares of one operator, encrypted to its key: uint8[n, 256] of uint8[n, 32].

    Args:
        with_0x: as ssv-keys writes shares; SSV's DKG leaves it out.
    """
    prefix = b"0x" if with_0x else b""
    with secret_rows("key_shares", key_shares, SECRET_KEY_BYTES) as (shares, _):
        ciphertexts = np.zeros((len(shares), CIPHERTEXT_BYTES), dtype=np.uint8)

        def encrypt(rows: slice) -> None:
            for i in range(rows.start, rows.stop):
                plaintext = prefix + shares[i].tobytes().hex().encode()
                ciphertexts[i] = np.frombuffer(operator_key.encrypt(plaintext), dtype=np.uint8)

        for_slices(len(shares), encrypt, threads=threads)
    return ciphertexts


def assemble_key_shares(
    public_keys: Rows,
    public_key_shares: Rows,
    operator_ids: Sequence[int],
    *,
    owner_signatures: Rows,
    encrypted_shares: Rows,
    owner_address: bytes,
    first_nonce: int = 0,
) -> list[KeyShares]:
    """Validators of operators of whom each has encrypted its own shares; nothing is judged, see checking.py.

    Args:
        public_keys: uint8[n, 48].
        public_key_shares: uint8[n, k, 48], at the operator ids in their order.
        operator_ids: k of them, ascending.
        owner_signatures: uint8[n, 96], by the validators' keys over `owner_signing_roots`.
        encrypted_shares: uint8[n, k, 256].
        owner_address: 20 bytes.
        first_nonce: how many validators the owner registered before.

    Raises:
        InputError: that is no cluster.
    """
    keys, _ = as_rows("public_keys", public_keys, PUBLIC_KEY_BYTES)
    shares, _ = as_rows("public_key_shares", public_key_shares, PUBLIC_KEY_BYTES, leading=2)
    signatures, _ = as_rows("owner_signatures", owner_signatures, SIGNATURE_BYTES)
    ciphertexts, _ = as_rows("encrypted_shares", encrypted_shares, CIPHERTEXT_BYTES, leading=2)
    n = same_length(public_keys=keys, public_key_shares=shares, owner_signatures=signatures)
    if ciphertexts.shape[:2] != shares.shape[:2]:
        raise InputError(
            f"encrypted_shares: expected uint8[{n}, {shares.shape[1]}, {CIPHERTEXT_BYTES}], "
            f"got uint8{list(ciphertexts.shape)}"
        )
    return [
        parse_key_shares(
            keys[i].tobytes(),
            operator_ids,
            signatures[i].tobytes() + shares[i].tobytes() + ciphertexts[i].tobytes(),
            owner_address=owner_address,
            owner_nonce=first_nonce + i,
        )
        for i in range(n)
    ]
