"""Weights of a batch check: which multiple a word stands for in both groups, and what its sums let pass."""

from functools import cache
from random import Random

import numpy as np
import pytest
from py_ecc.optimized_bls12_381 import add, double, is_inf, multiply, neg, normalize

import dvtfast
from dvtfast._native.signatures import check
from dvtfast._native.status import Status
from dvtfast._native.weights import ZERO_WEIGHTS, sum_signatures, weigh_keys
from dvtfast.keys import points_of, random_weights
from dvtfast.signing_roots import hashes_of
from tests import reference, samples
from tests.backends import lanes_named

R = reference.CURVE_ORDER
X_SQUARED = reference.CURVE_PARAMETER**2
BIAS = 0x88888888
ZERO = BIAS << 32 | BIAS
EDGES = [
    1,
    2,
    2**64 - 1,
    2**32 - 1,
    2**32,
    ZERO - 1,
    ZERO + 1,
    ZERO - 2**32,
    ZERO + 2**32,
    2**63,
    2**64 - 2**32,
]
ONE_HALF = [BIAS, BIAS << 32, ZERO & 0xFF00FF00FF00FF00, ZERO ^ 0xFF, ZERO ^ 0x80 << 56, ZERO + 7, ZERO - 8]
CLUSTER = samples.make_cluster(20, threshold=3, share_indices=(1, 2, 3, 4))
LANES = ["ifma", "checked"]
BUILDS = ["blst", *LANES]
MONTGOMERY = 2**384
MANY = 64  # points enough for buckets


def weight(build, word):
    """What native/weights.pyx says."""
    if build == "blst":
        return word
    return ((word & 0xFFFFFFFF) - BIAS + ((word >> 32) - BIAS) * X_SQUARED) % R


def lanes_of(build):
    return None if build == "blst" else lanes_named(build)


def words_of(values):
    return np.array(values, np.uint64)


def in_blst_form(point):
    """uint64[24] of a py_ecc point of G2."""
    x, y = normalize(point)
    parts = [int(part) * MONTGOMERY % reference.field_modulus for value in (x, y) for part in value.coeffs]
    return np.frombuffer(b"".join(part.to_bytes(48, "little") for part in parts), np.uint64)


def coordinates(words):
    """Integers of blst's form, 48 bytes each."""
    rows = np.ascontiguousarray(words).view(np.uint8).reshape(-1, 48)
    factor = pow(MONTGOMERY, -1, reference.field_modulus)
    return [int.from_bytes(row.tobytes(), "little") * factor % reference.field_modulus for row in rows]


def expected_coordinates(point):
    if is_inf(point):
        return [0] * (4 if isinstance(point[0], reference.FQ2) else 2)
    values = normalize(point)
    if isinstance(values[0], reference.FQ2):
        return [int(part) for value in values for part in value.coeffs]
    return [int(value) for value in values]


def random_words(n, seed=1):
    random = Random(seed)
    return [random.getrandbits(64) for _ in range(n)]


FACTORS = [pow(2, i, R) + i for i in range(300)]


@cache
def multiples():
    """A point of G2 times each factor, as py_ecc has them, and in blst's form."""
    one = reference.g2(CLUSTER.signatures[0].tobytes())
    points, power = [], one
    for i in range(len(FACTORS)):
        points.append(add(power, multiply(one, i)))
        power = double(power)
    return points, np.array([in_blst_form(point) for point in points])


def signatures(n):
    points, forms = multiples()
    return points[:n], forms[:n].copy()


@pytest.mark.parametrize("build", BUILDS)
def test_weights_of_keys(build):
    words = EDGES + ONE_HALF + random_words(5)
    rows = np.arange(len(words)) % 20
    weighted = np.zeros((len(words), 12), np.uint64)
    weigh_keys(
        points_of(dvtfast.PublicKeys(CLUSTER.public_keys))[rows], words_of(words), weighted, lanes_of(build)
    )
    for word, row, found in zip(words, rows, weighted, strict=True):
        key = reference.g1(CLUSTER.public_keys[row].tobytes())
        assert coordinates(found) == expected_coordinates(multiply(key, weight(build, word))), hex(word)


@pytest.mark.parametrize("word", [*EDGES, *ONE_HALF, 0x0123456789ABCDEF])
@pytest.mark.parametrize("build", BUILDS)
def test_one_weight_of_a_signature(build, word):
    [point], form = signatures(1)
    total = np.zeros(24, np.uint64)
    sum_signatures(form, words_of([word]), total, lanes_of(build))
    assert coordinates(total) == expected_coordinates(multiply(point, weight(build, word)))


