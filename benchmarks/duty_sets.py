"""`make bench-duty-sets`: what a bad set of partial signatures costs a node, beside a clean one.

A node of a cluster of four has signed its own part for 5,000 votes, and hears the other three, one after the
other; the second of them sends what it should not. The node ends with the same 5,000 signatures in each case,
which is asserted first, as is who is named. Then, for each case,

    RATIO <case>/clean <CPU time of hearing all of them, to that of three clean sets> <bound> ok|MISS
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from dvtfast import PublicKeys, derive_public_keys, generate_secret_keys, sign, split_secret_keys
from dvtfast.duties.attestations import AttestationData, AttestationElectra, Checkpoint
from dvtfast.duties.bits import EMPTY_BITLIST, bitvector
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.fork_schedule import ForkEpoch, ForkSchedule
from dvtfast.duties.forks import FULU
from dvtfast.duties.signed_sets import NO_SIGNATURE, signed_set, with_signature
from dvtfast.duties.wrappers import SignedValue, Versioned, encode_signed
from dvtfast.networks import HOODI
from dvtfast.qbft.messages import Duty
from dvtfast.services.node.exchange import ClusterMembers, Exchange, Gathered
from dvtfast.services.node.partial_signatures import ClusterKeys, Fault, PartialSignatures, SignedRoots
from dvtfast.services.node.wire.partial_signatures import PROTOCOL, PartiallySigned, PartialSignaturesMessage
from dvtfast.services.process.offload import Workers

from .measure import Way, alternate, ratio

NODES, THRESHOLD = 4, 3
OWN, FIRST, BAD, LAST = range(NODES)
SLOT = 96
DUTY = Duty(SLOT, DutyType.ATTESTER)
ROUNDS = 5
NO_POINT = bytes([0xFF] * 96)
SCHEDULE = ForkSchedule(
    HOODI.genesis_validators_root,
    HOODI.slots_per_epoch,
    [ForkEpoch(0, HOODI.genesis_fork_version, FULU)],
    HOODI.genesis_fork_version,
    HOODI.capella_fork_version,
)
OPERATORS = [bytes([2, *[node] * 32]) for node in range(NODES)]
CLEAN, WRONG = "clean", "a wrong partial signature"
BOUNDS = {
    "one wrong": 1.3,
    "one no point": 1.3,
    "10 % wrong": 5.5,
    "all wrong": 15.0,
    "sent twice": 1.6,
    "of the slot before": 1.3,
    "another's share index": 1.3,
}


class Line:
    """A transport on which nothing leaves."""

    def __init__(self) -> None:
        self.hear: dict[str, Callable[[bytes, bytes], Any]] = {}

    def handle(self, protocol: str, handler: Callable[[bytes, bytes], Any], **_terms: object) -> None:
        """Let it be called with what comes."""
        self.hear[protocol] = handler

    def forget(self, protocol: str) -> None:
        """No more."""
        del self.hear[protocol]

    async def send(self, peer: bytes, protocol: str, message: bytes) -> None:
        """Lost."""


class Cluster:
    """A cluster whose node has signed, and what the others sign.

    Attributes:
        whole: what comes of it, uint8[n, 96].
    """

    def __init__(self, validators: int) -> None:
        self._everybody = np.arange(validators)
        secrets = generate_secret_keys(validators)
        self._shares = split_secret_keys(secrets, threshold=THRESHOLD, share_indices=range(1, NODES + 1))
        self._keys = ClusterKeys(
            THRESHOLD,
            PublicKeys(derive_public_keys(secrets)),
            PublicKeys(derive_public_keys(self._shares.reshape(-1, 32)).reshape(validators, NODES, 48)),
        )
        self._members = ClusterMembers.of(self._keys, OWN, OPERATORS)
        roots = signed_set(DUTY.type, self._votes(SLOT), SCHEDULE).signing_roots
        self.whole = sign(secrets, roots)
        self._own = SignedRoots(self._everybody, roots, sign(self._shares[:, OWN], roots))
        self._workers = Workers("bench", threads=1, deadline_seconds=None)
        self._loop = asyncio.new_event_loop()

    def hear(self, messages: Sequence[tuple[int, bytes]]) -> tuple[SignedRoots, list[Fault]]:
        """What a node has when it has heard all of this, by node, and whom it named."""
        return self._loop.run_until_complete(self._hear(messages))

    async def _hear(self, messages: Sequence[tuple[int, bytes]]) -> tuple[SignedRoots, list[Fault]]:
        faults: list[Fault] = []
        partials = PartialSignatures[Gathered](
            self._keys, self._workers, lambda _gathered, fault: faults.append(fault)
        )
        line = Line()
        Exchange(
            self._members,
            line,
            partials,
            self._workers,
            SCHEDULE,
            is_open=lambda duty: duty == DUTY,
            blame=lambda _gathered, fault: faults.append(fault),
        )
        await partials.add(Gathered(DUTY), OWN, self._own)
        for node, data in messages:
            await line.hear[PROTOCOL](OPERATORS[node], data)
        shares = partials.shares(Gathered(DUTY))
        assert shares is not None
        return shares.recovered(), faults

    def message(
        self,
        node: int,
        *,
        slot: int = SLOT,
        share_of: int | None = None,
        spoil: Callable[[np.ndarray], None] = lambda signatures: None,
    ) -> tuple[int, bytes]:
        """What a node sends under the duty.

        Args:
            slot: that it has signed.
            share_of: whose share index stands there; its own.
            spoil: its signatures, in place.
        """
        values = self._votes(slot)
        signatures = sign(self._shares[:, node], signed_set(DUTY.type, values, SCHEDULE).signing_roots)
        spoil(signatures)
        entries = [
            PartiallySigned(
                key.tobytes(),
                encode_signed(DUTY.type, with_signature(value, signature.tobytes())),
                signature.tobytes(),
                (node if share_of is None else share_of) + 1,
            )
            for key, value, signature in zip(self._keys.public_keys.encoded, values, signatures, strict=True)
        ]
        return node, PartialSignaturesMessage(SLOT, DUTY.type, entries).encode()

    def _votes(self, slot: int) -> list[SignedValue]:
        """Of all validators for one head."""
        root, epoch = slot.to_bytes(32, "big"), slot // HOODI.slots_per_epoch
        data = AttestationData(slot, 0, root, Checkpoint(epoch - 1, root), Checkpoint(epoch, root))
        vote = AttestationElectra(EMPTY_BITLIST, data, NO_SIGNATURE, bitvector([1], 64))
        return [Versioned(FULU, vote, validator_index=index) for index in self._everybody.tolist()]


def wrong(validators: slice) -> Callable[[np.ndarray], None]:
    """The signatures of some validators go round: points of the group, and nobody's there."""

    def spoil(signatures: np.ndarray) -> None:
        signatures[validators] = np.roll(signatures, 1, axis=0)[validators]

    return spoil


