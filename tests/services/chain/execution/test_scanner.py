"""The log scanner on a chain that grows, reorganises, and has bad nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest

from dvtfast.services.chain.contracts.reads import CONFIG_UPDATED, decode_config_updated
from dvtfast.services.chain.execution import node as node_module
from dvtfast.services.chain.execution.node import NodeClient, NodeError, StaleNodeError, TooManyLogsError
from dvtfast.services.chain.execution.scanner import (
    Batch,
    Checkpoint,
    FinalLogs,
    LogScanner,
    NotFinalError,
    PendingLogs,
    Rewound,
    ahead,
)
from tests.services.chain.anvil import Chain, ChainClock, Contract
from tests.services.chain.servers import (
    DEAD,
    Rewriting,
    node_between,
    nodes_between,
    without_finality,
)
from tests.services.patience import ANSWER_SECONDS

CONFIRMATIONS = 5


@dataclass
class Owner:
    """Who keeps what a scanner hands over, as the relayer does in its database."""

    checkpoints: list[Checkpoint] = field(default_factory=list)
    final: dict[int, str] = field(default_factory=dict)  # by block; one event each
    pending: dict[int, str] = field(default_factory=dict)
    rewound: list[Rewound] = field(default_factory=list)
    ranges: list[tuple[int, int]] = field(default_factory=list)

    async def look(self, scanner: LogScanner) -> None:
        async for batch in scanner.batches(self.checkpoints[-3:]):
            match batch:
                case Rewound(back_to=back_to):
                    self.rewound.append(batch)
                    stay = -1 if back_to is None else back_to.number
                    self.checkpoints = [c for c in self.checkpoints if c.number <= stay]
                    self.final = {n: cid for n, cid in self.final.items() if n <= stay}
                case FinalLogs(first, last, logs, checkpoint):
                    new = {log.block_number: decode_config_updated(log) for log in logs}
                    assert not new.keys() & self.final.keys(), "handed over twice"
                    assert checkpoint.number == last
                    self.final |= new
                    self.checkpoints.append(checkpoint)
                    self.ranges.append((first, last))
                case PendingLogs(first, _, logs):
                    assert first > max((c.number for c in self.checkpoints), default=-1)
                    self.pending = {log.block_number: decode_config_updated(log) for log in logs}

    @property
    def known(self) -> list[str]:
        return [cid for _, cid in sorted((self.final | self.pending).items())]


async def announce(keeper: Contract, *cids: str) -> None:
    for cid in cids:
        await keeper.send("update_config(string)", cid)


def scanner_of(node: NodeClient, keeper: Contract, **options: Any) -> LogScanner:
    return LogScanner(
        node, keeper.address, [CONFIG_UPDATED], first=0, **{"confirmations": CONFIRMATIONS} | options
    )


async def test_each_log_once(chain: Chain) -> None:
    async with (
        node_between(chain.url, without_finality) as (url, _),
        NodeClient([url], timeout_seconds=ANSWER_SECONDS) as node,
    ):
        keeper = await chain.deploy("keeper")
        owner, scanner, said = Owner(), scanner_of(node, keeper, span_blocks=7), []
        await owner.look(scanner)
        for n in range(30):
            said.append(f"Qm{n}")
            await announce(keeper, said[-1])
            await owner.look(scanner)
            assert owner.known == said
            assert len(owner.pending) == min(n + 1, CONFIRMATIONS)
        assert [first for first, _ in owner.ranges] == [0, *(last + 1 for _, last in owner.ranges[:-1])]
        assert max(last - first + 1 for first, last in owner.ranges) <= 7
        assert owner.rewound == []


async def test_the_finalized_block_of_a_node(chain: Chain, node: NodeClient) -> None:
    keeper = await chain.deploy("keeper")
    await announce(keeper, "Qm1")
    await chain.mine(200)
    await announce(keeper, "Qm2")
    owner = Owner()
    await owner.look(scanner_of(node, keeper))
    assert list(owner.final.values()) == ["Qm1"]
    assert list(owner.pending.values()) == ["Qm2"]
    assert owner.checkpoints[-1].number == (await node.block("finalized")).number


async def test_a_short_chain(chain: Chain, node: NodeClient) -> None:
    keeper = await chain.deploy("keeper")
    async with (
        node_between(chain.url, without_finality) as (url, _),
        NodeClient([url], timeout_seconds=ANSWER_SECONDS) as without,
    ):
        for each in (node, without):
            owner = Owner()
            await owner.look(scanner_of(each, keeper, confirmations=1000))
            assert owner.checkpoints == [Checkpoint(0, (await node.block(0)).hash)]
            later = LogScanner(each, keeper.address, first=1_000_000)
            assert [batch async for batch in later.batches()] == [PendingLogs(1_000_000, 999_999, [])]


async def test_a_restart(chain: Chain, node: NodeClient) -> None:
    """A look that ends in the middle goes on where the last kept checkpoint is."""
    keeper = await chain.deploy("keeper")
    await announce(keeper, *(f"Qm{n}" for n in range(10)))
    await chain.mine(100)
    scanner = scanner_of(node, keeper, span_blocks=4)
    kept: list[FinalLogs] = []
    batches = scanner.batches()
    async for batch in batches:
        assert isinstance(batch, FinalLogs)
        kept.append(batch)
        if len(kept) == 2:
            break
    await batches.aclose()
    checkpoints = [batch.checkpoint for batch in kept]
    async for batch in scanner_of(node, keeper).batches(checkpoints):
        if isinstance(batch, FinalLogs):
            kept.append(batch)
    logs = [decode_config_updated(log) for batch in kept for log in batch.logs]
    assert logs == [f"Qm{n}" for n in range(10)]
    assert [batch.first for batch in kept] == [0, *(batch.last + 1 for batch in kept[:-1])]


async def test_a_reorganisation_of_pending_blocks(chain: Chain) -> None:
    async with (
        node_between(chain.url, without_finality) as (url, _),
        NodeClient([url], timeout_seconds=ANSWER_SECONDS) as node,
    ):
        keeper = await chain.deploy("keeper")
        owner, scanner = Owner(), scanner_of(node, keeper)
        await announce(keeper, *(f"Qm{n}" for n in range(8)))
        await owner.look(scanner)
        await chain.reorg(3)
        await owner.look(scanner)
        assert owner.known == [f"Qm{n}" for n in range(5)]
        await announce(keeper, "QmNew")
        await owner.look(scanner)
        assert owner.known == [*(f"Qm{n}" for n in range(5)), "QmNew"]
        assert owner.rewound == []


@pytest.mark.parametrize("depth", [8, 20])
async def test_a_reorganisation_of_final_blocks(chain: Chain, depth: int) -> None:
    """Deeper than anybody expected, and two nodes say so: to a checkpoint that still holds, or to the
    beginning."""
    async with (
        nodes_between(chain.url, without_finality, without_finality) as urls,
        NodeClient(urls, timeout_seconds=ANSWER_SECONDS) as node,
    ):
        keeper = await chain.deploy("keeper")
        await chain.mine(2)
        owner, scanner = Owner(), scanner_of(node, keeper)
        await announce(keeper, *(f"Qm{n}" for n in range(17)))
        for _ in range(4):
            await owner.look(scanner)
            await chain.mine()
        await chain.mine(2)
        await owner.look(scanner)
        before = owner.checkpoints[-1]
        await chain.reorg(depth)
        if depth == 8:  # as if an earlier checkpoint had been kept for long
            owner.checkpoints.insert(-2, Checkpoint(5, (await node.block(5)).hash))
        await announce(keeper, "QmNew")
        await owner.look(scanner)
        (rewound,) = owner.rewound
        assert rewound.lost == before
        assert (rewound.back_to is None) == (depth == 20)
        logs = await node.logs(keeper.address, first=0, last=await node.block("latest"))
        assert owner.known == [decode_config_updated(log) for log in logs]
        assert 1 < len(owner.known) < 17 if depth == 8 else owner.known[0] == "Qm0"


@pytest.mark.parametrize("finality", [False, True])
async def test_one_node_undoes_nothing_that_was_final(chain: Chain, finality: bool) -> None:
    """It gives other hashes for old blocks: nothing is read of it, and what is known stays."""
    keeper = await chain.deploy("keeper")
    await announce(keeper, "Qm1", "Qm2")
    await chain.mine(100)
    node_is = Rewriting(finality=finality)
    async with (
        nodes_between(chain.url, node_is) as urls,
        NodeClient(urls, timeout_seconds=ANSWER_SECONDS) as node,
    ):
        owner, scanner = Owner(), scanner_of(node, keeper, span_blocks=7)
        await owner.look(scanner)
        before = list(owner.checkpoints)
        node_is.lies = True
        with pytest.raises(NotFinalError, match=f"is another one for {urls[0]}: .* name another node"):
            await owner.look(scanner)
        node_is.lies = False
        await announce(keeper, "Qm3")
        await owner.look(scanner)
        assert owner.rewound == []
        assert owner.checkpoints[: len(before)] == before
        assert owner.known == ["Qm1", "Qm2", "Qm3"]


async def test_a_node_that_lies_of_old_blocks_is_passed_over(chain: Chain) -> None:
    """Logs come from a node that has what was final."""
    keeper = await chain.deploy("keeper")
    await announce(keeper, "Qm1")
    await chain.mine(100)
    first = Rewriting()

    def silent(method: str, params: list[Any], value: Any) -> Any:
        return [] if first.lies and method == "eth_getLogs" else first(method, params, value)

    async with (
        nodes_between(chain.url, silent, without_finality) as urls,
        NodeClient(urls, timeout_seconds=ANSWER_SECONDS) as node,
    ):
        owner, scanner = Owner(), scanner_of(node, keeper)
        await owner.look(scanner)
        first.lies = True
        await announce(keeper, "Qm2")
        await owner.look(scanner)
        assert (owner.rewound, owner.known) == ([], ["Qm1", "Qm2"])


async def test_what_nodes_have_finalized_is_never_undone(chain: Chain) -> None:
    """Not even where two agree: that is another chain."""
    keeper = await chain.deploy("keeper")
    await chain.mine(100)
    changes = Rewriting(finality=True), Rewriting(finality=True)
    async with (
        nodes_between(chain.url, *changes) as urls,
        NodeClient(urls, timeout_seconds=ANSWER_SECONDS) as node,
    ):
        owner, scanner = Owner(), scanner_of(node, keeper)
        await owner.look(scanner)
        for change in changes:
            change.lies = True
        with pytest.raises(NotFinalError, match="where it is finalized: is that the right chain"):
            await owner.look(scanner)
        assert owner.rewound == []


async def test_a_final_block_after_the_latest(chain: Chain) -> None:
    keeper = await chain.deploy("keeper")

    def ahead_of_itself(method: str, params: list[Any], value: Any) -> Any:
        is_final = method == "eth_getBlockByNumber" and params[0] == "finalized"
        return value | {"number": hex(10**6)} if is_final else value

    async with (
        nodes_between(chain.url, ahead_of_itself) as urls,
        NodeClient(urls, timeout_seconds=ANSWER_SECONDS) as node,
    ):
        with pytest.raises(NodeError, match="expected a final block up to"):
            [batch async for batch in scanner_of(node, keeper).batches()]


async def test_a_node_that_has_pruned_logs_and_does_not_say_so(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block that has logs by its header tells; another node is asked, or nothing is read."""
    monkeypatch.setattr(node_module, "PROBED_BLOCKS", 5)
    keeper = await chain.deploy("keeper")
    first = await chain.height() + 1
    await announce(keeper, "Qm1", "Qm2")
    await chain.mine(100)

    def pruned(method: str, params: list[Any], value: Any) -> Any:
        is_old = method == "eth_getLogs" and int(params[0]["fromBlock"], 16) < first + 50
        return [] if is_old else value

    async with nodes_between(chain.url, pruned, without_finality) as urls:
        async with NodeClient(urls[:1], timeout_seconds=ANSWER_SECONDS) as node:
            scanner = LogScanner(node, keeper.address, [CONFIG_UPDATED], first=first)
            with pytest.raises(NodeError, match=f"has pruned logs this old.*: block {first} has some"):
                [batch async for batch in scanner.batches()]
        async with NodeClient(urls, timeout_seconds=ANSWER_SECONDS) as node:
            owner = Owner()
            await owner.look(LogScanner(node, keeper.address, [CONFIG_UPDATED], first=first))
            assert owner.known == ["Qm1", "Qm2"]


