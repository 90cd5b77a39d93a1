"""`dvtfast exit`: what an operator tells the node by its file, and what is in that file."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sized
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import click
import msgspec

from dvtfast import DvtfastError
from dvtfast.errors import InputError
from dvtfast.networks import network_with_fork_version
from dvtfast.obol import read_node_key
from dvtfast.secp256k1 import IdentityKey

from ...chain.beacon.client import ACTIVE_STATUS, BeaconError, ValidatorDetails
from ...chain.beacon.duties import DutiesClient
from ...chain.encoding import write_data
from ...files import paths
from ...files.sqlite_files import FILE_MODE
from ...process.key_lock import is_used
from ...process.offload import Workers
from ...settings import (
    EXIT_CODE,
    ExitBroadcastSettings,
    ExitCancelSettings,
    ExitChainSettings,
    ExitExportSettings,
    ExitImportSettings,
    ExitListSettings,
    ExitSettings,
    ExitSignSettings,
    SettingsError,
    SomeExitSettings,
)
from ..cluster import NodeCluster, read_cluster
from ..exits.judging import ExitJudge
from ..exits.messages import WholeExit
from ..exits.partial_exit_files import read_partial_exits, write_partial_exits
from ..exits.sending import send_exit
from ..exits.states import exit_states
from ..exits.store import ExitStore, ExitStoreError
from ..slots import SlotClock
from .exit_table import show_exits
from .files import chain_of
from .run import COMMAND, FAILED, MILLISECONDS, beacon_of

WAIT_SECONDS: Final = 15.0  # for the node that runs, which looks each second
LOOK_SECONDS: Final = 0.2
NOT_SIGNED: Final = "the cluster has not signed an exit; see dvtfast exit list"


def sign(settings: ExitSignSettings) -> int:
    """Order exits of this node; the exit code."""
    return _run(lambda: _sign(settings))


def cancel(settings: ExitCancelSettings) -> int:
    """Take orders back; the exit code."""
    return _run(lambda: _cancel(settings))


def list_all(settings: ExitListSettings) -> int:
    """Show all validators; the exit code."""
    return _run(lambda: asyncio.run(_list(settings)))


def broadcast(settings: ExitBroadcastSettings) -> int:
    """Send exits that the cluster has signed; the exit code."""
    return _run(lambda: asyncio.run(_broadcast(settings)))


def export_file(settings: ExitExportSettings, file: Path) -> int:
    """Write what this node signed; the exit code."""
    return _run(lambda: _export(settings, file))


def import_file(settings: ExitImportSettings, file: Path) -> int:
    """Take over what another node signed; the exit code."""
    return _run(lambda: asyncio.run(_import(settings, file)))


def _run(work: Callable[[], int]) -> int:
    try:
        return work()
    except SettingsError as error:
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        return EXIT_CODE
    except (DvtfastError, ExitStoreError) as error:
        click.echo(f"error: {error}", err=True)
        return EXIT_CODE
    except (BeaconError, OSError) as error:
        click.echo(f"error: {paths.told(error)}", err=True)
        return FAILED


# Signing.


def _sign(settings: ExitSignSettings) -> int:
    cluster = _cluster(settings)
    validators = _chosen(settings, cluster)
    epoch = _capella_epoch(cluster) if settings.exit_epoch is None else settings.exit_epoch
    question = (
        f"Sign for this node that {_counted(validators)} of the cluster {cluster.name!r} leave for ever, from"
        f" epoch {epoch} on (which counts when {cluster.members.keys.threshold} nodes have signed it)?"
    )
    if not settings.yes and not _confirmed(question):
        click.echo("nothing was ordered", err=True)
        return FAILED
    with _store(settings, cluster) as store:
        others = store.order(validators, epoch, is_wanted=settings.publish, replace=settings.replace)
        if others:
            raise SettingsError(
                [
                    f"{write_data(each.validator)}: an exit of epoch {each.epoch} was ordered before: say"
                    f" --exit-epoch {each.epoch}, or --replace, after which two are valid"
                    for each in others
                ]
            )
        runs = is_used(settings.key_path, COMMAND)
        if runs:
            _wait(store, set(validators), cluster.members.position)
        states = exit_states(store, validators)
        unsigned = {order.validator for order in store.unsigned(cluster.members.position)}
    show_exits(states, cluster, None, as_json=settings.json)
    if not runs:
        click.echo("the node does not run; it signs when it does", err=True)
    elif left := unsigned & set(validators):
        click.echo(f"{_counted(left)} not signed yet; the node goes on with it", err=True)
    return 0


def _wait(store: ExitStore, validators: set[bytes], position: int) -> None:
    """Until the node has signed, or said why not."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        if not any(each.validator in validators and not each.problem for each in store.unsigned(position)):
            return
        time.sleep(LOOK_SECONDS)


