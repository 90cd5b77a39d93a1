"""`dvtfast` as a process in which a constant is another one, so that what it waits for comes sooner."""

from __future__ import annotations

import sys

DVTFAST = (sys.executable, "-m", "dvtfast.services")


def program_with(module: str, **constants: float) -> tuple[str, ...]:
    """How `dvtfast` is called; arguments follow.

    Args:
        module: of the services, such as `sidecar.nodes.reload`, whose constants are set before it is used.
    """
    lines = [
        f"import dvtfast.services.{module} as module",
        *(f"module.{name} = {value!r}" for name, value in constants.items()),
        "from dvtfast.services.__main__ import main",
        "main()",
    ]
    return (sys.executable, "-c", "; ".join(lines))
