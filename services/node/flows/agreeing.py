"""What duties begin with that nodes agree on: a value for each validator, of this node or another."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from dvtfast.constants import PUBLIC_KEY_BYTES
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.presets import Preset
from dvtfast.duties.ssz import SszError
from dvtfast.duties.wrappers import AgreedValue, decode_agreed, encode_agreed
from dvtfast.qbft import wire
from dvtfast.qbft.leaders import leader
from dvtfast.qbft.messages import FIRST_ROUND, Duty

from ...chain.beacon.client import BeaconError
from ...chain.encoding import read_data, write_data
from ...process import logs
from ...process.background import start_task
from ..exchange import Gathered
from ..partial_signatures import Fault
from ..parts import NodeParts
from ..tracker import Step
from .insisting import ExpectedValidators, HeadDoubts

# Between two tries to ask or tell a beacon node something; charon's.
RETRY_SECONDS: Final = 0.25
RETRY_FACTOR: Final = 1.6
MOST_RETRY_SECONDS: Final = 12.0

STRANGER: Final = b""  # the key of whoever is named otherwise than this program and charon do

NOTHING: Final = "it is for validators of no lock of ours, or nothing that is signed"
NOT_HAD: Final = "no beacon node of ours, which led, had anything to sign"

# What some beacon nodes say where another node of the cluster was first.
KNOWN_ALREADY: Final = re.compile(r"(already|prior\w*|superset) ?known", re.IGNORECASE)

T = TypeVar("T")

log = logs.get("node")


@dataclass(frozen=True)
class Objection:
    """Why this node does not vote for a proposal, or does not sign what was agreed on.

    Attributes:
        why: for people.
        is_certain: whether it is wrong whatever our beacon node has seen, so that its leader is to blame.
        wears_off: whether it is a doubt about the head, which is no reason any more when it was one in more
            rounds than there may be liars.
    """

    why: str
    is_certain: bool = True
    wears_off: bool = False


LEFT_OUT: Final = Objection("it leaves out validators that have this duty")
# Who signed too late to select somebody at one node may have been in time at another one.
LEFT_OUT_OF_SELECTED: Final = Objection(
    "it leaves out validators whose selection proofs are here", is_certain=False
)

WhyNot = Callable[[Mapping[int, AgreedValue]], Awaitable[Objection | None]]
"""Of what another node proposes, by the validator's position, why this node does not vote for it."""


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

    def refuse(self, validators: Sequence[int], objection: Objection) -> None:
        """What was agreed on for these is not signed here."""
        self.node.tracker.fail(self.duty, validators, objection.why)
        self.blame(validators, objection)

    def blame(self, validators: Sequence[int], objection: Objection) -> None:
        """There is something to be said against what was agreed on for these, which may be signed."""
        if self.leader is not None:
            _note(self.node, self.duty, self.leader, validators, objection)


def _note(
    node: NodeParts, duty: Duty, proposer: int, validators: Sequence[int], objection: Objection
) -> None:
    fault = Fault(proposer, tuple(validators), objection.why)
    if objection.is_certain:
        node.tracker.blame(Gathered(duty), fault)
    else:
        node.tracker.doubt(duty, fault)


async def agree(
    node: NodeParts,
    duty: Duty,
    fetch: Callable[[], Awaitable[Mapping[int, AgreedValue]]],
    expected: Collection[int],
    why_not: WhyNot,
    *,
    left_out: Objection = LEFT_OUT,
) -> Agreed:
    """Agree with the others on values, beginning at once, though this node's own are yet to be fetched.

    Args:
        fetch: what this node would propose, by the validator's position; it is cancelled when the others
            agree before.
        expected: validators that have this duty, as far as this node knows. Who leaves one out is not voted
            for, unless too many do.
        why_not: asked of what another node proposes. It may be agreed on all the same. A doubt about the
            head is a reason in so many rounds only as there may be liars.
        left_out: what is said of who leaves somebody out.

    Raises:
        TimeoutError: the duty is over.
    """
    nodes = len(node.cluster.operators)
    wanted, doubts = ExpectedValidators(expected, nodes), HeadDoubts(nodes)

    async def accepts(value: wire.Value, round: int) -> bool:
        proposer = leader(duty, round, nodes)
        values, others = await _read(node, duty.type, value)
        missing = wanted.missing(values, proposer)
        objection = Objection(NOTHING) if others else await why_not(values)
        if objection is not None and objection.wears_off and not doubts.insists(round):
            _note(node, duty, proposer, (), objection)  # which it is voted for all the same
            objection = None
        if objection is None and missing:
            objection = left_out
        if objection is not None:
            log.info("not voted for", type=duty.type.name, slot=duty.slot, node=proposer, why=objection.why)
            _note(node, duty, proposer, missing if objection is left_out else (), objection)
        return objection is None

    providing = start_task(_provide(node, duty, fetch))
    try:
        agreement = await node.consensus.agree(duty, accepts=accepts)
    finally:
        providing.cancel()
    node.tracker.decide(duty, agreement.round)
    # In later rounds a leader may have to propose what another one did before.
    first = leader(duty, FIRST_ROUND, nodes) if agreement.round == FIRST_ROUND else None
    values, others = await _read(node, duty.type, agreement.value)
    agreed = Agreed(node, duty, values, first)
    if others:
        agreed.refuse([position for position in others if position is not None], Objection(NOTHING))
    if missing := sorted(set(expected) - values.keys() - set(others)):
        if first == node.cluster.position:  # what our own beacon nodes had nothing of is nobody's fault
            node.tracker.fail(duty, missing, NOT_HAD)
        else:
            agreed.refuse(missing, left_out)
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
