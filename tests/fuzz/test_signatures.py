"""Signing and checking, next to milagro (C) and arkworks (Rust)."""

import numpy as np
import pytest

import dvtfast
from tests import reference, samples
from tests.fuzz import arkworks, batches
from tests.fuzz.arkworks import G1, G2, Verdict, encode, scalar
from tests.fuzz.hostile_encodings import HOSTILE, hostile
from tests.samples import milagro

# Secret keys.

R = reference.CURVE_ORDER
SECRET_KEYS = {
    "uniform": batches.scalar,
    "edge": batches.edge_scalar,
    "zero": lambda _: 0,
    "r": lambda _: R,
    "above r": lambda random: R + int(random.integers(2**62)),
    "above r by much": lambda random: min(2**256 - 1, R + batches.scalar(random)),
    "all ones": lambda _: 2**256 - 1,
}


def secret_keys(random, size):
    kinds = random.choice(list(SECRET_KEYS), size, p=[0.4, 0.4, *[0.04] * 5])
    secrets = [SECRET_KEYS[kind](random) for kind in kinds]
    rows = samples.rows([samples.key_bytes(secret) for secret in secrets], 32)
    good = np.array([0 < secret < R for secret in secrets])
    roots = samples.rows([random.bytes(32) for _ in range(size)], 32)
    assert np.array_equal(dvtfast.check_secret_keys(rows), good)
    if not good.all():
        for function in (lambda: dvtfast.derive_public_keys(rows), lambda: dvtfast.sign(rows, roots)):
            with pytest.raises(dvtfast.EncodingError) as caught:
                function()
            assert caught.value.indices == tuple(np.flatnonzero(~good).tolist())
    threads = batches.threads(random)
    public_keys = dvtfast.derive_public_keys(rows[good], threads=threads)
    signatures = dvtfast.sign(rows[good], roots[good], threads=threads)
    for i, place in enumerate(np.flatnonzero(good)):
        root = roots[place].tobytes()
        assert public_keys[i].tobytes() == samples.public_key(secrets[place])
        assert signatures[i].tobytes() == samples.sign(secrets[place], root)
        assert signatures[i].tobytes() == encode(arkworks.hash_to_g2(root) * scalar(secrets[place]))
    return kinds


def test_secret_keys():
    batches.run(secret_keys, SECRET_KEYS)


# Signatures, each under its own key and root, or all over one.

FORGED = {
    "of another key": lambda random, right, hashed: hashed * scalar(batches.scalar(random)),
    "over another root": lambda random, right, hashed: G2.generator * scalar(batches.scalar(random)),
    "negated": lambda random, right, hashed: -right,
    "doubled": lambda random, right, hashed: right + right,
    "the hash itself": lambda random, right, hashed: hashed,
    "the generator": lambda random, right, hashed: G2.generator,
}
PAIRS = ["opposite errors", "equal errors", "swapped"]
SIGNATURES = ["good", "same equation again", *PAIRS, *FORGED, *HOSTILE]
# How many of a batch are not simply good.
BAD_RATES = [0, 0.02, 0.2, 0.6, 1]


def checks(random, size):
    rate = random.choice(BAD_RATES)
    drawn = random.choice(SIGNATURES + 2 * PAIRS, size)  # a pair may find no second
    kinds = np.where(random.random(size) < rate, drawn, "good").astype(object)
    secrets = [batches.scalar(random) for _ in range(size)]
    one_root = bool(random.random() < 0.5)
    roots = [random.bytes(32)] * size if one_root else [random.bytes(32) for _ in range(size)]
    rights = [arkworks.hash_to_g2(root) * scalar(secret) for root, secret in zip(roots, secrets, strict=True)]
    sent = [encode(right) for right in rights]
    good = np.ones(size, np.bool_)
    for i, kind in enumerate(kinds):
        if kind == "same equation again":
            secrets[i], roots[i], rights[i] = secrets[i - 1], roots[i - 1], rights[i - 1]
            sent[i], good[i] = sent[i - 1], good[i - 1]
            continue
        if kind in PAIRS:
            if not (kinds == "good").any():
                kinds[i] = "good"
                continue
            other = random.choice(np.flatnonzero(kinds == "good"))
            error = G2.generator * scalar(batches.scalar(random))
            pair = {
                "opposite errors": (rights[i] + error, rights[other] - error),
                "equal errors": (rights[i] + error, rights[other] + error),
                "swapped": (rights[other], rights[i]),
            }[kind]
            sent[i], sent[other] = map(encode, pair)
            kinds[other] = kind
            good[[i, other]] = False
        elif kind in FORGED:
            sent[i] = encode(FORGED[kind](random, rights[i], arkworks.hash_to_g2(roots[i])))
            good[i] = False
        elif kind in HOSTILE:
            sent[i] = hostile(kind, G2, rights[i], random)
            good[i] = False
    public_keys = [samples.public_key(secret) for secret in secrets]
    for i in range(size):
        assert samples.verifies(public_keys[i], roots[i], sent[i]) == good[i], kinds[i]
        assert arkworks.verifies(public_keys[i], roots[i], sent[i]) == good[i], kinds[i]
    arguments = samples.rows(public_keys, 48), samples.rows(roots, 32), samples.rows(sent, 96)
    got = dvtfast.check_signatures(*arguments, threads=batches.threads(random))
    assert np.array_equal(got, good), kinds[got != good]
    if one_root:
        got = dvtfast.check_same_message(
            arguments[0], roots[0], arguments[2], threads=batches.threads(random)
        )
        assert np.array_equal(got, good), kinds[got != good]
    return [*kinds, *("accepted" if one else "refused" for one in good)]


