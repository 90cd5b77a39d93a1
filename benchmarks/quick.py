"""`make bench-quick`: the ratios that the kernels are held to, in under a minute.

One line each: RATIO <name> <value> <bound> ok|MISS. CPU time of one thread, 512 validators unless said;
ways without a batch to gain from run on fewer. Results are compared with each other first. What is held to
blst's primitives runs on the blst backend. At the end the backends are compared; `make bench-lanes` has more
rounds and rows of that.
"""

from __future__ import annotations

import time
from functools import partial
from itertools import combinations

import numpy as np

import dvtfast
from dvtfast._parallel import available_cores
from dvtfast.oracles import _split_with_masks

from . import floor, key_generation, lanes, others, ours
from .backends import has_ifma, on, using
from .cases import DISTINCT, OBOL_4, OBOL_31, ORACLES, SSV_4, exits
from .measure import LONG_ENOUGH, Way, alternate, ratio

FEW = 64  # for loops over each validator
LONG = 8192
SETS = 63
ONE_MESSAGE = {"clean": 0.45, "one_bad": 0.85}
ROUNDS, LONG_ROUNDS, LANES_ROUNDS = 4, 2, 2


def main() -> None:
    """Measure and print."""
    info = dvtfast.backend_info()
    print(f"# backend {info.name} (DVTFAST_BACKEND={info.requested}), from so many rows: {info.crossovers}")
    with using("blst"):
        of_blst()
        of_many_sets("blst")
        of_one_message("blst")
    if has_ifma():
        with using("ifma"):
            of_many_sets("ifma")
            of_one_message("ifma")
        lanes.print_ratios(LANES_ROUNDS)
    key_generation.print_ratios(ROUNDS)


def of_blst() -> None:
    """The kernels over blst beside its primitives, naive loops and other bindings."""
    few, batch, ssv = exits(OBOL_4).first(FEW), exits(OBOL_4), exits(SSV_4)
    coefficients, masks = others.random_polynomials(FEW, ours.ORACLE_THRESHOLD)
    split = _split_with_masks(few.signatures, few.public_keys, few.signing_roots, masks, ORACLES)
    for theirs in (others.naive_split, others.pyblst_split):
        keys, signatures = theirs(few, ours.ORACLE_THRESHOLD, coefficients)()
        assert np.array_equal(keys, split.public_key_shares), theirs
        assert np.array_equal(signatures, split.signature_shares), theirs
    for same in (
        ours.recover(few),
        others.naive_recover_and_check(few),
        others.pyblst_recover_and_check(few),
    ):
        assert np.array_equal(same(), few.signatures)
    assert np.array_equal(ours.recover(ssv)(), ssv.signatures)

    one = exits(OBOL_4).first(1)
    shares = split.signature_shares
    alone = floor.Inputs(
        one.signatures, one.signing_roots, one.secret_keys, dvtfast.keys.points_of(one.public_keys)
    )
    alone_shares = np.ascontiguousarray(one.partial_signatures[0, :3])
    assert alone.recover_and_check_one(alone_shares)
    from_bytes = exits(OBOL_4).first(1000)
    long = batch.first(LONG)

    ways = {
        "recover": Way(ours.recover(batch), DISTINCT),
        "recover ssv": Way(ours.recover(ssv), DISTINCT),
        "recover naive": Way(others.naive_recover_and_check(few), FEW, rounds=3),
        "recover pyblst": Way(others.pyblst_recover_and_check(few), FEW, rounds=3),
        "split": Way(ours.split(batch), DISTINCT),
        "split naive": Way(others.naive_split(few, ours.ORACLE_THRESHOLD, coefficients), FEW, rounds=3),
        "split pyblst": Way(others.pyblst_split(few, ours.ORACLE_THRESHOLD, coefficients), FEW, rounds=3),
        "encrypt": Way(ours.encrypt(batch), DISTINCT),
        "encrypt eciespy": Way(others.eciespy_encrypt(shares[:8]), 8, rounds=3),
        "encrypt coincurve": Way(others.coincurve_encrypt(shares[:8]), 8, rounds=3),
        "relayer": Way(ours.relayer(batch), DISTINCT),
        "relayer, auto": Way(on("auto", ours.relayer(batch)), DISTINCT),
        "sign": Way(ours.sign(batch), DISTINCT),
        "verify from bytes": Way(ours.verify_from_bytes(from_bytes), len(from_bytes)),
        "one": Way(ours.recover(one), 1),
        "one, from C": Way(lambda: alone.recover_and_check_one(alone_shares), 1),
        "long": Way(ours.recover(long), LONG, rounds=LONG_ROUNDS),
    }
    primitives = floor.primitives(batch)
    chainsafe = others.Chainsafe(from_bytes) if others.Chainsafe.is_there() else None
    if chainsafe:
        assert chainsafe.run()
        ways["verify chainsafe"] = Way(chainsafe.run, len(from_bytes), clock=chainsafe.clock)
    two = {
        f"{threads} {kind}": Way(ours.recover(batch, threads), DISTINCT, clock=clock)
        for kind, clock in (("cpu", time.process_time), ("wall", others.wall_clock))
        for threads in (1, 2)
    }
    alternate(ways | primitives | two, ROUNDS)
    if chainsafe:
        chainsafe.close()

    of, primitive = floor.costs(ways), floor.costs(primitives)
    ratio("recover_3_of_4/naive", of("recover") / of("recover naive"), 0.12)
    ratio(
        "recover_3_of_4/floor",
        of("recover") / floor.of_recover_and_check(primitive, OBOL_4, DISTINCT),
        1.10,
    )
    ratio(
        "recover_3_of_4_ssv/floor",
        of("recover ssv") / floor.of_recover_and_check(primitive, SSV_4, DISTINCT),
        1.15,
    )
    ratio("split_11_of_8/naive", of("split") / of("split naive"), 0.20)
    ratio("encrypt_11/eciespy", of("encrypt") / of("encrypt eciespy"), 0.05)
    pyblst = of("recover pyblst") + of("split pyblst") + of("encrypt coincurve")
    ratio("relayer/pyblst", of("relayer") / pyblst, 0.25)
    if has_ifma():
        ratio("relayer_ifma/pyblst", of("relayer, auto") / pyblst, 0.07)
    if chainsafe:
        ratio("verify_1000_from_bytes/chainsafe", of("verify from bytes") / of("verify chainsafe"), 1.00)
    else:
        print("# verify_1000_from_bytes/chainsafe: needs node and @chainsafe/blst, see benchmarks/README.md")
    ratio("sign/floor", of("sign") / floor.of_sign(primitive), 1.05)
    if available_cores() > 1:
        best = {name: min(way.seconds) for name, way in two.items()}
        ratio("two_threads_cpu/one", best["2 cpu"] / best["1 cpu"], 1.05)
        ratio("two_threads_wall/one", best["2 wall"] / best["1 wall"], 0.60)
    ratio(f"recover_{LONG}/{DISTINCT}", of("long") / of("recover"), 1.05)
    ratio("one/primitives_from_c", of("one") / of("one, from C"), 1.10)
    print(
        "# microseconds per item: "
        + ", ".join(f"{name} {way.microseconds:.1f}" for name, way in ways.items())
    )


