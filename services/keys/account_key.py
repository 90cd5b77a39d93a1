"""The key of an Ethereum account, in an encrypted keystore with its password in a file.

Wallets do not agree on what a password is: geth takes the bytes, others normalise them (NFKC: MetaMask and
ethers), or strip white space (StakeWise).

Source: Web3 Secret Storage Definition, version 3 (scrypt or PBKDF2).
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvtfast import FileError
from dvtfast.files import decode_text, read_bytes
from dvtfast.keystores import password_forms

from .. import wire
from ..process import logs

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

FILE_LIMIT_BYTES = 64 * 1024
KEYSTORE_VERSION = 3
BLS_KEYSTORE_VERSION = 4  # ERC-2335
OTHERS_READ = stat.S_IRGRP | stat.S_IROTH
WRONG_PASSWORD = "MAC mismatch"  # noqa: S105 - what eth-keyfile says
WANTED = "expected an Ethereum keystore of version 3 (scrypt or pbkdf2), as geth or eth-account write it"

log = logs.get("keystore")


class AccountKeyError(Exception):
    """A key that cannot be loaded.

    Attributes:
        path: the file to mend.
    """

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


def load_account(keystore: Path, password: Path) -> LocalAccount:
    """Decrypt a keystore with the password in a file; slow on purpose, as the keystore says.

    Raises:
        AccountKeyError: naming the file that is wrong, what was wanted, and what to do.
        ImportError: eth-account is not installed.
    """
    document = _read_keystore(keystore)
    account = _decrypt(keystore, document, password)
    _require_address(keystore, document.get("address"), wire.Address.from_wire(account.address))
    for path in (keystore, password):
        _warn_of_readers(path)
    return account


def _decrypt(keystore: Path, document: dict[str, Any], password: Path) -> LocalAccount:
    """The account, with the first form of the password that opens it."""
    from eth_account import Account
    from eth_keyfile import keyfile

    for words in _read_password(password):
        try:
            account: LocalAccount = Account.from_key(keyfile.decode_keyfile_json(document, words))
            return account
        except Exception as error:  # of many kinds; what they say may quote the content
            if str(error) != WRONG_PASSWORD:
                reason = f"damaged, or of another kind ({type(error).__name__}): {WANTED}"
                raise AccountKeyError(keystore, reason) from None
    raise AccountKeyError(
        keystore, f"the password in {password} does not open it; check that they belong together"
    )


def _require_address(keystore: Path, stated: object, found: wire.Address) -> None:
    """Refuse a keystore that says it is another account's; some say nothing."""
    if not stated:
        return
    try:
        address = wire.Address.from_wire(stated)
    except ValueError as error:
        raise AccountKeyError(keystore, f"address: {error}") from None
    if address != found:
        raise AccountKeyError(
            keystore, f"expected the key of {address.to_wire()}, got that of {found.to_wire()}"
        )


def _read_keystore(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(decode_text(_read(path, "the keystore"), path))
    except FileError as error:
        raise AccountKeyError(path, f"{error.reason}: {WANTED}") from None
    except (ValueError, RecursionError):
        raise AccountKeyError(path, f"not JSON: {WANTED}") from None
    version = document.get("version") if isinstance(document, dict) else None
    if version == BLS_KEYSTORE_VERSION:
        raise AccountKeyError(path, f"a validator's BLS keystore: {WANTED}")
    if not isinstance(document, dict) or version != KEYSTORE_VERSION:
        raise AccountKeyError(path, WANTED)
    return document


def _read_password(path: Path) -> list[bytes]:
    """What the file's only line may mean: as geth takes it, without the end of the line, or as others do."""
    content = _read(path, "the password of the keystore")
    try:
        words = decode_text(content, path).rstrip("\r\n")
        forms = [words.encode(), *password_forms(content, path)]
    except FileError as error:
        raise AccountKeyError(path, f"expected a password: {error.reason}") from None
    if not words:
        raise AccountKeyError(path, "expected a password, got an empty file; write it there")
    return list(dict.fromkeys(forms))


def _read(path: Path, what: str) -> bytes:
    try:
        return read_bytes(path, limit_bytes=FILE_LIMIT_BYTES)
    except FileError as error:
        raise AccountKeyError(path, f"cannot read {what}: {error.reason}") from None


def _warn_of_readers(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & OTHERS_READ:
        log.warning("file can be read by others", file=str(path), mode=f"{mode:03o}", do=f"chmod 600 {path}")
