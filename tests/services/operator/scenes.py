"""A vault with its relayer, signing nodes, oracles and node, for operators to work with."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from dvtfast import HOODI, deposit_signing_roots, sign
from dvtfast.protocol_config import read_oracle_config
from dvtfast.services.chain.contracts.reads import DEPOSIT_EVENT, decode_deposits
from dvtfast.services.chain.deposits import scan
from dvtfast.services.chain.encoding import write_address
from dvtfast.services.chain.execution.node import NodeClient
from dvtfast.services.demo.world.deployed_contracts import ETH, World
from dvtfast.services.demo.world.ipfs import gateway
from dvtfast.services.demo.world.oracles import OracleSet
from dvtfast.services.operator.commands import executor, exit_codes, parts, results
from dvtfast.services.operator.commands.metrics import OperatorMetrics
from dvtfast.services.operator.commands.parts import open_registration
from dvtfast.services.operator.commands.register import registration_task
from dvtfast.services.operator.commands.run import Registrar
from dvtfast.services.operator.progress import no_report
from dvtfast.services.operator.registration import planner
from dvtfast.services.process.background import in_background
from dvtfast.services.relayer.manager.key import ManagerKey
from dvtfast.services.relayer.watches import chain_watch
from dvtfast.services.settings import RunSettings, parsing
from tests.services.chain.accounts import rich_account, write_keystore
from tests.services.conftest import Cluster, Relayer, Start, make_cluster
from tests.services.operator.sending.sending_accounts import background
from tests.services.patience import ANSWER_SECONDS, PATIENCE_SECONDS

GWEI = 32_000_000_000
NODES = (1, 2, 3)
IDLE_SECONDS = 30.0  # between two blocks in which nothing happens
MANAGER = Account.from_key("0x" + "11" * 32)

BLOCK_SECONDS = 5.0


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return make_cluster(6)


@pytest.fixture
def allowed() -> tuple[str, ...]:
    """What the relayer's manager signs beside registrations."""
    return ("fund", "withdraw", "consolidate")


@pytest.fixture
def limits() -> tuple[str, ...]:
    """What it signs in a day, where that is not the default."""
    return ()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are short."""
    monkeypatch.setattr(chain_watch, "DEPOSITS_SECONDS", 0.1)
    monkeypatch.setattr(scan, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(planner, "INDEX_AGE_SECONDS", 0.01)
    monkeypatch.setattr(parts, "LEAST_POLL_SECONDS", 0.05)
    monkeypatch.setattr(parts, "POLLS_PER_SLOT", 1000)
    monkeypatch.setattr(executor, "AGAIN_SECONDS", 0.1)


@dataclass
class Scene:
    """A vault, its relayer with signing nodes, and what an operator is told.

    Attributes:
        beacon: addresses of beacon nodes, for those who ask the beacon chain for something.
    """

    world: World
    cluster: Cluster
    account: LocalAccount
    oracle_set: OracleSet
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    beacon: list[str] = field(default_factory=list)

    def chosen(self, **others: Any) -> RunSettings:
        """Settings of the operator."""
        return RunSettings.load({**self.settings, **others}, {})

    async def deposited(self) -> list[bytes]:
        """The keys with a deposit, in the order of the chain."""
        async with NodeClient([self.world.chain.url], timeout_seconds=ANSWER_SECONDS) as node:
            last = await node.block("latest")
            logs = await node.logs(self.world.deposit_contract.address, [DEPOSIT_EVENT], first=0, last=last)
        return [key.tobytes() for key in decode_deposits(logs).public_keys]

    def ours(self, keys: Sequence[bytes]) -> list[bytes]:
        return [key for key in keys if key in set(map(bytes, self.cluster.keys))]


@pytest.fixture
async def scene(
    world: World,
    cluster: Cluster,
    oracle_set: OracleSet,
    tmp_path: Path,
    start: Start,
    allowed: tuple[str, ...],
    limits: tuple[str, ...],
    quick: None,
) -> AsyncIterator[Scene]:
    """With the vault's manager at the relayer (v4)."""
    account = await rich_account(world.chain, ether=10)
    keystore, password = write_keystore(tmp_path, account)
    await world.set_manager(bytes.fromhex(MANAGER.address[2:]))
    await world.stake(100 * ETH)
    network = replace(
        HOODI,
        deposit_contract=write_address(world.deposit_contract.address),
        deposit_contract_block=0,
        keeper=write_address(world.keeper.address),
        keeper_genesis_block=0,
    )
    relaying = start(
        cluster,
        start_index=None,
        oracle_config=read_oracle_config(oracle_set.config),
        manager_key=ManagerKey(MANAGER),
        network=network,
        execution_endpoints=(world.chain.url,),
        execution_timeout=PATIENCE_SECONDS,
        vaults=(world.vault.address,),
        allow=allowed,
        daily_limits=tuple(map(parsing.daily_limit, limits)),
    )
    async with relaying as relayer, gateway(world.files) as ipfs, nodes(relayer, cluster), mining(world):
        settings = {
            "network": "hoodi",
            "relayer": relayer.url,
            "validator_type": "0x01",
            "vault": write_address(world.vault.address),
            "execution_endpoints": [world.chain.url],
            "ipfs_gateways": [ipfs],
            "deposits_database": str(tmp_path / "deposits.db"),
            "wallet_keystore": str(keystore),
            "wallet_password": str(password),
            "journal": str(tmp_path / "operator.db"),
            "confirmations": "2",
            "poll_interval": "0.1",
            "timeout_seconds": str(2 * PATIENCE_SECONDS),
            "execution_timeout": str(PATIENCE_SECONDS),
            "oracle_timeout": str(PATIENCE_SECONDS),
            "keeper": write_address(world.keeper.address),
            "deposit_contract": write_address(world.deposit_contract.address),
            "deposit_data_registry": write_address(world.registry.address),
            "shared_mev_escrow": write_address(world.mev_escrow.address),
            "yes": "true",
        }
        yield Scene(world, cluster, account, oracle_set, tmp_path, settings=settings)


