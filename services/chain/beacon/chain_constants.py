"""Which chain beacon nodes are to be on, and what they say of it.

Source: beacon API: `GET /eth/v1/beacon/genesis`, `/eth/v1/config/fork_schedule`, `/eth/v1/config/spec`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import msgspec

from dvtfast import Network
from dvtfast.duties.fork_schedule import ForkEpoch, ForkSchedule
from dvtfast.duties.forks import FORKS
from dvtfast.duties.presets import Preset, preset_named

from ..encoding import HASH_BYTES, read_data, write_data
from .answers import FORK_VERSION_BYTES, decoded, uint64
from .client import FAR_FUTURE_EPOCH

MILLISECONDS = 1000


@dataclass(frozen=True)
class ExpectedChain:
    """What a cluster's lock and its operator say of the chain; None is anything.

    Attributes:
        name: of the network, for messages.
        genesis_fork_version: as in the lock.
    """

    name: str
    genesis_fork_version: bytes
    genesis_validators_root: bytes | None = None
    genesis_time: int | None = None
    capella_fork_version: bytes | None = None
    chain_id: int | None = None

    @classmethod
    def of(cls, network: Network) -> Self:
        """A network that everybody knows."""
        return cls(
            name=network.name,
            genesis_fork_version=network.genesis_fork_version,
            genesis_validators_root=network.genesis_validators_root,
            genesis_time=network.genesis_time,
            capella_fork_version=network.capella_fork_version,
            chain_id=network.chain_id,
        )

    def problem(self, chain: ChainConstants) -> str | None:
        """Why a node's chain is another one; None when it is this one."""
        for what, wanted, got in (
            ("genesis fork version", self.genesis_fork_version, chain.genesis_fork_version),
            ("genesis validators root", self.genesis_validators_root, chain.genesis_validators_root),
            ("genesis time", self.genesis_time, chain.genesis_time),
            ("Capella fork version", self.capella_fork_version, chain.capella_fork_version),
            ("chain", self.chain_id, chain.chain_id),
        ):
            if wanted is not None and wanted != got:
                return f"expected a beacon node of {self.name}, of {what} {_shown(wanted)}, got {_shown(got)}"
        return None


