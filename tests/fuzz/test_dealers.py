"""What dealers send, as arkworks sees it: sums, shares, and who is named when something is wrong."""

import numpy as np
import pytest

from dvtfast.dkg import polynomials
from dvtfast.errors import BadDealerError
from tests import reference, samples
from tests.fuzz import batches
from tests.fuzz.arkworks import G1, Verdict, encode, scalar
from tests.fuzz.hostile_encodings import HOSTILE, hostile, small_points

CANCELS, WRONG_SHARE = "cancels", "wrong share"
KINDS = ["good", CANCELS, WRONG_SHARE, *HOSTILE]


def coefficients(random, m, t):
    return [[batches.scalar(random) for _ in range(t)] for _ in range(m)]


def rows_of(values, width):
    return samples.grid(values, len(values[0]), width)


def generation(random, size):
    """Of `size` validators, with one entry of a kind."""
    kind = str(random.choice(KINDS))
    n, t = int(random.integers(2, 5)), int(random.integers(1, 5))
    drawn = [coefficients(random, size, t) for _ in range(n)]
    secret = [
        polynomials.Coefficients.from_bytes(rows_of([[samples.key_bytes(a) for a in row] for row in own], 32))
        for own in drawn
    ]
    parts = [polynomials.commit(dealer, threads=batches.threads(random)).encoded.copy() for dealer in secret]
    place = tuple(int(random.integers(of)) for of in (n, size, t))
    dealer, v, k = place
    index = int(random.integers(1, 40))
    shares = [polynomials.evaluate(each, index) for each in secret]
    sums = [[sum(own[i][j] for own in drawn) for j in range(t)] for i in range(size)]
    if kind == CANCELS:
        point = random.choice(np.array(small_points(G1), object))
        other = (dealer + 1) % n
        for who, what in ((dealer, point), (other, -point)):
            parts[who][v, k] = samples.row(encode(G1.decode(parts[who][v, k].tobytes()) + what))
    elif kind == WRONG_SHARE:
        shares[dealer][v, 31] ^= 1
    elif kind != "good":
        bad = hostile(kind, G1, G1.generator * scalar(drawn[dealer][v][k]), random)
        parts[dealer][v, k] = samples.row(bad)
        expect_blame(parts, place, bad)
        return [kind]
    total = polynomials.sum_commitments(parts)
    for i in {v, 0, size - 1}:
        wanted = [encode(G1.generator * scalar(a)) for a in sums[i]]
        assert [row.tobytes() for row in total.encoded[i]] == wanted
    values = polynomials.add_shares(shares)
    bad_shares = [v] if kind == WRONG_SHARE else []
    assert polynomials.find_bad_shares(values, total, index).tolist() == bad_shares
    public = polynomials.public_shares(total, [index, index + 1])
    expected = reference.evaluate(sums[v], index)
    assert public.encoded[0, v].tobytes() == encode(G1.generator * scalar(expected))
    if kind != WRONG_SHARE:
        assert values[v].tobytes() == samples.key_bytes(expected % reference.CURVE_ORDER)
    return [kind]


def expect_blame(parts, place, bad):
    """An entry that is another point of the group is the dealer's to choose; others are blamed."""
    if G1.judge(bad) is Verdict.GOOD:
        polynomials.sum_commitments(parts)
        return
    with pytest.raises(BadDealerError) as caught:
        polynomials.sum_commitments(parts)
    error = caught.value
    assert (error.dealer, error.validator, error.coefficient) == place
    assert (error.reason == Verdict.OUTSIDE.value) == (G1.judge(bad) is Verdict.OUTSIDE)
    assert np.argwhere(~polynomials.check_subgroup(parts[place[0]])).tolist() == [list(place[1:])]


def test_generations():
    batches.run(generation, [], cases=batches.CASES // 4)
