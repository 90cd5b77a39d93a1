"""The demo up to the chain: a vault's validators are approved by oracles and deposited for, in both ways.

First by the vault's deposit data, as vaults of v3 do, then by the relayer's choice with a validators
manager's signature, as those of v4 do. It is one vault, one cluster and one relayer all the time.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Self

import aiohttp
from eth_account import Account

from dvtfast.deposit_data_tree import DepositDataTree
from dvtfast.deposits import read_deposit_data

from ..chain.encoding import read_address, read_quantity, write_address
from ..chain.execution.node import NodeClient
from ..files.paths import is_there
from ..operator.sending.action import ActionKind, JournalEntry, Outcome
from ..operator.sending.journal import Journal, JournalError
from ..settings import DemoSettings
from .app import (
    NEVER_DEPOSIT,
    POLL_SECONDS,
    RELAYER_TIMEOUT_SECONDS,
    address_of,
    start_relayer,
    start_sidecars,
)
from .chain_proof import prove_on_chain, read_chain
from .chain_summary import ChainSummary, WaySummary
from .cluster import DemoCluster, Oracles
from .loop_thread import LoopThread
from .processes import Service, Services
from .proof import Proof
from .sources import make_from, step_of
from .steps import DemoError, Steps
from .world import anvil, oracles
from .world.chain import AnvilChain, ChainError
from .world.compiler import CompileError
from .world.deployed_contracts import ETH, World
from .world.ipfs import gateway

BLOCK_SECONDS = 1
FINAL_BLOCKS = 70  # anvil's `finalized` block is 64 behind; what was announced before is final then
BEHIND_SECONDS = 150  # each block is a second after the one before, also where many are mined at once
CONFIRMATIONS = 2
FOREIGN_DEPOSITS, BAD_DEPOSITS = 3, 1  # so that the places of deposits are not the indices of validators
ETHER_EACH = 32
REWARDED = 1  # validators in each way for which the vault has its rewards only
WALLET_ETHER = 100
LOOK_SECONDS = 0.25
ITERATIONS = 2  # of a key derivation for passwords that are worth nothing
PASSWORD_BYTES = 16
PROBLEMS = (anvil.NoAnvilError, ChainError, CompileError, oracles.OracleDiedError)


def run(settings: DemoSettings, directory: Path, steps: Steps) -> ChainSummary:
    """Everything in order.

    Raises:
        DemoError, ProcessDiedError, ProofError, TimeoutError: it did not work.
    """
    try:
        with ChainDemo(settings, directory, steps) as demo:
            return demo.run()
    except PROBLEMS as error:
        raise DemoError(str(error)) from error


@dataclass(frozen=True)
class AccountFiles:
    """An Ethereum account as services are told of it."""

    address: bytes
    keystore: Path
    password: Path


class ChainDemo(AbstractContextManager["ChainDemo"]):
    """One demo in one directory; leaving the block stops all that it started.

    Attributes:
        world, node: the contracts, and who is asked about them; from `start` on, as all of these.
    """

    world: World
    cluster: DemoCluster
    services: Services
    node: NodeClient
    oracle_processes: list[oracles.RunningOracle]

    def __init__(self, settings: DemoSettings, directory: Path, steps: Steps) -> None:
        self._settings = settings
        self._directory = directory
        self._steps = steps
        self._stack = ExitStack()
        self._journal = directory / "operator-journal.db"
        self._uploads = directory / "ipfs"
        self._rewards = 0  # of the vault so far, in ETH

    def __enter__(self) -> Self:
        self.loop = self._stack.enter_context(LoopThread())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def run(self) -> ChainSummary:
        """Everything in order."""
        settings, steps = self._settings, self._steps
        self.start()
        ways = [self._by_deposit_data(), self._by_manager()]
        with steps.timed("prove the result"):
            deposits, proof = self.prove()
        return ChainSummary(
            validators=len(self.cluster.public_keys),
            nodes=settings.nodes,
            threshold=settings.threshold,
            oracles=settings.oracles,
            oracle_threshold=settings.oracle_threshold,
            deposits=deposits,
            harvested_ether=self._rewards,
            shares_proven=proof.shares,
            oracle_sets=proof.subsets,
            ways=ways,
            seconds={name: round(seconds, 3) for name, seconds in steps.seconds.items()},
        )

    def start(self) -> None:
        """Everything but the operator."""
        settings, steps = self._settings, self._steps
        with steps.timed("start an Ethereum node, deploy the contracts"):
            oracle_set = oracles.make_oracles(
                self._directory, settings.oracles, threshold=settings.oracle_threshold
            )
            self._start_chain(oracle_set)
        both = replace(settings, validators=2 * settings.validators)
        with steps.timed(step_of(both)):
            given = Oracles(oracle_set.config, oracle_set.secrets)
            self.cluster = make_from(both, self._directory, vault=self.world.vault.address, oracles=given)
        steps.say(NEVER_DEPOSIT)
        with steps.timed(f"start {settings.oracles} oracles, the relayer and {settings.nodes} sidecars"):
            self._uploads.mkdir()
            running = oracles.running(self.world, oracle_set, uploads=self._uploads)
            self.oracle_processes = self._stack.enter_context(running)
            self.services = self._stack.enter_context(
                Services(self._directory, timeout_seconds=settings.timeout_seconds)
            )
            self._start_services()

    def use_deposit_data(self) -> list[str]:
        """The vault's admin sets the root of the file, of which the registry takes one after the other.

        Returns:
            What the operator is told.
        """
        root = DepositDataTree(read_deposit_data(self.cluster.deposit_data)).root
        self.loop.run(self.world.use_registry(root))
        return ["--deposit-data", str(self.cluster.deposit_data)]

    def use_manager(self) -> list[str]:
        """The vault's manager is the relayer's, which picks what is not registered."""
        self.loop.run(self.world.set_manager(self._manager.address))
        return []

    def prove(self) -> tuple[int, Proof]:
        """That all is on chain as it must be, with the number of deposits there; raises `ProofError`."""
        found = self.loop.run(read_chain(self.world, self.node))
        proof = prove_on_chain(
            found,
            self._uploads,
            self.cluster,
            self.world.vault.address,
            network=self._settings.network,
            threshold=self._settings.oracle_threshold,
        )
        return len(found.deposits.public_keys), proof

    def _start_chain(self, oracle_set: oracles.OracleSet) -> None:
        """A chain with contracts, a protocol config that is final, and other people's deposits."""
        genesis = int(time.time()) - BEHIND_SECONDS
        url = self._stack.enter_context(anvil.running(self._directory, genesis=genesis))
        self.world = self.loop.enter(_world(url))
        self.node = self.loop.enter(NodeClient([url], timeout_seconds=20, chain_id=anvil.CHAIN_ID))
        self._gateway = self.loop.enter(gateway(self.world.files))
        self.loop.run(self._prepare(oracle_set))

    async def _prepare(self, oracle_set: oracles.OracleSet) -> None:
        world = self.world
        await world.set_oracles(oracle_set.addresses, min_oracles=self._settings.oracle_threshold)
        await world.announce(oracle_set.config.read_bytes())
        await world.foreign_deposits(FOREIGN_DEPOSITS)
        await world.foreign_deposits(BAD_DEPOSITS, is_signed=False)
        self._wallet = make_account(self._directory, "wallet")
        self._manager = make_account(self._directory, "manager")
        await world.chain.set_balance(self._wallet.address, WALLET_ETHER * ETH)
        await world.chain.mine(FINAL_BLOCKS)
        await world.chain.rpc("evm_setTime", int(time.time()))
        await world.chain.rpc("evm_setIntervalMining", BLOCK_SECONDS)

    def _start_services(self) -> None:
        network, vault = self._settings.network.name, write_address(self.world.vault.address)
        relayer = start_relayer(
            self.services, self.cluster, network, port=0,
            more=[
                "--execution-endpoint", self.world.chain.url, "--ipfs-gateway", self._gateway,
                "--deposit-contract", write_address(self.world.deposit_contract.address),
                "--keeper", write_address(self.world.keeper.address), "--vault", vault,
                "--manager-keystore", str(self._manager.keystore),
                "--manager-password-file", str(self._manager.password),
            ],
        )  # fmt: skip
        self._url = address_of(self.services, relayer)
        limit = str(len(self.cluster.public_keys))
        start_sidecars(
            self.services, self.cluster, network, self._url,
            ["--allow-vault", vault, "--deposits-per-day", limit],
        )  # fmt: skip

    def _by_deposit_data(self) -> WaySummary:
        return self._register("by deposit data (v3)", "operator-v3", self.use_deposit_data())

    def _by_manager(self) -> WaySummary:
        return self._register("by the manager (v4)", "operator-v4", self.use_manager())

    def _register(self, name: str, service: str, options: Sequence[str]) -> WaySummary:
        """Give the vault what it needs, and let the operator run until all of it is registered.

        Stakers give less than the validators need. The rest are rewards, which come when that is registered:
        a vault has none before its first validators. It must harvest them before it may register more.
        """
        world, count, before = self.world, self._settings.validators, self.registered()
        self.loop.run(world.stake((count - REWARDED) * ETHER_EACH * ETH))
        with self._steps.timed(f"register {count} validators {name}", spin=False):
            begin = perf_counter()
            operator = self.start_operator(service, options)
            with self._steps.progress("validators registered", total=count) as progress:
                self._wait_for(_validators(before), count - REWARDED, progress)
                self._rewards += REWARDED * ETHER_EACH
                self.loop.run(world.vote_rewards(0, unlocked_mev=self._rewards * ETH, times=2))
                self._wait_for(_validators(before), count, progress)
            seconds = perf_counter() - begin
            self.stop_operator(operator)
        entries = self.registered()[len(before) :]
        ends = [entry.conclusion for entry in entries if entry.conclusion is not None]
        return WaySummary(
            name=name,
            validators=_validators(entries),
            batches=len(entries),
            seconds=round(seconds, 3),
            gas=sum(end.gas_used for end in ends),
            fee_ether=sum(end.fee_wei for end in ends) / ETH,
        )

    def _wait_for(self, before: int, wanted: int, progress: Callable[[int], None]) -> None:
        """Wait until so many validators are registered beside those before."""
        while (done := _validators(self.registered()) - before) < wanted:
            progress(done)
            deadline = perf_counter() + LOOK_SECONDS
            while perf_counter() < deadline:
                self.services.pause()
        progress(done)

    def start_operator(self, name: str, options: Sequence[str]) -> Service:
        """`dvtfast operator run`."""
        world = self.world
        return self.services.start(
            name, "operator", "run",
            *oracles.options(world), "--shared-mev-escrow", write_address(world.mev_escrow.address),
            "--vault", write_address(world.vault.address), "--validator-type", "0x01",
            "--relayer", self._url, "--relayer-timeout", RELAYER_TIMEOUT_SECONDS,
            "--poll-interval", POLL_SECONDS, "--ipfs-gateway", self._gateway,
            "--wallet-keystore", str(self._wallet.keystore),
            "--wallet-password-file", str(self._wallet.password),
            "--journal", str(self._journal), "--deposits-database", str(self._directory / "deposits.db"),
            "--confirmations", str(CONFIRMATIONS), "--interval", "1", *options,
        )  # fmt: skip

    def registered(self) -> list[JournalEntry]:
        """The registrations of it that are done, the oldest first."""
        ends = [(e, e.conclusion) for e in self.actions() if e.action.kind is ActionKind.REGISTER]
        return [entry for entry, end in ends if end is not None and end.outcome is Outcome.DONE]

    def actions(self) -> list[JournalEntry]:
        """All of the operator's journal, the oldest first."""
        return self.loop.run(_actions(self._journal)) if is_there(self._journal) else []

    async def transactions_sent(self) -> int:
        """How many transactions of the operator's account are in the chain."""
        address = write_address(self._wallet.address)
        return read_quantity(await self.world.chain.rpc("eth_getTransactionCount", address, "latest"))

    def stop_operator(self, operator: Service) -> None:
        """Ask it to stop, with nothing open; before it says that it watches it may not listen to signals."""
        while not operator.lines() and operator.exit_code() is None:
            self.services.pause(may_end=[operator])
        operator.terminate()
        self.services.wait_for_end(operator)


@asynccontextmanager
async def _world(url: str) -> AsyncIterator[World]:
    async with aiohttp.ClientSession() as session:
        yield await World.deploy(AnvilChain(url, session))


async def _actions(path: Path) -> list[JournalEntry]:
    try:
        async with Journal(path, read_only=True) as journal:
            return (await journal.entries())[::-1]
    except JournalError:  # the operator makes it just now; of anything else it dies
        return []


def _validators(entries: Sequence[JournalEntry]) -> int:
    return sum(len(entry.action.public_keys) for entry in entries)


def make_account(folder: Path, name: str) -> AccountFiles:
    """A new account in a keystore that is cheap to open."""
    account, password = Account.create(), secrets.token_hex(PASSWORD_BYTES)
    keystore, words = folder / f"{name}.json", folder / f"{name}.txt"
    for path in (keystore, words):
        path.touch(mode=0o600)
    encrypted = Account.encrypt(account.key, password, kdf="pbkdf2", iterations=ITERATIONS)
    keystore.write_text(json.dumps(encrypted))
    words.write_text(password)
    return AccountFiles(read_address(account.address), keystore, words)
