"""`dvtfast` as a process in which constants are others, so that what it waits for comes sooner."""

from __future__ import annotations

import sys
from collections.abc import Mapping

DVTFAST = (sys.executable, "-m", "dvtfast.services")
# Where a relayer is killed again and again.
SHORT_RETRIES = {"relayer_client.client.RETRY_LONGEST_SECONDS": 1.0}


def program_with(constants: Mapping[str, float]) -> tuple[str, ...]:
    """How `dvtfast` is called; arguments follow.

    Args:
        constants: of modules of the services, by whole name; they are set before anything is used.
    """
    lines = []
    for name, value in constants.items():
        module, _, constant = name.rpartition(".")
        lines += [f"import dvtfast.services.{module} as module", f"module.{constant} = {value!r}"]
    return (sys.executable, "-c", "; ".join([*lines, "from dvtfast.services.__main__ import main", "main()"]))
