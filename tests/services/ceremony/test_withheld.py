"""One node keeps a lock to itself: the others have its keys, and open them when they are wanted."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest

from dvtfast.dkg.dvtfast_dkg.messages.envelopes import Kind
from dvtfast.dkg.outputs import Joined
from dvtfast.services.ceremony.definition import read_agreement
from dvtfast.services.ceremony.folder import LOCK_FILE
from dvtfast.services.ceremony.running.driver import Patience
from dvtfast.services.ceremony.running.mailbox import Mailbox
from dvtfast.services.ceremony.running.records_file import ASIDE, FOLDER, RecordsFile
from dvtfast.services.ceremony.staging import WRITTEN
from dvtfast.services.ceremony.storing import NodeStore

from ..patience import PATIENCE_SECONDS
from .nodes import Cluster
from .test_commands import call
from .test_running import take_part


async def keep_a_lock(cluster: Cluster, kept: Path) -> None:
    """Node 3 has all LOCKSIGs, gives none, moves its files away and begins anew, with all others."""
    agreement = await read_agreement(str(cluster.file), verify=True)
    patience = Patience(join_seconds=math.inf, silence_seconds=math.inf)
    loop, last = asyncio.get_running_loop(), cluster.nodes[3].folder
    written, begins_anew = asyncio.Event(), asyncio.Event()
    send, write = Mailbox.send, NodeStore.write

    def withhold(mailbox: Mailbox, to: int, payload: bytes | Joined) -> None:
        if begins_anew.is_set() or 3 in mailbox._others or payload[:1] < bytes([Kind.LOCKSIG]):
            send(mailbox, to, payload)

    def show(store: NodeStore, *arguments: Any, **more: Any) -> bytes:
        digest = write(store, *arguments, **more)
        if store.directory == last:
            loop.call_soon_threadsafe(written.set)
        return digest

    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Mailbox, "send", withhold)
            patched.setattr(NodeStore, "write", show)
            others = [asyncio.create_task(take_part(cluster, agreement, i, patience)) for i in range(3)]
            cheater = asyncio.create_task(take_part(cluster, agreement, 3, patience))
            await written.wait()
            cheater.cancel()
            await asyncio.wait([cheater])
            (last / WRITTEN).rename(kept)
            RecordsFile.open(last, agreement.definition.definition_hash).erase()
            begins_anew.set()
            await asyncio.gather(*others, take_part(cluster, agreement, 3, patience))


def test_one_keeps_a_lock_to_itself(tmp_path: Path) -> None:
    """The keys of that lock are kept by all others, and any three of them make whole keys."""
    cluster = Cluster(tmp_path)
    asyncio.run(keep_a_lock(cluster, tmp_path / "kept"))
    assert len({(node.folder / LOCK_FILE).read_bytes() for node in cluster.nodes}) == 1
    lock = tmp_path / "kept" / LOCK_FILE
    assert call("cluster", "verify", lock).exit_code == 0
    folders = tmp_path / "folders"
    for node in cluster.nodes[:3]:
        (aside,) = (node.folder / FOLDER).glob(f"*{ASIDE}")
        common = ("--data-dir", node.folder, "--definition-file", cluster.file, "--insecure-keys")
        output = folders / node.folder.name
        recovered = call("dkg", "recover", aside, *common, "--output-dir", output)
        assert recovered.exit_code == 0, recovered.output
        again = call("dkg", "recover", aside, *common, "--output-dir", output)
        assert "is there already" in again.output
    whole = tmp_path / "whole"
    recovered = call("dkg", "recover", aside, *common, "--lock-file", lock, "--output-dir", whole)
    assert recovered.exit_code == 0, recovered.output
    assert (whole / LOCK_FILE).read_bytes() == lock.read_bytes()
    assert call("cluster", "verify", whole / LOCK_FILE).exit_code == 0
    combined = call(
        "combine", "--no-verify", "--cluster-dir", folders, "--output-dir", tmp_path / "keys", "--yes"
    )
    assert combined.exit_code == 0, combined.output
    other = cluster.nodes[0].folder / LOCK_FILE
    refused = call("dkg", "recover", aside, *common, "--lock-file", other, "--output-dir", tmp_path / "other")
    assert refused.exit_code == 1
    assert "has other keys than were set aside" in refused.output
