"""An operator's RSA key, in all forms that SSV's node reads.

The private key is PEM, base64 of PEM, or a keystore: the `crypto` object of EIP-2335 without the rest,
whose secret is PEM. The public key is base64 of PEM with the label RSA PUBLIC KEY, whose body is a
SubjectPublicKeyInfo all the same.

Source: ssv ssvsigner/keystore, ssvsigner/keys, ssvsigner/keys/rsaencryption.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dvtfast._extras import needs_files_extra
from dvtfast._files import Field, parse_json, write_json, write_text
from dvtfast.errors import InputError, KeystoreError
from dvtfast.files import decode_text, read_bytes
from dvtfast.keystores import PBKDF2_DEFAULT, Kdf, encrypt, parse_keystore, password_forms
from dvtfast.keystores.kdf import Derivations
from dvtfast.keystores.keystore import unlock
from dvtfast.ssv.shares import CIPHERTEXT_BYTES

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

MAX_FILE_BYTES = 64 * 1024
MAX_PASSWORD_FILE_BYTES = 4096
KEY_BITS: Final = 8 * CIPHERTEXT_BYTES
PUBLIC_EXPONENT: Final = 65537
PUBLIC_LABEL: Final = "RSA PUBLIC KEY"
PEM_COLUMNS: Final = 64
PEM: Final = re.compile(r"\s*-----BEGIN ([A-Z ]+)-----([A-Za-z0-9+/=\s]*)-----END \1-----\s*")
# Of the public key in a keystore: newer nodes write the first, older ones the second, some none.
PUBLIC_KEY_NAMES: Final = ("pubkey", "pubKey")
# Nobody may change it, and nobody else may read it.
FILE_MODE = 0o400


class OperatorPublicKey:
    """What key shares are encrypted to.

    Attributes:
        text: as contract and keyshares files have it.
    """

    __slots__ = ("_key", "text")

    def __init__(self, key: RSAPublicKey) -> None:
        with needs_files_extra():
            from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
        self._key = key
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.text = base64.b64encode(_pem(PUBLIC_LABEL, der).encode()).decode()

    @classmethod
    def from_text(cls, text: str) -> OperatorPublicKey:
        """Read the form that contract and keyshares files have.

        Raises:
            InputError: it is none.
            MissingExtraError: the extra `files` is not installed.
        """
        with needs_files_extra():
            from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
            from cryptography.hazmat.primitives.serialization import load_der_public_key
        key = None
        with suppress(Exception):  # cryptography has many of them, the answer is one
            key = load_der_public_key(_pem_body(_from_base64(text)))
        if not isinstance(key, RSAPublicKey) or key.key_size != KEY_BITS:
            raise InputError(f"operator_key: expected base64 of an RSA key of {KEY_BITS} bits in PEM")
        return cls(key)

    def encrypt(self, data: bytes) -> bytes:
        """256 bytes that only the operator can open (PKCS#1 v1.5)."""
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

        return self._key.encrypt(data, PKCS1v15())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OperatorPublicKey) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"OperatorPublicKey({self.text})"


