"""The key of a validators manager: an Ethereum account in an encrypted keystore.

Source: Web3 Secret Storage Definition, version 3 (scrypt or PBKDF2).
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ... import logs, wire
from ...chain.manager_messages import ManagerMessage
from .extra import needs_manager_extra

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

FILE_LIMIT_BYTES = 64 * 1024
KEYSTORE_VERSION = 3
BLS_KEYSTORE_VERSION = 4  # ERC-2335
OTHERS_READ = stat.S_IRGRP | stat.S_IROTH
TYPED_DATA = b"\x01"  # the version byte of EIP-712 among signed data
WRONG_PASSWORD = "MAC mismatch"  # noqa: S105 - what eth-keyfile says
WANTED = "expected an Ethereum keystore of version 3 (scrypt or pbkdf2), as geth or eth-account write it"

log = logs.get("manager")


class ManagerKeyError(Exception):
    """A key that cannot be loaded.

    Attributes:
        path: the file to mend.
    """

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class ManagerKey:
    """Signs messages of validators managers, and nothing else."""

    __slots__ = ("_account",)

    def __init__(self, account: LocalAccount) -> None:
        self._account = account

    @classmethod
    def load(cls, keystore: Path, password: Path) -> Self:
        """Decrypt a keystore with the password in a file; slow on purpose, as the keystore says.

        Raises:
            ManagerKeyError: naming the file that is wrong, what was wanted, and what to do.
            MissingExtraError: eth-account is not installed.
        """
        document = _read_keystore(keystore)
        words = _read_password(password)
        with needs_manager_extra():
            from eth_account import Account
        try:
            account = Account.from_key(Account.decrypt(document, words))
        except Exception as error:  # of many kinds; what they say may quote the content
            if str(error) == WRONG_PASSWORD:
                reason = f"the password in {password} does not open it; check that they belong together"
            else:
                reason = f"damaged, or of another kind ({type(error).__name__}): {WANTED}"
            raise ManagerKeyError(keystore, reason) from None
        key = cls(account)
        key._require_address(keystore, document.get("address"))
        for path in (keystore, password):
            _warn_of_readers(path)
        return key

    @property
    def address(self) -> wire.Address:
        """The account; a vault must have it as its validators manager."""
        return wire.Address.from_wire(self._account.address)

    def sign(self, message: ManagerMessage) -> bytes:
        """The signature, 65 bytes: r, s, then v of 27 or 28. The same message always gives the same."""
        with needs_manager_extra():
            from eth_account.messages import SignableMessage
        typed = message.typed
        signable = SignableMessage(TYPED_DATA, typed.domain_separator, typed.struct_hash)
        return bytes(self._account.sign_message(signable).signature)

    def __repr__(self) -> str:
        return f"ManagerKey({self.address.to_wire()})"

    def _require_address(self, keystore: Path, stated: object) -> None:
        """Refuse a keystore that says it is another account's; some say nothing."""
        if not stated:
            return
        try:
            address = wire.Address.from_wire(stated)
        except ValueError as error:
            raise ManagerKeyError(keystore, f"address: {error}") from None
        if address != self.address:
            found = self.address.to_wire()
            raise ManagerKeyError(keystore, f"expected the key of {address.to_wire()}, got that of {found}")


def _read_keystore(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(_read(path, "the manager's keystore"))
    except (ValueError, RecursionError):
        raise ManagerKeyError(path, f"not JSON: {WANTED}") from None
    version = document.get("version") if isinstance(document, dict) else None
    if version == BLS_KEYSTORE_VERSION:
        raise ManagerKeyError(path, f"a validator's BLS keystore: {WANTED}")
    if not isinstance(document, dict) or version != KEYSTORE_VERSION:
        raise ManagerKeyError(path, WANTED)
    return document


def _read_password(path: Path) -> str:
    """The file's only line; white space is part of a password, the end of the line is not."""
    try:
        words = _read(path, "the password of the manager's keystore").decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ManagerKeyError(path, "expected a password in UTF-8") from None
    if not words:
        raise ManagerKeyError(path, "expected a password, got an empty file; write it there")
    return words


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT_BYTES + 1)
    except OSError as error:
        raise ManagerKeyError(path, f"cannot read {what}: {error.strerror}") from None
    if len(content) > FILE_LIMIT_BYTES:
        raise ManagerKeyError(path, f"expected {what}, at most {FILE_LIMIT_BYTES} bytes")
    return content


def _warn_of_readers(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & OTHERS_READ:
        log.warning("file can be read by others", file=str(path), mode=f"{mode:03o}", do=f"chmod 600 {path}")
