"""The scan of the deposit contract on a real chain that grows, reorganises, and has bad nodes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dvtfast import HOODI, Network
from dvtfast.services.chain.deposits import completeness
from dvtfast.services.chain.deposits.contract_tree import DepositsSoFar
from dvtfast.services.chain.deposits.ledger import Ledger, LedgerSource
from dvtfast.services.chain.deposits.scan import DepositScan
from dvtfast.services.chain.encoding import write_address
from dvtfast.services.chain.execution import node as node_module
from dvtfast.services.chain.execution.node import NodeClient
from dvtfast.services.chain.execution.scanner import Checkpoint
from dvtfast.services.chain.index_source import IndexUnknownError
from dvtfast.services.cli import main
from dvtfast.services.process.offload import UnavailableError
from tests.services.chain.anvil import CHAIN_ID, Chain, Contract
from tests.services.chain.deposits.deposit_events import Deposit, Model, bad, signed
from tests.services.chain.deposits.test_ledger import make_version_1
from tests.services.chain.index.index_sources import source
from tests.services.chain.servers import (
    Rewriting,
    leaving_out,
    node_between,
    nodes_between,
    without_finality,
)
from tests.services.patience import ANSWER_SECONDS

CONFIRMATIONS = 5
SPAN_BLOCKS = 7
FIRST = [signed(1), bad(2, 3), signed(3), signed(1), bad(4, 0), signed(2), bad(3, 1), signed(5)]


@dataclass
class World:
    """A deposit contract on a chain, and what was deposited."""

    chain: Chain
    contract: Contract
    urls: list[str]
    database: Path
    deposits: list[Deposit] = field(default_factory=list)

    async def deposit(self, *deposits: Deposit) -> None:
        """One deposit a block."""
        for each in deposits:
            values = each.public_key, each.withdrawal_credentials, each.amount_gwei, each.signature
            await self.contract.send("deposit(bytes,bytes,uint256,bytes)", *values)
        self.deposits += deposits

    async def undo(self, blocks: int) -> None:
        """Take the last deposits back, one a block."""
        await self.chain.reorg(blocks)
        del self.deposits[-blocks:]

    @property
    def model(self) -> Model:
        return Model().apply(*self.deposits)

    @property
    def network(self) -> Network:
        """Whose validators all have deposits."""
        address = write_address(self.contract.address)
        return replace(HOODI, deposit_contract=address, has_validators_without_deposit=False)

    @asynccontextmanager
    async def scan(self, *urls: str) -> AsyncIterator[DepositScan]:
        """One that begins where the last one ended, with small batches."""
        network = self.network
        ledger = Ledger(self.database, LedgerSource.of(network))
        async with NodeClient(urls or self.urls, timeout_seconds=ANSWER_SECONDS, chain_id=CHAIN_ID) as node:
            yield DepositScan(
                node,
                ledger,
                network=network,
                threads=1,
                confirmations=CONFIRMATIONS,
                span_blocks=SPAN_BLOCKS,
            )
        ledger.close()

    async def require_equal(self, scan: DepositScan) -> None:
        """The scan knows what a plain list of all deposits comes to."""
        await scan.look()
        model, found = self.model, await scan.status()
        assert await scan.next_index() == len(model.validators) == found.validators
        assert found.bad_signatures == model.bad_signatures
        assert found.deposits == len(self.deposits)
        asked = {deposit.public_key for deposit in self.deposits} | {signed(99).public_key}
        assert await scan.used(asked) == set(model.validators)


@pytest.fixture
async def world(chain: Chain, tmp_path: Path) -> AsyncIterator[World]:
    contract = await chain.deploy("deposit")
    async with nodes_between(chain.url, without_finality, without_finality) as urls:
        yield World(chain, contract, urls, tmp_path / "deposits.db")


async def test_the_count_is_that_of_a_plain_list_while_the_chain_grows(world: World) -> None:
    async with world.scan() as scan:
        await world.require_equal(scan)
        for deposit in FIRST:
            await world.deposit(deposit)
            await world.require_equal(scan)
        found = await scan.status()
        assert 0 < found.pending < found.validators
        await world.chain.mine(CONFIRMATIONS)
        await world.require_equal(scan)
        assert (await scan.status()).pending == 0


async def test_a_scan_that_is_broken_off_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.deposit(*FIRST, *(signed(20 + n) for n in range(10)), bad(40, 3))
    await world.chain.mine(CONFIRMATIONS)
    learned: list[int] = []
    learn = Ledger.learn

    def some(ledger: Ledger, first: int, *others: Any) -> None:
        if len(learned) == 2:
            raise UnavailableError("the disk is full")
        learned.append(first)
        learn(ledger, first, *others)

    monkeypatch.setattr(Ledger, "learn", some)
    async with world.scan() as scan:
        with pytest.raises(UnavailableError, match="disk is full"):
            await scan.look()
        assert not scan.is_complete
    monkeypatch.undo()
    async with world.scan() as scan:
        await world.require_equal(scan)
    async with world.scan() as scan:
        await world.require_equal(scan)


@pytest.mark.parametrize("depth", [3, 9])
async def test_across_a_reorganisation(world: World, depth: int) -> None:
    """Of pending blocks, and of blocks that were final for us."""
    await world.chain.mine(2)
    async with world.scan() as scan:
        await world.deposit(*FIRST)
        await world.require_equal(scan)
        await world.deposit(*(signed(30 + n) for n in range(6)), bad(50, 3))
        await world.require_equal(scan)
        await world.undo(depth)
        await world.require_equal(scan)
        await world.deposit(signed(50), signed(31), bad(30, 0), signed(60))
        await world.require_equal(scan)
        await world.chain.mine(2 * CONFIRMATIONS)
        await world.require_equal(scan)


async def test_one_node_undoes_nothing_that_was_final(world: World) -> None:
    """Once it gives other hashes for old blocks."""
    await world.deposit(*FIRST)
    await world.chain.mine(30)
    node_is = Rewriting()
    async with node_between(world.chain.url, node_is) as (url, _), world.scan(url) as scan:
        await world.require_equal(scan)
        before = scan._ledger.checkpoints(), scan._ledger.totals()
        node_is.lies = True
        with pytest.raises(UnavailableError, match="not undone on one node's word"):
            await scan.look()
        with pytest.raises(UnavailableError, match="not undone on one node's word"):
            await scan.next_index()
        assert (scan._ledger.checkpoints(), scan._ledger.totals()) == before
        node_is.lies = False
        await world.require_equal(scan)


async def test_an_invalid_deposit_that_a_reorganisation_makes_the_first(world: World) -> None:
    """The same key, once made by its first deposit and then by its second."""
    await world.deposit(signed(1), signed(2))
    async with world.scan() as scan:
        await world.require_equal(scan)
        await world.undo(1)
        await world.deposit(bad(2, 0), signed(7), signed(2))
        await world.require_equal(scan)
        await world.chain.mine(CONFIRMATIONS)
        await world.require_equal(scan)
        known = scan._ledger.known([signed(2).public_key, signed(7).public_key])
        assert [known[signed(n).public_key].validator_index for n in (7, 2)] == [1, 2]


@pytest.mark.parametrize("left_out", [0, 3, 7])
async def test_a_node_that_leaves_out_a_deposit(world: World, left_out: int) -> None:
    """The first one, one in the middle, or the last one, which only the contract's own count betrays."""
    await world.deposit(*FIRST)

    async with node_between(world.chain.url, leaving_out(left_out)) as (url, _), world.scan(url) as scan:
        with pytest.raises(UnavailableError, match=r"deposits: .*(expected deposit|expected 8 deposits)"):
            await scan.look()
        with pytest.raises(UnavailableError):
            await scan.next_index()
    async with world.scan() as scan:
        await world.require_equal(scan)


