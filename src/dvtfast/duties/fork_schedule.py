"""A chain's forks in time: which version counts in an epoch, and the domains that come of it.

Sources: consensus-specs, phase0/beacon-chain.md (get_domain), deneb/beacon-chain.md (EIP-7044);
builder-specs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from dvtfast.constants import DOMAIN_BUILDER, DOMAIN_VOLUNTARY_EXIT, ROOT_BYTES
from dvtfast.domains import compute_domain
from dvtfast.duties.duty_types import DOMAIN_TYPES, DutyType
from dvtfast.duties.forks import Fork
from dvtfast.errors import InputError


@dataclass(frozen=True)
class ForkEpoch:
    """A fork version, and the epoch that it begins in.

    Attributes:
        fork: its containers; None where they are of no duty here, as before deneb.
    """

    epoch: int
    version: bytes
    fork: Fork | None = None


@dataclass(eq=False)
class ForkSchedule:
    """The forks of a chain, from genesis on.

    Attributes:
        forks: as far as they are known; whoever holds the schedule sees others as soon as they are put here.
        genesis_version: under which registrations are signed.
        capella_version: under which exits are signed, whatever their epoch.
    """

    genesis_validators_root: bytes
    slots_per_epoch: int
    forks: Sequence[ForkEpoch]
    genesis_version: bytes
    capella_version: bytes

    def __post_init__(self) -> None:
        epochs = [each.epoch for each in self.forks]
        if not epochs or epochs[0] != 0 or epochs != sorted(epochs):
            raise InputError(f"forks: expected ascending epochs from 0, got {epochs}")

    def at(self, epoch: int) -> ForkEpoch:
        """The fork of an epoch; of several that begin in one, the last."""
        forks = self.forks
        return forks[bisect_right(forks, epoch, key=lambda each: each.epoch) - 1]

    def epoch_of(self, slot: int) -> int:
        """The epoch that a slot is in."""
        return slot // self.slots_per_epoch

    def domain(self, duty: DutyType, epoch: int) -> bytes:
        """The domain of what a duty signs in an epoch."""
        domain_type = DOMAIN_TYPES[duty]
        if domain_type == DOMAIN_BUILDER:
            return compute_domain(domain_type, self.genesis_version, bytes(ROOT_BYTES))
        version = self.capella_version if domain_type == DOMAIN_VOLUNTARY_EXIT else self.at(epoch).version
        return compute_domain(domain_type, version, self.genesis_validators_root)
