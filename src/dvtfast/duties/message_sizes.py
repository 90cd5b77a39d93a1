"""How large what nodes tell each other of a duty may be.

Anything is read before it is judged, and any node may send anything: what it costs to read depends on these
bounds alone. What honest nodes send is far below them. Blocks alone are large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dvtfast.duties.duty_types import DutyType

MOST_BYTES: Final = 32 << 20  # of any message; charon's since v1.11
# Of a validator, but for blocks: the largest, an aggregate with its proof as JSON, has less than 2,000.
ENTRY_BYTES: Final = 4096
JSON_BYTES: Final = 4 << 20  # of a block; nobody is known to write blocks so
RESULT_BYTES: Final = 1 << 20  # of what all nodes prefer
PREFERENCES_BYTES: Final = 1 << 16  # of what one node prefers, in about 1,500
MOST_TOPICS: Final = 32  # of its preferences
LEAST_ENTRIES: Final = 64  # for all of a small cluster: locks grow, and not on all nodes in one moment


def entry_bytes(type: DutyType) -> int:
    """Of what is said for one validator."""
    return MOST_BYTES if type == DutyType.PROPOSER else ENTRY_BYTES


@dataclass(frozen=True)
class MessageSizes:
    """The bounds of one cluster.

    Attributes:
        nodes: how many it has.
        validators: how many are in its lock.
    """

    nodes: int
    validators: int

    @property
    def justifications(self) -> int:
        """Messages that justify another: a ROUND-CHANGE of each node, and a PREPARE."""
        return 2 * self.nodes

    @property
    def values(self) -> int:
        """Values that go along: what each node has prepared, and what is proposed."""
        return self.nodes + 1

    def entries(self, type: DutyType) -> int:
        """Validators in a value or message; of what nodes prefer, what each says, and the topics."""
        match type:
            case DutyType.PROPOSER:
                return 1
            case DutyType.INFO_SYNC:
                return self.nodes * (1 + MOST_TOPICS)
        return max(LEAST_ENTRIES, self.validators)

    def value_bytes(self, type: DutyType) -> int:
        """Of what is agreed on."""
        if type == DutyType.INFO_SYNC:
            return RESULT_BYTES
        return min(MOST_BYTES, self.entries(type) * entry_bytes(type))