@pytest.mark.parametrize("left_out", range(8))
async def test_a_final_deposit_that_a_node_leaves_out(world: World, left_out: int) -> None:
    """Nothing that lacks it is kept: with a better node the same file goes on."""
    await world.deposit(*FIRST)
    await world.chain.mine(2 * SPAN_BLOCKS)
    async with node_between(world.chain.url, leaving_out(left_out)) as (url, _), world.scan(url) as scan:
        with pytest.raises(UnavailableError, match=r"deposits: .*(expected deposit|expected 8 deposits)"):
            await scan.look()
        assert scan._ledger.totals().deposits <= left_out
    async with world.scan() as scan:
        await world.require_equal(scan)


@pytest.mark.parametrize("place", [4, 7])
async def test_a_node_that_tells_another_deposit(world: World, place: int) -> None:
    """Its number is right, and another key is in it: the contract's root is over what is in them."""
    await world.deposit(*FIRST[:4])
    await world.chain.mine(2 * SPAN_BLOCKS)
    async with world.scan() as scan:
        await world.require_equal(scan)
    await world.deposit(*FIRST[4:])
    lies = True

    def change(method: str, params: list[Any], value: Any) -> Any:
        if method == "eth_getLogs" and lies:
            true, other = FIRST[place].public_key.hex(), signed(80).public_key.hex()
            return json.loads(json.dumps(value).replace(true, other))
        return without_finality(method, params, value)

    async with node_between(world.chain.url, change) as (url, _), world.scan(url) as scan:
        with pytest.raises(UnavailableError, match="are not those that the contract has by its root"):
            await scan.look()
        await world.chain.mine(2 * SPAN_BLOCKS)
        with pytest.raises(UnavailableError, match="are not those that the contract has by its root"):
            await scan.look()
        lies = False
        await world.require_equal(scan)


