"""All deposits: final ones go to a ledger, pending ones are judged anew at each look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Self

from dvtfast import Network

from ...process import logs
from ...process.offload import Workers
from ..calls import ContractError
from ..clock import STALE_SLOTS
from ..contracts.reads import DEPOSIT_EVENT, DepositEvents, decode_deposits
from ..execution.node import NodeClient
from ..execution.scanner import CONFIRMATIONS, SPAN_BLOCKS, Checkpoint, FinalLogs, PendingLogs
from ..index_source import IndexUnknownError, require_since
from .completeness import PRUNED
from .contract_tree import DepositsSoFar
from .dump import count_dump, read_dump
from .ledger import Ledger, LedgerError, LedgerMovedError, LedgerSource, Seed, Totals
from .reading import DepositReader, made
from .validity import JudgedDeposits

ATTEMPTS = 3  # of a look, where another process reads into the same database
TELL_SECONDS = 10.0  # between two lines on a long way
FRESH_SECONDS = 2.0  # how long what was seen counts as of now
DEPOSITS_LIMIT = 1 << 32  # of a contract, whose tree is that deep

log = logs.get("deposits")

Progress = Callable[[int, int], None]
"""Called with the number of blocks that are read, and of all."""


@dataclass(frozen=True)
class Status:
    """What is known after a look.

    Attributes:
        final_block: the last one that is kept; None before the first.
        head: the last block looked at.
        validators, deposits, bad_signatures: with pending deposits.
        pending: validators that pending deposits make.
    """

    final_block: int | None
    head: int
    validators: int
    deposits: int
    bad_signatures: int
    pending: int


@dataclass(frozen=True)
class _Pending:
    """What blocks that are not final say, on top of the ledger."""

    totals: Totals
    made: dict[bytes, int]  # blocks of the deposits, by public key, in the order of the chain
    head: int
    seen_at: float  # monotonic seconds
    final_block: int | None


class DepositScan(DepositReader):
    """The deposits of one contract, as a source of the next validator index.

    Attributes:
        gives_index: whether its count is that of the network's validators.
    """

    def __init__(
        self,
        node: NodeClient,
        ledger: Ledger,
        *,
        network: Network,
        threads: int | None = None,
        max_age_seconds: float | None = None,
        confirmations: int = CONFIRMATIONS,
        span_blocks: int = SPAN_BLOCKS,
    ) -> None:
        super().__init__(
            node,
            network,
            first=ledger.first_block,
            threads=threads,
            max_age_seconds=max_age_seconds,
            confirmations=confirmations,
            span_blocks=span_blocks,
        )
        self.gives_index = ledger.seed is not None or not network.has_validators_without_deposit
        self._ledger = ledger
        self._pending: _Pending | None = None
        self._looking = asyncio.Lock()
        self._first = self._read_to = ledger.first_block
        self._head = 0
        self._progress: Progress | None = None
        self._told_at = monotonic()
        self._workers = Workers("deposits", threads=1, deadline_seconds=None, gives_way=True)

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        node: NodeClient,
        database: Path,
        *,
        network: Network,
        genesis_validators: Path | None = None,
        threads: int | None = None,
    ) -> AsyncIterator[Self]:
        """With its database inside the block, which is begun with the dump where there is one.

        Raises:
            LedgerError: the database cannot be used.
            DumpError: the dump is none, or of another network.
        """
        ledger = await asyncio.to_thread(Ledger, database, LedgerSource.of(network))
        try:
            if genesis_validators is not None:
                await asyncio.to_thread(_seed, ledger, genesis_validators, network)
            max_age_seconds = STALE_SLOTS * network.seconds_per_slot
            scan = cls(node, ledger, network=network, threads=threads, max_age_seconds=max_age_seconds)
            try:
                yield scan
            finally:
                await scan._workers.close()
        finally:
            ledger.close()

    async def next_index(self, *, since: int = 0) -> int:
        """The number of validators, with those that pending deposits make.

        Raises:
            IndexUnknownError: it is not known yet, or never from deposits alone.
            UnavailableError: no node answers as it should.
        """
        if not self.gives_index:
            raise IndexUnknownError(
                f"{self._network.name} began with validators that have no deposit, so deposits alone do not"
                " tell the next validator index: begin a new --deposits-database with --genesis-validators"
                f" (on IPFS {self._network.genesis_validators_cid}), or name a beacon node with"
                " --consensus-endpoint"
            )
        return (await self._now(since)).totals.validators

    async def used(self, public_keys: Collection[bytes], *, since: int = 0) -> set[bytes]:
        """Those of these keys that have a validator, or a pending deposit that makes one."""
        return set(await self.deposited(public_keys, since=since))

    async def deposited(self, public_keys: Collection[bytes], *, since: int = 0) -> dict[bytes, int]:
        """The blocks of the deposits that made validators of these keys."""
        pending = (await self._now(since)).made
        known = await self._workers.run(self._ledger.known, list(public_keys))
        blocks = {key: validator.block_number for key, validator in known.items()}
        return blocks | {key: pending[key] for key in public_keys if key in pending}

    async def public_keys(self, indices: Collection[int]) -> dict[int, bytes]:
        """The keys of those of these validators that deposits made, by index, pending ones among them.

        Raises:
            UnavailableError: it cannot be told now.
        """
        now = await self._now()
        first = now.totals.validators - len(now.made)
        pending = dict(enumerate(now.made, first))
        found = await self._workers.run(self._ledger.keys_at, list(indices))
        return found | {index: pending[index] for index in indices if index in pending}

    async def status(self) -> Status:
        """What is known now."""
        now = await self._now()
        totals = now.totals
        return Status(
            final_block=now.final_block,
            head=now.head,
            validators=totals.validators,
            deposits=totals.deposits,
            bad_signatures=totals.bad_signatures,
            pending=len(now.made),
        )

    async def look(self, progress: Progress | None = None) -> None:
        """Learn all that is new; several at once are one after the other.

        Raises:
            UnavailableError: no node answers as it should; what was learned until then is kept.
        """
        async with self._looking:
            await self._look(progress)

    async def _now(self, since: int = 0) -> _Pending:
        """What was seen a moment ago, or else now; whoever comes while all deposits are being read does not
        wait.

        Args:
            since: a block that must have been looked at.
        """
        if self._looking.locked() and not self.is_complete:
            raise IndexUnknownError(f"deposits are being read, up to block {self._read_to} so far")
        async with self._looking:
            pending = self._pending
            if pending is None or monotonic() - pending.seen_at > FRESH_SECONDS or pending.head < since:
                await self._look(None)
            assert self._pending is not None, "a look ends with pending blocks"
            require_since("deposits", self._pending.head, since)
            return self._pending

    async def _look(self, progress: Progress | None) -> None:
        for attempt in range(ATTEMPTS):
            try:
                return await self._look_once(progress)
            except LedgerMovedError:
                if attempt == ATTEMPTS - 1:
                    raise

    async def _look_once(self, progress: Progress | None) -> None:
        self._pending, self._progress = None, progress
        self._head = (await self._node.block("latest")).number
        await self._read_on()

    async def _checkpoints(self) -> Sequence[Checkpoint]:
        return await self._workers.run(self._ledger.checkpoints)

    async def _before(self, first: int) -> DepositsSoFar:
        """All deposits before what is read next; the end of a dump is proven first."""
        seed = await self._workers.run(lambda: self._ledger.seed)
        # Until blocks after it prove the number, too, it is what one node said, and asked for again.
        if seed and (seed.next_deposit is None or not await self._workers.run(self._ledger.checkpoints)):
            await self._prove_end(seed)
        totals = await self._workers.run(lambda: self._ledger.totals(before=first))
        assert totals.so_far is not None, "proven now"
        return totals.so_far

    async def _prove_end(self, seed: Seed) -> None:
        """That what is read goes on where the dump ends, by the deposits of its last block.

        These are in the dump, or else it is not whole; and the deposit that follows has the number after
        theirs.
        """
        last = await self._node.block(seed.last_block)
        found = await self._node.logs(self._contract, [DEPOSIT_EVENT], first=last.number, last=last)
        if not found:
            raise ContractError(
                f"expected deposits in block {last.number}, the last one of the dump, got none: the node"
                f" has pruned them, or is on another chain; {PRUNED}"
            )
        deposits = decode_deposits(found)
        lacking = await self._workers.run(self._unknown, deposits)
        if lacking:
            raise LedgerError(
                f"the dump of the first validators lacks {lacking} of its last block {last.number}: is it"
                " whole, and of this network? remove the database and begin again with the right file"
            )
        next_deposit = int(deposits.indices[-1]) + 1
        if next_deposit > DEPOSITS_LIMIT:
            raise ContractError(f"expected at most 2^32 deposits, got {next_deposit}")
        await self._workers.run(self._ledger.go_on_from, next_deposit)

    def _unknown(self, deposits: DepositEvents) -> int:
        """How many validators that are not known these deposits make."""
        keys = list({row.tobytes() for row in deposits.public_keys})
        return len(self._judge.judge(deposits, self._ledger.known(keys)).places)

    async def _learn(self, batch: FinalLogs) -> None:
        await self._workers.run(self._learn_now, batch)
        self._tell(batch.last)

    async def _expect(self, batch: PendingLogs) -> None:
        self._pending = await self._workers.run(self._judge_pending, batch)
        self._tell(batch.last)

    async def _rewind(self, back_to: int | None) -> None:
        await self._workers.run(self._ledger.rewind, back_to)

    def _tell(self, last: int) -> None:
        self._read_to, head = last, max(self._head, last)
        if self._progress is not None:
            self._progress(last - self._first + 1, head - self._first + 1)
        elif monotonic() - self._told_at > TELL_SECONDS and not self.is_complete:
            log.info("deposits read", up_to_block=last, of=head)
            self._told_at = monotonic()

    def _learn_now(self, batch: FinalLogs) -> None:
        deposits, judged, totals = self._judged(batch)
        self._ledger.learn(batch.first, batch.checkpoint, list(made(deposits, judged).items()), totals)

    def _judge_pending(self, batch: PendingLogs) -> _Pending:
        deposits, judged, totals = self._judged(batch)
        final = self._ledger.checkpoints()
        return _Pending(
            totals,
            made(deposits, judged),
            batch.last,
            monotonic(),
            final[-1].number if final else None,
        )

    def _judged(self, batch: FinalLogs | PendingLogs) -> tuple[DepositEvents, JudgedDeposits, Totals]:
        """Deposits after those of the ledger, and the totals with them."""
        deposits = decode_deposits(batch.logs)
        before = self._ledger.totals(before=batch.first)
        assert before.so_far is not None, "proven before anything is read"
        so_far = before.so_far.after(deposits)
        if so_far.count > DEPOSITS_LIMIT:
            raise ContractError(f"expected at most 2^32 deposits, got {so_far.count}")
        keys = list({row.tobytes() for row in deposits.public_keys})
        are_pending = isinstance(batch, PendingLogs)
        judged = self._judge.judge(deposits, self._ledger.known(keys), are_pending=are_pending)
        totals = replace(
            before,
            validators=before.validators + len(judged.places),
            deposits=before.deposits + len(batch.logs),
            bad_signatures=before.bad_signatures + judged.bad_signatures,
            so_far=so_far,
        )
        return deposits, judged, totals


def _seed(ledger: Ledger, path: Path, network: Network) -> None:
    """Begin with the dump, unless that was done before."""
    count = count_dump(path)
    if ledger.is_empty():
        log.info("reading the dump of the first validators", file=str(path), validators=count)
        ledger.begin_with(read_dump(path, network), network.genesis_validators_last_block)
    elif (seed := ledger.seed) is not None and seed.validators != count:
        raise LedgerError(f"{path}: has {count} validators, the database began with {seed.validators}")
    elif seed is None and network.has_validators_without_deposit:
        raise LedgerError(
            f"{path}: the database was begun without it; remove the database, or name another one"
        )
