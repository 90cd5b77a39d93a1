"""`make bench-dkg`: what a node computes in a key generation, beside its floor and a naive loop over blst.

The floor is what nobody can do without: to decode what the other dealers commit to, to find the sums in G1,
own commitments, and one sum of points with random weights. It is measured in the same run, with the same
kernels. Transport, signatures and keystores are not in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from dvtfast_baselines import naive

from dvtfast._backend import lanes_for
from dvtfast._native import commitments as kernels
from dvtfast.constants import CURVE_ORDER
from dvtfast.dkg import polynomials, proof_of_knowledge
from dvtfast.dkg.coefficients import scalars_of
from dvtfast.dkg.commitments import curve_points
from dvtfast.keys import POINT_WORDS, PublicKeys

from .backends import has_ifma, on
from .cases import Bytes
from .measure import Way, alternate, ratio

# Nodes, threshold, validators.
CASES = ((4, 3, 2000), (10, 7, 600))
# Of a loop over each validator.
FEW = 24
ROUNDS = 7
OF_FLOOR = 1.30
OF_NAIVE = {"blst": 0.25, "ifma": 0.06}


@dataclass(frozen=True)
class Generation:
    """What node 0 has, and gets from the others."""

    nodes: int
    threshold: int
    validators: int
    parts: list[Bytes]  # of each dealer, uint8[m, t, 48]
    shares: list[Bytes]  # for node 0, uint8[m, 32]
    proofs: list[bytes]
    contexts: list[bytes]


@cache
def generation(nodes: int, threshold: int, validators: int) -> Generation:
    """The same each time."""
    dealers = [polynomials.Coefficients.derive(bytes([d] * 32), validators, threshold) for d in range(nodes)]
    contexts = [b"benchmark" + bytes([d]) for d in range(nodes)]
    return Generation(
        nodes,
        threshold,
        validators,
        [polynomials.commit(dealer).encoded for dealer in dealers],
        [polynomials.evaluate(dealer, 1) for dealer in dealers],
        [
            proof_of_knowledge.prove(dealer, context)
            for dealer, context in zip(dealers, contexts, strict=True)
        ],
        contexts,
    )


def ours(case: Generation) -> Callable[[], PublicKeys]:
    """All that node 0 computes, from its seed to the public key shares of all nodes, [n, m]."""
    nodes = range(1, case.nodes + 1)

    def run() -> PublicKeys:
        coefficients = polynomials.Coefficients.derive(bytes(32), case.validators, case.threshold)
        own = polynomials.commit(coefficients, threads=1)
        proof_of_knowledge.prove(coefficients, case.contexts[0], commitments=own)
        dealt = polynomials.evaluate(coefficients, nodes, threads=1)
        others = [polynomials.Commitments(part, threads=1) for part in case.parts[1:]]
        assert not proof_of_knowledge.find_bad(others, case.proofs[1:], case.contexts[1:], threads=1)
        sums = polynomials.sum_commitments([own, *others], threads=1)
        shares = polynomials.add_shares([dealt[0], *case.shares[1:]])
        public = polynomials.public_shares(sums, nodes, threads=1)
        assert not polynomials.find_mismatches(shares, public[0]).size
        return public

    return run


def floor(case: Generation) -> Callable[[], None]:
    """The decoding, the checks of groups, the multiples of the generator and the one sum."""
    rows = np.concatenate([part.reshape(-1, 48) for part in case.parts[1:]])
    coefficients = polynomials.Coefficients.derive(bytes(32), case.validators, case.threshold)
    scalars = scalars_of(coefficients).reshape(-1, 32)
    sums = curve_points(polynomials.commit(coefficients)).reshape(-1, POINT_WORDS)
    keys = np.ascontiguousarray(sums[:: case.threshold])
    weights = np.random.default_rng(1).integers(0, 256, (len(keys), 16), dtype=np.uint8)

    def run() -> None:
        points = np.zeros((len(rows), POINT_WORDS), dtype=np.uint64)
        status = np.zeros(len(rows), dtype=np.uint8)
        kernels.decode(rows, points, status, lanes_for("decode", len(rows)))
        kernels.check_in_g1(sums, status[: len(sums)], lanes_for("decode", len(sums)))
        polynomials.multiples(scalars, 1)
        polynomials.weighted_sum(keys, weights)

    return run


def naively(case: Generation) -> Callable[[], tuple[Bytes, Bytes]]:
    """The same, one validator and dealer after the other.

    Of the other dealers' sums: the keys, and the public key shares of node 0.
    """
    dealers, m = case.nodes - 1, case.validators
    commitments, shares = np.stack(case.parts[1:]), np.stack(case.shares[1:])
    powers = np.zeros((case.threshold, 32), dtype=np.uint8)
    powers[:, 0] = 1
    scalars = scalars_of(polynomials.Coefficients.derive(bytes(32), m, case.threshold)).reshape(-1, 32)
    proofs = np.stack([proofs_for_each(d + 1, case) for d in range(dealers)])
    keys, key_shares = (np.zeros((m, 48), dtype=np.uint8) for _ in "12")
    own, ok = np.zeros((len(scalars), 48), dtype=np.uint8), np.zeros(m, dtype=np.uint8)

    def run() -> tuple[Bytes, Bytes]:
        naive.commit(scalars, own)
        naive.receive_key_generation(commitments, shares, proofs, powers, keys, key_shares, ok)
        assert ok.all()
        return keys, key_shares

    return run


def proofs_for_each(dealer: int, case: Generation) -> Bytes:
    """A proof for each validator, uint8[m, 112]: of the nonce 1 + v and the challenge 2^255 mod r."""
    coefficients = polynomials.Coefficients.derive(bytes([dealer] * 32), case.validators, case.threshold)
    challenge = 2**255 % CURVE_ORDER
    nonces = np.zeros((case.validators, 32), dtype=np.uint8)
    rows = np.zeros((case.validators, 112), dtype=np.uint8)
    for v, secret in enumerate(scalars_of(coefficients)[:, 0]):
        response = (1 + v + challenge * int.from_bytes(secret.tobytes(), "big")) % CURVE_ORDER
        nonces[v] = np.frombuffer((1 + v).to_bytes(32, "big"), dtype=np.uint8)
        rows[v, 48:80] = np.frombuffer(challenge.to_bytes(32, "little"), dtype=np.uint8)
        rows[v, 80:] = np.frombuffer(response.to_bytes(32, "little"), dtype=np.uint8)
    rows[:, :48] = polynomials.multiply_base(nonces)
    return rows


def main() -> None:
    """Measure and print."""
    print_ratios(ROUNDS)


def print_ratios(rounds: int) -> None:
    """Two lines for each case and backend."""
    for nodes, threshold, validators in CASES:
        case, few = generation(nodes, threshold, validators), generation(nodes, threshold, FEW)
        backends = ["blst", "ifma"] if has_ifma() else ["blst"]
        keys, key_shares = naively(few)()
        own = polynomials.commit(polynomials.Coefficients.derive(bytes(32), FEW, threshold))
        assert np.array_equal(polynomials.sum_commitments(few.parts[1:]).encoded[:, 0], keys)
        theirs = polynomials.public_shares(polynomials.sum_commitments(few.parts[1:]), [1])
        assert np.array_equal(theirs.encoded[0], key_shares)
        assert np.array_equal(own.encoded, few.parts[0])
        results = [on(backend, ours(case))().encoded for backend in backends]
        assert all(np.array_equal(result, results[0]) for result in results)
        ways = {"naive": Way(naively(few), FEW, rounds=3)}
        for backend in backends:
            ways |= {
                backend: Way(on(backend, ours(case)), validators),
                f"{backend} floor": Way(on(backend, floor(case)), validators),
            }
        alternate(ways, rounds)
        cost = {name: min(way.seconds) / way.items for name, way in ways.items()}
        name = f"dkg_{threshold}_of_{nodes}"
        for backend in backends:
            ratio(f"{name}_{backend}/floor", cost[backend] / cost[f"{backend} floor"], OF_FLOOR)
            ratio(f"{name}_{backend}/naive", cost[backend] / cost["naive"], OF_NAIVE[backend])
        print("# microseconds per validator: " + ", ".join(f"{n} {c * 1e6:.1f}" for n, c in cost.items()))


if __name__ == "__main__":
    main()
