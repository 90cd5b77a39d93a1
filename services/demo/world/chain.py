"""What is sent to the chain of a running anvil, from an account that anvil has the key of."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from eth_abi.abi import decode, encode

from ...chain.calls import encode_call
from ...chain.encoding import read_address, read_data, write_address, write_data, write_quantity

REQUEST_SECONDS = 20.0
RECEIPT_SECONDS = 60.0
LOOK_SECONDS = 0.05
GAS = 25_000_000  # of one transaction; a block has 30 million
SELECTOR_BYTES = 4


class ChainError(Exception):
    """Anvil refuses a request, or a transaction comes to nothing."""


class RevertedError(ChainError):
    """A contract refuses a call.

    Attributes:
        data: what it says, ABI-encoded.
    """

    def __init__(self, message: str, data: bytes) -> None:
        super().__init__(message)
        self.data = data


@dataclass(frozen=True)
class Contract:
    """A deployed contract."""

    chain: AnvilChain
    address: bytes

    async def send(self, signature: str, *arguments: Any, value: int = 0, sender: bytes | None = None) -> int:
        """Call a function, such as `transfer(address,uint256)`, in a transaction; returns its block's number.

        Args:
            value: wei to send with it.
            sender: an account that anvil has the key of, or impersonates; the first one when not given.

        Raises:
            RevertedError: the contract refuses; nothing was sent.
        """
        data = encode_call(signature, *arguments)
        receipt = await self.chain.transact(data, to=self.address, value=value, sender=sender)
        return int(receipt["blockNumber"], 16)

    async def call(
        self, signature: str, returns: Sequence[str], *arguments: Any, sender: bytes | None = None
    ) -> Any:
        """What a function returns: one value, or a tuple of several; raises `RevertedError`."""
        answer = await self.chain.call(encode_call(signature, *arguments), to=self.address, sender=sender)
        values = decode(list(returns), answer)
        return values[0] if len(values) == 1 else values


class AnvilChain:
    """The chain of a running anvil.

    Args:
        mines: whether each transaction gets a block of its own; otherwise anvil mines when it likes to.
    """

    def __init__(self, url: str, session: aiohttp.ClientSession, *, mines: bool = True) -> None:
        self.url = url
        self._session = session
        self._mines = mines
        self._ids = itertools.count(1)

    async def rpc(self, method: str, *params: Any) -> Any:
        """The result of a JSON-RPC request.

        Raises:
            RevertedError, ChainError: it is an error.
        """
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        async with asyncio.timeout(REQUEST_SECONDS), self._session.post(self.url, json=body) as answer:
            content = await answer.json()
        if "error" not in content:
            return content["result"]
        message, data = f"{method}: {content['error']['message']}", content["error"].get("data")
        if isinstance(data, str):
            raise RevertedError(message, read_data(data))
        raise ChainError(message)

    async def accounts(self) -> list[bytes]:
        """Those that anvil has the keys of, all of them rich."""
        return [read_address(account) for account in await self.rpc("eth_accounts")]

    async def transact(
        self, data: bytes, *, to: bytes | None = None, value: int = 0, sender: bytes | None = None
    ) -> Any:
        """Send a transaction and wait for its receipt, which is returned.

        Raises:
            RevertedError: it would be refused; nothing was sent.
        """
        transaction = await self._transaction(data, to, value, sender)
        if to is not None:
            await self.rpc("eth_call", transaction, "latest")
        transaction_hash = await self.rpc("eth_sendTransaction", transaction)
        if self._mines:
            await self.mine()
        receipt = await self._receipt(transaction_hash)
        if receipt["status"] != "0x1":
            raise ChainError(f"transaction failed: {receipt}")
        return receipt

    async def call(self, data: bytes, *, to: bytes, sender: bytes | None = None) -> bytes:
        """What a contract returns at the head; raises `RevertedError`."""
        return read_data(await self.rpc("eth_call", await self._transaction(data, to, 0, sender), "latest"))

    async def deploy(self, bytecode: bytes, types: Sequence[str] = (), *arguments: Any) -> Contract:
        """A new contract, with the arguments of its constructor."""
        receipt = await self.transact(bytecode + encode(list(types), arguments))
        return Contract(self, read_address(receipt["contractAddress"]))

    async def mine(self, blocks: int = 1) -> None:
        """Mine blocks now; each is a second later than the one before at least."""
        await self.rpc("anvil_mine", write_quantity(blocks))

    async def reorg(self, depth: int, kept: Sequence[Any] = ()) -> None:
        """Replace the last blocks by as many empty ones, or by blocks with `kept` transactions."""
        await self.rpc("anvil_reorg", depth, list(kept))

    async def height(self) -> int:
        """The number of the latest block."""
        return int(await self.rpc("eth_blockNumber"), 16)

    async def timestamp(self) -> int:
        """The time of the latest block, in Unix seconds."""
        return int((await self.rpc("eth_getBlockByNumber", "latest", False))["timestamp"], 16)

    async def balance(self, address: bytes) -> int:
        """What an address has, in wei."""
        return int(await self.rpc("eth_getBalance", write_address(address), "latest"), 16)

    async def set_balance(self, address: bytes, wei: int) -> None:
        """Make somebody rich, such as the wallet of an operator."""
        await self.rpc("anvil_setBalance", write_address(address), hex(wei))

    async def _transaction(
        self, data: bytes, to: bytes | None, value: int, sender: bytes | None
    ) -> dict[str, str]:
        if sender is None:
            sender = (await self.accounts())[0]
        transaction = {
            "from": write_address(sender),
            "data": write_data(data),
            "gas": write_quantity(GAS),
            "value": write_quantity(value),
        }
        return transaction if to is None else {**transaction, "to": write_address(to)}

    async def _receipt(self, transaction_hash: str) -> Any:
        async with asyncio.timeout(RECEIPT_SECONDS):
            while True:
                if (receipt := await self.rpc("eth_getTransactionReceipt", transaction_hash)) is not None:
                    return receipt
                await asyncio.sleep(LOOK_SECONDS)