def of_many_sets(backend: str) -> None:
    """Validators that lack two shares each, nearly all other ones, beside such that lack the same."""
    batch = exits(OBOL_31, FEW)
    everywhere = np.ones(batch.partial_signatures.shape[:2], dtype=np.bool_)
    same, other = everywhere.copy(), everywhere.copy()
    same[:, :2] = False
    pairs = list(combinations(range(len(OBOL_31.share_indices)), 2))
    for row, (first, second) in zip(other, pairs[:: len(pairs) // SETS][:SETS], strict=False):
        row[[first, second]] = False
    ways = {
        "one": Way(ours.recover_with_new_rules(batch, same), FEW),
        "many": Way(ours.recover_with_new_rules(batch, other), FEW),
    }
    for way in ways.values():
        assert np.array_equal(way.run(), batch.signatures)
    alternate(ways, ROUNDS)
    of = floor.costs(ways)
    ratio(f"recover_21_of_31_in_{SETS}_sets/one_set_{backend}", of("many") / of("one"), 3.00)


def of_one_message(backend: str) -> None:
    """Signatures over one root beside such over as many roots, hashed before: none bad, and one of all."""
    batch = exits(OBOL_4)
    hashed, root = dvtfast.HashedRoots(batch.signing_roots), batch.signing_roots[0]
    same = dvtfast.sign(batch.secret_keys, np.repeat([root], DISTINCT, axis=0))
    ways = {}
    for name, bad in (("clean", []), ("one_bad", [DISTINCT // 2])):
        signatures, of_one = batch.signatures.copy(), same.copy()
        signatures[bad] = of_one[bad] = batch.signatures[0]
        general = partial(dvtfast.check_signatures, batch.public_keys, hashed, signatures, threads=1)
        one = partial(dvtfast.check_same_message, batch.public_keys, root, of_one, threads=1)
        assert np.flatnonzero(~general()).tolist() == np.flatnonzero(~one()).tolist() == bad
        ways |= {(name, "general"): Way(general, DISTINCT), (name, "one message"): Way(one, DISTINCT)}
    alternate(ways, ROUNDS)
    for name, bound in ONE_MESSAGE.items():
        value = ways[name, "one message"].microseconds / ways[name, "general"].microseconds
        ratio(f"check_same_message_{DISTINCT}_{name}/check_signatures_{backend}", value, bound)


if __name__ == "__main__":
    begin = time.perf_counter()
    main()
    print(f"# {time.perf_counter() - begin:.0f} s, rounds of at least {LONG_ENOUGH} s")