def test_signatures():
    batches.run(checks, ["accepted", "refused", *SIGNATURES])


# Sums.

TERMS = ["any", "equal", "opposite", "infinity"]


def sums(random, size):
    """One sum of `size` terms, under one root and each under its own; a term is a case."""
    kinds = random.choice(TERMS, size, p=[0.7, 0.1, 0.1, 0.1]).astype(object)
    kinds[0] = "any"
    secrets = [batches.scalar(random)]
    for kind in kinds[1:]:
        other = secrets[random.integers(len(secrets))]
        value = {"any": batches.scalar(random), "equal": other, "opposite": -other % R, "infinity": 0}[kind]
        secrets.append(value)
    root = random.bytes(32)
    terms = [encode(arkworks.hash_to_g2(root) * scalar(secret)) for secret in secrets]
    total = dvtfast.aggregate(samples.rows(terms, 96))
    assert total.tobytes() == encode(arkworks.hash_to_g2(root) * scalar(sum(secrets)))
    assert total.tobytes() == bytes(milagro.Aggregate(terms))

    # Of the equations the keys must be keys, and a wrong sum must be seen.
    keys = [samples.public_key(secret) for secret in secrets if secret]
    roots = [random.bytes(32) for _ in keys]
    signed = [secret for secret in secrets if secret]
    each = [encode(arkworks.hash_to_g2(m) * scalar(s)) for m, s in zip(roots, signed, strict=True)]
    own_total = dvtfast.aggregate(each).tobytes()
    wrong = encode(G2.generator * scalar(batches.scalar(random)))
    for signature in (total.tobytes(), wrong, own_total):
        expected = bool(milagro.FastAggregateVerify(keys, root, signature))
        assert holds(dvtfast.fast_aggregate_verify, keys, root, signature) == expected
    for signature in (own_total, wrong):
        expected = bool(milagro.AggregateVerify(keys, roots, signature))
        assert holds(dvtfast.aggregate_verify, keys, roots, signature) == expected
    assert holds(dvtfast.aggregate_verify, keys, roots, own_total)
    sum_is_key = sum(signed) % R != 0
    assert holds(dvtfast.fast_aggregate_verify, keys, root, total.tobytes()) == sum_is_key
    return kinds


def holds(verify, *arguments):
    try:
        verify(*arguments)
    except dvtfast.SignatureError:
        return False
    return True


def test_sums():
    batches.run(sums, TERMS, cases=batches.CASES // 2)


# Public keys that are none, next to good ones.


def equations_with_bad_keys(random, size):
    secrets = [batches.scalar(random) for _ in range(size)]
    roots = [random.bytes(32) for _ in range(size)]
    signatures = [samples.sign(s, m) for s, m in zip(secrets, roots, strict=True)]
    kinds = np.where(random.random(size) < 0.3, random.choice(list(HOSTILE), size), "good").astype(object)
    keys = [samples.public_key(secret) for secret in secrets]
    for i, kind in enumerate(kinds):
        if kind != "good":
            keys[i] = hostile(kind, G1, G1.decode(keys[i]), random)
    good = np.array([G1.judge(key) is Verdict.GOOD for key in keys])
    arguments = [samples.rows(rows, len(rows[0])) for rows in (keys, roots, signatures)]
    if not good.all():
        with pytest.raises(dvtfast.EncodingError) as caught:
            dvtfast.check_signatures(*arguments)
        assert caught.value.indices == tuple(np.flatnonzero(~good).tolist())
    if good.any():
        got = dvtfast.check_signatures(*(rows[good] for rows in arguments))
        expected = [arkworks.verifies(keys[i], roots[i], signatures[i]) for i in np.flatnonzero(good)]
        assert got.tolist() == expected
    return kinds


def test_public_keys_that_are_none():
    batches.run(equations_with_bad_keys, ["good", *HOSTILE], cases=batches.CASES // 2)