class OperatorKey:
    """An operator's private key; its representation shows nothing of it.

    Attributes:
        public_key: what belongs to it.
    """

    __slots__ = ("_key", "_padding", "public_key")

    def __init__(self, key: RSAPrivateKey) -> None:
        with needs_files_extra():
            from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        self._key = key
        self._padding = PKCS1v15()
        self.public_key = OperatorPublicKey(key.public_key())

    def decrypt(self, ciphertext: bytes) -> bytes:
        """What was encrypted to the operator (PKCS#1 v1.5); releases the GIL.

        Where the padding is wrong the answer is nothing, or random bytes, as OpenSSL chooses: whoever asks
        must know what to expect, and must not tell others which of the ways it failed (Bleichenbacher 1998).
        """
        try:
            return self._key.decrypt(ciphertext, self._padding)
        except ValueError:
            return b""

    def pem(self) -> str:
        """The secret, as PKCS#1 in PEM."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        encoding = Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        return self._key.private_bytes(*encoding).decode()

    def __repr__(self) -> str:
        return f"OperatorKey(public_key={self.public_key.text})"


def generate_operator_key() -> OperatorKey:
    """A new RSA key of 2048 bits."""
    with needs_files_extra():
        from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    return OperatorKey(generate_private_key(PUBLIC_EXPONENT, KEY_BITS))


def read_operator_key(path: Path | str, password_file: Path | str | None = None) -> OperatorKey:
    """Read an operator's private key, whichever form it has.

    Args:
        path: PEM, base64 of PEM, or the node's encrypted_private_key.json.
        password_file: text with the password of the latter; see `keystores.password_forms`.

    Raises:
        KeystoreError: it is none, or the password is wrong.
        MissingExtraError: the extra `files` is not installed.
    """
    path = Path(path)
    content = read_bytes(path, limit_bytes=MAX_FILE_BYTES, error=KeystoreError)
    text = decode_text(content, path, error=KeystoreError).strip()
    if not text.startswith("{"):
        return _parse_key(text, path)
    document = parse_json(content, path, error=KeystoreError)
    if password_file is None:
        raise KeystoreError("it is encrypted: give the file of its password, too", path)
    password_file = Path(password_file)
    password = read_bytes(password_file, limit_bytes=MAX_PASSWORD_FILE_BYTES, error=KeystoreError)
    key = _parse_key(_decrypt_pem(document, password_forms(password, password_file), path), path)
    if (stated := _stated_public_key(document)) is not None and stated != key.public_key:
        raise KeystoreError("pubkey: not the public key of the secret in it", path)
    return key


def write_operator_key(
    path: Path | str,
    key: OperatorKey,
    password: str | None = None,
    *,
    kdf: Kdf = PBKDF2_DEFAULT,
    older_name: bool = False,
) -> None:
    """Write an operator's key as the node does: with a password encrypted, without as base64 of PEM.

    Args:
        older_name: name the public key `pubKey`, too, as nodes once did: some readers know that name only.
    """
    if password is None:
        write_text(path, base64.b64encode(key.pem().encode()).decode(), mode=FILE_MODE)
        return
    crypto = encrypt(key.pem().encode(), password, kdf=kdf).to_json()["crypto"]
    names = PUBLIC_KEY_NAMES if older_name else PUBLIC_KEY_NAMES[:1]
    write_json(path, {**crypto, **dict.fromkeys(names, key.public_key.text)}, mode=FILE_MODE)


def _parse_key(text: str, path: Path) -> OperatorKey:
    with needs_files_extra():
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_der_private_key
    try:
        pem = text if text.startswith("-") else _from_base64(text)
        key = load_der_private_key(_pem_body(pem), None)
    except Exception:  # cryptography has many of them, and they may quote what they read
        raise KeystoreError(
            "expected an RSA private key: PEM without a password, base64 of it, or SSV's encrypted JSON", path
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise KeystoreError("expected an RSA key, got one of another kind", path)
    if key.key_size != KEY_BITS:
        raise KeystoreError(f"expected an RSA key of {KEY_BITS} bits, got {key.key_size}", path)
    return OperatorKey(key)


def _decrypt_pem(document: Field, forms: Sequence[bytes], path: Path) -> str:
    crypto = {name: document[name].value for name in ("kdf", "checksum", "cipher")}
    try:
        keystore = replace(parse_keystore({"version": 4, "crypto": crypto}), source=path)
    except KeystoreError as error:
        raise KeystoreError(error.reason.removeprefix("crypto."), path) from None
    try:
        return keystore.crypto.decrypt(unlock(keystore, forms, Derivations())).decode("ascii").strip()
    except UnicodeDecodeError:
        raise KeystoreError("does not contain an RSA key in PEM", path) from None


def _stated_public_key(document: Field) -> OperatorPublicKey | None:
    for name in PUBLIC_KEY_NAMES:
        field = document.get(name)
        if field is not None and field.text():
            try:
                return OperatorPublicKey.from_text(field.text())
            except InputError as error:
                raise field.wrong(str(error).removeprefix("operator_key: ")) from None
    return None


def _pem(label: str, der: bytes) -> str:
    body = base64.b64encode(der).decode()
    lines = [body[start : start + PEM_COLUMNS] for start in range(0, len(body), PEM_COLUMNS)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def _pem_body(text: str) -> bytes:
    """The DER in a PEM text; ValueError when it is none. Labels do not say what is inside."""
    found = PEM.fullmatch(text)
    if found is None:
        raise ValueError
    return base64.b64decode("".join(found[2].split()), validate=True)


def _from_base64(text: str) -> str:
    return base64.b64decode("".join(text.split()), validate=True).decode("ascii")
