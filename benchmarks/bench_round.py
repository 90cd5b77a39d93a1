"""What does one validator cost, in each step of the round, and what does it cost others?

A row is a step for n validators; its columns are ways to do it. The results are compared before
anything is timed.
"""

from __future__ import annotations

import milagro_bls_binding as milagro
import numpy as np
import pytest
from py_ecc.bls import G2ProofOfPossession

import dvtfast
from dvtfast.ecies import decrypt_batch
from dvtfast.oracles import _split_with_masks

from . import floor, others, ours
from .cases import CLUSTERS, DISTINCT, OBOL_4, ORACLES, Bytes, Cluster, Exits, exits
from .conftest import Compare
from .measure import ROUNDS, Way

BATCHES = (1, 8, 64, DISTINCT, 4096)
TILED = 65_536
# Loops have no batch to gain from; what is slower still is shown for a few, in one round.
LOOP_MOST, SLOW_MOST = 64, 8
BAD = {"clean": 0.0, "1 % bad": 0.01, "10 % bad": 0.1}
ORACLE_THRESHOLDS = (6, 8)


def loops(n: int, rounds: int = ROUNDS) -> int:
    """Rounds for a way without a batch, 0 when it is left out."""
    return rounds if n <= LOOP_MOST else 0


def slow(n: int) -> int:
    """Rounds for pure Python."""
    return 1 if n <= SLOW_MOST else 0


@pytest.mark.parametrize("n", BATCHES)
def bench_sign(n: int, compare: Compare) -> None:
    batch = exits(OBOL_4).first(n)
    pairs = [
        (key.tobytes(), root.tobytes())
        for key, root in zip(batch.secret_keys, batch.signing_roots, strict=True)
    ]
    numbers = [(int.from_bytes(key, "big"), root) for key, root in pairs]

    def with_milagro() -> list[bytes]:
        return [milagro.Sign(key, root) for key, root in pairs]

    def with_pyblst() -> list[bytes]:
        return [others.pyblst_hash(root).scalar_mul(key).compress() for key, root in numbers]

    expected = [row.tobytes() for row in ours.sign(batch)()]
    assert expected == [row.tobytes() for row in others.naive_sign(batch)()]
    assert expected[:SLOW_MOST] == with_milagro()[:SLOW_MOST] == with_pyblst()[:SLOW_MOST]
    assert expected[0] == G2ProofOfPossession.Sign(*numbers[0])
    compare(
        "sign",
        n,
        ours.sign,
        batch,
        {
            "naive blst": Way(others.naive_sign(batch), n, rounds=loops(n)),
            "pyblst": Way(with_pyblst, n, rounds=loops(n)),
            "milagro": Way(with_milagro, n, rounds=loops(n)),
            "py_ecc": Way(lambda: [G2ProofOfPossession.Sign(*pair) for pair in numbers], n, rounds=slow(n)),
        },
        lambda cost: floor.of_sign(cost),
    )


@pytest.mark.parametrize("n", BATCHES)
def bench_verify(n: int, compare: Compare) -> None:
    """From bytes, keys too."""
    batch = exits(OBOL_4).first(n)
    triples = [
        (key.tobytes(), root.tobytes(), signature.tobytes())
        for key, root, signature in zip(
            batch.public_keys.encoded, batch.signing_roots, batch.signatures, strict=True
        )
    ]

    def with_pyblst() -> bool:
        return all(
            others.pyblst_verifies(
                others.pyblst_keys(np.frombuffer(key, dtype=np.uint8)[np.newaxis])[0],
                others.pyblst_hash(root),
                others.pyblst.BlstP2Element().uncompress(signature),
            )
            for key, root, signature in triples
        )

    ways = {
        "naive blst": Way(others.naive_verify(batch), n, rounds=loops(n)),
        "pyblst": Way(with_pyblst, n, rounds=loops(n)),
        "milagro": Way(lambda: all(milagro.Verify(*triple) for triple in triples), n, rounds=loops(n)),
        "py_ecc": Way(
            lambda: all(G2ProofOfPossession.Verify(*triple) for triple in triples), n, rounds=slow(n)
        ),
    }
    if (blspy := others.blspy_verify(triples)) is not None:
        ways["blspy"] = Way(blspy, n, rounds=loops(n))
    chainsafe = others.Chainsafe(batch) if others.Chainsafe.is_there() else None
    if chainsafe:
        ways["@chainsafe/blst"] = Way(chainsafe.run, n, clock=chainsafe.clock)
    for name, way in ways.items():
        assert not way.rounds or n > SLOW_MOST or np.all(way.run()), name
    try:
        compare("verify, from bytes", n, ours.verify_from_bytes, batch, ways)
    finally:
        if chainsafe:
            chainsafe.close()


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda cluster: cluster.name)
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("n", BATCHES)
def bench_recover_and_check(n: int, bad: str, cluster: Cluster, compare: Compare) -> None:
    batch = exits(cluster).first(n)
    if BAD[bad]:
        if n < DISTINCT:
            pytest.skip("a fraction of fewer than one")
        batch = batch.with_bad_shares(BAD[bad])
    assert np.array_equal(ours.recover(batch)(), batch.signatures)
    ways = {}
    if not BAD[bad]:
        ways = {
            "naive blst": Way(others.naive_recover_and_check(batch), n, rounds=loops(n, 3)),
            "pyblst": Way(others.pyblst_recover_and_check(batch), n, rounds=loops(n, 3)),
            "py_ecc": Way(others.py_ecc_recover_and_check(batch), n, rounds=slow(n)),
        }
        for name, way in ways.items():
            assert not way.rounds or n > SLOW_MOST or np.array_equal(way.run(), batch.signatures), name
    compare(
        f"recover and check, {cluster.name}, {bad}",
        n,
        ours.recover,
        batch,
        ways,
        (lambda cost: floor.of_recover_and_check(cost, cluster, n)) if not BAD[bad] else None,
    )


