"""A ceremony that has ended well is told of again: to who has not heard that, and to who would begin anew."""

from __future__ import annotations

import asyncio

from dvtfast.dkg.dvtfast_dkg.machine import Machine
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import decode_envelope
from dvtfast.dkg.dvtfast_dkg.messages.sizes import largest_payload
from dvtfast.dkg.dvtfast_dkg.messages.statements import Done
from dvtfast.dkg.outputs import Record, Send

from ...p2p.host import Host
from ..definition import ClusterAgreement
from . import driver
from .mailbox import Mailbox
from .records_file import RecordsFile, kept_receipts
from .running import Participant, plan_of, terms_of

ENDED = "this ceremony has ended well: all nodes have stored their keys, and this node has its files"


def stored_by_all(agreement: ClusterAgreement, node: Participant) -> set[bytes]:
    """Hashes of the locks of this definition that all nodes have said they have stored.

    Raises:
        OSError, CeremonyError: what they have said cannot be read.
    """
    terms = terms_of(agreement, 0)
    receipts = kept_receipts(node.directory, terms.definition_hash)
    return {Done.decode(decode_envelope(each).statement, terms).lock_hash for each in receipts}


async def tell_of_the_end(agreement: ClusterAgreement, node: Participant, host: Host) -> None:
    """Give all what all have said last, then say of the next attempt that this node takes no part.

    Raises:
        OSError, CeremonyError: what is recorded cannot be read, or the disk does not take the attempt.
    """
    records = RecordsFile.open(node.directory, agreement.definition.definition_hash)
    terms = terms_of(agreement, records.attempt)
    machine = Machine(terms, node.secret, plan_of(agreement), trouble=ENDED)
    mailbox = Mailbox(host, terms.operators, machine.position, most_bytes=largest_payload(terms))
    try:
        async with mailbox.open():
            for receipt in kept_receipts(node.directory, terms.definition_hash):
                mailbox.send_all(receipt)
            for output in machine.start():
                match output:
                    case Record():
                        await asyncio.to_thread(records.append, output.content)
                    case Send():
                        mailbox.send(output.to, output.payload)
            await mailbox.flush(driver.JOIN_FLUSH_SECONDS, for_all=True, but=())
    finally:
        machine.close()
        records.erase()  # which closes it
