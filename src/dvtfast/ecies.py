"""ECIES on secp256k1, exactly as eciespy's defaults: what StakeWise oracles decrypt.

A blob is: ephemeral public key 65 | nonce 16 | tag 16 | ciphertext. The AES-256-GCM key is HKDF-SHA256
without salt and info over ephemeral public key 65 | shared point 65, both uncompressed.

Source: ecies/py 0.4.x, default configuration.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dvtfast._arrays import Bools, Bytes, Rows, as_row, as_rows
from dvtfast._extras import needs_files_extra
from dvtfast.constants import ECIES_OVERHEAD_BYTES, ORACLE_PUBLIC_KEY_BYTES, SECRET_KEY_BYTES
from dvtfast.errors import EncodingError, InputError

if TYPE_CHECKING:
    from coincurve import PrivateKey, PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

POINT_BYTES = 65
NONCE_BYTES = 16
TAG_BYTES = 16
AES_KEY_BYTES = 32
# SEC 1: the first byte of a point of 65 bytes.
UNCOMPRESSED = b"\x04"

NONCE = slice(POINT_BYTES, POINT_BYTES + NONCE_BYTES)
TAG = slice(NONCE.stop, NONCE.stop + TAG_BYTES)
CIPHERTEXT = slice(TAG.stop, None)


def check_receivers(receivers: Rows) -> Bools:
    """Which of uint8[k, 64] are points x | y of secp256k1.

    Raises:
        MissingExtraError: the extra `files` is not installed.
    """
    rows, lone = as_rows("receivers", receivers, ORACLE_PUBLIC_KEY_BYTES)
    ok = np.array([_is_point(row.tobytes()) for row in rows], dtype=np.bool_)
    return ok[0] if lone else ok


def encrypt_batch(messages: Rows, receiver: bytes, *, key_per_message: bool = False) -> Bytes:
    """Encrypt messages uint8[n, w] to one receiver, as blobs uint8[n, w + 97].

    The batch shares one fresh ephemeral key, hence one AES key: key encapsulation once, then n encryptions
    under that key, each with its own random 16-byte nonce. This is sound up to the 2^32 messages per
    key that SP 800-38D section 8.3 allows for random nonces; two of them then share a counter block with
    a chance below 2^-50 for messages up to 4 kB. A reader can tell that blobs came from one batch.

    Args:
        messages: uint8[n, w].
        receiver: secp256k1 public key of 64 (x | y), 65 or 33 bytes.
        key_per_message: a fresh ephemeral key for each message instead; forty times slower.

    Raises:
        EncodingError: the receiver is not on secp256k1.
        MissingExtraError: the extra `files` is not installed.
    """
    with needs_files_extra():
        from coincurve import PrivateKey
    rows, lone = as_rows("messages", messages, _width(messages))
    blobs = np.zeros((len(rows), rows.shape[1] + ECIES_OVERHEAD_BYTES), dtype=np.uint8)
    size = 1 if key_per_message else max(len(rows), 1)
    for begin in range(0, max(len(rows), 1), size):
        batch = rows[begin : begin + size]
        nonces = os.urandom(NONCE_BYTES * len(batch))
        blobs[begin : begin + size] = _seal(batch, receiver, PrivateKey(), nonces)
    return blobs[0] if lone else blobs


def decrypt_batch(blobs: Rows, secret_key: bytes) -> Bytes:
    """Decrypt blobs uint8[n, w + 97] with the receiver's 32-byte secp256k1 secret, as uint8[n, w].

    Like eciespy it is not constant-time in `secret_key`: oracles and tests decrypt, the relayer does not.

    Raises:
        EncodingError: a blob does not decrypt.
        MissingExtraError: the extra `files` is not installed.
    """
    with needs_files_extra():
        from coincurve import PrivateKey
        from cryptography.exceptions import InvalidTag
    rows, lone = as_rows("blobs", blobs, _width(blobs))
    width = rows.shape[1] - ECIES_OVERHEAD_BYTES
    if width < 0:
        raise InputError(f"blobs: expected at least {ECIES_OVERHEAD_BYTES} bytes each, got {rows.shape[1]}")
    scalar = as_row("secret_key", secret_key, SECRET_KEY_BYTES).tobytes()
    try:
        PrivateKey(scalar)
    except ValueError:
        raise EncodingError("secret_key: not a secp256k1 secret") from None

    @cache  # a batch of ours shares its ephemeral key
    def cipher_for(ephemeral: bytes) -> AESGCM:
        return _cipher(ephemeral, _point(ephemeral).multiply(scalar))

    messages = np.zeros((len(rows), width), dtype=np.uint8)
    bad = []
    for i, row in enumerate(rows):
        blob = row.tobytes()
        try:
            plain = cipher_for(blob[:POINT_BYTES]).decrypt(blob[NONCE], blob[CIPHERTEXT] + blob[TAG], None)
        except (EncodingError, InvalidTag):
            bad.append(i)
        else:
            messages[i] = np.frombuffer(plain, dtype=np.uint8)
    if bad:
        raise EncodingError("blobs: do not decrypt with this secret_key", bad)
    return messages[0] if lone else messages


def _seal(messages: Bytes, receiver: bytes, secret: PrivateKey, nonces: bytes) -> Bytes:
    """Encrypt with a given ephemeral secret and 16 bytes of nonce per message."""
    ephemeral = secret.public_key.format(compressed=False)
    cipher = _cipher(ephemeral, _point(receiver).multiply(secret.secret))
    blobs = np.zeros((len(messages), messages.shape[1] + ECIES_OVERHEAD_BYTES), dtype=np.uint8)
    for i, message in enumerate(messages):
        nonce = nonces[i * NONCE_BYTES : (i + 1) * NONCE_BYTES]
        sealed = cipher.encrypt(nonce, message.tobytes(), None)
        text, tag = sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]
        blobs[i] = np.frombuffer(ephemeral + nonce + tag + text, dtype=np.uint8)
    return blobs


def _cipher(ephemeral: bytes, shared: PublicKey) -> AESGCM:
    """The cipher both sides derive; `ephemeral` is the sender's point of 65 bytes."""
    with needs_files_extra():
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    kdf = HKDF(algorithm=SHA256(), length=AES_KEY_BYTES, salt=None, info=None)
    return AESGCM(kdf.derive(ephemeral + shared.format(compressed=False)))


def _point(encoded: bytes) -> PublicKey:
    with needs_files_extra():
        from coincurve import PublicKey
    encoded = bytes(encoded)
    if len(encoded) == ORACLE_PUBLIC_KEY_BYTES:
        encoded = UNCOMPRESSED + encoded
    try:
        return PublicKey(encoded)
    except ValueError:
        raise EncodingError(f"receiver: {len(encoded)} bytes that are no point of secp256k1") from None


def _is_point(encoded: bytes) -> bool:
    try:
        _point(encoded)
    except EncodingError:
        return False
    return True


def _width(rows: Rows) -> int:
    """The width of a batch of rows that may have any."""
    if isinstance(rows, bytes | bytearray | memoryview):
        return len(rows)
    if isinstance(rows, np.ndarray):
        return rows.shape[-1] if rows.ndim else 0
    return len(rows[0]) if len(rows) else 0
