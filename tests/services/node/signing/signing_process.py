"""A process that signs conflicting values for every duty, over and over, and is killed.

On stdin come lines `PATH FIRST VARIANT`. Each makes a process, whose number is told, and whatever that says
goes to stdout: a line for each signature that leaves it. When it is over, that is told, too.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.signed_sets import signature_of
from dvtfast.qbft.messages import Duty
from dvtfast.services.node.exchange import subcommittee_of
from dvtfast.services.node.signing.record import SigningRecord
from dvtfast.services.node.signing.signer import DutySigner
from dvtfast.services.node.signing.slashing_protection import SlashingProtectionError
from dvtfast.services.process.offload import Workers
from tests.services.node.signing import signers
from tests.unit.duties.test_duty_sets import BLINDED, SCHEDULE, VALUES

SLOTS_PER_EPOCH = SCHEDULE.slots_per_epoch


def values_of(epoch: int, root: bytes) -> list[tuple[DutyType, Any]]:
    """What could be signed in the first slot of an epoch; another root is another value."""
    slot = epoch * SLOTS_PER_EPOCH
    block, message = VALUES["blinded block"][1], VALUES["sync message"][1]
    signed_block = replace(block.message, message=replace(BLINDED, slot=slot, state_root=root))
    contribution = VALUES["contribution"][1]
    proof = contribution.message
    of_slot = replace(proof.contribution, slot=slot, beacon_block_root=root)
    return [
        (DutyType.ATTESTER, signers.vote(root, source=epoch - 1, target=epoch, slot=slot)),
        (DutyType.PROPOSER, replace(block, message=signed_block)),
        (DutyType.SYNC_MESSAGE, replace(message, slot=slot, beacon_block_root=root)),
        (DutyType.SYNC_CONTRIBUTION, replace(contribution, message=replace(proof, contribution=of_slot))),
    ]


async def sign(signer: DutySigner, duty: Duty, value: Any) -> None:
    signed = await signer.sign(duty, signers.ALL, [value] * signers.VALIDATORS)
    lines = [
        json.dumps(
            {
                "type": duty.type,
                "slot": duty.slot,
                "subcommittee": subcommittee_of(each),
                "validator": validator,
                "signature": signature_of(each).hex(),
            }
        )
        for validator, each in zip(signed.validators.tolist(), signed.values, strict=True)
    ]
    if lines:
        say("\n".join(lines))


async def sign_for_ever(path: Path, first: int, variant: int) -> None:
    record = SigningRecord(path, SCHEDULE.genesis_validators_root, signers.OWN_PUBLIC_KEYS.encoded)
    workers = Workers("signing", threads=2)
    signer = signers.signer_of(workers, record)
    say("ready")
    for epoch in count(first):
        roots = [bytes([variant % 256, other]) * 16 for other in (1, 2)]
        for (kind, one), (_, other) in zip(*(values_of(epoch, root) for root in roots), strict=True):
            duty = Duty(epoch * SLOTS_PER_EPOCH, kind)
            await asyncio.gather(sign(signer, duty, one), sign(signer, duty, other))
        say(f"epoch {epoch}")


def say(text: str) -> None:
    """All of it in one write, which a kill leaves whole or undone."""
    os.write(1, text.encode() + b"\n")


def main() -> None:
    for line in sys.stdin:
        path, first, variant = line.split()
        child = os.fork()
        if not child:
            say(f"process {os.getpid()}")
            try:
                asyncio.run(sign_for_ever(Path(path), int(first), int(variant)))
            except SlashingProtectionError as error:
                say(f"refused {error}")
            os._exit(0)
        if variant != "0":  # which is to run beside another one
            os.waitpid(child, 0)
            say("over")


if __name__ == "__main__":
    main()