@pytest.mark.parametrize("n", [3, 20, MANY, 300])
@pytest.mark.parametrize("build", BUILDS)
def test_sums_of_signatures(build, n):
    words = (EDGES + ONE_HALF + random_words(n))[:n]
    points, forms = signatures(n)
    total = np.zeros(24, np.uint64)
    in_group = sum_signatures(forms, words_of(words), total, lanes_of(build))
    assert in_group == (build != "blst" and n >= MANY)
    factor = sum(weight(build, word) * own for word, own in zip(words, FACTORS, strict=False)) % R
    assert coordinates(total) == expected_coordinates(multiply(points[0], factor))


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("n", [9, MANY, 300])
def test_sums_that_meet_exceptions(build, n):
    """The same point everywhere, then also its opposite: the sum may be nothing at all."""
    points, forms = signatures(2)
    forms[1] = in_blst_form(neg(points[0]))
    for rows in (np.zeros(n, np.intp), np.arange(n) % 2):
        words = random_words(n) if n % 2 else [word for word in random_words(n // 2) for _ in range(2)]
        total = np.zeros(24, np.uint64)
        sum_signatures(forms[rows], words_of(words), total, lanes_of(build))
        factor = sum(weight(build, word) * (-1 if row else 1) for word, row in zip(words, rows, strict=True))
        assert coordinates(total) == expected_coordinates(multiply(points[0], factor % R))


@cache
def outside(kind):
    """A point whose order divides the cofactor of G2."""
    if kind in (13, 23):
        return reference.small_order_point_g2(kind)
    for candidate in reference.curve_points_g2():
        point = multiply(candidate, R)
        if not is_inf(point):
            return point
    raise AssertionError("unreachable")


@pytest.mark.parametrize("kind", [13, 23, "cofactor"])
@pytest.mark.parametrize("build", LANES)
def test_a_point_outside_the_group_is_found(build, kind):
    """Also where one window alone has a digit for it."""
    points, forms = signatures(MANY)
    total = np.zeros(24, np.uint64)
    words = random_words(MANY)
    assert sum_signatures(forms, words_of(words), total, lanes_of(build))
    for place, word in [(0, words[0]), (31, ZERO + 1), (31, ZERO ^ 1 << 63), (MANY - 1, ZERO + (13 << 40))]:
        bad = forms.copy()
        bad[place] = in_blst_form(add(points[place], outside(kind)))
        chosen = [*words[:place], word, *words[place + 1 :]]
        assert not sum_signatures(bad, words_of(chosen), total, lanes_of(build)), hex(word)


@pytest.mark.parametrize("kind", [13, 23, "cofactor"])
@pytest.mark.parametrize("build", LANES)
def test_points_outside_the_group_that_cancel(build, kind):
    """A point and its opposite are found by any word that differs, in half of the windows or in one digit."""
    points, forms = signatures(MANY)
    forms[3] = in_blst_form(add(points[3], outside(kind)))
    forms[40] = in_blst_form(add(points[40], neg(outside(kind))))
    total = np.zeros(24, np.uint64)
    words = random_words(MANY)
    words[40] = words[3]
    assert sum_signatures(forms, words_of(words), total, lanes_of(build))  # random words are what finds them
    words[3] = ZERO
    for differs in (
        0x0123456700000000,
        0x89ABCDEF,
        1,
        7 << 8,
        13 << 16,
        23 << 24,
        26 << 32,
        49 << 40,
        91 << 48,
    ):
        words[40] = ZERO + differs
        assert not sum_signatures(forms, words_of(words), total, lanes_of(build)), hex(differs)


@pytest.mark.parametrize("build", LANES)
def test_equations_outside_the_group_are_judged_as_by_blst(build):
    """One or all but one, beside a wrong signature; the others hold."""
    rows = np.arange(MANY) % 20
    torsion = outside(13)
    keys = points_of(dvtfast.PublicKeys(CLUSTER.public_keys))[rows]
    hashes = hashes_of(CLUSTER.signing_roots[rows], slice(0, MANY))
    one_outside = [
        samples.row(reference.g2_bytes(add(reference.g2(signature.tobytes()), torsion)))
        for signature in CLUSTER.signatures
    ]
    for bad in ([5], [0, 63], range(1, MANY)):
        sent = CLUSTER.signatures[rows].copy()
        sent[0] = CLUSTER.signatures[1]
        for i in bad:
            sent[i] = one_outside[rows[i]]
        outcomes = []
        for lanes in (lanes_of(build), None):
            status = np.zeros(MANY, np.uint8)
            check(keys, hashes, sent, random_weights(MANY), status, lanes)
            outcomes.append(status.tolist())
        assert outcomes[0] == outcomes[1]
        assert np.flatnonzero(np.array(outcomes[0]) == Status.NOT_IN_GROUP).tolist() == list(bad)


def test_random_weights(monkeypatch):
    """Words of no weight are drawn again."""
    words = random_weights(1000)
    assert len(set(words.tolist())) == 1000
    assert words.dtype == np.uint64
    assert sorted(ZERO_WEIGHTS) == [0, ZERO]
    drawn = iter(
        [
            np.array([5, 0, ZERO, 7], np.uint64).tobytes(),
            np.array([0, 8], np.uint64).tobytes(),
            bytes([9] * 8),
        ]
    )
    monkeypatch.setattr("dvtfast.keys.os.urandom", lambda n: next(drawn))
    assert random_weights(4).tolist() == [5, 0x0909090909090909, 8, 7]
