"""How a ceremony's result comes to rest: on disk first, then told to the others, then in its place.

That all nodes have stored theirs is decided on disk before anything comes of it: whatever ends the process
then, a start that finds it so needs nobody to go on. Where a validator client is to have the key shares, it
gets them then, and they stay on disk until it says that it has each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..files import paths
from ..process import logs
from .folder import KEYSTORES, LOCK_FILE, Cost, NodeResult, digest_of, staging_of, write_node_files
from .keymanager import push_keystores
from .ssv_files import SsvResult, write_ssv_files
from .staging import WRITING, Left

log = logs.get("ceremony")


@dataclass(frozen=True)
class Keymanager:
    """The validator client of a node."""

    address: str
    token: str = field(repr=False)


class NodeStore:
    """Where a node's result goes.

    Args:
        directory: the node's folder, which preflight.py found fit.
        keymanager: who gets the key shares; they are files when there is none.
        last: the file that comes to its place last.

    Attributes:
        directory: the node's folder.
    """

    def __init__(
        self, directory: Path, cost: Cost, *, keymanager: Keymanager | None = None, last: str = LOCK_FILE
    ) -> None:
        self.directory = directory
        self._staging = staging_of(directory, last)
        self._cost = cost
        self._keymanager = keymanager

    def settle(self) -> Left:
        """What a process of before has left; see staging.py.

        Raises:
            FileError: something else is in the place of what is to be moved.
            OSError: it cannot be moved.
        """
        return self._staging.settle()

    def write(self, result: NodeResult | SsvResult, *, stop: Callable[[], bool] = lambda: False) -> bytes:
        """Write everything beside its place, and verify it there; what is told to the others, 32 bytes.

        What was written before, of this ceremony, is written anew.

        Args:
            stop: whether it is of no use any more; asked between keystores.

        Raises:
            FileError: what is on the disk is not what was to be written.
            OSError: it cannot be written.
            StoppedError: `stop()` was true.
        """
        self._staging.discard()
        writing = self._staging.begin()
        if isinstance(result, SsvResult):
            write_ssv_files(writing, result, threads=self._cost.threads)
        else:
            write_node_files(writing, result, self._cost, stop=stop)
        self._staging.complete()
        return digest_of(self._staging.written)

    def discard(self) -> None:
        """There will be no keys: throw away what was written."""
        self._staging.discard()

    def confirm(self) -> None:
        """All nodes have stored theirs: from now on `publish` may be called at any time, by any process.

        Raises:
            OSError: the disk does not take it.
        """
        if self._staging.settle() is Left.WRITTEN:
            self._staging.confirm()

    async def publish(self) -> None:
        """Put what is confirmed in its place. This can be done again, whenever it was ended.

        Raises:
            CeremonyError: the validator client did not take the key shares, which are still on disk.
            FileError, OSError: it cannot be moved.
        """
        self.confirm()
        if self._staging.settle() is not Left.CONFIRMED:
            return
        keystores = self._staging.confirmed / KEYSTORES
        if self._keymanager is not None and paths.is_there(keystores):
            count = await push_keystores(self._keymanager.address, self._keymanager.token, keystores)
            log.info("the validator client has the key shares", count=count)
            # In one step to where it is thrown away: half of them would be pushed again as if they were all.
            keystores.rename(self._staging.directory / WRITING)
            self._staging.settle()
        self._staging.publish()
