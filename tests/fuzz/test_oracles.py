"""The split for oracles next to arkworks: masks at the edges, and shares that are infinite or meet."""

import numpy as np
import pytest

import dvtfast
from dvtfast.oracles import _split_with_masks
from tests import reference, samples
from tests.fuzz import arkworks, batches
from tests.fuzz.arkworks import G1, G2, Verdict, encode, scalar
from tests.fuzz.hostile_encodings import HOSTILE, hostile

R = reference.CURVE_ORDER

# Values f(1) .. f(t - 1); some make a share infinite, twice the key, or the key itself.
MASKS = {
    "uniform": lambda random, count, secret: [batches.scalar(random) for _ in range(count)],
    "edges": lambda random, count, secret: [batches.edge_scalar(random) for _ in range(count)],
    "zero": lambda random, count, secret: [0] * count,
    "equal": lambda random, count, secret: [batches.scalar(random)] * count,
    "of a line": lambda random, count, secret: [secret * x % R for x in range(1, count + 1)],
    "small": lambda random, count, secret: [int(random.integers(-3, 4)) % R for _ in range(count)],
    "of the key": lambda random, count, secret: [
        secret * int(random.integers(-2, 3)) % R for _ in range(count)
    ],
}


def splits(random, size):
    total = int(random.integers(1, 14))
    t = int(random.integers(1, total + 1))
    kinds = random.choice(list(MASKS), size)
    secrets = [batches.scalar(random) for _ in range(size)]
    roots = [random.bytes(32) for _ in range(size)]
    hashes = [arkworks.hash_to_g2(root) for root in roots]
    masks = [MASKS[kind](random, t - 1, secret) for kind, secret in zip(kinds, secrets, strict=True)]
    signatures = [encode(hashed * scalar(secret)) for hashed, secret in zip(hashes, secrets, strict=True)]
    for i in np.flatnonzero(random.random(size) < 0.05):
        signatures[i] = hostile(random.choice(list(HOSTILE)), G2, G2.decode(signatures[i]), random)
    arguments = [
        samples.rows(signatures, 96),
        samples.rows([samples.public_key(secret) for secret in secrets], 48),
        samples.rows(roots, 32),
        samples.grid([[samples.key_bytes(mask) for mask in row] for row in masks], t - 1, 32),
    ]
    fit = np.array([G2.judge(signature) is Verdict.GOOD for signature in signatures])
    threads = batches.threads(random)
    if not fit.all():
        with pytest.raises(dvtfast.EncodingError) as caught:
            _split_with_masks(*arguments, total, threads=threads)
        assert caught.value.indices == tuple(np.flatnonzero(~fit).tolist())
    split = _split_with_masks(*(rows[fit] for rows in arguments), total, threads=threads)
    # f(x) from f(0) = 0 and the masks: the same coefficients for all.
    rules = [reference.lagrange_coefficients(range(t), at=x) for x in range(1, total + 1)]
    infinite = 0
    for row, i in enumerate(np.flatnonzero(fit)):
        key, signature = G1.generator * scalar(secrets[i]), G2.decode(signatures[i])
        for place, rule in enumerate(rules):
            mask = scalar(sum(c * value for c, value in zip(rule, [0, *masks[i]], strict=True)))
            key_share, share = key + G1.generator * mask, signature + hashes[i] * mask
            assert split.public_key_shares[row, place].tobytes() == encode(key_share), kinds[i]
            assert split.signature_shares[row, place].tobytes() == encode(share), kinds[i]
            infinite += key_share == G1.infinity
    return [
        *kinds, *("split" if one else "refused" for one in fit), *["infinite share"] * infinite,
    ]  # fmt: skip


def test_splits():
    batches.run(splits, [*MASKS, "split", "refused", "infinite share"])