async def test_a_first_look_that_is_too_much_for_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept as it is read; the root at its end says whether it was right."""
    monkeypatch.setattr(completeness, "HELD_LOGS", 2)
    await world.deposit(*FIRST, *(signed(20 + n) for n in range(10)))
    await world.chain.mine(2 * SPAN_BLOCKS)

    def change(method: str, params: list[Any], value: Any) -> Any:
        if method == "eth_getLogs":
            true, other = FIRST[0].public_key.hex(), signed(80).public_key.hex()
            return json.loads(json.dumps(value).replace(true, other))
        return without_finality(method, params, value)

    async with node_between(world.chain.url, change) as (url, _), world.scan(url) as scan:
        with pytest.raises(UnavailableError, match="remove the database: what was read first was wrong"):
            await scan.look()
        assert 0 < scan._ledger.totals().deposits < 18
    async with world.scan() as scan:
        with pytest.raises(UnavailableError, match="remove the database: what was read first was wrong"):
            await scan.look()
    world.database.unlink()
    async with world.scan() as scan:
        await world.require_equal(scan)


async def test_two_that_read_into_the_same_file(world: World) -> None:
    await world.deposit(*FIRST, *(signed(30 + n) for n in range(12)))
    async with world.scan() as one, world.scan() as other:
        outcomes = await asyncio.gather(one.look(), other.look(), return_exceptions=True)
        assert all(o is None or "another process" in str(o) for o in outcomes)
        await world.require_equal(one)
        await world.require_equal(other)


async def test_no_index_while_deposits_are_being_read(world: World) -> None:
    await world.deposit(*FIRST)
    async with world.scan() as scan:
        looking = asyncio.create_task(scan.look())
        await asyncio.sleep(0)
        with pytest.raises(IndexUnknownError, match="being read"):
            await scan.next_index()
        await looking
        assert await scan.next_index() == len(world.model.validators)


async def test_where_there_is_no_deposit_contract(world: World, node: NodeClient) -> None:
    keeper = await world.chain.deploy("keeper")
    for address in (bytes(19) + b"\x99", keeper.address):
        network = replace(world.network, deposit_contract=write_address(address))
        database = world.database.with_name(address[-1:].hex())
        async with source(node=node, deposits_database=database, network=network) as index:
            assert index is not None
            with pytest.raises(UnavailableError, match=r"deposits: .*(get_deposit_count|reverted)"):
                await index.next_index()


async def test_deposits_alone_do_not_tell_the_index_of_hoodi(world: World, node: NodeClient) -> None:
    await world.deposit(*FIRST)
    network = replace(HOODI, deposit_contract=write_address(world.contract.address))
    async with source(network=network, node=node, deposits_database=world.database) as index:
        assert index is not None
        with pytest.raises(IndexUnknownError, match=r"--genesis-validators .*bafy.*--consensus-endpoint"):
            await index.next_index()
        assert await index.used([signed(1).public_key, bad(4, 0).public_key]) == {signed(1).public_key}


def records(*keys: tuple[int, bytes]) -> bytes:
    return b"".join(block.to_bytes(4, "big") + key for block, key in keys)


async def test_after_a_dump(world: World, node: NodeClient, tmp_path: Path) -> None:
    """The dump's validators go first, and its blocks are not read again."""
    await world.deposit(*FIRST[:4])
    last = await world.chain.height()
    await world.deposit(*FIRST[4:], bad(70, 0), signed(71))
    keys = [signed(70).public_key, signed(1).public_key, signed(3).public_key]
    dump = tmp_path / "dump"
    dump.write_bytes(records((0, keys[0]), (2, keys[1]), (last, keys[2])))
    network = replace(
        HOODI,
        deposit_contract=write_address(world.contract.address),
        genesis_validators_last_block=last,
    )
    made = [signed(2).public_key, signed(5).public_key, signed(71).public_key]
    for _ in range(2):  # the second time it is known
        options: dict[str, Any] = {"deposits_database": world.database, "genesis_validators": dump}
        async with source(network=network, node=node, **options) as index:
            assert index is not None
            assert await index.next_index() == 6
            assert await index.used([*keys, *made, bad(4, 0).public_key]) == {*keys, *made}
        await world.chain.mine(70)
    dump.write_bytes(records((0, keys[0])))
    with pytest.raises(UnavailableError, match="has 1 validators, the database began with 3"):
        async with source(network=network, node=node, **options):
            pass


