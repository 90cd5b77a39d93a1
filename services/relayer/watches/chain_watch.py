"""Follows the chain: whose keys are used, and which oracles exits are split for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

from dvtfast.protocol_config import OracleConfig

from ...chain.calls import ContractError
from ...chain.clock import STALE_SLOTS
from ...chain.contracts.oracle_config import AnnouncedOracles, OracleConfigError, announced_oracles
from ...chain.contracts.vaults import VaultsAtHead
from ...chain.deposits.scan import DepositScan
from ...chain.encoding import read_address, write_address
from ...chain.execution.node import CallRevertedError, NodeClient
from ...chain.execution.scanner import final_block
from ...chain.ipfs.client import IpfsClient, IpfsContentError
from ...process import logs
from ...process.background import in_background, repeat
from ...process.offload import UnavailableError
from ...settings import RelayerSettings
from ...settings.chain_clients import deposit_scan, node_client
from ..clusters.served import ServedClusters
from ..judging.current_oracles import CurrentOracles
from ..judging.pipeline import Pipeline
from ..parts import KeysWatch
from ..store.engine.database import Database
from .own_deposits import OwnDeposits, ScannedDeposits

DEPOSITS_SECONDS = 12.0  # a slot; between two looks
ORACLES_SECONDS = 300.0

log = logs.get("chain")


class ChainNodes:
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
        self._announced: AnnouncedOracles | None = None
        self.vaults = VaultsAtHead(node, contract, max_age_seconds=STALE_SLOTS * network.seconds_per_slot)

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
        deposits: ScannedDeposits | OwnDeposits
        if self.scan is not None:
            deposits = ScannedDeposits(self.scan, clusters, database)
        else:
            deposits = OwnDeposits(
                self.node,
                self._settings.network,
                clusters,
                database,
                first_block=self._settings.deposits_from_block,
                threads=self._settings.threads,
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
