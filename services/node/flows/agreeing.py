"""What duties begin with that nodes agree on: a value for each validator, of this node or another."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from dvtfast.constants import PUBLIC_KEY_BYTES
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.presets import Preset
from dvtfast.duties.ssz import SszError
from dvtfast.duties.wrappers import AgreedValue, decode_agreed, encode_agreed
from dvtfast.qbft import wire
from dvtfast.qbft.messages import FIRST_ROUND, Duty
from dvtfast.qbft.quorums import leader

from ...chain.beacon.client import BeaconError
from ...chain.encoding import read_data, write_data
from ...process import logs
from ...process.background import start_task
from ..exchange import Gathered
from ..partial_signatures import Fault
from ..parts import NodeParts
from ..tracker import Step

# Between two tries to ask or tell a beacon node something; charon's.
RETRY_SECONDS: Final = 0.25
RETRY_FACTOR: Final = 1.6
MOST_RETRY_SECONDS: Final = 12.0

STRANGER: Final = b""  # the key of whoever is named otherwise than this program and charon do

NOTHING: Final = "it is for validators of no lock of ours, or nothing that is signed"

# What some beacon nodes say where another node of the cluster was first.
KNOWN_ALREADY: Final = re.compile(r"(already|prior\w*|superset) ?known", re.IGNORECASE)

T = TypeVar("T")

log = logs.get("node")


@dataclass(frozen=True, eq=False)
class Agreed:
    """What the cluster agreed on, as far as it can be read.

    Attributes:
        values: by the validator's position in the cluster.
        leader: who proposed it, where that is certain.
    """

    node: NodeParts
    duty: Duty
    values: Mapping[int, AgreedValue]
    leader: int | None

    def refuse(self, validators: Sequence[int], why: str) -> None:
        """What was agreed on for these is not signed here, and is its leader's fault."""
        self.node.tracker.fail(self.duty, validators, why)
        self.blame(validators, why)

    def blame(self, validators: Sequence[int], why: str) -> None:
        """What was agreed on for these is wrong, but may be signed."""
        if self.leader is not None:
            self.node.tracker.blame(Gathered(self.duty), Fault(self.leader, tuple(validators), why))


async def agree(
    node: NodeParts,
    duty: Duty,
    fetch: Callable[[], Awaitable[Mapping[int, AgreedValue]]],
    why_not: Callable[[Mapping[int, AgreedValue]], Awaitable[str]] | None = None,
) -> Agreed:
    """Agree with the others on values, beginning at once, though this node's own are yet to be fetched.

    Args:
        fetch: what this node would propose, by the validator's position; it is cancelled when the others
            agree before.
        why_not: of what another node proposes, by the validator's position: why this node does not vote for
            it, or "". It may be agreed on all the same.

    Raises:
        TimeoutError: the duty is over.
    """

    async def accepts(value: wire.Value, proposer: int) -> bool:
        values, others = await _read(node, duty.type, value)
        why = NOTHING if others or why_not is None else await why_not(values)
        if why:
            node.tracker.blame(Gathered(duty), Fault(proposer, (), why))
        return not why

    providing = start_task(_provide(node, duty, fetch))
    try:
        agreement = await node.consensus.agree(duty, accepts=None if why_not is None else accepts)
    finally:
        providing.cancel()
    node.tracker.decide(duty, agreement.round)
    # In later rounds a leader may have to propose what another one did before.
    first = leader(duty, FIRST_ROUND, len(node.cluster.operators)) if agreement.round == FIRST_ROUND else None
    values, others = await _read(node, duty.type, agreement.value)
    agreed = Agreed(node, duty, values, first)
    if others:
        agreed.refuse([position for position in others if position is not None], NOTHING)
    node.tracker.reach(duty, Step.AGREED, values)
    return agreed


async def _read(
    node: NodeParts, type: DutyType, value: wire.Value
) -> tuple[dict[int, AgreedValue], list[int | None]]:
    """What a value is for each validator; and those, None for strangers, for which it is nothing."""
    values: dict[int, AgreedValue] = {}
    others = []
    for key, each in (await node.workers.run(decoded, type, value, node.preset)).items():
        position = node.cluster.validators.get(key)
        if position is not None and each is not None:
            values[position] = each
        else:
            others.append(position)
    return values, others


async def persistently(
    node: NodeParts, ask: Callable[[], Awaitable[T]], *, unless_refused: bool = False
) -> T:
    """Ask beacon nodes again and again, until it is cancelled.

    Args:
        unless_refused: whether an answer that is an error is one.

    Raises:
        BeaconError: it was refused.
    """
    pause = RETRY_SECONDS
    while True:
        try:
            return await ask()
        except BeaconError as error:
            if unless_refused and error.refused:
                raise
            log.info("asking again", error=str(error), retry_in_seconds=pause)
        await node.slots.sleep(pause)
        pause = min(pause * RETRY_FACTOR, MOST_RETRY_SECONDS)


async def send(
    node: NodeParts, duty: Duty, validators: Sequence[int], give: Callable[[], Awaitable[None]]
) -> None:
    """Give beacon nodes what these validators signed, in their order, until they take it or refuse it."""
    refused: dict[int, str] = {}
    try:
        await persistently(node, give, unless_refused=True)
    except BeaconError as error:
        refusals = error.refusals or dict.fromkeys(range(len(validators)), str(error))
        refused = {
            validators[place]: why
            for place, why in refusals.items()
            if place < len(validators) and not KNOWN_ALREADY.search(why)
        }
        if refused:
            log.warning("refused by beacon nodes", type=duty.type.name, slot=duty.slot, error=str(error))
    for validator, why in refused.items():
        node.tracker.fail(duty, [validator], why)
    node.tracker.reach(duty, Step.SENT, [each for each in validators if each not in refused])


async def _provide(
    node: NodeParts, duty: Duty, fetch: Callable[[], Awaitable[Mapping[int, AgreedValue]]]
) -> None:
    try:
        values = await fetch()
        if values:
            node.tracker.reach(duty, Step.FETCHED, values)
            keys = node.cluster.keys.public_keys.encoded
            named = {keys[position].tobytes(): value for position, value in values.items()}
            await node.consensus.provide(
                duty, await node.workers.run(_encoded, duty.type, named, node.preset)
            )
    except Exception:  # the others may propose something all the same
        log.exception("nothing to propose", type=duty.type.name, slot=duty.slot)


# On threads.


def _encoded(type: DutyType, values: Mapping[bytes, AgreedValue], preset: Preset) -> wire.Value:
    named = {write_data(key): encode_agreed(type, value, preset) for key, value in values.items()}
    return wire.Value(wire.DATA_SET, wire.encode_data_set(named))


def decoded(type: DutyType, value: wire.Value, preset: Preset) -> dict[bytes, AgreedValue | None]:
    """What was agreed on, by public keys; None for what cannot be read, and for STRANGER; slow."""
    if value.type_url != wire.DATA_SET:
        return {}
    found: dict[bytes, AgreedValue | None] = {}
    for name, data in wire.decode_data_set(value.content).items():
        key = _key_of(name)
        try:
            found[key] = None if key == STRANGER else decode_agreed(type, data, preset)
        except SszError:
            found[key] = None
    return found


def _key_of(name: str) -> bytes:
    """A public key by its name. It has one name only, or one validator could be in a value twice."""
    try:
        key = read_data(name, width=PUBLIC_KEY_BYTES)
    except ValueError:
        return STRANGER
    return key if name == write_data(key) else STRANGER