async def dumped(world: World, tmp_path: Path, *, lacking: int = 0) -> tuple[dict[str, Any], Network]:
    """Four validators in a dump, and two more right after it; options of a source."""
    first = [signed(n) for n in (1, 2, 3, 4)]
    blocks = []
    for each in first:
        await world.deposit(each)
        blocks.append(await world.chain.height())
    await world.deposit(signed(5), signed(6))
    await world.chain.mine(70)
    await world.deposit(signed(7))
    rows = [(block, each.public_key) for block, each in zip(blocks, first, strict=True)]
    dump = tmp_path / "dump"
    dump.write_bytes(records(*rows[: 4 - lacking]))
    network = replace(
        HOODI,
        deposit_contract=write_address(world.contract.address),
        genesis_validators_last_block=blocks[-1],
    )
    return {"deposits_database": world.database, "genesis_validators": dump}, network


@pytest.mark.parametrize("left_out", [(4,), (5,), (4, 5), (3, 4, 5), (6,), (4, 5, 6)])
async def test_a_node_that_lacks_the_deposits_after_a_dump(
    world: World, tmp_path: Path, node: NodeClient, left_out: tuple[int, ...]
) -> None:
    """The number of the first deposit after the dump is proven, not taken from the node's first log."""
    options, network = await dumped(world, tmp_path)
    async with (
        nodes_between(world.chain.url, leaving_out(*left_out)) as urls,
        NodeClient(urls, timeout_seconds=ANSWER_SECONDS) as lacking,
        source(network=network, node=lacking, **options) as index,
    ):
        assert index is not None
        with pytest.raises(UnavailableError, match=r"keeps all logs|expected deposit"):
            await index.next_index()
        with pytest.raises(UnavailableError):
            await index.used([signed(5).public_key])
    async with source(network=network, node=node, **options) as index:
        assert index is not None
        assert await index.next_index() == 7
        keys = {signed(n).public_key for n in range(1, 8)}
        assert await index.used(keys) == keys


@pytest.mark.parametrize("with_more", [True, False])
async def test_a_node_that_lies_of_a_dumps_last_block(
    world: World, tmp_path: Path, node: NodeClient, with_more: bool
) -> None:
    """What it says is not kept before blocks after it prove it, so that another node is not disbelieved."""
    options, network = await dumped(world, tmp_path)

    def another_number(method: str, params: list[Any], value: Any) -> Any:
        if method != "eth_getLogs" or params[0]["fromBlock"] != params[0]["toBlock"]:
            return value
        number = (2**64 - 1 if with_more else 2).to_bytes(8, "little").hex().ljust(64, "0")
        return [{**each, "data": each["data"][:-64] + number} for each in value]

    async with (
        nodes_between(world.chain.url, another_number) as urls,
        NodeClient(urls, timeout_seconds=ANSWER_SECONDS) as lying,
        source(network=network, node=lying, **options) as index,
    ):
        assert index is not None
        with pytest.raises(UnavailableError, match="expected"):
            await index.next_index()
    async with source(network=network, node=node, **options) as index:
        assert index is not None
        assert await index.next_index() == 7


