"""How a ceremony's result comes to rest: on disk first, then told to the others, then in its place.

That all nodes have stored theirs is decided on disk before anything comes of it: whatever ends the process
then, a start that finds it so needs nobody to go on. Where a validator client is to have the key shares, it
gets them then, and they stay on disk until it says that it has each. What is never thrown away is said in
staging.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from dvtfast import FileError

from ..chain.encoding import write_data
from ..files import paths
from ..process import logs
from .errors import CeremonyError, UnpublishedError
from .folder import KEYSTORES, Cost, NodeResult, digest_of, staging_of, write_node_files
from .keymanager import push_keystores
from .ssv_files import SsvResult, write_ssv_files
from .staging import WRITING, Left

SHOWN_DIGITS = 10  # of a definition hash, for people

log = logs.get("ceremony")


@dataclass(frozen=True)
class Keymanager:
    """The validator client of a node."""

    address: str
    token: str = field(repr=False)


class ResultOrigin(msgspec.Struct, frozen=True):
    """Which ceremony a result is of.

    Attributes:
        definition_hash: in hex.
        way: how its keys were made: an attempt of the native protocol, or FROST.
        lock_hash: in hex; what all have signed.
        signed: in hex, a hash of what the nodes have signed it with, as a node can do so in many ways; empty
            where a result is not gone on with.
    """

    definition_hash: str
    way: str
    lock_hash: str
    signed: str = ""

    @classmethod
    def of(
        cls, definition_hash: bytes, way: str, lock_hash: bytes = b"", signed: bytes = b""
    ) -> ResultOrigin:
        """That with these hashes."""
        return cls(write_data(definition_hash), way, write_data(lock_hash), write_data(signed))

    def is_of(self, definition_hash: bytes, way: str) -> bool:
        """Whether it is that attempt at that definition."""
        return (self.definition_hash, self.way) == (write_data(definition_hash), way)


class NodeStore:
    """Where a node's result goes.

    Args:
        directory: the node's folder, which preflight.py found fit.
        keymanager: who gets the key shares; they are files when there is none.

    Attributes:
        directory: the node's folder.
        threads: that encrypt and verify, at most.
        has_keymanager: whether a validator client gets the key shares.
    """

    def __init__(self, directory: Path, cost: Cost, *, keymanager: Keymanager | None = None) -> None:
        self.directory, self.threads, self.has_keymanager = directory, cost.threads, keymanager is not None
        self._staging = staging_of(directory)
        self._cost = cost
        self._keymanager = keymanager

    @property
    def origin(self) -> ResultOrigin | None:
        """Of the result that waits here; None when there is none, or nobody knows."""
        try:
            return msgspec.json.decode(self._staging.origin, type=ResultOrigin)
        except (msgspec.MsgspecError, ValueError):
            return None

    def settle(self) -> Left:
        """What a process of before has left; see staging.py.

        Raises:
            FileError: something else is in the place of what is to be moved.
            OSError: it cannot be moved.
        """
        return self._staging.settle()

    def waiting(self) -> str:
        """What of a ceremony whose end is not known is here, for people; empty when nothing is.

        Raises:
            FileError, OSError: as `settle`.
        """
        if self.settle() is not Left.WRITTEN:
            return ""
        whose = f"key shares of a ceremony that has not ended ({self._shown()})"
        return f"{self._staging.written}: {whose}; see docs/dkg.md"

    def has(self, definition_hash: bytes, way: str) -> bool:
        """Whether what waits here is of that attempt at that definition."""
        return (origin := self.origin) is not None and origin.is_of(definition_hash, way)

    def write(
        self,
        result: NodeResult | SsvResult,
        origin: ResultOrigin,
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> bytes:
        """Write everything beside its place, and verify it there; what is told to the others, 32 bytes.

        What is there of the same origin stays as it is: a process before wrote and verified it. What differs
        from it only in how nodes have signed the lock is set aside: nobody was told of it, and this is what
        all have.

        Args:
            stop: whether it is of no use any more; asked between keystores.

        Raises:
            FileError: what is on the disk is not what was to be written; or something of elsewhere waits.
            OSError: it cannot be written.
            StoppedError: `stop()` was true.
        """
        is_there = self._staging.settle() is Left.WRITTEN
        found = self.origin if is_there else None
        if found is not None and found != origin == msgspec.structs.replace(found, signed=origin.signed):
            self._staging.set_aside()
        if found != origin:
            writing = self._staging.begin(msgspec.json.encode(origin))
            if isinstance(result, SsvResult):
                write_ssv_files(writing, result, threads=self._cost.threads)
            else:
                write_node_files(writing, result, self._cost, stop=stop)
        self._staging.complete()
        return digest_of(self._staging.written)

    def set_aside(self, definition_hash: bytes, way: str) -> None:
        """An attempt is over without an end that is known: what is of it waits no longer, and is kept.

        Raises:
            FileError, OSError: as `settle`.
        """
        if self.settle() is Left.WRITTEN and self.has(definition_hash, way):
            aside = self._staging.set_aside()
            log.warning(
                "what was stored is kept, in case somebody has its lock: docs/dkg.md", directory=str(aside)
            )

    def confirm(self) -> None:
        """All nodes have stored theirs: from now on `publish` may be called at any time, by any process.

        Raises:
            UnpublishedError: the disk does not take it.
        """
        with self.keys_are_here():
            if self._staging.settle() is Left.WRITTEN:
                self._staging.confirm()

    async def publish(self) -> None:
        """Put what is confirmed in its place. This can be done again, whenever it was ended.

        Raises:
            UnpublishedError: the validator client did not take the key shares, or it cannot be moved.
        """
        self.confirm()
        with self.keys_are_here():
            if self._staging.settle() is not Left.CONFIRMED:
                return
            keystores = self._staging.confirmed / KEYSTORES
            if self._keymanager is not None and paths.is_there(keystores):
                count = await push_keystores(self._keymanager.address, self._keymanager.token, keystores)
                log.info("the validator client has the key shares", count=count)
                # In one step to where it is thrown away: half of them would be pushed as if they were all.
                keystores.rename(self._staging.directory / WRITING)
                self._staging.settle()
            self._staging.publish()

    async def finish(self, definition_hash: bytes) -> ResultOrigin | None:
        """Publish what a process before has confirmed; of which ceremony, if it is of this definition.

        Raises:
            CeremonyError: it is of another one, which may have another validator client.
            UnpublishedError: as `publish`.
        """
        origin = self.origin
        is_ours = origin is not None and origin.definition_hash == write_data(definition_hash)
        with self.keys_are_here():
            left = self._staging.settle()
        if left is Left.CONFIRMED and not is_ours:
            raise CeremonyError(
                f"{self._staging.confirmed}: key shares of a ceremony that all have ended well"
                f" ({self._shown()}): start with its definition again, which puts them in their place"
            )
        if left is Left.CONFIRMED:
            log.info("all nodes had stored their keys; publishing")
            await self.publish()
        return origin if is_ours and left in (Left.CONFIRMED, Left.PUBLISHED) else None

    @contextmanager
    def keys_are_here(self) -> Iterator[None]:
        """Tell whatever fails inside from failures by which there are no keys."""
        try:
            yield
        except UnpublishedError:
            raise
        except (CeremonyError, FileError, OSError) as error:
            raise UnpublishedError(paths.told(error)) from error

    def _shown(self) -> str:
        if (origin := self.origin) is None:
            return "of which is not known"
        return f"definition {origin.definition_hash[:SHOWN_DIGITS]}, {origin.way}"
