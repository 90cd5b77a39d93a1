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
from ...chain.contracts.manager_messages import ETH1_ADDRESS
from ...chain.index.choice import choose_index_source
from ...chain.index.keys_by_index import KeysByIndex
from ...chain.ipfs.client import IpfsClient
from ...chain.units import WEI_PER_GWEI
from ...relayer_client.client import RelayerClient
from ...settings import (
    ActionSettings,
    OracleSettings,
    RegisterSettings,
    RotateExitsSettings,
    RunSettings,
    SendingSettings,
    SettingsError,
)
from ...settings.chain_clients import index_sources, node_client
from ..chain import MAX_BLOCK_AGE_SECONDS, Chain
from ..oracles.client import OracleClient
from ..progress import ProgressReport
from ..registration.by_deposit_data import ByDepositData
from ..registration.by_manager import ByManager
from ..registration.deposit_file import problems_in
from ..registration.planner import RegistrationMethod, RegistrationPlanner
from ..rotation.planner import RotationPlanner
from ..sending.journal import Journal
from ..sending.policy import SendingPolicy
from ..sending.sender import Sender
from ..sending.wallet import ExternalWallet, KeystoreWallet, Wallet
from .order_files import read_keys_by_index

RELAYER_ATTEMPTS = 3  # of one request; what cannot be reached then is told, and the registration begins again
LEAST_POLL_SECONDS = 0.2
POLLS_PER_SLOT = 4  # looks at a transaction that waits
SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class Parts:
    """What every action needs.

    Attributes:
        report: called with what happens, in words.
    """

    chain: Chain
    journal: Journal
    sender: Sender
    relayer: RelayerClient
    report: ProgressReport


@asynccontextmanager
async def open_parts(settings: ActionSettings, report: ProgressReport) -> AsyncIterator[Parts]:
    """What every action needs, inside the block.

    Raises:
        AccountKeyError, FileError, SettingsError, JournalError: something that the settings name cannot be
            used.
        UnavailableError: a source of the next index cannot be opened.
    """
    network = settings.on_chain(settings.network)
    oracles = None
    if isinstance(settings, OracleSettings) and settings.oracles is not None:
        oracles = await asyncio.to_thread(read_oracle_config, settings.oracles)
    async with AsyncExitStack() as stack:
        wallet = await _wallet(settings, network, stack)
        journal = await stack.enter_async_context(Journal(settings.journal))
        node = await stack.enter_async_context(node_client(settings))
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
            report=report,
        )
        yield Parts(chain, journal, sender, relayer, report)


@asynccontextmanager
async def open_registration(
    settings: RegisterSettings, report: ProgressReport
) -> AsyncIterator[tuple[Parts, RegistrationPlanner, RotationPlanner | None]]:
    """All parts of registering, inside the block, and of rotating for `run`; raises as `open_parts`."""
    deposits = await asyncio.to_thread(_deposits, settings)
    async with (
        open_parts(settings, report) as parts,
        OracleClient(timeout_seconds=settings.oracle_timeout) as oracle_client,
        index_sources(settings, parts.chain.node, parts.chain.network) as (scan, beacon),
    ):
        chain = parts.chain
        index = choose_index_source(
            network=chain.network,
            scan=scan,
            beacon=beacon,
            node=chain.node,
            start_index=settings.start_index,
            threads=settings.threads,
        )
        assert index is not None  # the settings see to it
        planner = RegistrationPlanner(
            chain,
            index,
            _registration_method(settings, parts, deposits),
            oracle_client,
            settings.vault,
            settings.max_validator_balance_gwei or chain.network.max_validator_balance_gwei,
            settings.max_batch,
            settings.vault_min_balance_gwei * WEI_PER_GWEI,
            report,
        )
        rotation_planner = None
        if isinstance(settings, RunSettings):
            rotation_planner = _rotation_planner(
                settings, parts, oracle_client, KeysByIndex({}, scan, beacon)
            )
        yield parts, planner, rotation_planner


@asynccontextmanager
async def open_rotation(
    settings: RotateExitsSettings, report: ProgressReport
) -> AsyncIterator[tuple[Parts, RotationPlanner]]:
    """All parts of a rotation, inside the block; raises as `open_parts`."""
    given = {}
    if settings.validators_file is not None:
        given = await asyncio.to_thread(read_keys_by_index, settings.validators_file)
    async with (
        open_parts(settings, report) as parts,
        OracleClient(timeout_seconds=settings.oracle_timeout) as oracle_client,
        index_sources(settings, parts.chain.node, parts.chain.network) as (scan, beacon),
    ):
        yield (
            parts,
            _rotation_planner(settings, parts, oracle_client, KeysByIndex(given, scan, beacon)),
        )


def poll_seconds(network: Network) -> float:
    """Between two looks at something that a block decides."""
    return max(network.seconds_per_slot / POLLS_PER_SLOT, LEAST_POLL_SECONDS)


def _rotation_planner(
    settings: RunSettings | RotateExitsSettings,
    parts: Parts,
    oracle_client: OracleClient,
    keys: KeysByIndex,
) -> RotationPlanner:
    return RotationPlanner(
        parts.chain,
        keys,
        parts.relayer,
        oracle_client,
        parts.journal,
        settings.vault,
        poll_seconds=settings.poll_interval,
        collect_seconds=settings.collect_seconds,
        report=parts.report,
    )


def _registration_method(
    settings: RegisterSettings, parts: Parts, deposits: DepositData | None
) -> RegistrationMethod:
    if deposits is None:
        return ByManager(
            parts.chain,
            parts.relayer,
            settings.vault,
            settings.credentials_type,
            poll_seconds=settings.poll_interval,
            wait_seconds=settings.timeout_seconds,
            report=parts.report,
        )
    return ByDepositData(
        parts.chain,
        parts.relayer,
        settings.vault,
        deposits,
        DepositDataTree(deposits),
        poll_seconds=settings.poll_interval,
        relayer_wait_seconds=settings.wait_seconds,
        wait_seconds=settings.timeout_seconds,
        report=parts.report,
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
