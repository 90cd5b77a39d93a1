"""`dvtfast operator collect`: deposit data in, checked registration bundle out."""

from __future__ import annotations

import asyncio
import dataclasses
from functools import partial
from time import perf_counter

import click
import numpy as np

from dvtfast import DvtfastError
from dvtfast.deposits import DepositData, read_deposit_data
from dvtfast.protocol_config import OracleConfig, read_oracle_config

from ... import wire
from ...process import logs, running
from ...relayer_client.client import RelayerClient, RelayerRefusedError, WrongNetworkError
from ...settings import EXIT_CODE, CollectSettings, SettingsError
from ...settings.parsing import VALIDATORS_LIMIT
from ..progress import showing_reports
from ..registration.bundle import make_bundle, write_bundle
from ..registration.checks import wrong_shares
from ..registration.collection import CollectedShares, OtherIndicesError, chunks_of, collect_shares
from ..registration.deposit_file import problems_in, shown_vaults, vault_in, vaults_in

INDICES_UNKNOWN = (
    "the relayer does not say whether its exits are for the indices of --start-index: it goes by none, and"
    " does not list them. Leave --start-index out; the bundle then has no indices"
)
STOPPED = 130  # as a shell says of a program that Ctrl-C ended

log = logs.get("operator")


def run(settings: CollectSettings) -> int:
    """Run to the end; 0 when every validator of the deposit data is in the bundle."""
    try:
        deposits, left_out = read_deposits(settings)
        oracles = read_oracle_config(settings.oracles) if settings.oracles else None
    except (DvtfastError, SettingsError) as error:
        for problem in error.problems if isinstance(error, SettingsError) else [str(error)]:
            click.echo(f"error: {problem}", err=True)
        return EXIT_CODE
    code = running.run(partial(_until_stopped, settings, deposits, oracles))
    return code or (1 if left_out else 0)


def read_deposits(settings: CollectSettings) -> tuple[DepositData, int]:
    """The deposit data without its wrong records, and how many these are.

    Raises:
        SettingsError: there are wrong records, and nobody said to leave them out; or the validators
            need indices above 2^40 - 1.
        FileError: the file is wrong as a whole.
    """
    begin = perf_counter()
    deposits = read_deposit_data(settings.deposit_data, network=settings.network)
    vault = settings.vault or _vault_meant(settings, deposits)
    found, about_file = problems_in(settings.deposit_data, deposits, vault=vault)
    problems = [
        f"{settings.deposit_data}: record {i}: {'; '.join(record)}"
        for i, record in enumerate(found)
        if record
    ]
    good = np.array([not record for record in found], dtype=np.bool_)
    if (settings.start_index or 0) + len(good) > VALIDATORS_LIMIT:
        raise SettingsError([f"--start-index: {len(good)} validators need indices above 2^40 - 1"])
    if problems and (not settings.skip_invalid or not good.any()):
        hint = "mend them, or leave them out with --skip-invalid"
        count = f"{int((~good).sum())} of {len(good)} records are wrong; {hint}"
        raise SettingsError([*problems, *about_file, count])
    for problem in [*problems, *about_file]:
        log.warning("left out", problem=problem)
    seconds = round(perf_counter() - begin, 3)
    log.info(
        "deposit data read",
        vault=wire.Address(vault).to_wire(),
        count=len(good),
        left_out=int((~good).sum()),
        seconds=seconds,
    )
    return (_only(deposits, good), int((~good).sum()))


def _vault_meant(settings: CollectSettings, deposits: DepositData) -> bytes:
    """The vault where nobody names it: no record that is left out decides whose the others are.

    Raises:
        SettingsError: records that are right are of several, and the others would be left out.
    """
    if not settings.skip_invalid:
        return vault_in(deposits)  # one of another vault is an error anyway
    vaults = vaults_in(deposits) or [vault_in(deposits)]
    if len(vaults) > 1:
        raise SettingsError(
            [
                f"{settings.deposit_data}: stake of records that are right goes back to"
                f" {shown_vaults(vaults)}; say with --vault which vault they are for"
            ]
        )
    return vaults[0]


async def _until_stopped(
    settings: CollectSettings, deposits: DepositData, oracles: OracleConfig | None, stop: asyncio.Event
) -> int:
    code = await running.unless_stopped(_collect(settings, deposits, oracles), stop)
    if code is None:
        log.warning("stopped; nothing was written")
        return STOPPED
    return code


async def _collect(settings: CollectSettings, deposits: DepositData, oracles: OracleConfig | None) -> int:
    keys = [row.tobytes() for row in deposits.public_keys]
    chunks = chunks_of(keys, size=settings.chunk_size, start_index=settings.start_index)
    begin = perf_counter()
    try:
        async with (
            asyncio.timeout(settings.timeout_seconds),
            RelayerClient(
                settings.relayer, access=settings.accesses()[0], timeout_seconds=settings.relayer_timeout
            ) as client,
        ):
            with showing_reports() as report:
                collected = await collect_shares(
                    client,
                    chunks,
                    network=settings.network.name,
                    poll_seconds=settings.poll_interval,
                    wait_seconds=settings.wait_seconds,
                    progress=lambda ready: report("validators ready", ready, len(keys)),
                )
    except TimeoutError:
        log.error("gave up", timeout_seconds=settings.timeout_seconds)
        return 1
    except (WrongNetworkError, OtherIndicesError, RelayerRefusedError) as error:
        log.error("cannot register", error=str(error))
        return 1
    if settings.start_index is not None and not collected.indices_told:
        log.error("cannot register", error=INDICES_UNKNOWN)
        return 1
    log.info("validators ready", count=len(collected.shares), seconds=round(perf_counter() - begin, 3))
    return await asyncio.to_thread(_finish, settings, deposits, oracles, collected)


def _finish(
    settings: CollectSettings,
    deposits: DepositData,
    oracles: OracleConfig | None,
    collected: CollectedShares,
) -> int:
    """Check what came, write down what is good, and name the rest."""
    begin = perf_counter()
    problems = dict(collected.refused)
    if oracles is None:
        log.warning("oracle shares not checked; give the protocol config with --oracles")
    else:
        problems |= wrong_shares(list(collected.shares), collected.shares, oracles)
    for key, reason in problems.items():
        log.error("validator left out", public_key=wire.PublicKey(key).to_wire(), reason=reason)
    good = {key: shares for key, shares in collected.shares.items() if key not in problems}
    if not good:
        log.error("no validator is left; nothing was written")
        return 1
    bundle = make_bundle(
        deposits,
        good,
        start_index=settings.start_index,
        oracles=oracles,
        vault=settings.vault or vault_in(deposits),
    )
    try:
        write_bundle(settings.output, bundle)
    except OSError as error:
        log.error("cannot write the bundle", path=str(settings.output), error=str(error))
        return 1
    log.info(
        "bundle written",
        path=str(settings.output),
        validators=len(bundle.validators),
        left_out=len(problems),
        seconds=round(perf_counter() - begin, 3),
    )
    return 1 if problems else 0


def _only(deposits: DepositData, good: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> DepositData:
    rows = {
        field.name: getattr(deposits, field.name)[good]
        for field in dataclasses.fields(deposits)
        if field.name != "network"
    }
    return dataclasses.replace(deposits, **rows)
