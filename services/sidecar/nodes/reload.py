"""Keys are read anew when their files change, and on SIGHUP; meanwhile the old ones sign."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from contextlib import suppress
from math import inf
from time import monotonic

from ...process import logs
from ...process.offload import UnavailableError
from ..metrics import SidecarMetrics
from ..sidecars import Sidecars
from .node import NodeSource

LOOK_SECONDS = 5.0  # between two looks at the files
LONGEST_PAUSE_SECONDS = 300.0  # between two tries of what may succeed by itself

log = logs.get("sidecar")


class Retry:
    """When to try once more what could not be done, after pauses that double."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """It is done."""
        self._pause, self._at = LOOK_SECONDS, inf

    def postpone(self) -> None:
        """It failed again."""
        self._at = monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    def is_due(self) -> bool:
        """Whether to try."""
        return monotonic() >= self._at


class KeyReload:
    """Looks after the sources of nodes.

    Args:
        states: their fingerprints when they were loaded.
        asked: is set by who does not want to wait for a change.
    """

    def __init__(
        self,
        sources: Sequence[NodeSource],
        states: Sequence[Hashable],
        sidecars: Sidecars,
        metrics: SidecarMetrics,
        *,
        asked: asyncio.Event,
    ) -> None:
        self._sources = sources
        self._loaded = list(states)
        self._seen = list(states)
        self._sidecars = sidecars
        self._metrics = metrics
        self._asked = asked
        self._again = [Retry() for _ in sources]

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._asked.wait()
            asked = self._asked.is_set()
            self._asked.clear()
            for place, source in enumerate(self._sources):
                state = await asyncio.to_thread(source.fingerprint)
                settled = state == self._seen[place]  # nobody is writing any more
                self._seen[place] = state
                if asked or (settled and state != self._loaded[place]) or self._again[place].is_due():
                    self._loaded[place] = state
                    await self._reload(place, source)

    async def _reload(self, place: int, source: NodeSource) -> None:
        log.info("reading the keys anew")
        try:
            nodes = await source.load()
        except UnavailableError as error:  # such as a remote signer that is away: no file will tell
            self._again[place].postpone()
            self._metrics.reloads.labels("failed").inc()
            log.warning("keys not read anew yet, going on with those before", error=str(error))
            return
        except Exception as error:  # of files, which are looked at when they change
            self._again[place].forget()
            self._metrics.reloads.labels("failed").inc()
            kind = type(error).__name__
            log.error("keys not read anew, going on with those before", error=str(error), kind=kind)
            return
        self._again[place].forget()
        await self._sidecars.update(place, nodes)
        self._metrics.reloads.labels("done").inc()
