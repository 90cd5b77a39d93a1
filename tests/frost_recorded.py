"""A charon ceremony that was recorded: who sent what, and what came of it. The files stay where they are."""

from __future__ import annotations

import dataclasses
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dvtfast.constants import CURVE_ORDER, DOMAIN_BUILDER, DOMAIN_DEPOSIT
from dvtfast.dkg.frost.casts import Round1, Shares
from dvtfast.dkg.frost.dialects import ROUND1, SHARES, Dialect, dialect_of
from dvtfast.dkg.frost.keygen import Dealing
from dvtfast.dkg.frost.messages import BroadcastMessage
from dvtfast.dkg.frost.partials import DEPOSIT, REGISTRATION
from dvtfast.dkg.frost.signing import Exchange
from dvtfast.dkg.frost.terms import DEPOSITS_STEP, REGISTRATIONS_STEP, Terms
from dvtfast.dkg.polynomials import Coefficients
from dvtfast.domains import compute_domain
from dvtfast.obol import hashing, read_cluster_lock
from dvtfast.obol.lock import ClusterLock
from dvtfast.secp256k1 import IdentityKey
from dvtfast.signing_roots import compute_signing_roots, deposit_message_roots
from tests.vector_files import given

NO_ROOT = bytes(32)


@dataclasses.dataclass(frozen=True)
class Message:
    """One message; `to` are the positions of all who got the same."""

    kind: str
    protocol: str
    source: int
    to: tuple[int, ...]
    body: bytes


class Recorded:
    """A recorded ceremony of 4 nodes with threshold 3."""

    def __init__(self, name: str) -> None:
        content: dict[str, Any] = json.loads(given(f"dkg/charon/{name}.json").read_text())
        ids = [node["peer_id"] for node in content["nodes"]]
        self.keys = [IdentityKey(bytes.fromhex(node["enr_private_key"])) for node in content["nodes"]]
        self.secret_shares = [
            np.array([list(bytes.fromhex(share)) for share in node["secret_shares"]], np.uint8)
            for node in content["nodes"]
        ]
        self.messages = [
            Message(
                each["kind"],
                each["protocol"],
                ids.index(each["from"]),
                tuple(ids.index(peer) for peer in each["to"]),
                bytes.fromhex(each["body"]),
            )
            for each in content["messages"]
        ]
        self.lock: ClusterLock = read_cluster_lock(Path(name), content=json.dumps(content["lock"]).encode())
        self.dialect: Dialect = dialect_of(content["charon"].replace("main-e628470", "v1.11-dev"))
        self.deposit_data = content["deposit_data"]

    def of(self, protocol: str, *, kind: str = "message", source: int | None = None) -> list[Message]:
        """Messages of a protocol, in the order in which they were sent."""
        return [
            each
            for each in self.messages
            if each.protocol == protocol and each.kind == kind and source in (None, each.source)
        ]

    @property
    def n(self) -> int:
        return len(self.keys)

    @property
    def m(self) -> int:
        return len(self.lock.public_keys)

    @property
    def t(self) -> int:
        return self.lock.definition.threshold

    def terms(self, position: int) -> Terms:
        """As a node reads them in the definition."""
        definition = self.lock.definition
        amounts = sorted(set(definition.deposit_amounts_gwei)) or [10**9, 32 * 10**9]
        exchanges = [
            Exchange(f"deposit of {amount}", DEPOSITS_STEP, DEPOSIT + i, self._deposit_roots(amount))
            for i, amount in enumerate(amounts)
        ]
        registration = Exchange("registration", REGISTRATIONS_STEP, REGISTRATION, self._registration_roots)
        return Terms(
            dialect=self.dialect,
            definition_hash=definition.definition_hash,
            nodes=tuple(key.public_key for key in self.keys),
            position=position,
            validators=self.m,
            threshold=self.t,
            algorithm=definition.dkg_algorithm,
            exchanges=(*exchanges, registration),
        )

    def _deposit_roots(self, amount: int) -> Any:
        definition = self.lock.definition
        credentials = np.zeros((self.m, 32), np.uint8)
        credentials[:, 0] = 2 if definition.compounding else 1
        credentials[:, -20:] = definition.withdrawal_addresses
        domain = compute_domain(DOMAIN_DEPOSIT, definition.fork_version, NO_ROOT)
        return lambda keys: compute_signing_roots(
            deposit_message_roots(keys, credentials, np.full(self.m, amount, np.uint64)), domain
        )

    def _registration_roots(self, keys: np.ndarray) -> np.ndarray:
        # The time of the genesis of a network that dvtfast does not know is as the lock has it.
        unsigned = dataclasses.replace(self.lock.registrations, public_keys=keys)
        domain = compute_domain(DOMAIN_BUILDER, self.lock.definition.fork_version, NO_ROOT)
        return compute_signing_roots(hashing.registration_message_roots(unsigned), domain)

    @cached_property
    def casts(self) -> list[Round1]:
        """What each node broadcast in round 1."""
        found: dict[int, Round1] = {}
        for each in self.of(self.dialect.message_protocol):
            message = BroadcastMessage.decode(each.body)
            if message.id == ROUND1:
                found[each.source] = Round1.decode(
                    message.content.value, position=each.source, validators=self.m, threshold=self.t
                )
        return [found[node] for node in range(self.n)]

    @cached_property
    def dealt(self) -> np.ndarray:
        """Shares uint8[n, n, m, 32] from dealer to node; what a dealer kept for itself is what remains."""
        shares = np.zeros((self.n, self.n, self.m, 32), np.uint8)
        for each in self.of(SHARES):
            (to,) = each.to
            decoded = Shares.decode(each.body, position=each.source, to=to, validators=self.m)
            shares[each.source, to] = decoded.values
        for node in range(self.n):
            for v in range(self.m):
                others = sum(integer(shares[dealer, node, v]) for dealer in range(self.n) if dealer != node)
                shares[node, node, v] = row(integer(self.secret_shares[node][v]) - others)
        return shares

    def dealing(self, node: int) -> Dealing:
        """The polynomials of a node, interpolated from all it dealt, and its nonces: w = k + c a."""
        coefficients = np.zeros((self.m, self.t, 32), np.uint8)
        nonces = np.zeros((self.m, 32), np.uint8)
        for v in range(self.m):
            values = [integer(self.dealt[node, to, v]) for to in range(self.t)]
            polynomial = interpolated(values)
            coefficients[v] = [row(value) for value in polynomial]
            cast = self.casts[node]
            nonces[v] = row(integer(cast.responses[v]) - integer(cast.challenges[v]) * polynomial[0])
        return Dealing(Coefficients.from_bytes(coefficients), node, nonces=nonces)


def integer(scalar: np.ndarray) -> int:
    return int.from_bytes(scalar.tobytes(), "big")


def row(value: int) -> np.ndarray:
    return np.frombuffer((value % CURVE_ORDER).to_bytes(32, "big"), np.uint8)


def interpolated(values: list[int]) -> list[int]:
    """Coefficients of the polynomial with these values at 1, 2, 3, ..., the constant term first."""
    t = len(values)
    total = [0] * t
    for i, value in enumerate(values, start=1):
        basis, denominator = [1], 1
        for j in range(1, t + 1):
            if j != i:
                basis = [(a - j * b) % CURVE_ORDER for a, b in zip([0, *basis], [*basis, 0], strict=True)]
                denominator = denominator * (i - j) % CURVE_ORDER
        factor = value * pow(denominator, -1, CURVE_ORDER)
        total = [(have + factor * b) % CURVE_ORDER for have, b in zip(total, basis, strict=True)]
    return total
