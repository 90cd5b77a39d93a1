"""From what a relayer wants to what it gets: allowed, on record, signed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dvtfast import Network
from dvtfast.constants import WITHDRAWAL_CREDENTIALS_BYTES

from ... import wire
from ...process import logs
from ..journal.admission import DepositEntry, ExitEntry, Limits, Party
from ..journal.signing_journal import SigningJournal
from ..journal.tables import DEPOSIT, EXIT
from ..metrics import SidecarMetrics
from ..nodes.node import DepositMessages, ExitMessages, MessagesToSign, Node
from .deposit_policy import DepositPolicy, withdrawal_credentials
from .live_validators import LiveValidators

REASONS_TOLD = 1_000  # of each relayer; one that invents more is not listened to
EXITS_OF_ONE = 20_000  # of one validator, for one relayer in one day

W = TypeVar("W", wire.ExitWanted, wire.ValidatorWanted)

log = logs.get("sidecar")


@dataclass(frozen=True, eq=False)
class Admitted(Generic[W]):
    """What may be signed, since it is on record.

    Attributes:
        node: whose key shares sign it.
        items: what the relayer wants.
        exits: of the items.
        deposits: of the items, where they have them.
    """

    node: Node
    items: Sequence[W]
    exits: ExitMessages
    deposits: DepositMessages | None = None

    def parts(self, size: int) -> Iterator[Admitted[W]]:
        """The same in parts."""
        for start in range(0, len(self.items), size):
            rows = slice(start, start + size)
            deposits = None if self.deposits is None else self.deposits[rows]
            yield Admitted(self.node, self.items[rows], self.exits[rows], deposits)


class Signing:
    """What all loops of a sidecar sign with.

    Nothing is signed that is not in the journal, and nothing in the domain of another network.
    """

    def __init__(
        self,
        network: Network,
        journal: SigningJournal,
        metrics: SidecarMetrics,
        *,
        policy: DepositPolicy,
        exits_per_day: int,
        exits_per_validator: int = EXITS_OF_ONE,
        live: LiveValidators | None = None,
    ) -> None:
        self.network = network
        self.metrics = metrics
        self._journal = journal
        self._policy = policy
        self._exit_limits = Limits(exits_per_day, exits_per_validator)
        self._deposit_limits = Limits(policy.most_a_day, policy.most_of_one)
        self._live = live
        self._told: defaultdict[str, set[str]] = defaultdict(set)  # why relayers do not get something

    async def admit_exits(
        self, node: Node, relayer: str, wanted: Sequence[wire.ExitWanted]
    ) -> Admitted[wire.ExitWanted]:
        """Put exits of the node's validators on record, as many as a relayer may have."""
        exits = self._exits(node, wanted)
        reasons = await self._decide(node, relayer, wanted, exits, write=True)
        self._tell(node, relayer, reasons)
        kept, rows = _kept(wanted, reasons)
        self.metrics.recorded.labels(relayer, EXIT).inc(len(kept))
        return Admitted(node, kept, exits if rows is None else exits[rows])

    async def admit_validators(
        self, node: Node, relayer: str, wanted: Sequence[wire.ValidatorWanted]
    ) -> Admitted[wire.ValidatorWanted]:
        """Put exits and deposits of the node's validators on record, as far as they are allowed."""
        exits, deposits = self._exits(node, wanted), self._deposits(node, wanted)
        reasons = await self._decide(node, relayer, wanted, exits, deposits, write=True)
        self._tell(node, relayer, reasons)
        kept, rows = _kept(wanted, reasons)
        for kind in (EXIT, DEPOSIT):
            self.metrics.recorded.labels(relayer, kind).inc(len(kept))
        if rows is None:
            return Admitted(node, kept, exits, deposits)
        return Admitted(node, kept, exits[rows], deposits[rows])

    async def refusals_of_exits(
        self, node: Node, relayer: str, wanted: Sequence[wire.ExitWanted]
    ) -> list[str]:
        """Why exits would not be signed, "" where they would be; nothing is written."""
        return await self._decide(node, relayer, wanted, self._exits(node, wanted), write=False)

    async def refusals(self, node: Node, relayer: str, wanted: Sequence[wire.ValidatorWanted]) -> list[str]:
        """Why exits and deposits would not be signed; as `refusals_of_exits`."""
        exits, deposits = self._exits(node, wanted), self._deposits(node, wanted)
        return await self._decide(node, relayer, wanted, exits, deposits, write=False)

    async def exits(self, admitted: Admitted[wire.ExitWanted]) -> list[wire.ExitShare | None]:
        """Partial signatures; None is one that cannot be made now."""
        signatures = await self._sign(admitted.node, EXIT, admitted.exits)
        return [
            wire.ExitShare(exit_.public_key, signature, exit_.validator_index) if signature else None
            for exit_, signature in zip(admitted.items, signatures, strict=True)
        ]

    async def validators(self, admitted: Admitted[wire.ValidatorWanted]) -> list[wire.SignatureShares | None]:
        """Partial signatures of exits and deposits; None is one that cannot be made now."""
        assert admitted.deposits is not None
        exits = await self._sign(admitted.node, EXIT, admitted.exits)
        deposits = await self._sign(admitted.node, DEPOSIT, admitted.deposits)
        return [
            wire.SignatureShares(
                validator.public_key,
                exit_,
                deposit,
                validator.validator_index,
                _public_key_shares(admitted.node, validator.public_key),
            )
            if exit_ and deposit
            else None
            for validator, exit_, deposit in zip(admitted.items, exits, deposits, strict=True)
        ]

    async def _decide(
        self,
        node: Node,
        relayer: str,
        wanted: Sequence[W],
        exits: ExitMessages,
        deposits: DepositMessages | None = None,
        *,
        write: bool,
    ) -> list[str]:
        """For each item why it is not signed; "" is one that is on record now, if that is to be written."""
        reasons = [self._refusal(relayer, item) for item in wanted]
        if self._live is not None:
            live = await self._live.refusals(
                [(item.public_key, item.validator_index) for item in wanted], deposited=deposits is not None
            )
            reasons = [reason or other for reason, other in zip(reasons, live, strict=True)]
        rows = [row for row, reason in enumerate(reasons) if not reason]
        decided = iter(
            await self._journal.admit(
                Party(self.network.name, relayer, node.share_index),
                _exit_entries(wanted, exits, rows),
                None if deposits is None else _deposit_entries(wanted, deposits, rows),
                exit_limits=self._exit_limits,
                deposit_limits=self._deposit_limits,
                write=write,
            )
            if rows
            else ()
        )
        return [reason or next(decided) for reason in reasons]

    def _refusal(self, relayer: str, item: wire.ExitWanted | wire.ValidatorWanted) -> str:
        """What needs no record to tell."""
        return self._policy.refusal(relayer, item) if isinstance(item, wire.ValidatorWanted) else ""

    def _exits(self, node: Node, wanted: Sequence[wire.ExitWanted | wire.ValidatorWanted]) -> ExitMessages:
        places = [node.places[item.public_key] for item in wanted]
        return ExitMessages.of(places, [item.validator_index for item in wanted], self.network)

    def _deposits(self, node: Node, wanted: Sequence[wire.ValidatorWanted]) -> DepositMessages:
        credentials = b"".join(map(withdrawal_credentials, wanted))
        return DepositMessages.of(
            node,
            [node.places[validator.public_key] for validator in wanted],
            np.frombuffer(credentials, np.uint8).reshape(-1, WITHDRAWAL_CREDENTIALS_BYTES),
            [validator.amount for validator in wanted],
            self.network,
        )

    async def _sign(self, node: Node, kind: str, messages: MessagesToSign) -> list[wire.Signature | None]:
        begin = perf_counter()
        signed = await node.signer.sign(messages)
        self.metrics.sign_seconds.labels(kind).inc(perf_counter() - begin)
        rows = wire.Signature.rows(signed.signatures.tobytes())
        return [row if good else None for row, good in zip(rows, signed.ok.tolist(), strict=True)]

    def _tell(self, node: Node, relayer: str, reasons: Sequence[str]) -> None:
        """Log each reason once."""
        for reason, count in Counter(filter(None, reasons)).items():
            self.metrics.refused.labels(relayer).inc(count)
            told = self._told[relayer]
            if reason not in told and len(told) < REASONS_TOLD:
                told.add(reason)
                log.warning(
                    "not signed", relayer=relayer, share_index=node.share_index, count=count, reason=reason
                )


