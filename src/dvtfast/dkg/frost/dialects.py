"""What differs between charon's releases on the wire, and the names of what does not.

A ceremony works among nodes of one minor version alone, so we say that we have theirs.

Source: charon, dkg/ and app/version of v1.9, v1.10.3 and v1.11.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dvtfast.errors import InputError

SYNC: Final = "/charon/dkg/sync/1.0.0/"
SHARES: Final = "/charon/dkg/frost/2.0.0/round1/p2p"
PARTIALS: Final = "/charon/parsigex/2.0.0"
# What is broadcast, by the id that is signed with it.
ROUND1: Final = "/charon/dkg/frost/2.0.0/round1/cast"
ROUND2: Final = "/charon/dkg/frost/2.0.0/round2/cast"
NODE_SIGNATURE: Final = "/charon/dkg/node_sig"

VERSION = re.compile(r"v(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(?:[-+.].*)?", re.ASCII)
# What `dkg_algorithm` of a definition calls this one.
ALGORITHMS = ("default", "frost")


@dataclass(frozen=True)
class Dialect:
    """How the nodes of one minor version talk.

    Attributes:
        version: as sync says it.
        bound: whether a broadcast's signatures name session and id, as in bcast 2.0.0.
    """

    version: str
    bound: bool

    @property
    def signature_protocol(self) -> str:
        """Where a broadcast is signed."""
        return f"/charon/dkg/bcast/{'2' if self.bound else '1'}.0.0/sig"

    @property
    def message_protocol(self) -> str:
        """Where it arrives with everybody's signatures."""
        return f"/charon/dkg/bcast/{'2' if self.bound else '1'}.0.0/msg"


V1_9 = Dialect("v1.9", bound=False)
V1_10 = Dialect("v1.10", bound=False)
V1_11 = Dialect("v1.11", bound=True)
DIALECTS = (V1_9, V1_10, V1_11)


def dialect_of(version: str) -> Dialect:
    """The dialect of a charon of this version, such as `v1.10.3` or `v1.11-dev`.

    Raises:
        InputError: it is none that we speak.
    """
    for dialect in DIALECTS:
        if same_version(version, dialect.version):
            return dialect
    spoken = ", ".join(dialect.version for dialect in DIALECTS)
    raise InputError(f"version: expected a charon of {spoken}, got {version[:40]!r}")


def same_version(one: str, other: str) -> bool:
    """Whether two versions may meet: major and minor equal, and the patch where both have one."""
    parts = [match.groups() if (match := VERSION.fullmatch(text)) else None for text in (one, other)]
    if parts[0] is None or parts[1] is None:
        return False
    return all(a is None or b is None or int(a) == int(b) for a, b in zip(parts[0], parts[1], strict=True))


def require_frost(algorithm: str) -> None:
    """Refuse definitions of other key generations.

    Raises:
        InputError: the definition asks for one.
    """
    if algorithm == "pedersen":
        raise InputError("dkg_algorithm: pedersen is not supported yet; make a definition with frost")
    if algorithm not in ALGORITHMS:
        raise InputError(f"dkg_algorithm: expected {' or '.join(ALGORITHMS)}, got {algorithm[:40]!r}")