def _capella_epoch(cluster: NodeCluster) -> int:
    """Of the lock's network; of one's own network it is the first."""
    try:
        return network_with_fork_version(cluster.fork_version).capella_epoch
    except InputError:
        return 0


def _cancel(settings: ExitCancelSettings) -> int:
    cluster = _cluster(settings)
    validators = _chosen(settings, cluster)
    with _store(settings, cluster) as store:
        store.cancel(validators)
        states = exit_states(store, validators)
        own = {each.message.validator for each in store.partials(cluster.members.position)}
    show_exits(states, cluster, None, as_json=settings.json)
    if signed := own & set(validators):
        click.echo(f"{_counted(signed)} signed before; other nodes may have that, and use it", err=True)
    return 0


# The chain.


async def _list(settings: ExitListSettings) -> int:
    cluster = _cluster(settings)
    async with _beacon(settings, cluster) as beacon:
        with _store(settings, cluster, only_looks=True) as store:
            keys = list(cluster.members.validators)
            details = await beacon.details(keys, state="head")
            states = exit_states(store, keys, _indices(details))
    show_exits(states, cluster, details, as_json=settings.json)
    return 0


async def _broadcast(settings: ExitBroadcastSettings) -> int:
    cluster = _cluster(settings)
    validators = _chosen(settings, cluster)
    async with _beacon(settings, cluster) as beacon:
        details = await beacon.details(validators, state="head")
        with _store(settings, cluster) as store:
            ExitJudge(cluster.members, beacon.chain.schedule, store).recover()
            states = exit_states(store, validators, _indices(details))
            whole = {each.validator: each.whole for each in states if each.whole}
            if not settings.all and (missing := [each for each in validators if each not in whole]):
                raise SettingsError([f"{write_data(each)}: {NOT_SIGNED}" for each in missing])
            if not whole:
                raise SettingsError([f"--all: {NOT_SIGNED}"])
            epochs = ", ".join(str(each) for each in sorted({exit.message.epoch for exit in whole.values()}))
            question = (
                f"End {_counted(whole)} of the cluster {cluster.name!r} for ever, by exits of epoch {epochs}?"
            )
            if not settings.yes and not _confirmed(question):
                click.echo("nothing was sent", err=True)
                return FAILED
            store.want((validator, exit.message.epoch) for validator, exit in whole.items())
            all_taken = await _send(beacon, store, whole, details)
            details = await beacon.details(list(whole), state="head")
            states = exit_states(store, whole, _indices(details))
    show_exits(states, cluster, details, as_json=settings.json)
    left = [each for each in states if each.whole is not None and each.whole.sent_at is None]
    if left and not is_used(settings.key_path, COMMAND):
        click.echo(f"{_counted(left)} not sent yet; the node, which goes on with it, does not run", err=True)
    return 0 if all_taken else FAILED


