"""Whose keys are used: the deposits of validators of our clusters go to the relayer's database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from dvtfast import Network

from ...chain.clock import STALE_SLOTS
from ...chain.contracts.reads import decode_deposits
from ...chain.deposits.completeness import number_before
from ...chain.deposits.contract_tree import DepositsSoFar
from ...chain.deposits.reading import DepositReader, made
from ...chain.deposits.scan import DepositScan
from ...chain.execution.node import NodeClient
from ...chain.execution.scanner import Checkpoint, FinalLogs, PendingLogs
from ...process import logs
from ..clusters.served import ServedClusters
from ..store.chain_state import known_places, learn_final, learn_pending, rewind
from ..store.engine.database import Database

log = logs.get("chain")


class OwnDeposits(DepositReader):
    """Keeps the store up to date with the deposits of our validators, without a database of all deposits.

    Args:
        first_block: of the deposits that are looked at; None is the contract's.
    """

    def __init__(
        self,
        node: NodeClient,
        network: Network,
        clusters: ServedClusters,
        database: Database,
        *,
        first_block: int | None,
        threads: int | None,
    ) -> None:
        self._clusters = clusters
        self._database = database
        super().__init__(
            node,
            network,
            first=network.deposit_contract_block if first_block is None else first_block,
            threads=threads,
            max_age_seconds=STALE_SLOTS * network.seconds_per_slot,
        )

    async def look(self) -> None:
        """One look at the deposit contract.

        Raises:
            UnavailableError: no node answers, or it leaves out deposits: keys in use would be missed.
        """
        await self._read_on()

    async def _checkpoints(self) -> Sequence[Checkpoint]:
        return [Checkpoint(number, hash_) for number, hash_ in await self._database.run(known_places)]

    async def _before(self, first: int) -> DepositsSoFar:
        born = self._network.deposit_contract_block
        number = await number_before(self._node, self._contract, first, born=born)
        return DepositsSoFar(number, () if number == 0 else None)

    async def _learn(self, batch: FinalLogs) -> None:
        place = batch.checkpoint.number, batch.checkpoint.hash
        _tell(await self._database.run(learn_final, await self._ours(batch), batch.first, place), batch)

    async def _expect(self, batch: PendingLogs) -> None:
        ours = await self._ours(batch)
        _tell(await self._database.run(learn_pending, ours, batch.first, batch.last), batch)

    async def _rewind(self, back_to: int | None) -> None:
        await self._database.run(rewind, back_to)

    async def _ours(self, batch: FinalLogs | PendingLogs) -> dict[bytes, int]:
        """The block of the first deposit of each of our validators that proves possession of its key.

        Anybody can deposit for any key, which alone makes no validator.
        """
        return await asyncio.to_thread(self._judged, batch)

    def _judged(self, batch: FinalLogs | PendingLogs) -> dict[bytes, int]:
        deposits = decode_deposits(batch.logs)
        ours = np.array([self._clusters.is_named(row.tobytes()) for row in deposits.public_keys], np.bool_)
        deposits = deposits.at(ours)
        are_pending = isinstance(batch, PendingLogs)
        return made(deposits, self._judge.judge(deposits, (), are_pending=are_pending))


class ScannedDeposits:
    """Keeps the store up to date with a scan of all deposits.

    Attributes:
        is_complete: whether all deposits were read, as far as the last look could.
    """

    def __init__(self, scan: DepositScan, clusters: ServedClusters, database: Database) -> None:
        self.is_complete = False
        self._scan = scan
        self._clusters = clusters
        self._database = database

    async def look(self) -> None:
        """One look at the deposit contract."""
        await self._scan.look()
        head = (await self._scan.status()).head
        ours = await self._scan.deposited(self._clusters.keys)
        new = await self._database.run(learn_pending, ours, 0, head)
        self.is_complete = True
        if new:
            log.info("validators deposited", n=new, up_to_block=head)


def _tell(new: int, batch: FinalLogs | PendingLogs) -> None:
    if new:
        log.info("validators deposited", n=new, blocks=f"{batch.first}-{batch.last}")