def bench_recover_and_check_tiled(compare: Compare) -> None:
    """Many validators: 512 different ones over and over."""
    batch = exits(OBOL_4).first(TILED)
    compare("recover and check, 3 of 4, clean", TILED, ours.recover, batch, {}, rounds=1)


@pytest.mark.parametrize("threshold", ORACLE_THRESHOLDS)
@pytest.mark.parametrize("n", BATCHES)
def bench_split(n: int, threshold: int, compare: Compare) -> None:
    batch = exits(OBOL_4).first(n)
    few = batch.first(min(n, LOOP_MOST))
    coefficients, masks = others.random_polynomials(len(few), threshold)
    expected = _split_with_masks(few.signatures, few.public_keys, few.signing_roots, masks, ORACLES)
    naive, pyblst = (way(few, threshold, coefficients) for way in (others.naive_split, others.pyblst_split))
    for run in (naive, pyblst):
        keys, signatures = run()
        assert np.array_equal(keys, expected.public_key_shares)
        assert np.array_equal(signatures, expected.signature_shares)

    def split(exits: Exits, threads: int = 1) -> object:
        return ours.split(exits, threshold, threads)

    compare(
        f"split for {ORACLES} oracles, threshold {threshold}",
        n,
        split,
        batch,
        {
            "naive blst": Way(naive, n, rounds=loops(n)),
            "pyblst": Way(pyblst, n, rounds=loops(n)),
        },
    )


@pytest.mark.parametrize("n", BATCHES)
def bench_encrypt(n: int, compare: Compare) -> None:
    batch = exits(OBOL_4).first(n)
    shares = ours.split(batch, ORACLE_THRESHOLDS[-1])().signature_shares
    blobs = ours.encrypt(batch)()
    for position, key in enumerate(others.oracle_keys()):
        blob = blobs[0, position].tobytes()
        assert len(others.ecies.decrypt(key.to_hex(), blob)) == shares.shape[-1]
    compare(
        f"encrypt {ORACLES} shares",
        n,
        ours.encrypt,
        batch,
        {
            "coincurve": Way(others.coincurve_encrypt(shares), n, rounds=loops(n)),
            "eciespy": Way(others.eciespy_encrypt(shares), n, rounds=slow(n)),
        },
    )


@pytest.mark.parametrize("n", BATCHES)
def bench_relayer(n: int, compare: Compare) -> None:
    """All that the relayer computes."""
    batch = exits(OBOL_4).first(n)
    few = batch.first(min(n, LOOP_MOST))
    threshold = ORACLE_THRESHOLDS[-1]
    coefficients, _ = others.random_polynomials(len(few), threshold)
    recover, split = (
        others.pyblst_recover_and_check(few),
        others.pyblst_split(few, threshold, coefficients),
    )

    def with_pyblst() -> None:
        recover()
        _, signatures = split()
        others.coincurve_encrypt(signatures)()

    assert np.array_equal(recover(), few.signatures)
    assert np.array_equal(decrypted_exits(ours.relayer(few)()), few.signatures)
    compare(
        "relayer: recover, check, split, encrypt",
        n,
        ours.relayer,
        batch,
        {"pyblst": Way(with_pyblst, n, rounds=loops(n, 3))},
    )


def decrypted_exits(blobs: Bytes) -> Bytes:
    """What enough oracles recover from their shares."""
    chosen = range(ORACLE_THRESHOLDS[-1])
    keys = others.oracle_keys()
    shares = [decrypt_batch(blobs[:, position], keys[position].secret) for position in chosen]
    indices = [position + 1 for position in chosen]
    return dvtfast.recover_signatures(np.stack(shares, axis=1), indices, threshold=len(indices))
