"""Presets: the sizes that types have on a chain, by the names that the specification has for them.

Sources: consensus-specs, presets/mainnet and presets/minimal; gnosischain/specs, consensus/preset/gnosis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from dvtfast.errors import InputError

SYNC_COMMITTEE_SUBNET_COUNT: Final = 4  # consensus-specs, altair/validator.md


@dataclass(frozen=True)
class Preset:
    """One preset; two of them with one name are one.

    Attributes:
        name: such as `mainnet`.
        slots_per_epoch: how long an epoch is.
        sizes: by the names of the specification, of all that types are made of.
    """

    name: str
    slots_per_epoch: int
    sizes: Mapping[str, int]

    def __hash__(self) -> int:
        return hash(self.name)


def _preset(
    name: str, slots_per_epoch: int, *, committees: int, sync_committee: int, withdrawals: int
) -> Preset:
    sizes = {
        "MAX_COMMITTEES_PER_SLOT": committees,
        "MAX_VALIDATORS_PER_COMMITTEE": 2048,
        "MAX_VALIDATORS_PER_SLOT": 2048 * committees,
        "MAX_PROPOSER_SLASHINGS": 16,
        "MAX_ATTESTER_SLASHINGS": 2,
        "MAX_ATTESTER_SLASHINGS_ELECTRA": 1,
        "MAX_ATTESTATIONS": 128,
        "MAX_ATTESTATIONS_ELECTRA": 8,
        "MAX_DEPOSITS": 16,
        "MAX_VOLUNTARY_EXITS": 16,
        "SYNC_COMMITTEE_SIZE": sync_committee,
        "SYNC_SUBCOMMITTEE_SIZE": sync_committee // SYNC_COMMITTEE_SUBNET_COUNT,
        "BYTES_PER_LOGS_BLOOM": 256,
        "MAX_EXTRA_DATA_BYTES": 32,
        "MAX_BYTES_PER_TRANSACTION": 2**30,
        "MAX_TRANSACTIONS_PER_PAYLOAD": 2**20,
        "MAX_WITHDRAWALS_PER_PAYLOAD": withdrawals,
        "MAX_BLS_TO_EXECUTION_CHANGES": 16,
        "MAX_BLOB_COMMITMENTS_PER_BLOCK": 4096,
        "MAX_CELL_PROOFS_PER_BLOCK": 8192 * 4096,  # FIELD_ELEMENTS_PER_EXT_BLOB for each
        "BYTES_PER_BLOB": 32 * 4096,  # of each of FIELD_ELEMENTS_PER_BLOB
        "MAX_DEPOSIT_REQUESTS_PER_PAYLOAD": 8192,
        "MAX_WITHDRAWAL_REQUESTS_PER_PAYLOAD": 16,
        "MAX_CONSOLIDATION_REQUESTS_PER_PAYLOAD": 2,
    }
    return Preset(name, slots_per_epoch, MappingProxyType(sizes))


MAINNET_PRESET: Final = _preset("mainnet", 32, committees=64, sync_committee=512, withdrawals=16)
MINIMAL_PRESET: Final = _preset("minimal", 8, committees=4, sync_committee=32, withdrawals=4)
GNOSIS_PRESET: Final = _preset("gnosis", 16, committees=64, sync_committee=512, withdrawals=8)
PRESETS: Final = (MAINNET_PRESET, MINIMAL_PRESET, GNOSIS_PRESET)


def preset_named(name: str) -> Preset:
    """The preset that a chain says is its own, as `PRESET_BASE`.

    Raises:
        InputError: there is none of that name here.
    """
    for preset in PRESETS:
        if preset.name == name:
            return preset
    raise InputError(f"preset: expected one of {', '.join(preset.name for preset in PRESETS)}, got {name!r}")