def no_point(signatures: np.ndarray) -> None:
    """One that is no point at all."""
    signatures[7] = np.frombuffer(NO_POINT, np.uint8)


def heard(cluster: Cluster) -> dict[str, tuple[Sequence[tuple[int, bytes]], str]]:
    """In each case, what is heard, and why its node is named; CLEAN is one of them."""
    first, own, last = (cluster.message(node) for node in (FIRST, BAD, LAST))
    bad = {
        "one wrong": (cluster.message(BAD, spoil=wrong(slice(7, 8))), WRONG),
        "one no point": (cluster.message(BAD, spoil=no_point), WRONG),
        "10 % wrong": (cluster.message(BAD, spoil=wrong(slice(0, None, 10))), WRONG),
        "all wrong": (cluster.message(BAD, spoil=wrong(slice(None))), WRONG),
        "of the slot before": (cluster.message(BAD, slot=SLOT - 1), "data that are none of the duty"),
        "another's share index": (cluster.message(BAD, share_of=LAST), "another node's share index"),
    }
    found = {name: ([first, message, last], why) for name, (message, why) in bad.items()}
    return {CLEAN: ([first, own, last], ""), "sent twice": ([first, own, own, last], ""), **found}


def named(faults: Sequence[Fault]) -> str:
    """Who, and for what."""
    return (
        "; ".join(f"node {each.node}, {len(each.validators)}: {each.reason}" for each in faults) or "nobody"
    )


def main() -> None:
    """Compare, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.duty_sets", description=__doc__)
    parser.add_argument("--validators", type=int, default=5_000)
    arguments = parser.parse_args()
    cluster = Cluster(arguments.validators)
    everything = heard(cluster)
    for name, (messages, why) in everything.items():
        recovered, faults = cluster.hear(messages)
        order = np.argsort(recovered.validators)
        assert np.array_equal(recovered.signatures[order], cluster.whole), name
        assert {(each.node, each.reason) for each in faults} == ({(BAD, why)} if why else set()), name
        print(f"# {name}: {named(faults)}", flush=True)
    ways = {
        name: Way(partial(cluster.hear, messages), arguments.validators)
        for name, (messages, _) in everything.items()
    }
    alternate(ways, ROUNDS)
    cost = {name: min(way.seconds) for name, way in ways.items()}
    for name, bound in BOUNDS.items():
        ratio(f"{name.replace(' ', '_')}/{CLEAN}", cost[name] / cost[CLEAN], bound)
    print("# milliseconds: " + ", ".join(f"{name} {seconds * 1e3:.0f}" for name, seconds in cost.items()))


if __name__ == "__main__":
    main()
