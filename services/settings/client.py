"""What every client of a relayer can be told."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses

from dvtfast.networks import Network

from .. import parsing
from . import shared
from .sources import Settings, setting

LONGEST_WAIT_SECONDS = 20.0  # for a change at the relayer; proxies end what is silent for longer


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelayerClientSettings(Settings):
    """What every client of a relayer can be told."""

    network: Network = shared.network("The network of the validators; the relayer must serve the same.")
    relayer_timeout: float = setting(
        "--relayer-timeout",
        parsing.seconds,
        "How long one request to the relayer may take.",
        default="10",
        also=["RELAYER_TIMEOUT"],
    )
    poll_interval: float = setting(
        "--poll-interval",
        parsing.seconds,
        "The pause between two looks at a relayer that cannot tell when something changes.",
        default="1",
        also=["POLL_INTERVAL"],
    )

    @property
    def wait_seconds(self) -> float:
        """How long a relayer is asked to wait for a change; a part of what a request may take."""
        return min(self.relayer_timeout / 2, LONGEST_WAIT_SECONDS)