async def test_a_node_that_is_behind_is_no_reorganisation(chain: Chain, node: NodeClient) -> None:
    await chain.mine(10)
    keeper = await chain.deploy("keeper")
    ahead = Checkpoint(await chain.height() + 5, bytes(32))
    with pytest.raises(NodeError, match="behind"):
        [batch async for batch in scanner_of(node, keeper).batches([ahead])]


async def test_a_stale_node_is_passed_over(chain: Chain, node: NodeClient, chain_clock: ChainClock) -> None:
    keeper = await chain.deploy("keeper")
    await announce(keeper, "Qm1")
    owner = Owner()
    await owner.look(scanner_of(node, keeper, max_age_seconds=60))
    assert owner.known == ["Qm1"]
    past = {"timestamp": hex(chain_clock.stop() - 100)}

    def old(method: str, _params: list[Any], value: Any) -> Any:
        return value | past if method == "eth_getBlockByNumber" else value

    async with (
        node_between(chain.url, old) as (url, _),
        NodeClient([url], timeout_seconds=ANSWER_SECONDS) as stale,
    ):
        with pytest.raises(StaleNodeError):
            await owner.look(scanner_of(stale, keeper, max_age_seconds=60))


async def test_nobody_there(chain: Chain) -> None:
    keeper = await chain.deploy("keeper")
    async with NodeClient([DEAD], timeout_seconds=1) as node:
        with pytest.raises(NodeError, match="cannot connect"):
            [batch async for batch in scanner_of(node, keeper).batches()]


