"""A duty's whole set: looked at, put on record in one transaction, and signed in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dvtfast.duties.blocks import SignedBlockContents
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.fork_schedule import ForkSchedule
from dvtfast.duties.presets import MAINNET_PRESET, Preset
from dvtfast.duties.signed_sets import signed_set, with_signature
from dvtfast.duties.slashing import SAFE, SignedAttestation, SignedBlock
from dvtfast.duties.wrappers import SignedValue
from dvtfast.qbft.messages import Duty

from ...process import logs
from ...process.offload import UnavailableError, Workers
from ..exchange import subcommittee_of
from ..partial_signatures import Positions
from ..parts import Signed
from .keys import Made, NodeKeyShares, ToSign
from .record import SigningRecord
from .slashing_protection import SlashingProtectionError

log = logs.get("node")


@dataclass(frozen=True, eq=False)
class _Judged:
    """What came of a set.

    Attributes:
        problems: of all of the set, why it must not be signed, or "".
        rows: of the others, which are on record now.
        what: the same, to be signed.
    """

    problems: list[str]
    rows: list[int]
    what: ToSign


class DutySigner:
    """Signs for the validators of a node whose key shares it has.

    Args:
        keys: they are closed with the signer, as the record is.
        workers: for hashing, and for the record.
    """

    def __init__(
        self,
        keys: NodeKeyShares,
        record: SigningRecord,
        workers: Workers,
        schedule: ForkSchedule,
        *,
        preset: Preset = MAINNET_PRESET,
    ) -> None:
        self._keys, self._record, self._workers = keys, record, workers
        self._schedule, self._preset = schedule, preset

    async def sign(self, duty: Duty, validators: Positions, values: Sequence[SignedValue]) -> Signed:
        """Sign a value for each validator; what must not be signed is left out, and said why.

        A validator may have several values, of different subcommittees.
        """
        try:
            judged = await self._workers.run(self._judge, duty, validators, values)
            made = await self._keys.sign(judged.what)
            return await self._workers.run(_signed, validators, judged, made)
        except (SlashingProtectionError, UnavailableError, TimeoutError) as error:
            why = str(error) or "there was no time"
            log.error("nothing signed", duty=duty.type.name, slot=duty.slot, count=len(values), why=why)
            return Signed(validators[:0], (), dict.fromkeys(validators.tolist(), why))

    async def close(self) -> None:
        """Forget the keys, and close the record."""
        await self._keys.close()
        await self._workers.run(self._record.close)

    # On a thread.

    def _judge(self, duty: Duty, validators: Positions, values: Sequence[SignedValue]) -> _Judged:
        signed = signed_set(duty.type, values, self._schedule, self._preset)
        problems = [
            self._why_not(duty, value) if has else "this node has no key share of it"
            for value, has in zip(values, self._keys.has[validators].tolist(), strict=True)
        ]
        rows = [row for row, problem in enumerate(problems) if problem == SAFE]
        roots = [signed.signing_roots[row].tobytes() for row in rows]
        judged = self._record.add(
            duty,
            validators[rows],
            roots,
            subcommittees=[subcommittee_of(values[row]) for row in rows],
            blocks=_blocks(duty, values, rows, roots),
            votes=_votes(duty, values, rows, roots),
        )
        for row, problem in zip(rows, judged, strict=True):
            problems[row] = problem
        rows = [row for row, problem in enumerate(problems) if problem == SAFE]
        what = ToSign(duty, validators[rows], [values[row] for row in rows], signed.signing_roots[rows])
        return _Judged(problems, rows, what)

    def _why_not(self, duty: Duty, value: Any) -> str:
        """What is of another slot is not recorded under this one."""
        epoch = self._schedule.epoch_of(duty.slot)
        match duty.type:
            case DutyType.ATTESTER:
                data = value.message.data
                ok = data.slot == duty.slot and data.target.epoch == epoch
            case DutyType.PROPOSER:
                ok = _block(value).slot == duty.slot
            case DutyType.AGGREGATOR:
                ok = value.message.message.aggregate.data.slot == duty.slot
            case DutyType.SYNC_CONTRIBUTION:
                ok = value.message.contribution.slot == duty.slot
            case DutyType.RANDAO:
                ok = value.epoch == epoch
            case DutyType.EXIT:
                ok = value.message.epoch == epoch
            case DutyType.BUILDER_REGISTRATION:
                ok = True
            case _:
                ok = value.slot == duty.slot
        return SAFE if ok else "its slot is not that of the duty"


def _signed(validators: Positions, judged: _Judged, made: Made) -> Signed:
    problems = dict(zip(judged.rows, made.problems, strict=True))
    good = [place for place, problem in enumerate(made.problems) if not problem]
    values = [with_signature(judged.what.values[place], made.signatures[place].tobytes()) for place in good]
    refused = {
        validator: why
        for row, (validator, problem) in enumerate(zip(validators.tolist(), judged.problems, strict=True))
        if (why := problem or problems[row])
    }
    return Signed(judged.what.validators[good], values, refused)


def _block(value: Any) -> Any:
    message = value.message
    return (message.signed_block if isinstance(message, SignedBlockContents) else message).message


def _blocks(duty: Duty, values: Sequence[Any], rows: list[int], roots: list[bytes]) -> list[SignedBlock]:
    if duty.type != DutyType.PROPOSER:
        return []
    return [SignedBlock(_block(values[row]).slot, root) for row, root in zip(rows, roots, strict=True)]


def _votes(duty: Duty, values: Sequence[Any], rows: list[int], roots: list[bytes]) -> list[SignedAttestation]:
    if duty.type != DutyType.ATTESTER:
        return []
    data = [values[row].message.data for row in rows]
    return [
        SignedAttestation(vote.source.epoch, vote.target.epoch, root)
        for vote, root in zip(data, roots, strict=True)
    ]
