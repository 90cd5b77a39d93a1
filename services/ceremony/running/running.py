"""A node makes its keys with the others: one attempt, or the one that was interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dvtfast import FileError
from dvtfast.dkg.native.machine import Machine
from dvtfast.dkg.native.sizes import largest_payload
from dvtfast.dkg.native.terms import Terms
from dvtfast.dkg.native.work import ToStore
from dvtfast.dkg.outputs import Aborted, Phase
from dvtfast.errors import EncodingError, InputError
from dvtfast.obol import ClusterLock

from ...p2p.host import Host
from ...process import logs
from ..definition import Agreement
from ..errors import CeremonyError
from ..folder import LOCK_FILE, Cost, NodeResult, digest_of, staging_of, write_node_files
from ..preflight import problems_of
from ..staging import Left
from .driver import Driver, Ended, Patience
from .mailbox import Mailbox
from .plan import ClusterPlan, terms_of
from .records_file import FOLDER, RecordsFile

log = logs.get("ceremony")

Show = Callable[[Phase], None]


@dataclass(frozen=True)
class Node:
    """Who takes part here.

    Attributes:
        directory: the node's folder.
        secret: its secp256k1 key, 32 bytes.
        trouble: why it cannot take part, beside what its folder says; the others are told.
    """

    directory: Path
    secret: bytes
    trouble: str = ""

    def __repr__(self) -> str:
        return f"Node({self.directory})"


class FailedError(Exception):
    """There are no keys.

    Attributes:
        aborts: why, and who is at fault, where it is known.
        terms: of the attempt.
        is_unconfirmed: this node has stored all, and others may have finished: it is to be started again.
    """

    def __init__(self, aborts: list[Aborted], terms: Terms) -> None:
        super().__init__("; ".join(dict.fromkeys(abort.reason for abort in aborts)))
        self.aborts = aborts
        self.terms = terms
        self.is_unconfirmed = any(abort.unconfirmed for abort in aborts)

    @property
    def culprits(self) -> list[int]:
        """Positions of those at fault."""
        return sorted({abort.culprit for abort in self.aborts if abort.culprit is not None})


async def run_ceremony(
    agreement: Agreement, node: Node, host: Host, *, cost: Cost, patience: Patience, show: Show
) -> None:
    """Make keys with the nodes of a definition; afterwards they are in the node's folder.

    An attempt that was interrupted goes on. One that others are beyond is given up for theirs.

    Raises:
        FailedError: there are no keys.
        CeremonyError: what was recorded is not understood.
        OSError, FileError: the disk does not take what it must have.
    """
    least_attempt = 0
    while True:
        definition_hash = agreement.definition.definition_hash
        records = RecordsFile.open(node.directory, definition_hash, least_attempt=least_attempt)
        with closing(_Attempt(agreement, node, host, records, cost, show)) as attempt:
            ended = await attempt.run(patience)
            if ended.finished:
                records.erase()
                return
            if ended.is_unconfirmed:
                raise FailedError(ended.aborts, attempt.terms)
            attempt.discard()
            records.erase()
            if attempt.machine.newest_attempt <= records.attempt:
                raise FailedError(ended.aborts, attempt.terms)
            least_attempt = attempt.machine.newest_attempt
            log.info("others have begun anew; so does this node", attempt=least_attempt)


class _Attempt:
    """A machine, and what it needs of this node."""

    def __init__(
        self, agreement: Agreement, node: Node, host: Host, records: RecordsFile, cost: Cost, show: Show
    ) -> None:
        self.terms = terms_of(agreement, records.attempt)
        self._agreement, self._node, self._host, self._records = agreement, node, host, records
        self._cost, self._show = cost, show
        self._plan = ClusterPlan(agreement)
        self._staging = staging_of(node.directory)
        try:
            self.machine = Machine(
                self.terms,
                node.secret,
                self._plan,
                trouble="" if records.written else self._trouble(),
                records=records.written,
            )
        except (EncodingError, InputError) as error:
            records.close()
            raise CeremonyError(f"{node.directory / FOLDER}: {error}; move it away to begin anew") from None

    async def run(self, patience: Patience) -> Ended:
        mailbox = Mailbox(
            self._host,
            self.terms.operators,
            self.machine.position,
            most_bytes=largest_payload(self.terms),
        )
        driver = Driver(
            self.machine,
            mailbox,
            self._records,
            store=self._store,
            publish=lambda: asyncio.to_thread(self._publish),
            show=self._show,
            patience=patience,
        )
        async with mailbox.open():
            return await driver.run()

    def discard(self) -> None:
        """No keys come of this attempt."""
        self._staging.discard()

    def close(self) -> None:
        """The records stay for another time, unless they were erased."""
        self._records.close()

    def _trouble(self) -> str:
        if self._staging.settle() is Left.WRITTEN:
            self._staging.discard()  # of an attempt that has ended
        problems = problems_of(
            self._node.directory,
            validators=self.terms.validators,
            nodes=self.terms.count,
            amounts=len(self._agreement.amounts_gwei),
        )
        return "; ".join(filter(None, [self._node.trouble, *problems]))

    def _store(self, stored: ToStore) -> bytes:
        lock = self._plan.lock(stored)
        if lock.lock_hash != stored.lock_hash:
            raise FileError("lock_hash: not what the nodes have signed", self._node.directory / LOCK_FILE)
        if self._staging.settle() is Left.WRITTEN:
            self._staging.discard()  # nobody was told of it: a process ended before it could say so
        directory = self._staging.begin()
        result = NodeResult(lock, self._agreement.network, self.machine.position, stored.keys.secret_shares)
        write_node_files(directory, result, self._cost)
        digest = digest_of(directory)
        self._staging.complete()
        return digest

    def _publish(self) -> None:
        if self._staging.settle() is Left.WRITTEN:
            self._staging.publish()


def lock_in(directory: Path) -> ClusterLock:
    """The lock of a node's folder, which was verified when it was written."""
    from dvtfast.obol import read_cluster_lock

    return read_cluster_lock(directory / LOCK_FILE)
