"""Serve one relayer with one node, for ever.

Two polls stand beside each other, one for each generation of the protocol. A relayer that speaks only one of
them says 404 to the other, which is then asked again now and then.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import tenacity

from ...process import logs
from ...process.offload import UnavailableError
from ...relayer_client.client import SHOWN_CHARACTERS, RelayerClient, RelayerRefusedError, WrongNetworkError
from ..nodes.node import Node
from ..signing.signing import Signing
from .poll import Poll
from .questions import ExitPoll, ValidatorPoll

LONGEST_RETRY_SECONDS = 60.0  # between two looks at a relayer that gives no sense

T = TypeVar("T")

log = logs.get("sidecar")


class Sidecar:
    """One node's part in the rounds of one relayer.

    Attributes:
        node: may be exchanged for another one of the same share index at any time.
        relayer: its name, for people.
    """

    def __init__(
        self,
        client: RelayerClient,
        node: Node,
        signing: Signing,
        *,
        relayer: str,
        poll_seconds: float,
        wait_seconds: float = 0,
    ) -> None:
        self.node = node
        self.relayer = relayer
        self.client = client
        self.signing = signing
        self.poll_seconds = poll_seconds
        self.wait_seconds = wait_seconds
        self._polls: Sequence[Poll[Any, Any]] = ExitPoll(self), ValidatorPoll(self)

    async def run(self) -> None:
        """Work until cancelled; a relayer that is away or talks nonsense is asked again.

        Raises:
            WrongNetworkError: the relayer serves another network.
        """
        await self.patiently(self._check_network)
        async with asyncio.TaskGroup() as group:
            for poll in self._polls:
                group.create_task(poll.run())

    @property
    def is_understood(self) -> bool:
        """Whether the relayer speaks one protocol at least."""
        return any(poll.is_spoken for poll in self._polls)

    async def patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do this until it succeeds, with growing, jittered pauses."""
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_may_pass),
            wait=tenacity.wait_random_exponential(self.poll_seconds, LONGEST_RETRY_SECONDS),
            before_sleep=self._after_failure,
        )
        return await retrying(work)

    async def _check_network(self) -> None:
        network = (await self.client.info()).network
        if network != self.signing.network.name:
            raise WrongNetworkError(
                f"the relayer serves {network[:SHOWN_CHARACTERS]}, this sidecar {self.signing.network.name}"
            )
        log.info("relayer found", network=network, relayer=self.relayer, share_index=self.node.share_index)

    def _after_failure(self, state: tenacity.RetryCallState) -> None:
        if state.outcome and (error := state.outcome.exception()):
            self._log_failure(state, error)
            # It is in a cycle with what is retrying, and its frames have the whole answer.
            traceback.clear_frames(error.__traceback__)

    def _log_failure(self, state: tenacity.RetryCallState, error: BaseException) -> None:
        who = {"relayer": self.relayer, "share_index": self.node.share_index}
        self.signing.metrics.failures.labels(self.relayer).inc()
        if state.attempt_number.bit_count() > 1:
            return  # ever more rarely, while nothing else comes
        if isinstance(error, RelayerRefusedError):
            log.warning("relayer refuses", error=str(error), **who)
        elif isinstance(error, UnavailableError):
            log.warning("cannot sign now", error=str(error), **who)
        else:
            log.error("unexpected, going on", exc_info=error, **who)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, Exception) and not isinstance(error, WrongNetworkError)
