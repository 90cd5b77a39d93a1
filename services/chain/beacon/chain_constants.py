"""Which chain beacon nodes are to be on, and what they say of it.

Source: beacon API: `GET /eth/v1/beacon/genesis`, `/eth/v1/config/fork_schedule`, `/eth/v1/config/spec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import msgspec

from dvtfast import Network
from dvtfast.duties.fork_schedule import ForkEpoch, ForkSchedule
from dvtfast.duties.forks import FORKS
from dvtfast.duties.presets import Preset, preset_named

from ..encoding import HASH_BYTES, read_data, write_data
from .answers import FORK_VERSION_BYTES, decoded, uint64

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
    """What does not change while a chain goes on.

    Attributes:
        forks: by epoch; of those of one epoch the last one counts. `fork` is None where the containers of one
            are not known here.
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

    def same_chain(self, other: ChainConstants) -> bool:
        """Whether it is the same, though one of them may know of a later fork."""
        shared = min(len(self.forks), len(other.forks))
        return _without_forks(self) == _without_forks(other) and self.forks[:shared] == other.forks[:shared]


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
    """The answer to `fork_schedule`, without any containers; ValueError when it is none."""
    forks = [
        ForkEpoch(uint64("epoch", fork.epoch), read_data(fork.current_version, width=FORK_VERSION_BYTES))
        for fork in decoded(content, _Forks).data
    ]
    return tuple(sorted(forks, key=lambda fork: fork.epoch))


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
    with_containers = {spec.get(f"{fork.name.upper()}_FORK_VERSION"): fork for fork in FORKS}
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
    assert chain.schedule  # which refuses forks that begin late, or none
    return chain


def _without_forks(chain: ChainConstants) -> tuple[Any, ...]:
    return tuple(getattr(chain, name) for name in chain.__dataclass_fields__ if name != "forks")


def _shown(value: bytes | int | None) -> str:
    return write_data(value) if isinstance(value, bytes) else str(value)
