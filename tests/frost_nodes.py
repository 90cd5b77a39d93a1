"""Charon ceremonies in memory: nodes, and a network that delivers what they send in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from dvtfast.dkg.frost.ceremony import Ceremony
from dvtfast.dkg.frost.dialects import SYNC, V1_10
from dvtfast.dkg.frost.messages import Sync
from dvtfast.dkg.frost.outputs import Ask, Generated, LockWanted, Sealed
from dvtfast.dkg.frost.partials import DEPOSIT, REGISTRATION
from dvtfast.dkg.frost.signing import Exchange
from dvtfast.dkg.frost.terms import DEPOSITS_STEP, REGISTRATIONS_STEP, Terms
from dvtfast.dkg.outputs import Aborted, Finished, Phase, Send
from dvtfast.secp256k1 import IdentityKey

DEFINITION_HASH = sha256(b"a definition").digest()
FIRST = lambda size: 0  # noqa: E731 - a schedule: what was sent first arrives first


def node_keys(n: int) -> list[IdentityKey]:
    return [IdentityKey(sha256(f"node {i}".encode()).digest()) for i in range(n)]


def roots_of(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """Something to sign for each validator."""

    def roots(public_keys: np.ndarray) -> np.ndarray:
        joined = b"".join(sha256(name.encode() + key.tobytes()).digest() for key in public_keys)
        return np.frombuffer(joined, np.uint8).reshape(-1, 32)

    return roots


EXCHANGES = (
    Exchange("deposit of 1 ETH", DEPOSITS_STEP, DEPOSIT, roots_of("1 ETH")),
    Exchange("deposit of 32 ETH", DEPOSITS_STEP, DEPOSIT + 1, roots_of("32 ETH")),
    Exchange("registration", REGISTRATIONS_STEP, REGISTRATION, roots_of("registration")),
)


def terms_of(position: int, *, n: int = 4, t: int = 3, m: int = 2, **others: object) -> Terms:
    values = {
        "dialect": V1_10,
        "definition_hash": DEFINITION_HASH,
        "nodes": tuple(key.public_key for key in node_keys(n)),
        "position": position,
        "validators": m,
        "threshold": t,
        "exchanges": EXCHANGES,
    }
    return Terms(**values | others)


@dataclass
class Delivery:
    """On its way from one node to another."""

    source: int
    to: int
    kind: str
    payload: bytes
    is_answer: bool = False


def lock_hash_of(wanted: LockWanted) -> bytes:
    """Something that only who knows the same can compute."""
    parts = [wanted.keys.public_keys, wanted.keys.public_shares, *wanted.signatures.values()]
    return sha256(b"".join(part.tobytes() for part in parts)).digest()


@dataclass
class Network:
    """Nodes and what is between them.

    Attributes:
        nodes: ceremonies; None where a test itself plays the node.
        choose: which of so many deliveries is next.
        tamper: what becomes of a delivery: any number of them.
        lock_hash: how the nodes make theirs.
        reached: the last step of each node that somebody has heard of.
    """

    nodes: list[Ceremony | None]
    choose: Callable[[int], int] = FIRST
    tamper: Callable[[Delivery], list[Delivery]] = lambda delivery: [delivery]
    lock_hash: Callable[[LockWanted], bytes] = lock_hash_of
    under_way: list[Delivery] = field(default_factory=list)
    phases: dict[int, list[Phase]] = field(default_factory=dict)
    sealed: dict[int, Sealed] = field(default_factory=dict)
    ended: dict[int, Finished | Aborted] = field(default_factory=dict)
    sent: list[Delivery] = field(default_factory=list)
    reached: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, n: int = 4, *, keys: list[IdentityKey] | None = None, **others: object) -> Network:
        """A network of n honest nodes."""
        keys = keys or node_keys(n)
        return cls([Ceremony(terms_of(i, n=n, **others), keys[i]) for i in range(n)])

    @property
    def honest(self) -> list[int]:
        return [i for i, node in enumerate(self.nodes) if node is not None]

    def post(self, delivery: Delivery) -> None:
        """Put something on its way."""
        self.sent.append(delivery)
        self.under_way += self.tamper(delivery)

    def advance(self, i: int) -> None:
        """Let a node do what it can, and the driver what it asks for."""
        node = self.nodes[i]
        for output in node.advance():
            match output:
                case Send() | Ask():
                    self.post(Delivery(i, output.to, output.kind, output.payload))
                case Phase():
                    self.phases.setdefault(i, []).append(output)
                case Generated():
                    node.kept()
                    self.advance(i)
                case LockWanted():
                    node.sign_lock(self.lock_hash(output))
                    self.advance(i)
                case Sealed():
                    self.sealed[i] = output
                    node.stored()
                    self.advance(i)
                case _:
                    self.ended[i] = output

    def deliver(self, delivery: Delivery) -> None:
        """Give something to whom it is for; nobody is there where a test plays the node."""
        node = self.nodes[delivery.to]
        if node is None:
            return
        if delivery.is_answer:
            node.answered(delivery.source, delivery.kind, delivery.payload)
        else:
            if delivery.kind == SYNC:
                self.reached[delivery.source] = Sync.decode(delivery.payload).step
            answer = node.receive(delivery.source, delivery.kind, delivery.payload)
            if answer:
                self.post(Delivery(delivery.to, delivery.source, delivery.kind, answer, is_answer=True))
        self.advance(delivery.to)

    def next(self) -> Delivery:
        """One of what is under way; sync comes over one stream, so in its order."""
        chosen = self.under_way[self.choose(len(self.under_way))]
        if chosen.kind == SYNC:
            way = (chosen.source, chosen.to, chosen.kind, chosen.is_answer)
            chosen = next(d for d in self.under_way if (d.source, d.to, d.kind, d.is_answer) == way)
        self.under_way = [delivery for delivery in self.under_way if delivery is not chosen]
        return chosen

    def report(self) -> None:
        """Every node tells every other how far it is."""
        for i in self.honest:
            for j in range(len(self.nodes)):
                if i != j:
                    self.tell(i, j)

    def tell(self, i: int, j: int) -> None:
        """One node tells another how far it is."""
        self.post(Delivery(i, j, SYNC, self.nodes[i].report(1_700_000_000, 5)))

    def run(self, most: int = 100) -> Network:
        """Until all have ended, or nothing happens any more."""
        for i in self.honest:
            self.advance(i)
        for _ in range(most):
            self.report()
            while self.under_way:
                self.deliver(self.next())
            if all(self.nodes[i].is_over for i in self.honest):
                break
        return self
