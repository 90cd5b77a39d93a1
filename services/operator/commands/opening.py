"""What the commands that send need, made of their settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from dvtfast.deposit_data_tree import DepositDataTree
from dvtfast.deposits import DepositData, read_deposit_data
from dvtfast.networks import Network
from dvtfast.protocol_config import read_oracle_config

from ... import wire
from ...chain.beacon.client import BeaconClient
from ...chain.contracts.manager_messages import ETH1_ADDRESS
from ...chain.deposits.scan import DepositScan
from ...chain.execution.node import NodeClient
from ...chain.index.choosing import choose
from ...chain.index.keys_by_index import KeysByIndex
from ...chain.ipfs.client import IpfsClient
from ...chain.units import WEI_PER_GWEI
from ...relayer_client.client import RelayerClient
from ...settings import (
    ActionSettings,
    IndexSettings,
    OracleSettings,
    RegisterSettings,
    RequestSettings,
    RotateExitsSettings,
    RunSettings,
    SendingSettings,
    SettingsError,
)
from ..chain import MAX_BLOCK_AGE_SECONDS, Chain
from ..oracles.client import OracleClient
from ..progress import Told
from ..registration.by_deposit_data import ByDepositData
from ..registration.by_manager import ByManager
from ..registration.deposit_file import problems_in
from ..registration.preparing import Preparing, Way
from ..rotation.rotating import Rotating
from ..sending.action import Action, Kind
from ..sending.journal import Journal
from ..sending.sender import Sender, SendingPolicy
from ..sending.wallet import ExternalWallet, KeystoreWallet, Wallet
from .executor import Task
from .order_files import read_keys_by_index

RELAYER_ATTEMPTS = 3  # of one request; what cannot be reached then is told, and the registration begins again
LEAST_POLL_SECONDS = 0.2
POLLS_PER_SLOT = 4  # looks at a transaction that waits
SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class Desk:
    """What every action needs."""

    chain: Chain
    wallet: Wallet
    journal: Journal
    sender: Sender
    relayer: RelayerClient


@dataclass(frozen=True)
class Office:
    """What registers, and looks after the exits of what is registered."""

    desk: Desk
    preparing: Preparing
    rotating: Rotating | None

    @property
    def chain(self) -> Chain:
        """Who is asked about the chain."""
        return self.desk.chain

    @property
    def network(self) -> Network:
        """With the addresses of the contracts that are used."""
        return self.desk.chain.network

    @property
    def wallet(self) -> Wallet:
        """Who pays."""
        return self.desk.wallet

    @property
    def journal(self) -> Journal:
        """What was done."""
        return self.desk.journal

    @property
    def sender(self) -> Sender:
        """How it is done."""
        return self.desk.sender

    @property
    def task(self) -> Task:
        """To register the next batch."""
        preparing = self.preparing

        def is_done_by(action: Action) -> bool:
            return (action.kind, action.vault) == (Kind.REGISTER, preparing.vault)

        return Task(self.desk.chain, self.sender, preparing.prepare, preparing.told, is_done_by)


@asynccontextmanager
async def open_desk(settings: ActionSettings, told: Told) -> AsyncIterator[Desk]:
    """What every action needs, inside the block.

    Raises:
        AccountKeyError, FileError, SettingsError, JournalError, MissingExtraError: something that the
            settings name cannot be used.
        UnavailableError: a source of the next index cannot be opened.
    """
    network = settings.on_chain(settings.network)
    oracles = None
    if isinstance(settings, OracleSettings) and settings.oracles is not None:
        oracles = await asyncio.to_thread(read_oracle_config, settings.oracles)
    async with AsyncExitStack() as stack:
        wallet = await _wallet(settings, network, stack)
        journal = await stack.enter_async_context(Journal(settings.journal))
        node = NodeClient(
            settings.execution_endpoints,
            timeout_seconds=settings.execution_timeout,
            logs_span_blocks=settings.logs_span_blocks,
            chain_id=network.chain_id,
        )
        await stack.enter_async_context(node)
        ipfs = None
        if settings.ipfs_gateways:
            ipfs = IpfsClient(settings.ipfs_gateways, timeout_seconds=settings.ipfs_timeout)
            await stack.enter_async_context(ipfs)
        relayer = RelayerClient(
            settings.relayer,
            access=settings.accesses()[0],
            timeout_seconds=settings.relayer_timeout,
            attempts=RELAYER_ATTEMPTS,
        )
        await stack.enter_async_context(relayer)
        chain = Chain(node, ipfs, network, oracles)
        sender = Sender(
            node,
            wallet,
            journal,
            _policy(settings, network),
            chain_id=network.chain_id,
            why_stale=chain.why_stale,
            told=told,
        )
        yield Desk(chain, wallet, journal, sender, relayer)


@asynccontextmanager
async def open_office(settings: RegisterSettings, told: Told) -> AsyncIterator[Office]:
    """All parts of registering, inside the block; raises as `open_desk`."""
    deposits = await asyncio.to_thread(_deposits, settings)
    async with (
        open_desk(settings, told) as desk,
        OracleClient(timeout_seconds=settings.oracle_timeout) as oracle_client,
        _indices(settings, desk.chain) as (scan, beacon),
    ):
        index = choose(
            network=desk.chain.network,
            scan=scan,
            beacon=beacon,
            node=desk.chain.node,
            start_index=settings.start_index,
            threads=settings.threads,
        )
        assert index is not None  # the settings see to it
        preparing = Preparing(
            desk.chain,
            index,
            _way(settings, desk.chain, desk.relayer, deposits, told),
            oracle_client,
            settings.vault,
            settings.max_validator_balance_gwei or desk.chain.network.max_validator_balance_gwei,
            settings.max_batch,
            settings.vault_min_balance_gwei * WEI_PER_GWEI,
            told,
        )
        rotating = None
        if isinstance(settings, RunSettings):
            keys = KeysByIndex({}, scan, beacon)
            rotating = _rotating(settings, desk, oracle_client, keys, told)
        yield Office(desk, preparing, rotating)


@asynccontextmanager
async def open_rotating(settings: RotateExitsSettings, told: Told) -> AsyncIterator[tuple[Desk, Rotating]]:
    """All parts of a rotation, inside the block; raises as `open_desk`."""
    given = {}
    if settings.validators_file is not None:
        given = await asyncio.to_thread(read_keys_by_index, settings.validators_file)
    async with (
        open_desk(settings, told) as desk,
        OracleClient(timeout_seconds=settings.oracle_timeout) as oracle_client,
        _indices(settings, desk.chain) as (scan, beacon),
    ):
        keys = KeysByIndex(given, scan, beacon)
        yield desk, _rotating(settings, desk, oracle_client, keys, told)


def poll_seconds(network: Network) -> float:
    """Between two looks at something that a block decides."""
    return max(network.seconds_per_slot / POLLS_PER_SLOT, LEAST_POLL_SECONDS)


def open_beacon(settings: RequestSettings) -> BeaconClient:
    """The beacon nodes, for an `async with`."""
    return BeaconClient(
        settings.consensus_endpoints,
        timeout_seconds=settings.consensus_timeout,
        network=settings.on_chain(settings.network),
    )


@asynccontextmanager
async def _indices(
    settings: IndexSettings, chain: Chain
) -> AsyncIterator[tuple[DepositScan | None, BeaconClient | None]]:
    """Who knows the validator indices."""
    async with AsyncExitStack() as stack:
        scan = beacon = None
        if settings.consensus_endpoints:
            beacon = BeaconClient(
                settings.consensus_endpoints,
                timeout_seconds=settings.consensus_timeout,
                network=chain.network,
            )
            await stack.enter_async_context(beacon)
        if settings.deposits_database is not None:
            opened = DepositScan.opened(
                chain.node,
                settings.deposits_database,
                network=chain.network,
                genesis_validators=settings.genesis_validators,
                threads=settings.threads,
            )
            scan = await stack.enter_async_context(opened)
        yield scan, beacon


def _rotating(
    settings: RunSettings | RotateExitsSettings,
    desk: Desk,
    oracle_client: OracleClient,
    keys: KeysByIndex,
    told: Told,
) -> Rotating:
    return Rotating(
        desk.chain,
        keys,
        desk.relayer,
        oracle_client,
        desk.journal,
        settings.vault,
        poll_seconds=settings.poll_interval,
        collect_seconds=settings.collect_seconds,
        told=told,
    )


def _way(
    settings: RegisterSettings,
    chain: Chain,
    relayer: RelayerClient,
    deposits: DepositData | None,
    told: Told,
) -> Way:
    if deposits is None:
        return ByManager(
            chain,
            relayer,
            settings.network,
            settings.vault,
            settings.credentials_type,
            poll_seconds=settings.poll_interval,
            wait_seconds=settings.timeout_seconds,
            told=told,
        )
    return ByDepositData(
        chain,
        relayer,
        settings.network,
        settings.vault,
        deposits,
        DepositDataTree(deposits),
        poll_seconds=settings.poll_interval,
        relayer_wait_seconds=settings.wait_seconds,
        wait_seconds=settings.timeout_seconds,
        told=told,
    )


def _deposits(settings: RegisterSettings) -> DepositData | None:
    """The deposit data, if there is one, all of it right: a part of it has another root."""
    if settings.deposit_data is None:
        return None
    deposits = read_deposit_data(settings.deposit_data, network=settings.network)
    found, about_file = problems_in(
        settings.deposit_data, deposits, vault=settings.vault, threads=settings.threads
    )
    for i, credentials in enumerate(deposits.withdrawal_credentials):
        if credentials[0] != ETH1_ADDRESS:
            found[i].append("withdrawal_credentials: the DepositDataRegistry takes type 0x01 only")
    problems = [
        f"{settings.deposit_data}: record {i}: {problem}"
        for i, record in enumerate(found)
        for problem in record
    ]
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        more_problems = [f"and {more} more"] if more > 0 else []
        raise SettingsError([*problems[:SHOWN_PROBLEMS], *more_problems, *about_file])
    return deposits


async def _wallet(settings: SendingSettings, network: Network, stack: AsyncExitStack) -> Wallet:
    if settings.wallet_keystore is not None and settings.wallet_password is not None:
        return await KeystoreWallet.load(settings.wallet_keystore, settings.wallet_password, network.chain_id)
    assert settings.signer is not None
    assert settings.signer_address is not None
    return await stack.enter_async_context(
        ExternalWallet(
            settings.signer,
            bytes(wire.Address(settings.signer_address)),
            network.chain_id,
            timeout_seconds=settings.signer_timeout,
        )
    )


def _policy(settings: SendingSettings, network: Network) -> SendingPolicy:
    return SendingPolicy(
        max_fee_wei=round(settings.fee_cap_gwei(network) * WEI_PER_GWEI),
        max_priority_fee_wei=round(settings.priority_fee_cap_gwei(network) * WEI_PER_GWEI),
        min_priority_fee_wei=network.min_priority_fee_gwei * WEI_PER_GWEI,
        fee_blocks=settings.priority_fee_blocks,
        fee_percentile=settings.priority_fee_percentile,
        confirmations=settings.confirmations,
        poll_seconds=poll_seconds(network),
        replace_seconds=settings.replace_seconds,
        raise_seconds=network.seconds_per_slot,
        max_age_seconds=MAX_BLOCK_AGE_SECONDS,
    )
