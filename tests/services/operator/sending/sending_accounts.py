"""An account with a journal on a real node, whose sender may end at any time: for tests of sending."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount

from dvtfast import HOODI
from dvtfast.services.chain.calls import encode_call
from dvtfast.services.chain.contracts.reads import validators_manager_nonce
from dvtfast.services.chain.execution.node import NodeClient
from dvtfast.services.operator import chain as operator_chain
from dvtfast.services.operator.sending.action import Action, ActionKind, JournalEntry, Outcome
from dvtfast.services.operator.sending.journal import Journal
from dvtfast.services.operator.sending.policy import SendingPolicy
from dvtfast.services.operator.sending.sender import Sender
from dvtfast.services.operator.sending.wallet import KeystoreWallet
from tests.services.chain.anvil import CHAIN_ID, Chain, Contract
from tests.services.patience import ANSWER_SECONDS, PATIENCE_SECONDS

GWEI = 10**9
NOBODY: Any = None  # is asked
POLICY = SendingPolicy(
    max_fee_wei=100 * GWEI,
    max_priority_fee_wei=5 * GWEI,
    confirmations=2,
    poll_seconds=0.02,
    replace_seconds=600,
    resend_seconds=0.2,
)


class Desk:
    """One account with a journal, whose process may end at any time."""

    def __init__(self, chain: Chain, vault: Contract, account: LocalAccount, folder: Path) -> None:
        self.chain = chain
        self.vault = vault
        self.account = account
        self.path = folder / "operator.db"
        self.stale: str | None = ""  # as the chain says, if None
        self.told: list[str] = []

    def action(self, call: str = "use_nonce()", *keys: bytes) -> Action:
        return Action(
            ActionKind.REGISTER, self.vault.address, self.vault.address, encode_call(call), public_keys=keys
        )

    def why_stale(self, node: NodeClient) -> Callable[[Action], Awaitable[str]]:
        judged = operator_chain.Chain(node, None, HOODI)

        async def why(action: Action) -> str:
            return await judged.why_stale(action) if self.stale is None else self.stale

        return why

    def tell(self, what: str, done: int = 0, of: int = 0) -> None:
        self.told.append(f"{what} {done}/{of}")

    @asynccontextmanager
    async def process(
        self, *urls: str, wallet: Any = None, **policy: Any
    ) -> AsyncIterator[tuple[Sender, Journal]]:
        """What a process of the operator has, on the journal as it is."""
        async with (
            NodeClient(urls or [self.chain.url], timeout_seconds=ANSWER_SECONDS, chain_id=CHAIN_ID) as node,
            Journal(self.path) as journal,
        ):
            yield (
                Sender(
                    node,
                    wallet or KeystoreWallet(self.account, CHAIN_ID),
                    journal,
                    dataclasses.replace(POLICY, **policy),
                    chain_id=CHAIN_ID,
                    why_stale=self.why_stale(node),
                    report=self.tell,
                ),
                journal,
            )

    async def count(self) -> int:
        """How often it was done."""
        async with NodeClient([self.chain.url], timeout_seconds=ANSWER_SECONDS) as node:
            return await validators_manager_nonce(node, self.vault.address, block="latest")

    async def waiting(self) -> list[dict[str, Any]]:
        """The account's transactions in the node's pool."""
        pending = (await self.chain.rpc("txpool_content"))["pending"]
        ours = [of for address, of in pending.items() if address.lower() == self.account.address.lower()]
        return [transaction for of in ours for transaction in of.values()]

    async def until_waiting(self, fits: Callable[[dict[str, Any]], bool] = lambda _: True) -> None:
        await until(lambda: self._has(fits))

    async def _has(self, fits: Callable[[dict[str, Any]], bool]) -> bool:
        return any(fits(each) for each in await self.waiting())

    async def until_told(self, words: str) -> None:
        async def has() -> bool:
            return any(words in line for line in self.told)

        await until(has)


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await is_so():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.02)


@asynccontextmanager
async def background(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def mining(chain: Chain) -> AsyncIterator[None]:
    """A block every now and then."""

    async def mine() -> None:
        while True:
            await chain.mine()
            await asyncio.sleep(0.05)

    async with background(mine()):
        yield


async def performed(sender: Sender, action: Action) -> JournalEntry:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await sender.follow(await sender.begin(action))


async def resumed(sender: Sender) -> JournalEntry | None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await sender.resume()


def outcome(entry: JournalEntry | None) -> Outcome:
    assert entry is not None
    assert entry.conclusion is not None
    return entry.conclusion.outcome


async def set_base_fee(chain: Chain, gwei: int) -> None:
    await chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(gwei * GWEI))
    await chain.mine()


def as_it_is(_: str, __: list[Any], result: Any) -> Any:
    return result


async def saying(truth: bool) -> bool:
    return truth


async def never(*_: object, **__: object) -> Any:
    await asyncio.sleep(0)
