"""What a key generation machine asks of its driver, and what comes of it.

A machine takes messages and commands, one at a time, and answers each with a list of these, in order. It has
no I/O and no clock: the driver sends, writes, shows and waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from dvtfast._arrays import Bytes


class Joined:
    """Bytes that begin and end for one receiver alone, and have much between that is the same for all.

    What is sliced is copied, and what all have in common is there once, however many they are.

    Args:
        parts: one after the other.
    """

    __slots__ = ("_parts", "_size")

    def __init__(self, *parts: bytes) -> None:
        self._parts, self._size = parts, sum(map(len, parts))

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self._parts)

    def __getitem__(self, s: slice) -> bytes:
        start, stop, _ = s.indices(self._size)
        found = []
        for part in self._parts:
            found.append(part[max(0, start) : max(0, stop)])
            start, stop = start - len(part), stop - len(part)
        return b"".join(found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Joined) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)


@dataclass(frozen=True, slots=True)
class Send:
    """One message to one peer; it may be lost, and the machine then sends it again when it is asked to.

    Attributes:
        to: position of the operator, from 0.
        kind: name of the message, for the transport and for people.
        payload: may hold secrets of that peer, encrypted to it.
    """

    to: int
    kind: str
    payload: bytes | Joined = field(repr=False)


@dataclass(frozen=True, slots=True)
class Record:
    """Bytes that must be on disk before anything that follows in the list leaves this machine."""

    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Phase:
    """Where the ceremony is, and the positions of those it waits for; told whenever either changes."""

    name: str
    missing: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class GeneratedKeys:
    """The keys of m validators for n nodes, as one node knows them.

    Attributes:
        public_keys: uint8[m, 48], the validators' keys.
        public_shares: uint8[n, m, 48], the public key shares of all nodes, by position.
        secret_shares: uint8[m, 32], this node's key shares; `wipe` when they are stored.
    """

    public_keys: Bytes
    public_shares: Bytes
    secret_shares: Bytes = field(repr=False)

    def wipe(self) -> None:
        """Overwrite the secret shares."""
        self.secret_shares.fill(0)


@dataclass(frozen=True, slots=True)
class Finished:
    """All went well; what was recorded is to be erased.

    Attributes:
        result: None after a restart of a node that had stored its keys before.
    """

    result: GeneratedKeys | None


@dataclass(frozen=True, slots=True)
class Aborted:
    """There will be no keys; what was recorded is to be erased. More such may follow, with other culprits.

    Attributes:
        reason: what happened, for people; names positions from 0.
        culprit: position of who is at fault, if known.
        evidence: what proves it to others, if it can be proven.
        unconfirmed: others may have finished, or may yet with what this node has said, and so may this node:
            nothing is to be erased before the operators know.
    """

    reason: str
    culprit: int | None = None
    evidence: bytes | None = field(default=None, repr=False)
    unconfirmed: bool = False


Output: TypeAlias = Send | Record | Phase | Finished | Aborted
Outputs: TypeAlias = Sequence[Output]
