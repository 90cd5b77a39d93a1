"""`make bench-duties`: what is computed and written for a slot, beside what no way does without.

One line each: RATIO <name> <value> <bound> ok|MISS, CPU time of one thread. Roots are held to as many hashes
of two chunks by a kernel and by a loop over hashlib; milliseconds are to be read. Votes on record are held
to rows that are written to SQLite and looked at by nobody, sets that a node signs to the signatures alone.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from hashlib import sha256
from itertools import count
from pathlib import Path
from random import Random

import numpy as np

from dvtfast import compute_signing_roots
from dvtfast.duties.attestations import AttestationData
from dvtfast.duties.codecs import codec
from dvtfast.duties.payloads import ExecutionPayload
from dvtfast.duties.slashing import SignedAttestation
from dvtfast.services.node.signing.slashing_protection import SlashingProtection

from .duty_signing import VALIDATORS, new_keys, signatures_alone, whole_sets
from .measure import Way, alternate, ratio

TRANSACTIONS, TRANSACTION_BYTES = 210, 5_000  # a little more than a megabyte
VOTES = 1_000
RECORDED = 5_000
PAIRS_OF_VOTE = 7  # hashes of attestation data: its checkpoints, and a tree of five leaves with a zero pair
ROUNDS = 5


def payload() -> ExecutionPayload:
    """An execution payload of a megabyte: nearly all that the root of a block costs."""
    draw = Random(1).randbytes
    root = draw(32)
    transactions = tuple(draw(TRANSACTION_BYTES) for _ in range(TRANSACTIONS))
    numbers = (1, 2, 3, 4)
    head = (root, draw(20), root, root, draw(256), root, *numbers, b"", 5, root)
    return ExecutionPayload(*head, transactions, (), 6, 7)


def by_hashlib(pairs: int) -> Callable[[], object]:
    """As many hashes of two chunks, in a loop of Python."""
    chunk = bytes(64)

    def run() -> None:
        for _ in range(pairs):
            sha256(chunk).digest()

    return run


def by_kernel(pairs: int) -> Callable[[], object]:
    """As many hashes of two chunks, in one call."""
    rows, domain = np.zeros((pairs, 32), dtype=np.uint8), bytes(32)
    return lambda: compute_signing_roots(rows, domain)


def record(folder: Path) -> Callable[[], object]:
    """Votes of as many validators, of another epoch each time."""
    protection = SlashingProtection(folder / "ours.sqlite", bytes(32))
    keys = [n.to_bytes(48, "big") for n in range(RECORDED)]
    epochs = count(10)

    def run() -> None:
        epoch = next(epochs)
        vote = SignedAttestation(epoch - 1, epoch, epoch.to_bytes(32, "big"))
        assert not any(protection.record_attestations(keys, [vote] * RECORDED))

    return run


def only_written(folder: Path) -> Callable[[], object]:
    """The rows alone, as durably."""
    connection = sqlite3.connect(folder / "plain.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE votes (validator INTEGER, target INTEGER, source INTEGER, root BLOB,"
        " PRIMARY KEY (validator, target, source, root)) WITHOUT ROWID"
    )
    epochs = count(10)

    def run() -> None:
        epoch = next(epochs)
        root = epoch.to_bytes(32, "big")
        connection.execute("BEGIN IMMEDIATE")
        rows = [(n, epoch, epoch - 1, root) for n in range(RECORDED)]
        connection.executemany("INSERT INTO votes VALUES (?, ?, ?, ?)", rows)
        connection.execute("COMMIT")

    return run


def main() -> None:
    """Measure and print."""
    block, payloads = payload(), codec(ExecutionPayload)
    pairs = TRANSACTIONS * -(-TRANSACTION_BYTES // 32)
    data = codec(AttestationData)
    rows = np.frombuffer(Random(2).randbytes(VOTES * data.width), dtype=np.uint8).reshape(VOTES, -1)
    values = [data.decode(row.tobytes()) for row in rows]
    assert np.array_equal(data.roots(values), data.rows_roots(rows))
    keys = new_keys()
    with tempfile.TemporaryDirectory() as name:
        ways = {
            "block": Way(lambda: payloads.root(block), 1),
            "block, kernel": Way(by_kernel(pairs), 1),
            "block, hashlib": Way(by_hashlib(pairs), 1),
            "votes": Way(lambda: data.rows_roots(rows), VOTES),
            "votes, from values": Way(lambda: data.roots(values), VOTES),
            "votes, kernel": Way(by_kernel(VOTES * PAIRS_OF_VOTE), VOTES),
            "votes, hashlib": Way(by_hashlib(VOTES * PAIRS_OF_VOTE), VOTES),
            "recorded": Way(record(Path(name)), RECORDED),
            "recorded, only written": Way(only_written(Path(name)), RECORDED),
            "set signed": Way(whole_sets(Path(name), keys), VALIDATORS),
            "set signed, signatures alone": Way(signatures_alone(keys), VALIDATORS),
        }
        alternate(ways, ROUNDS)
    cost = {name: min(way.seconds) for name, way in ways.items()}
    ratio("block_1_mb/kernel", cost["block"] / cost["block, kernel"], 2.2)
    ratio("block_1_mb/hashlib", cost["block"] / cost["block, hashlib"], 0.6)
    ratio("attestation_data/kernel", cost["votes"] / cost["votes, kernel"], 1.9)
    ratio("attestation_data/hashlib", cost["votes"] / cost["votes, hashlib"], 0.6)
    ratio("votes_recorded/only_written", cost["recorded"] / cost["recorded, only written"], 8)
    ratio("set_signed/signatures_alone", cost["set signed"] / cost["set signed, signatures alone"], 1.5)
    print("# milliseconds: " + ", ".join(f"{name} {seconds * 1e3:.2f}" for name, seconds in cost.items()))


if __name__ == "__main__":
    main()
