"""Who is to aggregate, by selection proofs.

Source: consensus-specs, phase0/validator.md (is_aggregator), altair/validator.md
(is_sync_committee_aggregator).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import numpy as np

from dvtfast._arrays import Bools, Rows, as_rows, as_uint64s
from dvtfast.constants import SIGNATURE_BYTES
from dvtfast.duties.presets import MAINNET_PRESET, Preset

TARGET_AGGREGATORS_PER_COMMITTEE: Final = 16
TARGET_AGGREGATORS_PER_SYNC_SUBCOMMITTEE: Final = 16


def are_aggregators(selection_proofs: Rows, committee_lengths: Any) -> Bools:
    """Which of n selection proofs uint8[n, 96] select, in committees of so many members uint64[n]."""
    lengths = as_uint64s("committee_lengths", committee_lengths)
    return _are_zero(selection_proofs, np.maximum(1, lengths // TARGET_AGGREGATORS_PER_COMMITTEE))


def are_sync_aggregators(selection_proofs: Rows, preset: Preset = MAINNET_PRESET) -> Bools:
    """Which of n selection proofs uint8[n, 96] of sync subcommittees select."""
    members = preset.sizes["SYNC_SUBCOMMITTEE_SIZE"]
    return _are_zero(selection_proofs, np.uint64(max(1, members // TARGET_AGGREGATORS_PER_SYNC_SUBCOMMITTEE)))


def _are_zero(selection_proofs: Rows, modulo: Any) -> Bools:
    proofs, _ = as_rows("selection_proofs", selection_proofs, SIGNATURE_BYTES)
    heads = b"".join(sha256(proof.tobytes()).digest()[:8] for proof in proofs)
    selected: Bools = np.frombuffer(heads, dtype="<u8") % modulo == 0
    return selected
