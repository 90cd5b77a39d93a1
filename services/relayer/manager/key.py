"""The key of a validators manager: an Ethereum account in an encrypted keystore."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from ... import wire
from ...chain.contracts.manager_messages import ManagerMessage
from ...keys.account_key import load_account

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

TYPED_DATA = b"\x01"  # the version byte of EIP-712 among signed data


class ManagerKey:
    """Signs messages of validators managers, and nothing else."""

    __slots__ = ("_account",)

    def __init__(self, account: LocalAccount) -> None:
        self._account = account

    @classmethod
    def load(cls, keystore: Path, password: Path) -> Self:
        """Decrypt a keystore with the password in a file; slow on purpose, as the keystore says.

        Raises:
            AccountKeyError: naming the file that is wrong, what was wanted, and what to do.
            ImportError: eth-account is not installed, which the command line looks at first.
        """
        return cls(load_account(keystore, password))

    @property
    def address(self) -> wire.Address:
        """The account; a vault must have it as its validators manager."""
        return wire.Address.from_wire(self._account.address)

    def sign(self, message: ManagerMessage) -> bytes:
        """The signature, 65 bytes: r, s, then v of 27 or 28. The same message always gives the same."""
        from eth_account.messages import SignableMessage

        typed = message.typed
        signable = SignableMessage(TYPED_DATA, typed.domain_separator, typed.struct_hash)
        return bytes(self._account.sign_message(signable).signature)

    def __repr__(self) -> str:
        return f"ManagerKey({self.address.to_wire()})"
