"""The key of an Ethereum account, in an encrypted keystore with its password in a file.

Source: Web3 Secret Storage Definition, version 3 (scrypt or PBKDF2).
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import logs, wire

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
    from eth_account import Account

    document = _read_keystore(keystore)
    words = _read_password(password)
    try:
        account: LocalAccount = Account.from_key(Account.decrypt(document, words))
    except Exception as error:  # of many kinds; what they say may quote the content
        if str(error) == WRONG_PASSWORD:
            reason = f"the password in {password} does not open it; check that they belong together"
        else:
            reason = f"damaged, or of another kind ({type(error).__name__}): {WANTED}"
        raise AccountKeyError(keystore, reason) from None
    _require_address(keystore, document.get("address"), wire.Address.from_wire(account.address))
    for path in (keystore, password):
        _warn_of_readers(path)
    return account


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
        document = json.loads(_read(path, "the keystore"))
    except (ValueError, RecursionError):
        raise AccountKeyError(path, f"not JSON: {WANTED}") from None
    version = document.get("version") if isinstance(document, dict) else None
    if version == BLS_KEYSTORE_VERSION:
        raise AccountKeyError(path, f"a validator's BLS keystore: {WANTED}")
    if not isinstance(document, dict) or version != KEYSTORE_VERSION:
        raise AccountKeyError(path, WANTED)
    return document


def _read_password(path: Path) -> str:
    """The file's only line; white space is part of a password, the end of the line is not."""
    try:
        words = _read(path, "the password of the keystore").decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise AccountKeyError(path, "expected a password in UTF-8") from None
    if not words:
        raise AccountKeyError(path, "expected a password, got an empty file; write it there")
    return words


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT_BYTES + 1)
    except OSError as error:
        raise AccountKeyError(path, f"cannot read {what}: {error.strerror}") from None
    if len(content) > FILE_LIMIT_BYTES:
        raise AccountKeyError(path, f"expected {what}, at most {FILE_LIMIT_BYTES} bytes")
    return content


def _warn_of_readers(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & OTHERS_READ:
        log.warning("file can be read by others", file=str(path), mode=f"{mode:03o}", do=f"chmod 600 {path}")
