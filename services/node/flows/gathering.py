"""What all duties end with: this node's partial signatures go out, and the cluster's signatures come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Final

from dvtfast.duties.signed_sets import signed_set, with_signature
from dvtfast.duties.wrappers import SignedValue
from dvtfast.qbft.messages import Duty

from ...process.background import start_task
from ..exchange import Gathered, subcommittee_of
from ..partial_signatures import Bytes, Positions
from ..parts import NodeParts
from ..tracker import Step

MOMENT: Final = Fraction(1, 12)  # of a slot

Part = list[tuple[int, SignedValue]]
"""Positions in the cluster, with values whose signatures are the cluster's."""


async def gather(
    node: NodeParts, duty: Duty, validators: Positions, values: Sequence[SignedValue]
) -> AsyncIterator[Part]:
    """Sign a value for each validator, and give them with the cluster's signatures as these come.

    Whoever asks limits the time.

    Args:
        validators: positions in the cluster.
        values: without signatures; all of one subcommittee, where there are any.
    """
    signed = await node.signer.sign(duty, validators, values)
    for validator, why in signed.refused.items():
        node.tracker.fail(duty, [validator], why)
    if len(signed.validators):  # or validator clients sign
        node.tracker.reach(duty, Step.SIGNED, signed.validators.tolist())
    sending = start_task(node.exchange.submit(duty, signed.validators, signed.values))
    try:
        # What this node refuses to sign, the others may sign all the same; it is sent here, too.
        async for part in recovered(node, duty, validators, values):
            node.tracker.reach(duty, Step.RECOVERED, [validator for validator, _ in part])
            yield part
        await sending
    finally:
        sending.cancel()


async def recovered(
    node: NodeParts, duty: Duty, validators: Positions, values: Sequence[SignedValue]
) -> AsyncIterator[Part]:
    """The same of what is signed elsewhere in this node."""
    if len(values):
        roots = await _signing_roots(node, duty, values)
        async for part in _recovered(node, duty, validators, values, roots):
            yield part


async def recovered_by_now(
    node: NodeParts, duty: Duty, validators: Positions, values: Sequence[SignedValue]
) -> Part:
    """What of this the cluster has signed; who is late is waited for no longer than a moment."""
    found: Part = []
    if len(values):
        roots = await _signing_roots(node, duty, values)
        with suppress(TimeoutError):
            async with asyncio.timeout(float(MOMENT) * node.slots.seconds_per_slot):
                async for part in _recovered(node, duty, validators, values, roots):
                    found += part
    return found


async def _recovered(
    node: NodeParts, duty: Duty, validators: Positions, values: Sequence[SignedValue], roots: Bytes
) -> AsyncIterator[Part]:
    by_validator = dict(zip(validators.tolist(), values, strict=True))
    gathered = Gathered(duty, subcommittee_of(values[0]))
    async for part in node.partials.signatures(gathered, validators, roots):
        yield [
            (validator, with_signature(by_validator[validator], signature.tobytes()))
            for validator, signature in zip(part.validators.tolist(), part.signatures, strict=True)
        ]


async def _signing_roots(node: NodeParts, duty: Duty, values: Sequence[SignedValue]) -> Bytes:
    signed = await node.workers.run_when_free(signed_set, duty.type, values, node.schedule, node.preset)
    return signed.signing_roots
