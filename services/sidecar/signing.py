"""From what a relayer wants to what it gets: allowed, on record, signed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from time import perf_counter, time

import numpy as np
from numpy.typing import NDArray

from dvtfast import Network
from dvtfast.constants import WITHDRAWAL_CREDENTIALS_BYTES

from .. import logs, wire
from .journal import DAY_SECONDS, DEPOSIT, EXIT, DepositEntry, ExitEntry, Journal, Party
from .metrics import Metrics
from .nodes import Deposits, Exits, Messages, Node
from .policy import DepositPolicy, withdrawal_credentials

REASONS_TOLD = 1_000  # then a relayer that invents reasons is not listened to any more

log = logs.get("sidecar")


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
        self._exits_today: Counter[tuple[str, int]] = Counter()  # by relayer and day
        self._told: set[tuple[str, str]] = set()  # relayers, and why they do not get something

    async def exits(
        self, node: Node, relayer: str, wanted: Sequence[wire.ExitWanted]
    ) -> list[wire.ExitShare | None]:
        """Partial signatures of exits of the node's validators; None is one that cannot be made now."""
        if not self._count(relayer, len(wanted)):
            reason = f"the limit is {self._exits_per_day} exits a day (UTC)"
            self._tell(node, relayer, [reason] * len(wanted))
            return [None] * len(wanted)
        indices = [exit_.validator_index for exit_ in wanted]
        signatures = await self._exits(node, relayer, [exit_.public_key for exit_ in wanted], indices)
        return [
            wire.ExitShare(exit_.public_key, signature, exit_.validator_index) if signature else None
            for exit_, signature in zip(wanted, signatures, strict=True)
        ]

    async def validators(
        self, node: Node, relayer: str, wanted: Sequence[wire.ValidatorWanted]
    ) -> list[wire.SignatureShares | None]:
        """Partial signatures of exits and deposits; None is one that is refused, or cannot be made now."""
        reasons = await self._reasons(node, relayer, wanted, write=True)
        self._tell(node, relayer, reasons)
        kept = [validator for validator, reason in zip(wanted, reasons, strict=True) if not reason]
        keys, indices = [v.public_key for v in kept], [v.validator_index for v in kept]
        exits = iter(await self._exits(node, relayer, keys, indices))
        deposits = iter(await self._sign(node, relayer, DEPOSIT, self._deposits(node, kept)))
        return [
            None if reason else _both(validator, next(exits), next(deposits))
            for validator, reason in zip(wanted, reasons, strict=True)
        ]

    async def refusals(self, node: Node, relayer: str, wanted: Sequence[wire.ValidatorWanted]) -> list[str]:
        """Why deposits would not be signed, "" where they would be; nothing is written."""
        return await self._reasons(node, relayer, wanted, write=False)

    async def _reasons(
        self, node: Node, relayer: str, wanted: Sequence[wire.ValidatorWanted], *, write: bool
    ) -> list[str]:
        reasons = [self._policy.refusal(validator) for validator in wanted]
        allowed = [validator for validator, reason in zip(wanted, reasons, strict=True) if not reason]
        roots = _rows(self._deposits(node, allowed).signing_roots)
        entries = [
            DepositEntry(v.public_key, v.vault, v.validator_type.byte, v.amount, root)
            for v, root in zip(allowed, roots, strict=True)
        ]
        admit = self._journal.admit_deposits if write else self._journal.refusals_of_deposits
        party = self._party(node, relayer)
        decided = iter(await admit(party, entries, most_a_day=self._policy.most_a_day) if entries else ())
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

    async def _exits(
        self, node: Node, relayer: str, public_keys: Sequence[bytes], validator_indices: Sequence[int]
    ) -> list[wire.Signature | None]:
        places = [node.places[key] for key in public_keys]
        exits = Exits.of(places, validator_indices, self.network)
        rows = zip(public_keys, validator_indices, _rows(exits.signing_roots), strict=True)
        await self._journal.admit_exits(self._party(node, relayer), [ExitEntry(*row) for row in rows])
        return await self._sign(node, relayer, EXIT, exits)

    async def _sign(
        self, node: Node, relayer: str, kind: str, messages: Messages
    ) -> list[wire.Signature | None]:
        self.metrics.recorded.labels(relayer, kind).inc(len(messages))
        begin = perf_counter()
        signed = await node.signer.sign(messages)
        self.metrics.sign_seconds.labels(kind).inc(perf_counter() - begin)
        rows = wire.Signature.rows(signed.signatures.tobytes())
        return [row if good else None for row, good in zip(rows, signed.ok.tolist(), strict=True)]

    def _count(self, relayer: str, exits: int) -> bool:
        """Whether a relayer may have so many more today."""
        today = relayer, int(time()) // DAY_SECONDS
        if self._exits_today[today] + exits > self._exits_per_day:
            return False
        self._exits_today = Counter(
            {key: count for key, count in self._exits_today.items() if key[1] == today[1]}
        )
        self._exits_today[today] += exits
        return True

    def _party(self, node: Node, relayer: str) -> Party:
        return Party(self.network.name, relayer, node.share_index)

    def _tell(self, node: Node, relayer: str, reasons: Sequence[str]) -> None:
        """Log each reason once."""
        for reason, count in Counter(filter(None, reasons)).items():
            self.metrics.refused.labels(relayer).inc(count)
            if (relayer, reason) not in self._told and len(self._told) < REASONS_TOLD:
                self._told.add((relayer, reason))
                log.warning(
                    "not signed",
                    relayer=relayer,
                    share_index=node.share_index,
                    count=count,
                    reason=reason,
                )


def _both(
    wanted: wire.ValidatorWanted, exit_: wire.Signature | None, deposit: wire.Signature | None
) -> wire.SignatureShares | None:
    if exit_ is None or deposit is None:
        return None
    return wire.SignatureShares(wanted.public_key, exit_, deposit, wanted.validator_index)


def _rows(matrix: NDArray[np.uint8]) -> list[bytes]:
    joined, width = matrix.tobytes(), matrix.shape[1]
    return [joined[begin : begin + width] for begin in range(0, len(joined), width)]
