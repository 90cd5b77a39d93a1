"""Interpolation of secret keys, public keys and signatures next to arkworks, of shares chosen to break it."""

import math
from fractions import Fraction

import numpy as np
import pytest

import dvtfast
from tests import reference, samples
from tests.fuzz import batches
from tests.fuzz.arkworks import G1, G2, encode, scalar
from tests.fuzz.hostile_encodings import HOSTILE, hostile

R = reference.CURVE_ORDER


# Shares as multiples of one point; the interpolated value may be anything.


def of_a_polynomial(random, xs, t):
    polynomial = [batches.scalar(random) for _ in range(t)]
    return [reference.evaluate(polynomial, x) for x in xs]


def unrelated(random, xs, _t):
    return [batches.scalar(random) for _ in xs]


def equal(random, xs, _t):
    return [batches.scalar(random)] * len(xs)


def equal_or_opposite(random, xs, _t):
    multiple = batches.scalar(random)
    return [multiple * int(sign) % R for sign in random.choice([1, -1], len(xs))]


def small_multiples(random, xs, _t):
    multiple = batches.scalar(random)
    return [multiple * int(m) % R for m in random.choice([*range(-8, 0), *range(1, 9)], len(xs))]


def edges(random, xs, _t):
    return [batches.edge_scalar(random) for _ in xs]


def summing_to_infinity(random, xs, t):
    """All of it, whatever the order of the additions."""
    return solved(random, xs, reference.lagrange_coefficients(xs[:t]))


def meeting_after_multiplications(random, xs, t):
    """The sum of the first few terms is the next one, its opposite, or infinity."""
    coefficients = reference.lagrange_coefficients(xs[:t])
    j = int(random.integers(t))
    form = [*coefficients[:j], int(random.integers(-1, 2)) * coefficients[j]]
    return solved(random, xs, form)


def meeting_among_doublings(random, xs, t):
    """The same in the middle of a double-and-add over the small integers c with c/D the coefficients."""
    numerators = small_numerators(xs[:t])
    bit = int(random.integers(max(abs(c).bit_length() for c in numerators)))
    j = int(random.integers(t))
    signs = [1 if c > 0 else -1 for c in numerators]
    form = [
        sign * (2 * (abs(c) >> bit + 1) + (i < j and abs(c) >> bit & 1))
        for i, (sign, c) in enumerate(zip(signs, numerators, strict=True))
    ]
    form[j] += int(random.integers(-1, 2)) * signs[j]
    return solved(random, xs, form)


def solved(random, xs, form):
    """Multiples, random but for one, for which this linear form of the first ones is 0 modulo r."""
    multiples = [batches.scalar(random) for _ in xs]
    places = [i for i, factor in enumerate(form) if factor % R]
    if len(places) > 1:
        free = places[random.integers(len(places))]
        rest = sum(factor * multiples[i] for i, factor in enumerate(form) if i != free)
        multiples[free] = -rest * pow(form[free], -1, R) % R
    return multiples


def small_numerators(xs):
    """Integers in the ratio of the coefficients, without a common denominator."""
    fractions = [
        Fraction(math.prod(-y for y in xs if y != x), math.prod(x - y for y in xs if y != x)) for x in xs
    ]
    common = math.lcm(*(fraction.denominator for fraction in fractions))
    return [int(fraction * common) for fraction in fractions]


MULTIPLES = {
    "of a polynomial": of_a_polynomial,
    "unrelated": unrelated,
    "equal": equal,
    "equal or opposite": equal_or_opposite,
    "small multiples": small_multiples,
    "edges": edges,
    "summing to infinity": summing_to_infinity,
    "meeting after multiplications": meeting_after_multiplications,
    "meeting among doublings": meeting_among_doublings,
}
BAD_SCALARS = [0, R, R + 1, 2**256 - 1]