async def _send(
    beacon: DutiesClient,
    store: ExitStore,
    whole: Mapping[bytes, WholeExit],
    details: Mapping[bytes, ValidatorDetails],
) -> bool:
    """Send what the chain takes now; the node sends the others when it does. Whether none was refused."""
    chain = beacon.chain
    slots = SlotClock(chain.genesis_time, chain.milliseconds_per_slot / MILLISECONDS, chain.slots_per_epoch)
    now = slots.epoch(slots.slot())
    all_taken, workers = True, Workers("exits", threads=1)
    try:
        for validator, exit in whole.items():
            there = details.get(validator)
            if there is not None and there.status == ACTIVE_STATUS and exit.message.epoch <= now:
                all_taken &= await send_exit(beacon, store, exit, slots.now(), workers)
    finally:
        await workers.close()
    return all_taken


def _indices(details: Mapping[bytes, ValidatorDetails]) -> dict[bytes, int]:
    """On the chain."""
    return {key: each.index for key, each in details.items()}


# Files.


def _export(settings: ExitExportSettings, file: Path) -> int:
    cluster = _cluster(settings)
    validators = set(_chosen(settings, cluster))
    with _store(settings, cluster, only_looks=True) as store:
        partials = [
            each for each in store.partials(cluster.members.position) if each.message.validator in validators
        ]
    if not partials:
        raise SettingsError(["this node has signed no exit of these; see dvtfast exit sign"])
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(descriptor, "wb") as output:
        output.write(write_partial_exits(partials))
    _tell(f"{file} has", len(partials), cluster.members.position, as_json=settings.json)
    return 0


async def _import(settings: ExitImportSettings, file: Path) -> int:
    cluster = _cluster(settings)
    members = cluster.members
    node, signed = read_partial_exits(file, members.validators, members.keys.nodes)
    async with _beacon(settings, cluster) as beacon:
        details = await beacon.details(list(members.validators), state="head")
        indices = {members.validators[key]: each.index for key, each in details.items()}
        with _store(settings, cluster) as store:
            judge = ExitJudge(members, beacon.chain.schedule, store)
            kept, faults = judge.take(node, signed, indices)
            judge.recover()
    for fault in faults:
        click.echo(f"error: {file}: {fault.reason}, of {len(fault.validators)} validators", err=True)
    _tell("new here are", kept, node, as_json=settings.json)
    return EXIT_CODE if faults else 0


def _tell(what: str, count: int, node: int, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({"share_index": node + 1, "partial_exits": count}))
    else:
        click.echo(f"{what} {count} partial exits of share index {node + 1}")


# What all do.


def _cluster(settings: ExitSettings) -> NodeCluster:
    identity = IdentityKey(read_node_key(settings.key_path))
    return read_cluster(settings.lock_path, identity.public_key, verify=not settings.no_verify)


def _chosen(settings: SomeExitSettings, cluster: NodeCluster) -> list[bytes]:
    known = cluster.members.validators
    if settings.all:
        return list(known)
    if strangers := [each for each in settings.validators if each not in known]:
        raise SettingsError(
            [f"{write_data(each)}: no validator of the cluster {cluster.name!r}" for each in strangers]
        )
    return list(dict.fromkeys(settings.validators))


@contextmanager
def _store(settings: ExitSettings, cluster: NodeCluster, *, only_looks: bool = False) -> Iterator[ExitStore]:
    store = ExitStore(settings.exits_path, cluster.lock_hash, only_looks=only_looks)
    try:
        yield store
    finally:
        store.close()


@asynccontextmanager
async def _beacon(settings: ExitChainSettings, cluster: NodeCluster) -> AsyncIterator[DutiesClient]:
    async with beacon_of(settings, chain_of(settings, cluster)) as beacon:
        await beacon.learn()
        yield beacon


def _counted(validators: Sized) -> str:
    count = len(validators)
    return f"{count} validator{'s' if count != 1 else ''}"


def _confirmed(question: str) -> bool:
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        return False
