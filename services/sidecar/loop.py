"""Poll the relayer for exits, sign those of the node's validators, post the shares; for ever.

Exits that may be wanted next, since deposits of others shift the validator indices, are signed after all
that are wanted now.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from time import monotonic, perf_counter

from dvtfast import Network

from .. import logs, wire
from ..client import RelayerClient, RelayerRefusedError, RelayerUnavailableError
from .nodes import Exits, Node

POST_SHARES = 500  # in one request
AHEAD_SHARES = 2_000  # of exits that are not wanted yet, in one poll interval
POST_ATTEMPTS = 2  # in a row
FAILURES_LIMIT = 20  # while the cause is looked for in one request's shares; one culprit takes ten
TOLD_PAUSE_SECONDS = 0.1  # between two looks at a relayer that tells when something changes
INTERNAL_ERROR = 500  # the HTTP status
# A share that the relayer does not show as stored is posted again after a pause that doubles each time.
FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 120.0

log = logs.get("sidecar")


class WrongNetworkError(Exception):
    """The relayer serves another network."""


@dataclass
class Attempt:
    """When a share may be posted again."""

    pause_seconds: float
    not_before: float


class Sidecar:
    """One node's part in the rounds of one relayer.

    It signs for validators of the node, in the domain of `network`, only.

    Attributes:
        node: may be exchanged for another one of the same share index at any time.
    """

    def __init__(
        self,
        client: RelayerClient,
        node: Node,
        *,
        network: Network,
        poll_seconds: float,
        wait_seconds: float = 0,
    ) -> None:
        self.node = node
        self._client = client
        self._network = network
        self._poll_seconds = poll_seconds
        self._wait_seconds = wait_seconds
        self._exits: Sequence[wire.ExitWanted] = ()  # as the relayer last said, under this ETag
        self._etag: str | None = None
        self._sign_seconds = 0.0
        self._left = 0  # exits not wanted yet that are for a later look
        self._ahead_at = 0.0  # when the next of these are signed, so that what is wanted never waits long
        self._attempts: dict[tuple[bytes, int], Attempt] = {}  # by validator and its index

    async def run(self) -> None:
        """Work until cancelled; a relayer that is away or talks nonsense is asked again.

        Raises:
            WrongNetworkError: the relayer serves another network.
        """
        await self._check_network()
        while True:
            try:
                await self._look()
            except RelayerRefusedError as error:
                log.warning("relayer refuses", error=str(error))
                self._etag = None
            told = min(self._poll_seconds, TOLD_PAUSE_SECONDS)
            await asyncio.sleep(told if self._etag else self._poll_seconds)

    async def _check_network(self) -> None:
        while True:
            try:
                network = (await self._client.info()).network
                break
            except RelayerRefusedError as error:
                log.warning("not a relayer", error=str(error))
                await asyncio.sleep(self._poll_seconds)
        if network != self._network.name:
            raise WrongNetworkError(f"the relayer serves {network}, this sidecar {self._network.name}")
        log.info("relayer found", network=network)

    async def _look(self) -> None:
        """Sign and post what is wanted."""
        index, wait = self.node.share_index, self._seconds_until_due()
        polled = await self._client.poll_exits(index, etag=self._etag, wait_seconds=wait)
        if polled.answer is not None:
            self._exits = polled.answer.exits
        self._etag = polled.etag
        now, ahead = await asyncio.to_thread(self._wanted, self._exits)
        ahead_now = ahead[:AHEAD_SHARES] if monotonic() >= self._ahead_at else []
        if ahead_now:
            self._ahead_at = monotonic() + self._poll_seconds
        wanted = [*now, *ahead_now]
        self._left = len(ahead) - len(ahead_now)
        parts = [wanted[start : start + POST_SHARES] for start in range(0, len(wanted), POST_SHARES)]
        await self._post_what_can_be(parts)

    def _seconds_until_due(self) -> float:
        """How long the relayer may wait for a change: until something is to be posted, or posted again."""
        if self._left:
            return min(self._wait_seconds, max(0.0, self._ahead_at - monotonic()))
        first = min((attempt.not_before for attempt in self._attempts.values()), default=None)
        return self._wait_seconds if first is None else min(self._wait_seconds, max(0.0, first - monotonic()))

    async def _post_what_can_be(self, parts: Sequence[Sequence[wire.ExitWanted]]) -> None:
        """Sign and post; the next part is signed while one is on its way.

        What fails waits for a later look and holds up nothing else.
        """
        posting: asyncio.Task[None] | None = None
        try:
            for part in parts:
                shares = await self._signed(part)
                if posting is not None:
                    await posting
                posting = asyncio.create_task(self._post_halved(part, shares))
            if posting is not None:
                await posting
        finally:
            if posting is not None:
                posting.cancel()

    async def _post_halved(self, exits: Sequence[wire.ExitWanted], shares: Sequence[wire.ExitShare]) -> None:
        """Post; what cannot be posted is left for later.

        A relayer may stumble over a single share and answer 500 to all that comes with it, so what gets
        this answer is halved until the culprit stands alone.
        """
        waiting, failures = [range(len(exits))], 0
        while waiting and failures < FAILURES_LIMIT:
            part = waiting.pop()
            try:
                await self._post(shares[part.start : part.stop])
            except (RelayerUnavailableError, RelayerRefusedError) as error:
                failures += 1
                log.warning("shares not posted", count=len(part), error=str(error))
                if error.status == INTERNAL_ERROR and len(part) > 1:
                    middle = len(part) // 2
                    waiting += [part[middle:], part[:middle]]
                    continue
            for exit_ in exits[part.start : part.stop]:
                self._remember(_identity(exit_))

    def _wanted(
        self, exits: Sequence[wire.ExitWanted]
    ) -> tuple[list[wire.ExitWanted], list[wire.ExitWanted]]:
        """The exits that this node can sign, that lack its share, and whose time has come: now and ahead."""
        ours = [exit_ for exit_ in exits if exit_.public_key in self.node.places]
        open_ = [
            exit_
            for exit_ in ours
            if not exit_.is_exit_signature_ready and self.node.share_index not in exit_.share_indexes_ready
        ]
        known = {_identity(exit_) for exit_ in open_}
        self._attempts = {key: attempt for key, attempt in self._attempts.items() if key in known}
        now = monotonic()
        wanted = [
            exit_
            for exit_ in open_
            if (attempt := self._attempts.get(_identity(exit_))) is None or attempt.not_before <= now
        ]
        current = {exit_.public_key: exit_.validator_index for exit_ in reversed(exits) if not exit_.is_ahead}
        ahead: list[tuple[int, wire.ExitWanted]] = []
        rank: Counter[bytes] = Counter()
        for exit_ in wanted:
            if current.get(exit_.public_key) != exit_.validator_index:
                ahead.append((rank[exit_.public_key], exit_))
                rank[exit_.public_key] += 1
        ahead.sort(key=itemgetter(0))  # the next index of all validators first, since all move together
        return (
            [exit_ for exit_ in wanted if current.get(exit_.public_key) == exit_.validator_index],
            [exit_ for _, exit_ in ahead],
        )

    async def _signed(self, exits: Sequence[wire.ExitWanted]) -> list[wire.ExitShare]:
        begin = perf_counter()
        indices = [int(exit_.validator_index) for exit_ in exits]
        places = [self.node.places[exit_.public_key] for exit_ in exits]
        signed = await self.node.signer.sign(Exits.of(places, indices, self._network))
        self._sign_seconds += perf_counter() - begin
        return [
            wire.ExitShare(exit_.public_key, wire.Signature(row.tobytes()), exit_.validator_index)
            for exit_, row in zip(exits, signed.signatures, strict=True)
        ]

    async def _post(self, shares: Sequence[wire.ExitShare]) -> None:
        begin = perf_counter()
        request = wire.ExitSignatureRequest(wire.ShareIndex(self.node.share_index), list(shares))
        rejected = (await self._client.post_exit_shares(request, attempts=POST_ATTEMPTS)).rejected
        log.info(
            "shares posted",
            count=len(shares),
            rejected=len(rejected),
            sign_seconds=round(self._sign_seconds, 4),  # since the last of these lines
            post_seconds=round(perf_counter() - begin, 4),
        )
        self._sign_seconds = 0.0
        for reason, count in Counter(item.reason for item in rejected).items():
            log.warning("shares rejected", count=count, reason=reason)

    def _remember(self, identity: tuple[bytes, int]) -> None:
        before = self._attempts.get(identity)
        pause = min(2 * before.pause_seconds, LONGEST_PAUSE_SECONDS) if before else FIRST_PAUSE_SECONDS
        self._attempts[identity] = Attempt(pause, monotonic() + pause)


def _identity(exit_: wire.ExitWanted) -> tuple[bytes, int]:
    return exit_.public_key, exit_.validator_index
