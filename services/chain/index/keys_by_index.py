"""Which validator has which index: from whoever knows it best."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...process.offload import UnavailableError
from ..beacon.client import BeaconClient

if TYPE_CHECKING:
    from ..deposits.scan import DepositScan


class KeysDifferError(UnavailableError):
    """Two who should know tell different things; the message names them."""


@dataclass(frozen=True)
class KeysByIndex:
    """Public keys of validators, by index.

    Attributes:
        given: what somebody said, which goes before all others.
        scan: all deposits; believed where it tells the next index, too.
        beacon: asked for the rest, and compared with the scan.
    """

    given: Mapping[int, bytes]
    scan: DepositScan | None = None
    beacon: BeaconClient | None = None

    async def public_keys(self, indices: Collection[int]) -> dict[int, bytes]:
        """Those of these validators that anybody knows.

        Raises:
            KeysDifferError: scan and beacon node differ.
            UnavailableError: one of them cannot tell now.
        """
        found = {index: self.given[index] for index in indices if index in self.given}
        if self.scan is not None and self.scan.gives_index and len(found) < len(indices):
            found |= await self.scan.public_keys([index for index in indices if index not in found])
        if self.beacon is None:
            return found
        told = await self.beacon.public_keys([index for index in indices if index not in self.given])
        for index in found.keys() & told.keys() - self.given.keys():
            if found[index] != told[index]:
                raise KeysDifferError(
                    f"validator {index} has another key by the deposits than by the beacon node"
                    f" ({self.beacon.names}); find out which node is wrong"
                )
        return told | found