@dataclass(frozen=True)
class ChainConstants:
    """What does not change while a chain goes on, but for forks that are announced.

    Attributes:
        forks: by epoch, as far as they are announced; of those of one epoch the last one counts. `fork` is
            None where the containers of one are not known here.
    """

    genesis_time: int
    genesis_validators_root: bytes
    genesis_fork_version: bytes
    capella_fork_version: bytes
    chain_id: int
    slots_per_epoch: int
    milliseconds_per_slot: int
    epochs_per_sync_committee_period: int
    sync_committee_size: int
    preset: Preset
    forks: tuple[ForkEpoch, ...]

    @property
    def schedule(self) -> ForkSchedule:
        """Its forks in time, and the domains that come of them."""
        return ForkSchedule(
            self.genesis_validators_root,
            self.slots_per_epoch,
            self.forks,
            genesis_version=self.genesis_fork_version,
            capella_version=self.capella_fork_version,
        )

    def epoch(self, now: float) -> int:
        """Which epoch it is, at a Unix time in seconds; the first one before the genesis, too."""
        seconds_per_epoch = self.slots_per_epoch * self.milliseconds_per_slot / MILLISECONDS
        return max(0, int((now - self.genesis_time) // seconds_per_epoch))

    def same_but_for_forks(self, other: ChainConstants) -> bool:
        """Whether all else is the same."""
        return replace(self, forks=()) == replace(other, forks=())

    def same_chain(self, other: ChainConstants, epoch: int) -> bool:
        """Whether it is the same in an epoch: until a fork has begun, nodes may be told of it by and by."""
        return self.knows(other, epoch) and other.knows(self, epoch)

    def knows(self, other: ChainConstants, epoch: int) -> bool:
        """Whether it is the same in what the other one knows; of forks, in those that have begun."""
        begun = tuple(fork for fork in other.forks if fork.epoch <= epoch)
        return self.same_but_for_forks(other) and self.forks[: len(begun)] == begun


class _GenesisData(msgspec.Struct):
    genesis_time: str
    genesis_validators_root: str
    genesis_fork_version: str


class _Genesis(msgspec.Struct):
    data: _GenesisData


class _Fork(msgspec.Struct):
    current_version: str
    epoch: str


class _Forks(msgspec.Struct):
    data: list[_Fork]


class _Spec(msgspec.Struct):
    data: dict[str, Any]


@dataclass(frozen=True)
class Genesis:
    """How a chain began."""

    time: int
    validators_root: bytes
    fork_version: bytes


def read_genesis(content: bytes) -> Genesis:
    """The answer to `genesis`; ValueError when it is none."""
    data = decoded(content, _Genesis).data
    return Genesis(
        uint64("genesis_time", data.genesis_time),
        read_data(data.genesis_validators_root, width=HASH_BYTES),
        read_data(data.genesis_fork_version, width=FORK_VERSION_BYTES),
    )


def read_forks(content: bytes) -> tuple[ForkEpoch, ...]:
    """The answer to `fork_schedule`, without any containers; ValueError when it is none.

    What is of no epoch yet is no fork.
    """
    forks = [
        ForkEpoch(uint64("epoch", fork.epoch), read_data(fork.current_version, width=FORK_VERSION_BYTES))
        for fork in decoded(content, _Forks).data
    ]
    told = [fork for fork in forks if fork.epoch != FAR_FUTURE_EPOCH]
    return tuple(sorted(told, key=lambda fork: fork.epoch))


def read_spec(content: bytes) -> Mapping[str, Any]:
    """The answer to `spec`; ValueError when it is none."""
    spec: Mapping[str, Any] = decoded(content, _Spec).data
    return spec


def constants(genesis: Genesis, forks: tuple[ForkEpoch, ...], spec: Mapping[str, Any]) -> ChainConstants:
    """All of it together.

    Raises:
        ValueError: something is missing, or none of its kind.
    """

    def number(name: str) -> int:
        value = spec.get(name)
        if not isinstance(value, str):
            raise ValueError(f"{name}: expected a number in the spec, got none")
        if not (found := uint64(name, value)):
            raise ValueError(f"{name}: expected a positive number")
        return found

    slot = (
        number("SLOT_DURATION_MS")
        if "SLOT_DURATION_MS" in spec
        else number("SECONDS_PER_SLOT") * MILLISECONDS
    )
    with_containers = {str(spec.get(f"{fork.name.upper()}_FORK_VERSION")): fork for fork in FORKS}
    chain = ChainConstants(
        genesis_time=genesis.time,
        genesis_validators_root=genesis.validators_root,
        genesis_fork_version=genesis.fork_version,
        capella_fork_version=read_data(str(spec.get("CAPELLA_FORK_VERSION")), width=FORK_VERSION_BYTES),
        chain_id=number("DEPOSIT_CHAIN_ID"),
        slots_per_epoch=number("SLOTS_PER_EPOCH"),
        milliseconds_per_slot=slot,
        epochs_per_sync_committee_period=number("EPOCHS_PER_SYNC_COMMITTEE_PERIOD"),
        sync_committee_size=number("SYNC_COMMITTEE_SIZE"),
        preset=preset_named(str(spec.get("PRESET_BASE", "mainnet"))),
        forks=tuple(replace(each, fork=with_containers.get(write_data(each.version))) for each in forks),
    )
    chain.schedule.at(0)  # which refuses forks that begin late, or none
    return chain


def most_told(told: Sequence[ChainConstants], epoch: int) -> ChainConstants | None:
    """What most of several beacon nodes say of their chain; None: as many say that it is another one.

    Nodes are made ready for a fork one after the other: where as many know of it as do not, it is there.
    """

    def support(one: ChainConstants) -> tuple[int, int, int]:
        alike = sum(one.same_chain(other, epoch) for other in told)
        return alike, told.count(one), len(one.forks)

    best = max(told, key=support)
    most, *_ = support(best)
    rivals = [other for other in told if support(other)[0] == most and not best.knows(other, epoch)]
    return None if rivals else best


def _shown(value: bytes | int | None) -> str:
    return write_data(value) if isinstance(value, bytes) else str(value)