def interpolations(random, size):
    t = int(random.integers(1, 8))
    k = t + int(random.integers(3))
    if random.random() < 0.5:
        xs = [batches.share_indices(random, k)] * size
        given_indices = xs[0]
    else:
        xs = [batches.share_indices(random, k) for _ in range(size)]
        given_indices = np.array(xs, np.uint64)
    kinds = random.choice(list(MULTIPLES), size)
    multiples = [MULTIPLES[kind](random, x, t) for kind, x in zip(kinds, xs, strict=True)]
    labels = [*kinds, *(f"threshold {t}" for _ in range(size))]

    key_shares = [[samples.key_bytes(m) for m in row] for row in multiples]
    for row in key_shares:
        if random.random() < 0.05:
            row[random.integers(t)] = samples.key_bytes(BAD_SCALARS[random.integers(len(BAD_SCALARS))])
    expected = [interpolate_keys(row[:t], x[:t]) for row, x in zip(key_shares, xs, strict=True)]
    shares = samples.grid(key_shares, k, 32)
    assert_recovers(dvtfast.recover_secret_keys, random, shares, given_indices, t, expected)

    for group, recover in ((G1, dvtfast.recover_public_keys), (G2, dvtfast.recover_signatures)):
        base = group.generator * scalar(batches.scalar(random))
        rows = [[encode(base * scalar(m)) for m in row] for row in multiples]
        for row in rows:
            if random.random() < 0.1:
                place, kind = random.integers(t), random.choice(list(HOSTILE))
                row[place] = hostile(kind, group, base, random)
                labels.append("one hostile")
        expected = [group.interpolate(row[:t], x[:t]) for row, x in zip(rows, xs, strict=True)]
        shares = samples.grid(rows, k, group.width)
        if group is G1:  # keys are all decoded first
            fit = [i for i, row in enumerate(rows) if all(map(is_key, row))]
            if not fit:
                continue
            shares, expected = shares[fit], [expected[i] for i in fit]
            indices = given_indices[fit] if isinstance(given_indices, np.ndarray) else given_indices
        else:
            indices = given_indices
        assert_recovers(recover, random, shares, indices, t, expected)
        labels += ["refused" if value is None else "recovered" for value in expected]
    return labels


def is_key(encoded):
    return bool(dvtfast.check_public_keys(encoded))


def interpolate_keys(rows, xs):
    values = [int.from_bytes(row, "big") for row in rows]
    value = reference.recover_secret_key(values, xs)
    return samples.key_bytes(value) if value and all(0 < v < R for v in values) else None


def assert_recovers(recover, random, shares, indices, t, expected):
    """The expected rows, after those expected to be refused were named and left out."""
    threads = batches.threads(random)
    fit = np.array([value is not None for value in expected])
    if not fit.all():
        with pytest.raises(dvtfast.EncodingError) as caught:
            recover(shares, indices, threshold=t, threads=threads)
        assert caught.value.indices == tuple(np.flatnonzero(~fit).tolist())
        indices = indices[fit] if isinstance(indices, np.ndarray) else indices
    got = recover(shares[fit], indices, threshold=t, threads=threads)
    assert [row.tobytes() for row in got] == [value for value in expected if value is not None]


def test_interpolations():
    kinds = [*MULTIPLES, "one hostile", "refused", "recovered", *(f"threshold {t}" for t in range(1, 8))]
    # A batch has one threshold, and each of them must come up.
    batches.run(interpolations, kinds, cases=max(2000, batches.CASES))


# Public key shares, all on the polynomial of their key or not.


def polynomials(random, size):
    t = int(random.integers(1, 8))
    xs = batches.share_indices(random, t + int(random.integers(3)))
    keys, rows, kinds, good = [], [], [], []
    for _ in range(size):
        kind = random.choice(["right", "one share off", "opposite errors", "higher degree", "another key"])
        degree = t + (kind == "higher degree")
        secrets = [batches.scalar(random) for _ in range(degree)]
        shares = [reference.evaluate(secrets, x) for x in xs]
        place, other = random.integers(len(xs), size=2)
        error = batches.scalar(random)
        if kind in ("one share off", "opposite errors"):
            shares[place] = (shares[place] + error) % R or 1
        if kind == "opposite errors":
            shares[other] = (shares[other] - error) % R or 1
        key = batches.scalar(random) if kind == "another key" else secrets[0]
        keys.append(samples.public_key(key))
        rows.append([samples.public_key(share) for share in shares])
        kinds.append(kind)
        # What lies on one polynomial of degree below t goes through the key and the first t - 1.
        known, values = [0, *xs[: t - 1]], [key, *shares[: t - 1]]
        good.append(
            all(reference.recover_secret_key(values, known, at=x) == share
                for x, share in zip(xs[t - 1 :], shares[t - 1 :], strict=True))
        )  # fmt: skip
    got = dvtfast.check_public_key_shares(
        samples.rows(keys, 48),
        samples.grid(rows, len(xs), 48),
        xs,
        threshold=t,
        threads=batches.threads(random),
    )
    assert got.tolist() == good
    return [*kinds, *("on it" if one else "off it" for one in good)]


def test_polynomials():
    kinds = ["right", "one share off", "opposite errors", "higher degree", "another key", "on it", "off it"]
    batches.run(polynomials, kinds)
