"""Which validators are on the beacon chain, as a beacon node tells: their exits end them for good."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Final

from dvtfast import Network

from ...chain.beacon.client import BeaconClient, BeaconValidator
from ...chain.beacon.head import fresh_head
from ...chain.encoding import write_data

# A validator stands in the state for several epochs before it is active.
ABSENT_SECONDS: Final = 60.0


class LiveValidators:
    """Asks for each validator again until it is there; then its index is known for good.

    A node that is behind is not heard: it would know of none that are new.

    Args:
        may_rotate: exits of validators that are there may be signed, at their index.
    """

    def __init__(self, beacon: BeaconClient, network: Network, *, may_rotate: bool) -> None:
        self._beacon = beacon
        self._network = network
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
        found = await self._found(unknown) if unknown else {}
        self._indices |= {key: validator.index for key, validator in found.items()}
        self._absent_until |= {key: now + ABSENT_SECONDS for key in unknown if key not in found}
        return [self._refusal(self._indices.get(key), index, deposited) for key, index in wanted]

    async def _found(self, keys: Sequence[bytes]) -> dict[bytes, BeaconValidator]:
        state = write_data((await fresh_head(self._beacon, self._network)).state_root)
        return await self._beacon.validators(keys, state=state)

    def _refusal(self, live: int | None, index: int, deposited: bool) -> str:
        if live is None:
            return ""
        if deposited:
            return "the validator is on the beacon chain already, so it is not to be registered"
        if not self._may_rotate:
            return "the validator is on the beacon chain: its exit is signed with --allow-rotation only"
        return "" if index == live else "the validator is on the beacon chain with another index"
