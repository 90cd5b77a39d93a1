"""One keystore: a secret under a password, AES-128-CTR with a checksum.

Source: ERC-2335, version 4.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast._extras import needs_files_extra
from dvtfast._files import Field, parse_json, read_json, write_json
from dvtfast.constants import PUBLIC_KEY_BYTES
from dvtfast.errors import KeystoreError
from dvtfast.keystores.kdf import KEY_BYTES, PBKDF2_DEFAULT, Derivations, Kdf, parse_kdf
from dvtfast.keystores.passwords import password_forms

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import CipherContext

VERSION: Final = 4
MAX_FILE_BYTES = 64 * 1024  # most have less than one KiB
AES_KEY_BYTES: Final = 16
AES_BLOCK_BYTES: Final = 16
IV_BYTES: Final = 16
SALT_BYTES: Final = 32
# Nobody may change it, as charon does it.
FILE_MODE = 0o444


class OutOfMemoryError(KeystoreError):
    """A keystore that this machine has no memory for now."""


@dataclass(frozen=True)
class Encrypted:
    """The `crypto` object of a keystore: a secret of any length under a password."""

    kdf: Kdf
    salt: bytes = field(repr=False)
    checksum: bytes = field(repr=False)
    iv: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)

    def is_key(self, key: bytes) -> bool:
        """Whether a derived key is the right one."""
        return hmac.compare_digest(_checksum(key, self.ciphertext), self.checksum)

    def decrypt(self, key: bytes) -> bytes:
        """The secret, with the right key."""
        return _aes_ctr(key, self.iv, self.ciphertext)

    def decrypt_into(self, key: bytes, secret: Bytes) -> None:
        """The same into uint8[n], and nowhere else."""
        scratch = bytearray(len(self.ciphertext) + AES_BLOCK_BYTES)
        try:
            _encryptor(key, self.iv).update_into(self.ciphertext, scratch)
            secret[:] = np.frombuffer(scratch, dtype=np.uint8)[: len(secret)]
        finally:
            scratch[:] = bytes(len(scratch))


@dataclass(frozen=True)
class Keystore:
    """One keystore.

    Attributes:
        crypto: the encrypted secret.
        public_key: 48 bytes, None where the file leaves it out.
        path: derivation path, may be empty.
        source: the file, if it came from one.
    """

    crypto: Encrypted = field(repr=False)
    public_key: bytes | None = None
    path: str = ""
    uuid: str = ""
    description: str = ""
    source: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """The document."""
        crypto = self.crypto
        return {
            "crypto": {
                "kdf": {
                    "function": crypto.kdf.function,
                    "params": {**crypto.kdf.params(), "salt": crypto.salt.hex()},
                    "message": "",
                },
                "checksum": {"function": "sha256", "params": {}, "message": crypto.checksum.hex()},
                "cipher": {
                    "function": "aes-128-ctr",
                    "params": {"iv": crypto.iv.hex()},
                    "message": crypto.ciphertext.hex(),
                },
            },
            "description": self.description,
            "pubkey": self.public_key.hex() if self.public_key else "",
            "path": self.path,
            "uuid": self.uuid,
            "version": VERSION,
        }


def read_keystore(path: Path | str) -> Keystore:
    """Read a keystore; nothing is decrypted yet.

    Raises:
        KeystoreError: the file is no EIP-2335 keystore.
    """
    return _parse(read_json(path, limit_bytes=MAX_FILE_BYTES, error=KeystoreError), Path(path))


def parse_keystore_file(content: bytes, path: Path) -> Keystore:
    """The same from a file that has been read."""
    return _parse(parse_json(content, path, error=KeystoreError), path)


def parse_keystore(document: Any) -> Keystore:
    """The same from parsed JSON."""
    return _parse(Field(document, error=KeystoreError), None)


def write_keystore(path: Path | str, keystore: Keystore, *, durable: bool = True) -> None:
    """Write a keystore, read-only; `durable` waits until it is on the disk."""
    write_json(path, keystore.to_json(), mode=FILE_MODE, durable=durable)


def encrypt(
    secret: bytes,
    password: str,
    *,
    kdf: Kdf = PBKDF2_DEFAULT,
    public_key: bytes | None = None,
    path: str = "",
    description: str = "",
    salt: bytes | None = None,
    derivations: Derivations | None = None,
) -> Keystore:
    """A keystore with a fresh IV and UUID, and a fresh salt unless it is to be as costly to open as another.

    Args:
        salt: of other keystores with the same password, which are opened with one derivation.
        derivations: keys already derived, as of `decrypt`.

    Raises:
        MissingExtraError: the extra `files` is not installed.
    """
    salt, iv = salt or os.urandom(SALT_BYTES), os.urandom(IV_BYTES)
    key = (derivations or Derivations()).key(kdf, password_forms(password)[0], salt)
    ciphertext = _aes_ctr(key, iv, secret)
    return Keystore(
        crypto=Encrypted(kdf, salt, _checksum(key, ciphertext), iv, ciphertext),
        public_key=public_key,
        path=path,
        uuid=str(uuid.uuid4()),
        description=description,
    )


def decrypt(keystore: Keystore, password: str | bytes, *, derivations: Derivations | None = None) -> bytes:
    """The secret of a keystore; forms of the password that other tools use are tried too.

    Args:
        password: a text, or the content of a file that holds it; see `password_forms`.
        derivations: keys already derived, shared by the keystores of one load.

    Raises:
        KeystoreError: the password is wrong.
        MissingExtraError: the extra `files` is not installed.
    """
    return keystore.crypto.decrypt(unlock(keystore, password_forms(password), derivations or Derivations()))


def unlock(keystore: Keystore, forms: Sequence[bytes], derivations: Derivations) -> bytes:
    """The derived key that decrypts a keystore, with one of the forms of its password; see `decrypt`."""
    crypto = keystore.crypto
    for form in forms:
        try:
            key = derivations.key(crypto.kdf, form, crypto.salt)
        except MemoryError:
            raise OutOfMemoryError(
                f"its {crypto.kdf.function} takes {crypto.kdf.memory_bytes >> 20} MiB, which are not there",
                keystore.source,
            ) from None
        except ValueError:  # OpenSSL has limits of its own for scrypt
            raise KeystoreError("crypto.kdf.params: refused by OpenSSL", keystore.source) from None
        if crypto.is_key(key):
            return key
    is_empty = not any(form.strip() for form in forms)
    raise KeystoreError("wrong password: it is empty" if is_empty else "wrong password", keystore.source)


def _parse(document: Field, source: Path | None) -> Keystore:
    if document["version"].integer() != VERSION:
        raise document["version"].wrong(f"expected {VERSION}")
    public_key = document.get("pubkey")
    return Keystore(
        crypto=_parse_encrypted(document["crypto"]),
        public_key=public_key.data(PUBLIC_KEY_BYTES, empty=True) or None if public_key else None,
        path=_optional_text(document, "path"),
        uuid=_optional_text(document, "uuid"),
        description=_optional_text(document, "description"),
        source=source,
    )


def _parse_encrypted(crypto: Field) -> Encrypted:
    checksum, cipher = crypto["checksum"], crypto["cipher"]
    checksum["function"].expect("sha256")
    cipher["function"].expect("aes-128-ctr")
    return Encrypted(
        kdf=parse_kdf(crypto["kdf"]),
        salt=crypto["kdf"]["params"]["salt"].data(),
        checksum=checksum["message"].data(KEY_BYTES),
        iv=cipher["params"]["iv"].data(IV_BYTES),
        ciphertext=cipher["message"].data(),
    )


def _optional_text(document: Field, name: str) -> str:
    field = document.get(name)
    return field.text() if field else ""


def _checksum(key: bytes, ciphertext: bytes) -> bytes:
    return hashlib.sha256(key[AES_KEY_BYTES:] + ciphertext).digest()


def _aes_ctr(key: bytes, iv: bytes, data: bytes) -> bytes:
    """AES-128-CTR, which is its own inverse."""
    encryptor = _encryptor(key, iv)
    return encryptor.update(data) + encryptor.finalize()


def _encryptor(key: bytes, iv: bytes) -> CipherContext:
    with needs_files_extra():
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    return Cipher(algorithms.AES(key[:AES_KEY_BYTES]), modes.CTR(iv)).encryptor()