def _kept(wanted: Sequence[W], reasons: Sequence[str]) -> tuple[Sequence[W], NDArray[np.intp] | None]:
    """What there is no reason against, and its rows; None are all."""
    rows = [row for row, reason in enumerate(reasons) if not reason]
    if len(rows) == len(wanted):
        return wanted, None
    return [wanted[row] for row in rows], np.array(rows, np.intp)


def _exit_entries(
    wanted: Sequence[wire.ExitWanted | wire.ValidatorWanted], exits: ExitMessages, rows: Sequence[int]
) -> list[ExitEntry]:
    roots = _rows(exits.signing_roots)
    return [ExitEntry(wanted[row].public_key, wanted[row].validator_index, roots[row]) for row in rows]


def _deposit_entries(
    wanted: Sequence[wire.ExitWanted | wire.ValidatorWanted], deposits: DepositMessages, rows: Sequence[int]
) -> list[DepositEntry]:
    roots = _rows(deposits.signing_roots)
    entries = []
    for row in rows:
        item = wanted[row]
        assert isinstance(item, wire.ValidatorWanted)
        entries.append(
            DepositEntry(item.public_key, item.vault, item.validator_type.byte, item.amount, roots[row])
        )
    return entries


def _public_key_shares(node: Node, public_key: bytes) -> list[wire.PublicKeyShare] | None:
    """What StakeWise's sidecars send since v2.1.0, for relayers that do not know the cluster."""
    if node.public_key_shares is None:
        return None
    place = node.places[public_key]
    return [
        wire.PublicKeyShare(wire.ShareIndex(index), wire.PublicKey(shares[place].tobytes()))
        for index, shares in node.public_key_shares.items()
    ]


def _rows(matrix: NDArray[np.uint8]) -> list[bytes]:
    joined, width = matrix.tobytes(), matrix.shape[1]
    return [joined[begin : begin + width] for begin in range(0, len(joined), width)]
