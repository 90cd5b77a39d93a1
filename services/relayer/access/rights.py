"""Which role may call which route; what is not listed here is nobody's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ..store.tokens import Role

Roles = frozenset[Role] | None
"""None: everybody, without a token."""

OPEN: Final[Roles] = None
ALL: Final[Roles] = frozenset(Role)
OPERATORS: Final[Roles] = frozenset({Role.OPERATOR})
SIDECARS: Final[Roles] = frozenset({Role.SIDECAR})
LOOKS: Final[Roles] = frozenset({Role.READ_ONLY})
LISTINGS: Final[Roles] = frozenset({Role.SIDECAR, Role.READ_ONLY})

RIGHTS: Final[Mapping[tuple[str, str], Roles]] = MappingProxyType(
    {
        ("GET", "/info"): ALL,
        ("GET", "/exits"): LISTINGS,
        ("GET", "/validators"): LISTINGS,
        ("POST", "/exit-signature"): SIDECARS,
        ("POST", "/signatures"): SIDECARS,
        ("POST", "/validators"): OPERATORS,
        ("POST", "/register"): OPERATORS,
        ("POST", "/rotate"): OPERATORS,
        ("POST", "/fund"): OPERATORS,
        ("POST", "/withdraw"): OPERATORS,
        ("POST", "/consolidate"): OPERATORS,
        ("GET", "/healthz"): OPEN,
        ("GET", "/readyz"): OPEN,
        ("GET", "/"): LOOKS,
        ("GET", "/status.css"): LOOKS,
        ("GET", "/status.js"): LOOKS,
        ("GET", "/status.json"): LOOKS,
        ("GET", "/status/validators"): LOOKS,
        ("GET", "/metrics"): LOOKS,
        ("GET", "/openapi.json"): LOOKS,
        ("GET", "/docs"): LOOKS,
        ("GET", "/docs.css"): LOOKS,
    }
)
"""By method, where HEAD is a GET, and path as the router has it."""
