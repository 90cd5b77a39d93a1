"""A node makes its keys with the others: one attempt, or the one that was interrupted."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from dvtfast import FileError, ssv
from dvtfast.dkg.dvtfast_dkg.machine import Machine
from dvtfast.dkg.dvtfast_dkg.messages.sizes import largest_payload, most_validators
from dvtfast.dkg.dvtfast_dkg.terms import Terms
from dvtfast.dkg.dvtfast_dkg.work import ToStore
from dvtfast.dkg.outputs import Phase
from dvtfast.errors import EncodingError, InputError
from dvtfast.obol import read_cluster_lock, signed_cluster_lock
from dvtfast.ssv.shares import CIPHERTEXT_BYTES

from ...files import paths
from ...p2p.host import Host
from ...process import logs
from ..definition import ClusterAgreement
from ..errors import CeremonyError, CeremonyFailedError
from ..folder import LOCK_FILE, NodeResult
from ..plan import Bytes, ClusterPlan
from ..preflight import problems_of
from ..ssv_files import SsvResult, is_for
from ..ssv_plan import SsvPlan
from ..staging import Left
from ..storing import NodeStore, ResultOrigin
from .driver import CLOSE_SECONDS, AttemptEnd, Driver, Patience
from .mailbox import Mailbox
from .records_file import GIVE_UP, RecordsFile, keep_receipts, kept_receipts

WAY = "attempt {}"  # as what it has written says of where that comes from
PUT_IT_BACK = "put it back; for new keys agree on a new definition"
MOST_FOLLOWED = 8  # times that one operator is followed to a new attempt
SECONDS_PER_VALIDATOR = 0.5  # ten times a keystore

log = logs.get("ceremony")

Show = Callable[[Phase], None]


@dataclass(frozen=True)
class Participant:
    """Who takes part here.

    Attributes:
        directory: the node's folder.
        secret: its secp256k1 key, 32 bytes.
        trouble: why it cannot take part, beside what its folder says; the others are told.
        operator_key: of its operator of SSV, where the cluster is one of these.
    """

    directory: Path
    secret: bytes
    trouble: str = ""
    operator_key: ssv.OperatorKey | None = None

    def __repr__(self) -> str:
        return f"Participant({self.directory})"

    def seal(self, key_shares: Bytes) -> Bytes:
        """Key shares uint8[m, 32] that only the operator opens, uint8[m, 256]."""
        assert self.operator_key is not None
        return ssv.encrypt_key_shares(key_shares, self.operator_key.public_key)


def plan_of(agreement: ClusterAgreement) -> ClusterPlan | SsvPlan:
    """What its keys are for."""
    if agreement.ssv is not None:
        return SsvPlan(agreement.definition, agreement.network, agreement.ssv)
    return ClusterPlan(agreement.definition, agreement.network)


def terms_of(agreement: ClusterAgreement, attempt: int) -> Terms:
    """What the operators of a definition agree on."""
    definition, of_ssv = agreement.definition, agreement.ssv
    return Terms(
        definition_hash=definition.definition_hash,
        operators=agreement.node_keys,
        threshold=definition.threshold,
        validators=len(definition.fee_recipients),
        kinds=len(plan_of(agreement).names),
        options=b"" if of_ssv is None else of_ssv.options,
        attempt=attempt,
        ids=() if of_ssv is None else of_ssv.ids,
        sealed_bytes=0 if of_ssv is None else CIPHERTEXT_BYTES,
    )


def trouble_of(agreement: ClusterAgreement, node: Participant, store: NodeStore) -> str:
    """Why this node cannot begin; empty when it can."""
    if waiting := store.waiting():
        return waiting
    problems = problems_of(
        node.directory,
        validators=len(agreement.definition.fee_recipients),
        nodes=len(agreement.node_keys),
        amounts=len(agreement.amounts_gwei),
    )
    return "; ".join(filter(None, [node.trouble, *problems]))


async def run_ceremony(
    agreement: ClusterAgreement,
    node: Participant,
    host: Host,
    *,
    store: NodeStore,
    patience: Patience,
    show: Show,
) -> None:
    """Make keys with the nodes of a definition; afterwards they are in the node's folder.

    An attempt that was interrupted goes on. One that others are beyond is given up for theirs.

    Raises:
        CeremonyFailedError: there are no keys.
        CeremonyError: the definition is too large, or what was recorded is not understood.
        OSError, FileError: the disk does not take what it must have.
    """
    if (most := most_validators(terms_of(agreement, 0))) < len(agreement.definition.fee_recipients):
        raise CeremonyError(
            f"num_validators: {len(agreement.definition.fee_recipients)} are too many for one ceremony of"
            f" {len(agreement.node_keys)} nodes with threshold {agreement.definition.threshold}, which makes"
            f" {most} at most; agree on several definitions"
        )
    least_attempt, followed = 0, Counter[int]()
    while True:
        definition_hash = agreement.definition.definition_hash
        records = RecordsFile.open(node.directory, definition_hash, least_attempt=least_attempt)
        way = WAY.format(records.attempt)
        if records.written and (waiting := store.waiting()) and not store.has(definition_hash, way):
            records.close()
            raise CeremonyError(waiting)
        is_published = bool(records.written) and _is_published(agreement, node, store)
        unheeded = [position for position, times in followed.items() if times >= MOST_FOLLOWED]
        with closing(_Attempt(agreement, node, host, records, store, show, unheeded)) as attempt:
            machine = attempt.machine
            if machine.has_stopped:  # and all others have heard it, perhaps
                _end(records, machine)
                continue
            if machine.is_done and not is_published and store.settle() is Left.NOTHING:
                if machine.receipts:
                    raise FileError(
                        f"what all have stored was here, and is gone: {PUT_IT_BACK}", node.directory
                    )
                log.warning("what this node had stored was moved away; so that attempt is over")
                _end(records, machine)
                continue
            try:
                async with asyncio.timeout(CLOSE_SECONDS if is_published else None) as limit:
                    ended = await attempt.run(patience)
            except TimeoutError:
                if not limit.expired():  # but a disk that does not answer
                    raise
                ended = AttemptEnd(finished=True)
            if ended.finished and not paths.is_there(node.directory / agreement.last_file):
                raise FileError(f"what was made is gone from the folder: {PUT_IT_BACK}", node.directory)
            if ended.finished:
                if machine.receipts:
                    keep_receipts(node.directory, definition_hash, machine.receipts)
                    records.erase()
                return
            if ended.is_unconfirmed:
                raise CeremonyFailedError(ended.aborts, records.attempt)
            store.set_aside(definition_hash, way)
            _end(records, machine)
            if machine.newest_attempt <= records.attempt:
                raise CeremonyFailedError(ended.aborts, records.attempt)
            least_attempt = machine.newest_attempt
            followed[machine.followed] += 1
            log.info("others have begun anew; so does this node", attempt=least_attempt)


def _end(records: RecordsFile, machine: Machine) -> None:
    """An attempt is over that not all have ended well: what somebody may have made use of is kept."""
    if machine.may_be_used:
        path = records.set_aside()
        log.warning("key shares are kept, in case somebody has what they signed: docs/dkg.md", file=str(path))
    else:
        records.erase()


def _is_published(agreement: ClusterAgreement, node: Participant, store: NodeStore) -> bool:
    """Whether a process of before came to the end: others may need to hear it again, we need nobody.

    Raises:
        CeremonyError: the folder has the result of another ceremony.
        FileError: it cannot be read.
    """
    left, path = store.settle(), node.directory / agreement.last_file
    if not paths.is_there(path):
        return False
    definition = agreement.definition
    if agreement.ssv is None:
        is_other = read_cluster_lock(path).definition.definition_hash != definition.definition_hash
    else:
        is_other = not is_for(path, agreement.ssv, len(definition.fee_recipients))
    if left is Left.WRITTEN or is_other:
        raise CeremonyError(f"{path}: of another cluster than the ceremony that is to go on; move it away")
    return True


class _Attempt:
    """A machine, and what it needs of this node."""

    def __init__(
        self,
        agreement: ClusterAgreement,
        node: Participant,
        host: Host,
        records: RecordsFile,
        store: NodeStore,
        show: Show,
        unheeded: Collection[int],
    ) -> None:
        self.terms = terms_of(agreement, records.attempt)
        self._agreement, self._node, self._host, self._records = agreement, node, host, records
        self._store, self._show = store, show
        self._plan = plan_of(agreement)
        self._receipts = kept_receipts(node.directory, self.terms.definition_hash)
        try:
            self.machine = Machine(
                self.terms,
                node.secret,
                self._plan,
                trouble="" if records.written else trouble_of(agreement, node, store),
                seal=None if agreement.ssv is None else node.seal,
                records=records.written,
                unheeded=unheeded,
            )
        except (EncodingError, InputError) as error:
            records.close()
            raise CeremonyError(f"{records.path}: {error}; {GIVE_UP}") from None
        # It may be that a process before had heard of all, and ended before anything came of it.
        peer = 0 if self.machine.position else 1
        self._heard = [each for receipt in self._receipts for each in self.machine.receive(peer, receipt)]

    async def run(self, patience: Patience) -> AttemptEnd:
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
            heard=self._heard,
            store=self._write,
            confirm=self._confirm,
            publish=self._store.publish,
            show=self._show,
            patience=patience,
            work_seconds=SECONDS_PER_VALIDATOR * self.terms.validators,
        )
        async with mailbox.open():
            # Of what ended well here: some may not have heard of it.
            for receipt in self._receipts:
                mailbox.send_all(receipt)
            return await driver.run()

    def close(self) -> None:
        """The records stay for another time, unless they were erased."""
        self.machine.close()
        self._records.close()

    def _write(self, stored: ToStore, stop: threading.Event) -> bytes:
        way = WAY.format(self.terms.attempt)
        origin = ResultOrigin.of(
            self.terms.definition_hash,
            way,
            stored.lock_hash,
            sha256(b"".join(stored.node_signatures)).digest(),
        )
        return self._store.write(self._result_of(stored), origin, stop=stop.is_set)

    def _confirm(self) -> None:
        with self._store.keys_are_here():  # what is published can be told others, whenever this process ends
            keep_receipts(self._node.directory, self.terms.definition_hash, self.machine.receipts)
        self._store.confirm()

    def _result_of(self, stored: ToStore) -> NodeResult | SsvResult:
        keys, position = stored.keys, self.machine.position
        if isinstance(self._plan, SsvPlan):
            assert self._node.operator_key is not None
            return self._plan.result(stored, position, self._node.operator_key)
        lock = self._plan.unsigned_lock(keys.public_keys, keys.public_shares, stored.signatures)
        if lock.lock_hash != stored.lock_hash:
            raise FileError("lock_hash: not what the nodes have signed", self._node.directory / LOCK_FILE)
        signed = signed_cluster_lock(
            lock, signature_aggregate=stored.signature_aggregate, node_signatures=stored.node_signatures
        )
        return NodeResult(signed, self._agreement.network, position, keys.secret_shares)
