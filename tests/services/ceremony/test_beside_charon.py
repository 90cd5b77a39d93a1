"""Ceremonies of real charon nodes with ours among them: a black box whose path is in DVTFAST_CHARON."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from shutil import copytree

import aiohttp
import numpy as np
import pytest

from dvtfast.dkg.frost.ceremony import Ceremony
from dvtfast.dkg.frost.dialects import dialect_of
from dvtfast.keys import derive_public_keys
from dvtfast.keystores import load_keystores
from dvtfast.networks import HOODI
from dvtfast.obol import (
    Operator,
    make_cluster_definition,
    make_enr,
    read_cluster_lock,
    signed_cluster_lock,
    verify_cluster_lock,
    write_cluster_definition,
)
from dvtfast.secp256k1 import IdentityKey
from dvtfast.services.ceremony.charon_node import OWN_FAULT, CharonNode
from dvtfast.services.ceremony.charon_terms import terms_of, unsigned_lock
from dvtfast.services.ceremony.folder import Cost, NodeResult, verify_node_files, write_node_files
from dvtfast.services.demo.world.ports import free_ports
from dvtfast.services.p2p.host import Host
from dvtfast.services.p2p.host import IdentityKey as HostKey
from tests.services.ceremony.charon import CHARON, NO_CHARON
from tests.services.p2p.hosts import relay

pytestmark = pytest.mark.skipif(not CHARON, reason=NO_CHARON)

N, THRESHOLD = 4, 3
SECONDS = 600  # four processes on a busy machine
SECRETS = [secrets.token_bytes(32) for _ in range(N)]


@asynccontextmanager
async def running(*command):
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def output_of(*command):
    async with running(*command) as process:
        return (await process.communicate())[0].decode(), process.returncode


@asynccontextmanager
async def charons_relay(tmp_path):
    """A relay of charon's own, at an address of this machine."""
    ports = free_ports(2)
    command = running(
        CHARON, "relay", f"--data-dir={tmp_path}/relay", "--auto-p2pkey", "--p2p-advertise-private-addresses",
        f"--http-address=127.0.0.1:{ports[0]}", f"--p2p-tcp-address=127.0.0.1:{ports[1]}",
        "--p2p-external-ip=127.0.0.1", "--p2p-relays=", "--log-level=error",
    )  # fmt: skip
    (tmp_path / "relay").mkdir()
    async with command:
        url = f"http://127.0.0.1:{ports[0]}"
        async with aiohttp.ClientSession() as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(url) as answer:
                        if answer.status == HTTPStatus.OK:
                            break
                await asyncio.sleep(0.1)
        yield [url]


@asynccontextmanager
async def our_relay(tmp_path):
    async with relay() as (_, addresses):
        yield addresses


def folder(tmp_path, position, definition):
    """What charon needs in its data directory."""
    directory = tmp_path / f"node{position}"
    directory.mkdir()
    key = directory / "charon-enr-private-key"
    key.write_text(SECRETS[position].hex())
    key.chmod(0o600)
    write_cluster_definition(directory / "cluster-definition.json", definition)
    return directory


async def charon_dkg(directory, relays):
    return await output_of(
        CHARON, "dkg", f"--data-dir={directory}", f"--definition-file={directory}/cluster-definition.json",
        f"--p2p-relays={','.join(relays)}", "--shutdown-delay=1s", "--log-color=disable",
    )  # fmt: skip


@asynccontextmanager
async def our_node(definition, position, dialect, relays, results, *, show=print):
    keys = [IdentityKey(secret) for secret in SECRETS]
    nodes = [key.public_key for key in keys]
    terms = terms_of(definition, HOODI, nodes=nodes, position=position, dialect=dialect, nickname="dvtfast")

    async def make_lock(wanted):
        results["lock"] = unsigned_lock(definition, HOODI, wanted)
        return results["lock"].lock_hash

    async def store(sealed):
        lock = signed_cluster_lock(
            results["lock"],
            signature_aggregate=sealed.signature_aggregate,
            node_signatures=sealed.node_signatures,
        )
        verify_cluster_lock(lock)
        results["lock"], results["shares"] = lock, sealed.keys.secret_shares.copy()

    async with Host.open(HostKey(SECRETS[position]), peers=nodes, relays=relays) as host:
        node = CharonNode(
            host, Ceremony(terms, keys[position]), terms, make_lock=make_lock, store=store, show=show
        )
        yield node


