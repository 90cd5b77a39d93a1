"""The keys that a dealer splits: new ones, or those of validators that there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvtfast import generate_secret_keys
from dvtfast.keystores import load_keystores

from ...process.progress import showing_progress
from ..errors import CeremonyError

STOP_THE_OLD = """\
These validators' keys were split, and are still where they were: stop what signs with them, and wait for two
epochs, before the cluster starts. Two that sign for one validator get it slashed."""


def secret_keys_for(directory: Path | None, count: int, threads: int | None) -> NDArray[np.uint8]:
    """Those of the keystores in a directory, or new ones; whoever asks overwrites them.

    Raises:
        CeremonyError: one of the keystores cannot be opened.
        KeystoreError: there is none.
    """
    if directory is None:
        return generate_secret_keys(count)
    with showing_progress("decrypting keystores") as progress:
        loaded = load_keystores(directory, threads=threads, progress=progress)
    if loaded.problems:
        loaded.wipe()
        raise CeremonyError("; ".join(map(str, loaded.problems)))
    return loaded.secret_keys
