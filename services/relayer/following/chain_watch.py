"""Follows the chain: whose keys are used, and which oracles exits are split for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

import numpy as np

from dvtfast import Network
from dvtfast.protocol_config import OracleConfig

from ...chain.calls import ContractError
from ...chain.contracts.oracle_config import AnnouncedOracles, OracleConfigError, announced_oracles
from ...chain.contracts.reads import DEPOSIT_EVENT, decode_deposits
from ...chain.contracts.vaults import VaultsAtHead
from ...chain.deposits.contract_tree import DepositsSoFar
from ...chain.deposits.judging import Judge
from ...chain.deposits.scan import DepositScan
from ...chain.deposits.whole import number_before, whole
from ...chain.encoding import read_address, write_address
from ...chain.execution.node import CallRevertedError, Log, NodeClient
from ...chain.execution.scanner import Batch, Checkpoint, FinalLogs, LogScanner, Rewound, final_block
from ...chain.ipfs.client import IpfsClient, IpfsContentError
from ...process import logs
from ...process.background import in_background, repeat
from ...process.offload import UnavailableError
from ...settings import RelayerSettings
from ...settings.clients import deposit_scan, node_client
from ..clusters.served import ServedClusters
from ..judging.current_oracles import CurrentOracles
from ..judging.pipeline import Pipeline
from ..registering import KeysWatch
from ..store.chain_state import known_places, learn_final, learn_pending, rewind
from ..store.engine.database import Database

DEPOSITS_SECONDS = 12.0  # a slot; between two looks
ORACLES_SECONDS = 300.0
STALE_SLOTS = 8  # without a block, after which a node counts as behind

log = logs.get("chain")


class Chain:
    """The nodes and gateways of a relayer.

    Attributes:
        scan: of all deposits, if there is a database for them.
    """

    def __init__(
        self,
        settings: RelayerSettings,
        node: NodeClient,
        ipfs: IpfsClient | None,
        scan: DepositScan | None,
    ) -> None:
        network = settings.network
        contract = read_address(network.deposit_contract)
        self._settings = settings
        self._ipfs = ipfs
        self.node = node
        self.scan = scan
        self._max_age_seconds = STALE_SLOTS * network.seconds_per_slot
        self._announced: AnnouncedOracles | None = None
        self.vaults = VaultsAtHead(node, contract, max_age_seconds=self._max_age_seconds)

    @classmethod
    @asynccontextmanager
    async def connected(cls, settings: RelayerSettings) -> AsyncIterator[Self]:
        """With connections inside the block."""
        async with AsyncExitStack() as stack:
            ipfs = None
            if settings.ipfs_gateways:
                gateways = IpfsClient(settings.ipfs_gateways, timeout_seconds=settings.ipfs_timeout)
                ipfs = await stack.enter_async_context(gateways)
            node = await stack.enter_async_context(node_client(settings))
            opened = deposit_scan(settings, node, settings.network)
            scan = None if opened is None else await stack.enter_async_context(opened)
            yield cls(settings, node, ipfs, scan)

    async def announced_oracles(self) -> OracleConfig:
        """The oracle config in force.

        Raises:
            UnavailableError: there is none to be had now.
        """
        assert self._ipfs is not None
        network, known = self._settings.network, self._announced
        try:
            at = await final_block(self.node, await self.node.block("latest"))
            self._announced = await announced_oracles(self.node, self._ipfs, network, at=at, known=known)
        except (OracleConfigError, ContractError, IpfsContentError) as error:
            raise UnavailableError(f"oracle config: {error}") from error
        return self._announced.config

    async def compare_managers(self, ours: bytes) -> None:
        """Warn of the vaults whose validators manager is another account."""
        for vault in self._settings.vaults:
            try:
                manager = await self.vaults.manager(vault)
            except (UnavailableError, ContractError, CallRevertedError) as error:
                log.warning("validators manager not known", vault=write_address(vault), error=str(error))
                continue
            if manager != ours:
                log.warning(
                    "the vault takes no signature of this validators manager",
                    vault=write_address(vault),
                    wanted=write_address(manager),
                    got=write_address(ours),
                )

    @asynccontextmanager
    async def watching(
        self, clusters: ServedClusters, database: Database, oracles: CurrentOracles, pipeline: Pipeline
    ) -> AsyncIterator[KeysWatch]:
        """Look again and again inside the block: whose keys are used, and which oracles there are."""
        deposits: ScanWatch | DepositWatch
        if self.scan is not None:
            deposits = ScanWatch(self.scan, clusters, database)
        else:
            deposits = DepositWatch(
                self.node,
                network=self._settings.network,
                first_block=self._settings.deposits_from_block,
                max_age_seconds=self._max_age_seconds,
                threads=self._settings.threads,
                clusters=clusters,
                database=database,
            )

        told: tuple[bytes, bytes] | None = None

        async def compare_oracles() -> None:
            nonlocal told
            announced = CurrentOracles(await self.announced_oracles()).digest
            if oracles.digest != announced and told != (oracles.digest, announced):
                told = oracles.digest, announced
                log.warning(
                    "the file's oracles are not those that the Keeper announces",
                    file=str(self._settings.oracles),
                    do="exits are split for the file's, which today's refuse: get the protocol config of"
                    " today, or leave --oracles out",
                )

        async def look_for_oracles() -> None:
            if oracles.replace(await self.announced_oracles()):
                log.info("oracle config changed")
                pipeline.wake()

        looks = [repeat("deposits", deposits.look, DEPOSITS_SECONDS)]
        if self._ipfs is not None:
            of_chain = look_for_oracles if self._settings.oracles is None else compare_oracles
            looks.append(repeat("oracle config", of_chain, ORACLES_SECONDS))
        async with in_background(*looks):
            yield deposits


class ScanWatch:
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


class DepositWatch:
    """Keeps the store up to date with the deposits of our validators, without a database of all deposits.

    Args:
        first_block: of the deposits that are looked at; None is the contract's.

    Attributes:
        is_complete: whether all deposits were read, as far as the last look could.
    """

    def __init__(
        self,
        node: NodeClient,
        *,
        network: Network,
        first_block: int | None,
        max_age_seconds: float,
        threads: int | None,
        clusters: ServedClusters,
        database: Database,
    ) -> None:
        self.is_complete = False
        self._node = node
        self._contract = read_address(network.deposit_contract)
        self._born = network.deposit_contract_block
        self._judge = Judge(network, threads=threads)
        self._clusters = clusters
        self._database = database
        self._scanner = LogScanner(
            node,
            self._contract,
            [DEPOSIT_EVENT],
            first=network.deposit_contract_block if first_block is None else first_block,
            max_age_seconds=max_age_seconds,
        )

    async def look(self) -> None:
        """One look at the deposit contract.

        Raises:
            UnavailableError: no node answers, or it leaves out deposits: keys in use would be missed.
        """
        places = await self._database.run(known_places)
        batches = self._scanner.batches([Checkpoint(number, hash_) for number, hash_ in places])
        try:
            async for batch in whole(batches, self._node, self._contract, self._before):
                await self._take(batch)
        except (ContractError, CallRevertedError) as error:
            raise UnavailableError(f"deposits: {error}") from error
        self.is_complete = True

    async def _before(self, first: int) -> DepositsSoFar:
        number = await number_before(self._node, self._contract, first, born=self._born)
        return DepositsSoFar(number, () if number == 0 else None)

    async def _take(self, batch: Batch) -> None:
        if isinstance(batch, Rewound):
            self.is_complete = False
            back_to = batch.back_to.number if batch.back_to else None
            log.warning("chain reorganised", lost=batch.lost.number, back_to=back_to)
            await self._database.run(rewind, back_to)
            return
        is_pending = not isinstance(batch, FinalLogs)
        ours = await asyncio.to_thread(self._deposits_of_ours, batch.logs, is_pending)
        if isinstance(batch, FinalLogs):
            place = batch.checkpoint.number, batch.checkpoint.hash
            new = await self._database.run(learn_final, ours, batch.first, place)
        else:
            new = await self._database.run(learn_pending, ours, batch.first, batch.last)
        if new:
            log.info("validators deposited", n=new, blocks=f"{batch.first}-{batch.last}")

    def _deposits_of_ours(self, logs_: Sequence[Log], are_pending: bool) -> dict[bytes, int]:
        """The block of the first deposit of each of our validators that proves possession of its key.

        Anybody can deposit for any key, which alone makes no validator.
        """
        deposits = decode_deposits(logs_)
        ours = np.array([self._clusters.is_named(row.tobytes()) for row in deposits.public_keys], np.bool_)
        deposits = deposits.at(ours)
        judged = self._judge.judge(deposits, (), are_pending=are_pending)
        return {
            deposits.public_keys[place].tobytes(): int(deposits.block_numbers[place])
            for place in judged.places
        }