CASES = [
    pytest.param(our_relay, (3,), 1, id="1 of 4"),
    pytest.param(our_relay, (0,), 100, id="1 of 4, 100 validators"),
    pytest.param(our_relay, (1, 2), 100, id="2 of 4, 100 validators"),
    pytest.param(charons_relay, (3,), 1, id="1 of 4, charon's relay"),
    pytest.param(charons_relay, (0, 2), 100, id="2 of 4, charon's relay, 100 validators"),
]


def a_definition(validators):
    return make_cluster_definition(
        network=HOODI,
        operators=[Operator(enr=make_enr(secret)) for secret in SECRETS],
        threshold=THRESHOLD,
        fee_recipients=np.full((validators, 20), 0x11, np.uint8),
        withdrawal_addresses=np.full((validators, 20), 0x22, np.uint8),
        name="mixed",
    )


async def the_dialect():
    version, _ = await output_of(CHARON, "version")
    return dialect_of(version.split()[0])


@pytest.mark.parametrize(("through", "ours", "validators"), CASES)
async def test_our_nodes_beside_charons(tmp_path, through, ours, validators):
    definition, dialect = a_definition(validators), await the_dialect()
    theirs = [position for position in range(N) if position not in ours]
    folders = {position: folder(tmp_path, position, definition) for position in theirs}
    results = {position: {} for position in ours}
    async with AsyncExitStack() as stack, asyncio.timeout(SECONDS):
        relays = await stack.enter_async_context(through(tmp_path))
        nodes = [
            await stack.enter_async_context(our_node(definition, p, dialect, relays, results[p]))
            for p in ours
        ]
        async with asyncio.TaskGroup() as group:
            charons = [group.create_task(charon_dkg(folders[p], relays)) for p in theirs]
            for node in nodes:
                group.create_task(node.run())
    for charon in charons:
        output, code = charon.result()
        assert code == 0, output
    texts = {(folders[p] / "cluster-lock.json").read_bytes() for p in theirs}
    assert len(texts) == 1
    written = read_cluster_lock(folders[theirs[0]] / "cluster-lock.json")
    for result in results.values():
        lock = result["lock"]
        assert lock.lock_hash == written.lock_hash
        assert lock.signature_aggregate == written.signature_aggregate
        assert lock.node_signatures == written.node_signatures
        assert np.array_equal(lock.public_key_shares, written.public_key_shares)
        assert np.array_equal(lock.deposits.signatures, written.deposits.signatures)
    if validators == 1:
        await assert_folders_are_alike(tmp_path, written, folders, results)


async def test_charons_are_told_why_our_node_ends(tmp_path):
    """They end, too: the first says why, others perhaps that they cannot reach the first."""
    definition, dialect = a_definition(1), await the_dialect()
    folders = [folder(tmp_path, position, definition) for position in range(1, N)]

    def fail(phase):
        if phase.name.startswith("signatures for"):
            raise RuntimeError("the disk is full")

    async with AsyncExitStack() as stack, asyncio.timeout(SECONDS):
        relays = await stack.enter_async_context(our_relay(tmp_path))
        node = await stack.enter_async_context(our_node(definition, 0, dialect, relays, {}, show=fail))
        charons = [asyncio.create_task(charon_dkg(directory, relays)) for directory in folders]
        with pytest.raises(RuntimeError, match="the disk is full"):
            await node.run()
        ends = await asyncio.gather(*charons)
    assert all(code != 0 for _, code in ends)
    assert any(OWN_FAULT in output for output, _ in ends)


async def assert_folders_are_alike(tmp_path, lock, folders, results):
    """charon combines the keys of ours and theirs, and theirs is a folder as we write it."""
    for position, result in results.items():
        ours = tmp_path / f"node{position}"
        ours.mkdir()
        write_node_files(ours, NodeResult(lock, HOODI, position, result["shares"]), Cost())
    for position, directory in folders.items():
        any_shares = np.zeros((len(lock.public_keys), 32), np.uint8)
        verify_node_files(directory, NodeResult(lock, HOODI, position, any_shares))
    for left_out in range(N):
        cluster = tmp_path / f"without{left_out}"
        for position in range(N):
            if position != left_out:
                copytree(tmp_path / f"node{position}", cluster / f"node{position}")
        output, code = await output_of(
            CHARON, "combine", f"--cluster-dir={cluster}", f"--output-dir={cluster}/whole"
        )
        assert code == 0, output
        whole = load_keystores(cluster / "whole")
        assert np.array_equal(derive_public_keys(whole.secret_keys), lock.public_keys)
