"""Which validators are on the beacon chain, as a beacon node tells: their exits end them for good."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Final

from ..chain.beacon import BeaconClient

# A validator stands in the state for several epochs before it is active.
ABSENT_SECONDS: Final = 60.0


class LiveValidators:
    """Asks for each validator again until it is there; then its index is known for good.

    Args:
        may_rotate: exits of validators that are there may be signed, at their index.
    """

    def __init__(self, beacon: BeaconClient, *, may_rotate: bool) -> None:
        self._beacon = beacon
        self._may_rotate = may_rotate
        self._indices: dict[bytes, int] = {}
        self._absent_until: dict[bytes, float] = {}

    async def refusals(self, wanted: Sequence[tuple[bytes, int]], *, deposited: bool) -> list[str]:
        """Why no exit of a validator is signed at an index, or ""; where deposits are, too, none is live.

        Raises:
            BeaconError: no beacon node tells.
        """
        now = monotonic()
        unknown = [
            key
            for key in dict.fromkeys(key for key, _ in wanted)
            if key not in self._indices and self._absent_until.get(key, now) <= now
        ]
        found = await self._beacon.validators(unknown) if unknown else {}
        self._indices |= {key: validator.index for key, validator in found.items()}
        self._absent_until |= {key: now + ABSENT_SECONDS for key in unknown if key not in found}
        return [self._refusal(self._indices.get(key), index, deposited) for key, index in wanted]

    def _refusal(self, live: int | None, index: int, deposited: bool) -> str:
        if live is None:
            return ""
        if deposited:
            return "the validator is on the beacon chain already, so it is not to be registered"
        if not self._may_rotate:
            return "the validator is on the beacon chain: its exit is signed with --allow-rotation only"
        return "" if index == live else "the validator is on the beacon chain with another index"
