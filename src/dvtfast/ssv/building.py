"""New validators of an SSV cluster: their key shares encrypted to the operators, signed for their owner."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dvtfast._arrays import Bytes, Rows, as_rows
from dvtfast._parallel import for_slices
from dvtfast.constants import PUBLIC_KEY_BYTES, ROOT_BYTES, SECRET_KEY_BYTES
from dvtfast.errors import InputError
from dvtfast.keys import derive_public_keys
from dvtfast.signatures import sign
from dvtfast.ssv.operator_keys import OperatorPublicKey
from dvtfast.ssv.owners import owner_signing_root
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
    public_keys = derive_public_keys(secrets, threads=threads)
    public_key_shares = derive_public_keys(shares.reshape(n * k, -1), threads=threads)
    public_key_shares = public_key_shares.reshape(n, k, PUBLIC_KEY_BYTES)
    ciphertexts = _encrypted(shares, list(operator_keys.values()), with_0x=with_0x, threads=threads)
    nonces = range(first_nonce, first_nonce + n)
    roots = b"".join(owner_signing_root(owner_address, nonce) for nonce in nonces)
    signatures = sign(secrets, np.frombuffer(roots, np.uint8).reshape(-1, ROOT_BYTES), threads=threads)
    return [
        parse_key_shares(
            public_keys[i].tobytes(),
            tuple(operator_keys),
            signatures[i].tobytes() + public_key_shares[i].tobytes() + ciphertexts[i].tobytes(),
            owner_address=owner_address,
            owner_nonce=nonce,
        )
        for i, nonce in enumerate(nonces)
    ]


def _encrypted(shares: Bytes, keys: list[OperatorPublicKey], *, with_0x: bool, threads: int | None) -> Bytes:
    """uint8[n, k, 256]."""
    prefix = b"0x" if with_0x else b""
    ciphertexts = np.zeros((*shares.shape[:2], CIPHERTEXT_BYTES), dtype=np.uint8)

    def encrypt(rows: slice) -> None:
        for i in range(rows.start, rows.stop):
            for column, key in enumerate(keys):
                plaintext = prefix + shares[i, column].tobytes().hex().encode()
                ciphertexts[i, column] = np.frombuffer(key.encrypt(plaintext), dtype=np.uint8)

    for_slices(len(shares), encrypt, threads=threads)
    return ciphertexts