async def test_batches_shrink_to_what_works(chain: Chain) -> None:
    """A node that fails on a wide range without saying why."""
    keeper = await chain.deploy("keeper")
    await announce(keeper, *(f"Qm{n}" for n in range(6)))
    await chain.mine(100)

    def weak(method: str, params: list[Any], value: Any) -> Any:
        if method == "eth_getLogs" and int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) > 9:
            return "gateway timeout"
        return without_finality(method, params, value)

    async with (
        node_between(chain.url, weak) as (url, _),
        NodeClient([url], timeout_seconds=ANSWER_SECONDS) as node,
    ):
        owner, scanner = Owner(), scanner_of(node, keeper, span_blocks=64)
        failures = 0
        while owner.known != [f"Qm{n}" for n in range(6)]:
            try:
                await owner.look(scanner)
            except NodeError:
                failures += 1
        assert 0 < failures < 40


async def test_dense_blocks(chain: Chain, node: NodeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "LOGS_LIMIT", 100)
    contract = await chain.deploy("deposit")
    for _ in range(8):
        await contract.send("deposit_many(uint256)", 40)
    await chain.mine(100)
    scanner = LogScanner(node, contract.address, first=0)
    logs: Sequence[Any] = [log async for batch in scanner.batches() for log in batch.logs]
    assert len(logs) == 320
    monkeypatch.setattr(node_module, "LOGS_LIMIT", 39)
    with pytest.raises(TooManyLogsError):
        [batch async for batch in LogScanner(node, contract.address, first=0).batches()]


async def test_batches_are_read_ahead() -> None:
    read: list[int] = []

    async def batches() -> AsyncGenerator[Batch]:
        try:
            for number in range(3):
                await asyncio.sleep(0)
                read.append(number)
                yield PendingLogs(number, number, [])
            raise NodeError("gone")
        finally:
            read.append(-1)

    seen: list[tuple[int, list[int]]] = []

    async def work() -> None:
        async with aclosing(ahead(batches())) as found:
            async for batch in found:
                assert not isinstance(batch, Rewound)
                await asyncio.sleep(0.01)
                seen.append((batch.first, list(read)))

    with pytest.raises(NodeError, match="gone"):
        await work()
    assert seen == [(0, [0, 1]), (1, [0, 1, 2]), (2, [0, 1, 2, -1])]
    read.clear()
    async with aclosing(ahead(batches())) as found:
        await anext(found)
    assert read[-1] == -1
