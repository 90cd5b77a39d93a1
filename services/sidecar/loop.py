"""Poll the relayer for exits, sign those of the node's validators, post the shares; for ever."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic, perf_counter

from dvtfast import Network

from .. import logs, wire
from ..client import RelayerClient, RelayerRefusedError, RelayerUnavailableError
from ..offload import Workers
from .keys import NodeKeys

POST_SHARES = 500  # in one request
POST_ATTEMPTS = 2  # in a row
FAILURES_LIMIT = 20  # while the cause is looked for in one request's shares; one culprit takes ten
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
    """One node's part in the round; signs for validators in `keys`, in the domain of `network`, only."""

    def __init__(
        self,
        client: RelayerClient,
        keys: NodeKeys,
        workers: Workers,
        *,
        network: Network,
        poll_seconds: float,
        threads: int | None,
    ) -> None:
        self._client = client
        self._keys = keys
        self._workers = workers
        self._network = network
        self._poll_seconds = poll_seconds
        self._threads = threads
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
            await asyncio.sleep(self._poll_seconds)

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
        exits = (await self._client.exits()).exits
        wanted = await self._workers.run(self._wanted, exits)
        for start in range(0, len(wanted), POST_SHARES):
            await self._post_what_can_be(wanted[start : start + POST_SHARES])

    async def _post_what_can_be(self, exits: Sequence[wire.ExitWanted]) -> None:
        """Sign and post; what fails waits for a later look and holds up nothing else.

        A relayer may stumble over a single share and answer 500 to all that comes with it, so what gets
        this answer is halved until the culprit stands alone.
        """
        waiting, failures = [exits], 0
        while waiting and failures < FAILURES_LIMIT:
            part = waiting.pop()
            try:
                await self._sign_and_post(part)
            except (RelayerUnavailableError, RelayerRefusedError) as error:
                failures += 1
                log.warning("shares not posted", count=len(part), error=str(error))
                if error.status == INTERNAL_ERROR and len(part) > 1:
                    middle = len(part) // 2
                    waiting += [part[middle:], part[:middle]]
                    continue
            for exit_ in part:
                self._remember(_identity(exit_))

    def _wanted(self, exits: Sequence[wire.ExitWanted]) -> list[wire.ExitWanted]:
        """The exits that this node can sign, that lack its share, and whose time has come."""
        ours = [exit_ for exit_ in exits if exit_.public_key in self._keys.places]
        open_ = [
            exit_
            for exit_ in ours
            if not exit_.is_exit_signature_ready and self._keys.share_index not in exit_.share_indexes_ready
        ]
        known = {_identity(exit_) for exit_ in open_}
        self._attempts = {key: attempt for key, attempt in self._attempts.items() if key in known}
        now = monotonic()
        return [
            exit_
            for exit_ in open_
            if (attempt := self._attempts.get(_identity(exit_))) is None or attempt.not_before <= now
        ]

    async def _sign_and_post(self, exits: Sequence[wire.ExitWanted]) -> None:
        begin = perf_counter()
        shares = await self._workers.run(self._sign, exits)
        signed = perf_counter()
        request = wire.ExitSignatureRequest(wire.ShareIndex(self._keys.share_index), shares)
        rejected = (await self._client.post_exit_shares(request, attempts=POST_ATTEMPTS)).rejected
        log.info(
            "shares posted",
            count=len(shares),
            rejected=len(rejected),
            sign_seconds=round(signed - begin, 4),
            post_seconds=round(perf_counter() - signed, 4),
        )
        for reason, count in Counter(item.reason for item in rejected).items():
            log.warning("shares rejected", count=count, reason=reason)

    def _sign(self, exits: Sequence[wire.ExitWanted]) -> list[wire.ExitShare]:
        return self._keys.sign_exits(exits, self._network, threads=self._threads)

    def _remember(self, identity: tuple[bytes, int]) -> None:
        before = self._attempts.get(identity)
        pause = min(2 * before.pause_seconds, LONGEST_PAUSE_SECONDS) if before else FIRST_PAUSE_SECONDS
        self._attempts[identity] = Attempt(pause, monotonic() + pause)


def _identity(exit_: wire.ExitWanted) -> tuple[bytes, int]:
    return exit_.public_key, exit_.validator_index
