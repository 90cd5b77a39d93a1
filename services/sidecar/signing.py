"""From what a relayer wants to what it gets: allowed, on record, signed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dvtfast import Network
from dvtfast.constants import WITHDRAWAL_CREDENTIALS_BYTES

from .. import logs, wire
from .journal import DEPOSIT, EXIT, DepositEntry, ExitEntry, Journal, Party
from .metrics import Metrics
from .nodes import Deposits, Exits, Messages, Node
from .policy import DepositPolicy, withdrawal_credentials

REASONS_TOLD = 1_000  # then a relayer that invents reasons is not listened to any more

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
    exits: Exits
    deposits: Deposits | None = None

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
        journal: Journal,
        metrics: Metrics,
        *,
        policy: DepositPolicy,
        exits_per_day: int,
    ) -> None:
        self.network = network
        self.metrics = metrics
        self._journal = journal
        self._policy = policy
        self._exits_per_day = exits_per_day
        self._told: set[tuple[str, str]] = set()  # relayers, and why they do not get something

    async def admit_exits(
        self, node: Node, relayer: str, wanted: Sequence[wire.ExitWanted]
    ) -> Admitted[wire.ExitWanted]:
        """Put exits of the node's validators on record, as many as a relayer may have."""
        kept, exits = await self._record(node, relayer, wanted)
        return Admitted(node, kept, exits)

    async def admit_validators(
        self, node: Node, relayer: str, wanted: Sequence[wire.ValidatorWanted]
    ) -> Admitted[wire.ValidatorWanted]:
        """Put exits and deposits of the node's validators on record, as far as they are allowed."""
        reasons = await self._reasons(node, relayer, wanted, write=True)
        self._tell(node, relayer, reasons)
        allowed = [validator for validator, reason in zip(wanted, reasons, strict=True) if not reason]
        kept, exits = await self._record(node, relayer, allowed)
        deposits = self._deposits(node, kept)
        self.metrics.recorded.labels(relayer, DEPOSIT).inc(len(kept))
        return Admitted(node, kept, exits, deposits)

    async def refusals(self, node: Node, relayer: str, wanted: Sequence[wire.ValidatorWanted]) -> list[str]:
        """Why deposits would not be signed, "" where they would be; nothing is written."""
        return await self._reasons(node, relayer, wanted, write=False)

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

    async def _record(self, node: Node, relayer: str, wanted: Sequence[W]) -> tuple[Sequence[W], Exits]:
        """Those of which the relayer may have exits today, and these exits, on record."""
        indices = [item.validator_index for item in wanted]
        exits = Exits.of([node.places[item.public_key] for item in wanted], indices, self.network)
        roots = _rows(exits.signing_roots)
        entries = [
            ExitEntry(item.public_key, index, root)
            for item, index, root in zip(wanted, indices, roots, strict=True)
        ]
        party = self._party(node, relayer)
        reasons = await self._journal.admit_exits(party, entries, most_a_day=self._exits_per_day)
        self._tell(node, relayer, reasons)
        rows_kept = [row for row, reason in enumerate(reasons) if not reason]
        self.metrics.recorded.labels(relayer, EXIT).inc(len(rows_kept))
        if len(rows_kept) == len(wanted):
            return wanted, exits
        return [wanted[row] for row in rows_kept], exits[np.array(rows_kept, np.intp)]

    async def _reasons(
        self, node: Node, relayer: str, wanted: Sequence[wire.ValidatorWanted], *, write: bool
    ) -> list[str]:
        reasons = [self._policy.refusal(validator) for validator in wanted]
        allowed = [validator for validator, reason in zip(wanted, reasons, strict=True) if not reason]
        if not allowed:
            return reasons
        entries = [
            DepositEntry(v.public_key, v.vault, v.validator_type.byte, v.amount, root)
            for v, root in zip(allowed, _rows(self._deposits(node, allowed).signing_roots), strict=True)
        ]
        admit = self._journal.admit_deposits if write else self._journal.refusals_of_deposits
        party = self._party(node, relayer)
        decided = iter(await admit(party, entries, most_a_day=self._policy.most_a_day))
        return [reason or next(decided) for reason in reasons]

    def _deposits(self, node: Node, wanted: Sequence[wire.ValidatorWanted]) -> Deposits:
        credentials = b"".join(map(withdrawal_credentials, wanted))
        return Deposits.of(
            node,
            [node.places[validator.public_key] for validator in wanted],
            np.frombuffer(credentials, np.uint8).reshape(-1, WITHDRAWAL_CREDENTIALS_BYTES),
            [validator.amount for validator in wanted],
            self.network,
        )

    async def _sign(self, node: Node, kind: str, messages: Messages) -> list[wire.Signature | None]:
        begin = perf_counter()
        signed = await node.signer.sign(messages)
        self.metrics.sign_seconds.labels(kind).inc(perf_counter() - begin)
        rows = wire.Signature.rows(signed.signatures.tobytes())
        return [row if good else None for row, good in zip(rows, signed.ok.tolist(), strict=True)]

    def _party(self, node: Node, relayer: str) -> Party:
        return Party(self.network.name, relayer, node.share_index)

    def _tell(self, node: Node, relayer: str, reasons: Sequence[str]) -> None:
        """Log each reason once."""
        for reason, count in Counter(filter(None, reasons)).items():
            self.metrics.refused.labels(relayer).inc(count)
            if (relayer, reason) not in self._told and len(self._told) < REASONS_TOLD:
                self._told.add((relayer, reason))
                log.warning(
                    "not signed", relayer=relayer, share_index=node.share_index, count=count, reason=reason
                )


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