async def test_more_deposits_than_are_kept_in_memory(
    world: World, node: NodeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, as whatever else a node does."""
    monkeypatch.setattr(node_module, "LOGS_LIMIT", 2)
    await world.deposit(*FIRST)
    async with world.scan() as scan:
        with pytest.raises(UnavailableError, match="expected at most 2 logs"):
            await scan.look()


@pytest.mark.parametrize("with_dump", [True, False])
async def test_a_file_of_version_1_that_a_node_without_logs_began(
    world: World, tmp_path: Path, node: NodeClient, with_dump: bool
) -> None:
    """It has blocks without the deposits that are in them; another node's are read, and nothing is stuck."""
    options, network = await dumped(world, tmp_path)
    if not with_dump:
        del options["genesis_validators"]
        network = replace(network, has_validators_without_deposit=False)
    async with source(network=network, node=node, **options):
        pass  # begins the file
    final = await node.block(await world.chain.height() - 1)
    ledger = Ledger(world.database, LedgerSource.of(network))
    totals = replace(ledger.totals(), so_far=None if with_dump else DepositsSoFar(0))
    ledger.learn(ledger.first_block, Checkpoint(final.number, final.hash), [], totals)
    ledger.close()
    make_version_1(world.database)
    async with source(network=network, node=node, **options) as index:
        assert index is not None
        assert await index.next_index() == 7


async def test_a_dump_that_lacks_validators_of_its_last_block(
    world: World, tmp_path: Path, node: NodeClient
) -> None:
    options, network = await dumped(world, tmp_path, lacking=1)
    async with source(network=network, node=node, **options) as index:
        assert index is not None
        with pytest.raises(UnavailableError, match="the dump of the first validators lacks 1 of its last"):
            await index.next_index()


async def test_a_dump_comes_too_late(world: World, node: NodeClient, tmp_path: Path) -> None:
    await world.deposit(*FIRST)
    await world.chain.mine(70)
    dump = tmp_path / "dump"
    dump.write_bytes(records((0, signed(70).public_key)))
    network = replace(HOODI, deposit_contract=write_address(world.contract.address))
    options: dict[str, Any] = {"node": node, "deposits_database": world.database}
    async with source(network=network, **options) as index:
        assert index is not None
        await index.used([])
    with pytest.raises(UnavailableError, match="begun without it; remove the database"):
        async with source(network=network, genesis_validators=dump, **options):
            pass


async def run(*arguments: str) -> tuple[int, str, str]:
    """The exit code, output and errors of the `dvtfast` command."""
    result = await asyncio.to_thread(CliRunner().invoke, main, ["deposits", *arguments])
    return result.exit_code, result.stdout, result.stderr


async def test_the_commands(world: World) -> None:
    await world.deposit(*FIRST)
    await world.chain.mine(70)
    await world.deposit(signed(90))
    database = ["--network", "hoodi", "--deposits-database", str(world.database), "--json"]
    contract = ["--deposit-contract", write_address(world.contract.address)]
    code, _, errors = await run("status", *database, *contract)
    assert (code, "no such database" in errors) == (1, True)
    code, output, _ = await run("scan", *database, *contract, "--execution-endpoint", world.chain.url)
    found = json.loads(output)
    assert code == 0
    height = await world.chain.height()
    assert found == {
        "network": "hoodi",
        "next_validator_index": 5,
        "validators_with_a_deposit": 5,
        "of_them_pending": 1,
        "deposits": 9,
        "bad_signatures": 2,
        "last_block": height,
        "last_final_block": found["last_final_block"],
    }
    code, output, _ = await run("status", *database, *contract)
    assert (code, json.loads(output)["validators_with_a_final_deposit"]) == (0, 4)
    code, output, _ = await run("status", *database[:-1], *contract)
    assert "bad signatures                   2\n" in output
    code, _, errors = await run("status", *database)
    assert (code, "deposits of another contract" in errors) == (1, True)


async def test_the_command_where_deposits_do_not_tell_the_index(world: World) -> None:
    settings = ["--network", "hoodi", "--deposits-database", str(world.database)]
    code, _, errors = await run("scan", *settings)
    assert (code, "--execution-endpoint" in errors) == (2, True)
    # No deposit contract is on this chain where hoodi's is.
    code, _, errors = await run("scan", *settings, "--execution-endpoint", world.chain.url)
    assert (code, "get_deposit_count" in errors) == (1, True)
