"""Ceremonies of real charon nodes with ours among them: a black box whose path is in DVTFAST_CHARON."""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import AsyncExitStack, asynccontextmanager

import numpy as np
import pytest

from dvtfast.dkg.frost.ceremony import Ceremony
from dvtfast.dkg.frost.dialects import dialect_of
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
from dvtfast.services.ceremony.charon_node import CharonNode
from dvtfast.services.ceremony.charon_terms import terms_of, unsigned_lock
from dvtfast.services.p2p.host import Host
from dvtfast.services.p2p.host import IdentityKey as HostKey
from tests.services.ceremony.charon import CHARON, NO_CHARON
from tests.services.p2p.hosts import relay

pytestmark = pytest.mark.skipif(not CHARON, reason=NO_CHARON)

N, THRESHOLD = 4, 3
SECONDS = 600  # four processes on a busy machine
SECRETS = [secrets.token_bytes(32) for _ in range(N)]


async def output_of(*command, cwd=None):
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        return (await process.communicate())[0].decode(), process.returncode
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


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
async def our_node(definition, position, dialect, relays, results):
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
            host, Ceremony(terms, keys[position]), terms, make_lock=make_lock, store=store, show=print
        )
        yield node


@pytest.mark.parametrize("validators", [1, 100])
@pytest.mark.parametrize("ours", [(3,), (0,), (1, 2)], ids=str)
async def test_our_nodes_beside_charons(tmp_path, validators, ours):
    version, _ = await output_of(CHARON, "version")
    dialect = dialect_of(version.split()[0])
    definition = make_cluster_definition(
        network=HOODI,
        operators=[Operator(enr=make_enr(secret)) for secret in SECRETS],
        threshold=THRESHOLD,
        fee_recipients=np.full((validators, 20), 0x11, np.uint8),
        withdrawal_addresses=np.full((validators, 20), 0x22, np.uint8),
        name="mixed",
    )
    theirs = [position for position in range(N) if position not in ours]
    folders = {position: folder(tmp_path, position, definition) for position in theirs}
    results = {position: {} for position in ours}
    async with AsyncExitStack() as stack, asyncio.timeout(SECONDS):
        _, relays = await stack.enter_async_context(relay())
        nodes = [
            await stack.enter_async_context(our_node(definition, p, dialect, relays, results[p]))
            for p in ours
        ]
        charons = [asyncio.create_task(charon_dkg(folders[p], relays)) for p in theirs]
        try:
            await asyncio.gather(*(node.run() for node in nodes))
            ends = await asyncio.gather(*charons)
        finally:
            for task in charons:
                task.cancel()
            for position, task in zip(theirs, charons, strict=True):
                if task.done() and not task.cancelled() and not task.exception():
                    print(position, task.result()[0][-4000:])
    for output, code in ends:
        assert code == 0, output[-2000:]
    texts = {json.dumps(json.loads((folders[p] / "cluster-lock.json").read_text())) for p in theirs}
    assert len(texts) == 1
    written = read_cluster_lock(folders[theirs[0]] / "cluster-lock.json")
    for position in ours:
        lock = results[position]["lock"]
        assert lock.lock_hash == written.lock_hash
        assert lock.signature_aggregate == written.signature_aggregate
        assert lock.node_signatures == written.node_signatures
        assert np.array_equal(lock.public_key_shares, written.public_key_shares)
        assert np.array_equal(lock.deposits.signatures, written.deposits.signatures)
