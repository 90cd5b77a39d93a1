"""The environment before it is read: what Kubernetes puts into it, and names that are ours by mistake."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Final

PREFIX: Final = "DVTFAST_"
ELSEWHERE: Final = frozenset(
    PREFIX + name
    for name in (
        "BACKEND",  # of the library
        # Of the test suite, whose programs inherit them.
        "FUZZ_CASES",
        "FUZZ_OPERANDS",
        "FUZZ_SEED",
        "KILLS",
        "KILL_VALIDATORS",
        "SCHEMATHESIS_EXAMPLES",
        "SCREENSHOT",
        "SSV_VALIDATORS",
        "TEST_VALIDATORS",
        "VECTORS",
    )
)
"""Variables with our prefix that are no settings of a service."""

# For a service `relayer` Kubernetes sets RELAYER_PORT=tcp://10.0.0.1:8000 in every pod beside it, and more.
LINK_VALUE: Final = re.compile(r"(tcp|udp|sctp)://\S+", re.ASCII | re.IGNORECASE)
LINK_NAME: Final = re.compile(
    r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)", re.ASCII
)


def without_service_links(environment: Mapping[str, str]) -> dict[str, str]:
    """What is left when Kubernetes' links to services are taken away, which nobody meant as settings."""
    return {
        name: value
        for name, value in environment.items()
        if not (LINK_NAME.fullmatch(name) or (name.endswith("_PORT") and LINK_VALUE.fullmatch(value.strip())))
    }


def unknown(environment: Mapping[str, str], known: Collection[str]) -> list[str]:
    """A line for each variable that begins as ours and is none."""
    lines = []
    choices = {each.removeprefix(PREFIX) for each in known if each.startswith(PREFIX)}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known and name not in ELSEWHERE:
            near = get_close_matches(name.removeprefix(PREFIX), sorted(choices), n=1)
            lines.append(f"{name}: no such setting" + (f"; is {PREFIX}{near[0]} meant?" if near else ""))
    return lines