def nodes(relayer: Relayer, cluster: Cluster) -> Any:
    """Three nodes that sign whatever the relayer wants."""

    async def work() -> None:
        done: set[Any] = set()
        while True:
            _, wanted = await relayer.raw("GET", "/validators")
            for item in wanted["validators"]:
                known = (item["public_key"], item["validator_index"], item["amount"])
                if known not in done:
                    done.add(known)
                    await sign_item(relayer, cluster, item)
            for exit_ in (await relayer.exits()).values():
                known = (exit_.public_key, exit_.validator_index)
                if known not in done:
                    done.add(known)
                    row = cluster.keys.index(exit_.public_key)
                    for share_index in NODES:
                        shares = cluster.exit_shares(share_index, [exit_.validator_index] * (row + 1))
                        await relayer.post(share_index, shares[row:])
            await asyncio.sleep(0.05)

    return background(work())


async def sign_item(relayer: Relayer, cluster: Cluster, item: Any) -> list[Any]:
    """What three nodes do that see a validator in GET /validators; the answers that they get."""
    answers = []
    row = [key.to_wire() for key in cluster.keys].index(item["public_key"])
    vault = bytes.fromhex(item["vault"][2:])
    credentials = int(item["validator_type"], 16).to_bytes(1, "big") + bytes(11) + vault
    roots = deposit_signing_roots([cluster.keys[row]], [credentials], [item["amount"]], HOODI)
    for place, share_index in enumerate(NODES):
        exits = cluster.exit_shares(share_index, [item["validator_index"]] * (row + 1))
        share = {
            "public_key": item["public_key"],
            "exit_signature": exits[row].exit_signature.to_wire(),
            "deposit_signature": "0x" + sign(cluster.key_shares[row, place], roots[0]).tobytes().hex(),
        }
        body = json.dumps({"share_index": share_index, "shares": [share]})
        answers.append(await relayer.raw("POST", "/signatures", body))
    return answers


def mining(world: World) -> Any:
    """Blocks while there is something to mine, and seldom besides: for the programs that tests start, the
    chain's clock stays near the machine's.
    """

    async def work() -> None:
        left, mined_at = 0, 0.0
        while True:
            pool = await world.chain.rpc("txpool_status")
            left = 3 if int(pool["pending"], 16) else left
            if left or time.monotonic() - mined_at > IDLE_SECONDS:
                await world.chain.mine()
                left, mined_at = max(left - 1, 0), time.monotonic()
            await asyncio.sleep(0.05)

    return background(work())


@asynccontextmanager
async def registering(settings: RunSettings) -> AsyncIterator[Registrar]:
    """What `dvtfast operator run` works with."""
    async with open_registration(settings, no_report) as opened:
        yield Registrar(settings, OperatorMetrics(), *opened)


async def performed(registrar: Registrar) -> results.CommandResult:
    """The next batch, with what is asked for and told."""
    settings, task = registrar.settings, registration_task(registrar.parts, registrar.planner)
    return await executor.perform(
        task, dry_run=settings.dry_run, yes=settings.yes, seconds=settings.timeout_seconds
    )


async def registered(scene: Scene, **others: Any) -> results.CommandResult:
    """What `dvtfast operator register` does, without its process."""
    async with registering(scene.chosen(**others)) as registrar:
        return await performed(registrar)


async def command(*arguments: str, chain: Any = None) -> tuple[int | None, str]:
    """An operator command's exit code and what it prints.

    Args:
        chain: goes on meanwhile, however long the process takes to start: no block of it grows old.
    """

    async def go_on() -> None:
        while chain is not None:
            await chain.catch_up()
            await asyncio.sleep(BLOCK_SECONDS)

    async with in_background(go_on()):
        return await _command(*arguments)


async def _command(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dvtfast.services", "operator", *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


def done(ended: results.CommandResult) -> Any:
    """The action of a command that did what it was told, with nothing to complain of."""
    assert (ended.code, ended.problem) == (exit_codes.DONE, "")
    return ended.entry
