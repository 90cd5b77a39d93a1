"""What all duties end with: this node's partial signatures go out, and the cluster's signatures come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import groupby

import numpy as np

from dvtfast.duties.signed_sets import signed_set, with_signature
from dvtfast.duties.wrappers import SignedValue
from dvtfast.qbft.messages import Duty

from ..exchange import Gathered, subcommittee_of
from ..partial_signatures import Positions
from ..parts import NodeParts
from ..tracker import Step


async def gather(
    node: NodeParts, duty: Duty, validators: Positions, values: Sequence[SignedValue]
) -> AsyncIterator[list[tuple[int, SignedValue]]]:
    """Sign a value for each validator, and give them with the cluster's signatures as these come.

    Whoever asks limits the time. A validator may have several values, of different subcommittees.

    Args:
        validators: positions in the cluster.
        values: without signatures.

    Yields:
        Positions in the cluster, with values whose signatures are the cluster's.
    """
    signed = await node.signer.sign(duty, validators, values)
    for validator, why in signed.refused.items():
        node.tracker.fail(duty, [validator], why)
    node.tracker.reach(duty, Step.SIGNED, signed.validators.tolist())
    sending = asyncio.create_task(node.exchange.submit(duty, signed.validators, signed.values))
    try:
        # What this node refuses to sign, the others may sign all the same; it is sent here, too.
        async for part in _gathered(node, duty, validators, values):
            node.tracker.reach(duty, Step.RECOVERED, [validator for validator, _ in part])
            yield part
        await sending
    finally:
        sending.cancel()


async def _gathered(
    node: NodeParts, duty: Duty, validators: Positions, values: Sequence[SignedValue]
) -> AsyncIterator[list[tuple[int, SignedValue]]]:
    wanted = await node.workers.run(signed_set, duty.type, values, node.schedule, node.preset)
    order = sorted(range(len(values)), key=lambda row: subcommittee_of(values[row]))
    for subcommittee, group in groupby(order, key=lambda row: subcommittee_of(values[row])):
        rows = np.array(list(group), np.intp)
        gathered = Gathered(duty, subcommittee)
        by_validator = {
            validator: values[row]
            for validator, row in zip(validators[rows].tolist(), rows.tolist(), strict=True)
        }
        async for part in node.partials.signatures(gathered, validators[rows], wanted.signing_roots[rows]):
            yield [
                (validator, with_signature(by_validator[validator], signature.tobytes()))
                for validator, signature in zip(part.validators.tolist(), part.signatures, strict=True)
            ]
