"""The two questions to a relayer: exits (v3), and exits with deposits (v4).

Exits that may be wanted next, since deposits of others shift the validator indices, are signed after all
that are wanted now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from operator import itemgetter
from time import monotonic
from typing import TYPE_CHECKING

from ... import wire
from ...relayer_client.client import Polled
from ..journal.tables import DEPOSIT, EXIT
from ..nodes.node import Node
from ..signing.signing import Admitted
from .poll import Poll

if TYPE_CHECKING:
    from .loop import Sidecar

AHEAD_SHARES = 2_000  # of exits that are not wanted yet, in one poll interval
POST_ATTEMPTS = 2  # in a row


class ExitPoll(Poll[wire.ExitWanted, wire.ExitShare]):
    """Exits: `GET /exits`, `POST /exit-signature`."""

    kind = EXIT

    def __init__(self, sidecar: Sidecar) -> None:
        super().__init__(sidecar)
        self._left = 0  # exits not wanted yet that are for a later look
        self._ahead_at = 0.0  # when the next of these are signed, so that what is wanted never waits long

    async def _poll(self, *, etag: str | None, wait_seconds: float) -> Polled[Sequence[wire.ExitWanted]]:
        index = self._sidecar.node.share_index
        polled = await self._sidecar.client.poll_exits(index, etag=etag, wait_seconds=wait_seconds)
        return Polled(polled.answer.exits if polled.answer else None, polled.etag)

    def _identity(self, item: wire.ExitWanted) -> Hashable:
        return item.public_key, item.validator_index

    def _is_open(self, item: wire.ExitWanted) -> bool:
        index = self._sidecar.node.share_index
        return not item.is_exit_signature_ready and index not in item.share_indexes_ready

    async def _admit(self, node: Node, items: Sequence[wire.ExitWanted]) -> Admitted[wire.ExitWanted]:
        return await self._sidecar.signing.admit_exits(node, self._sidecar.relayer, items)

    async def _sign(self, admitted: Admitted[wire.ExitWanted]) -> Sequence[wire.ExitShare | None]:
        return await self._sidecar.signing.exits(admitted)

    async def _send(
        self, share_index: wire.ShareIndex, shares: list[wire.ExitShare]
    ) -> Sequence[wire.Rejected]:
        request = wire.ExitSignatureRequest(share_index, shares)
        return (await self._sidecar.client.post_exit_shares(request, attempts=POST_ATTEMPTS)).rejected

    def _wanted(self, node: Node) -> Sequence[wire.ExitWanted]:
        """What is wanted now, then a bounded number of what may be wanted next."""
        wanted, items = super()._wanted(node), self._items
        current = {exit_.public_key: exit_.validator_index for exit_ in reversed(items) if not exit_.is_ahead}
        now = [exit_ for exit_ in wanted if current.get(exit_.public_key) == exit_.validator_index]
        ahead: list[tuple[int, wire.ExitWanted]] = []
        rank: Counter[bytes] = Counter()
        for exit_ in wanted if len(now) < len(wanted) else ():
            if current.get(exit_.public_key) != exit_.validator_index:
                ahead.append((rank[exit_.public_key], exit_))
                rank[exit_.public_key] += 1
        ahead.sort(key=itemgetter(0))  # the next index of all validators first, since all move together
        taken = [exit_ for _, exit_ in ahead[:AHEAD_SHARES]] if monotonic() >= self._ahead_at else []
        if taken:
            self._ahead_at = monotonic() + self._sidecar.poll_seconds
        self._left = len(ahead) - len(taken)
        return [*now, *taken]

    def _seconds_until_due(self) -> float:
        if self._left:
            return min(self._sidecar.wait_seconds, max(0.0, self._ahead_at - monotonic()))
        return super()._seconds_until_due()


class ValidatorPoll(Poll[wire.ValidatorWanted, wire.SignatureShares]):
    """Exits with deposits: `GET /validators`, `POST /signatures`."""

    kind = DEPOSIT

    async def _poll(self, *, etag: str | None, wait_seconds: float) -> Polled[Sequence[wire.ValidatorWanted]]:
        index = self._sidecar.node.share_index
        polled = await self._sidecar.client.poll_validators(index, etag=etag, wait_seconds=wait_seconds)
        return Polled(polled.answer.validators if polled.answer else None, polled.etag)

    def _identity(self, item: wire.ValidatorWanted) -> Hashable:
        return item.public_key, item.validator_index, item.vault, item.amount, item.validator_type

    def _is_open(self, item: wire.ValidatorWanted) -> bool:
        index = self._sidecar.node.share_index
        return not item.is_signatures_ready and index not in item.share_indexes_ready

    async def _admit(
        self, node: Node, items: Sequence[wire.ValidatorWanted]
    ) -> Admitted[wire.ValidatorWanted]:
        return await self._sidecar.signing.admit_validators(node, self._sidecar.relayer, items)

    async def _sign(self, admitted: Admitted[wire.ValidatorWanted]) -> Sequence[wire.SignatureShares | None]:
        return await self._sidecar.signing.validators(admitted)

    async def _send(
        self, share_index: wire.ShareIndex, shares: list[wire.SignatureShares]
    ) -> Sequence[wire.Rejected]:
        request = wire.SignaturesRequest(share_index, shares)
        return (await self._sidecar.client.post_signatures(request, attempts=POST_ATTEMPTS)).rejected
