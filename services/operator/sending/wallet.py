"""Who signs the operator's transactions: a key in a keystore, or a signer elsewhere.

Source: execution-apis, `eth_signTransaction`; go-ethereum's clef, whose answer has the bytes in `raw`.
"""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ...chain.encoding import read_address, read_data, shown, write_address
from ...chain.endpoints import Endpoint, EndpointError, SessionClient, exchange
from ...chain.execution.transactions import Transaction
from ...keys.account_key import load_account

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

ANSWER_LIMIT_BYTES = 4 * 1024**2
EIP_1559 = 2  # the type of transaction


class WalletError(Exception):
    """Nothing was signed, or something else than was asked for."""


class Wallet(Protocol):
    """An account that signs transactions.

    Attributes:
        address: 20 bytes.
    """

    @property
    def address(self) -> bytes:
        """The account."""

    async def sign(self, transaction: Transaction) -> bytes:
        """The signed transaction as it is sent.

        Raises:
            WalletError: it was not signed; nothing of it is anywhere.
        """


class KeystoreWallet:
    """A key in this process."""

    __slots__ = ("_account", "_chain_id")

    def __init__(self, account: LocalAccount, chain_id: int) -> None:
        self._account = account
        self._chain_id = chain_id

    @classmethod
    async def load(cls, keystore: Path, password: Path, chain_id: int) -> KeystoreWallet:
        """Decrypt a keystore, which takes a second or so.

        Raises:
            AccountKeyError: it cannot be decrypted.
            ImportError: eth-account is not installed, which the command line looks at first.
        """
        return cls(await asyncio.to_thread(load_account, keystore, password), chain_id)

    @property
    def address(self) -> bytes:
        """The account."""
        return read_address(self._account.address)

    async def sign(self, transaction: Transaction) -> bytes:
        """As `Wallet.sign`."""
        _require_chain(transaction, self._chain_id)
        return await asyncio.to_thread(self._sign, transaction)

    def __repr__(self) -> str:
        return f"KeystoreWallet({write_address(self.address)})"

    def _sign(self, transaction: Transaction) -> bytes:
        fields = transaction.to_json()
        fields["to"], fields["from"] = write_address(transaction.call.to), self._account.address
        try:
            raw = bytes(self._account.sign_transaction(fields).raw_transaction)
        except (TypeError, ValueError) as error:
            raise WalletError(f"cannot be signed: {type(error).__name__}") from None
        require_same(raw, transaction)
        return raw


class ExternalWallet(SessionClient):
    """A signer that has the key, over JSON-RPC; an async context manager. It is believed nothing.

    Args:
        url: it may hold secrets: only scheme, host and port are ever logged.
    """

    def __init__(self, url: str, address: bytes, chain_id: int, *, timeout_seconds: float) -> None:
        self._endpoint = Endpoint(url)
        self._address = address
        self._chain_id = chain_id
        super().__init__(timeout_seconds)
        self._ids = itertools.count(1)

    @property
    def address(self) -> bytes:
        """The account."""
        return self._address

    async def sign(self, transaction: Transaction) -> bytes:
        """As `Wallet.sign`."""
        _require_chain(transaction, self._chain_id)
        number = next(self._ids)
        body = {
            "jsonrpc": "2.0", "id": number, "method": "eth_signTransaction", "params": [transaction.to_json()]
        }  # fmt: skip
        try:
            answer = await exchange(
                self._session, self._endpoint, "POST", self._endpoint.url, body=msgspec.json.encode(body),
                limit_bytes=ANSWER_LIMIT_BYTES,
            )  # fmt: skip
        except EndpointError as error:
            raise WalletError(f"signer: {error}") from None
        try:
            raw = _raw_of(answer.content, number)
        except ValueError as error:
            raise WalletError(f"signer: {self._endpoint.error(f'HTTP {answer.status}: {error}')}") from None
        require_same(raw, transaction)
        return raw


def require_same(raw: bytes, wanted: Transaction) -> None:
    """Refuse bytes that are not this transaction, signed by its sender, whoever made them.

    Raises:
        WalletError: they are something else.
    """
    from eth_account import Account
    from eth_account.typed_transactions.typed_transaction import TypedTransaction
    from hexbytes import HexBytes

    try:
        found: dict[str, Any] = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        signer = read_address(Account.recover_transaction(raw))
    except Exception as error:  # of many kinds, for any bytes
        raise WalletError(
            f"expected a signed transaction, got something else: {type(error).__name__}"
        ) from None
    call = wanted.call
    same = (
        found.get("type") == EIP_1559
        and found.get("chainId") == wanted.chain_id
        and found.get("nonce") == wanted.nonce
        and found.get("gas") == wanted.gas
        and found.get("maxFeePerGas") == wanted.max_fee_wei
        and found.get("maxPriorityFeePerGas") == wanted.priority_fee_wei
        and found.get("value") == call.value_wei
        and bytes(found.get("to", b"")) == call.to
        and bytes(HexBytes(found.get("data", b""))) == call.data
        and not found.get("accessList")
    )
    if not same:
        raise WalletError("another transaction was signed than the one asked for; it is not sent")
    if signer != call.sender:
        expected, got = write_address(call.sender), write_address(signer)
        raise WalletError(f"expected a signature of {expected}, got one of {got}; it is not sent")


def _require_chain(transaction: Transaction, chain_id: int) -> None:
    if transaction.chain_id != chain_id:
        raise WalletError(f"this wallet signs for chain {chain_id}, not for {transaction.chain_id}")


class _Error(msgspec.Struct):
    message: str = ""


class _Answer(msgspec.Struct):
    id: int | str | None = None
    result: Any = None
    error: _Error | None = None


def _raw_of(content: bytes, number: int) -> bytes:
    try:
        answer = msgspec.json.decode(content, type=_Answer)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise ValueError("expected JSON") from None
    if answer.error is not None:
        raise ValueError(shown(answer.error.message))
    if answer.id != number:
        raise ValueError("expected the answer to this request, got another")
    result = answer.result.get("raw") if isinstance(answer.result, dict) else answer.result
    if not isinstance(result, str):
        raise ValueError("expected a signed transaction")
    return read_data(result)
