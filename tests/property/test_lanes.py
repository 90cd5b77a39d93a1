"""Edges of what differs from lane to lane: scalars, weights, masks, exceptions; next to blst and milagro."""

from random import Random

import numpy as np
import pytest

import dvtfast
from dvtfast._native import signatures as kernel
from dvtfast._native.status import Status
from dvtfast.keys import points_of
from dvtfast.oracles import _split_with_masks
from dvtfast.signing_roots import hashes_of
from tests import reference, samples
from tests.backends import lanes_named, use_backend

R = reference.CURVE_ORDER
BUILDS = ["ifma", "checked"]
CLUSTER = samples.make_cluster(20, threshold=3, share_indices=(1, 2, 3, 4))
ZERO = 0x8888888888888888  # the word that weighs 0 on lanes
WEIGHTS = [
    1,
    2,
    2**64 - 1,
    2**32 - 1,
    2**32,
    ZERO - 1,
    ZERO + 1,
    ZERO ^ 0xFF,
    ZERO & 0xFFFFFFFF,
    ZERO + 2**32,
    ZERO - 2**63,
    0x0123456789ABCDEF,
    0x7777777777777777,
]


@pytest.mark.parametrize("build", BUILDS)
def test_edge_secret_keys(build, monkeypatch):
    """Also those whose last addition meets the point itself, which blst does again."""
    use_backend(build, monkeypatch)
    secrets = [
        1,
        2,
        7,
        8,
        9,
        15,
        16,
        2**64,
        2**128 - 1,
        R - 1,
        R - 2,
        R - 8,
        R - 16,
        (R - 1) // 2,
        (R + 1) // 2,
    ]
    keys = samples.rows([samples.key_bytes(secret) for secret in secrets], 32)
    roots = samples.rows([bytes([i]) * 32 for i in range(len(secrets))], 32)
    signatures = dvtfast.sign(keys, roots)
    for secret, root, signature in zip(secrets, roots, signatures, strict=True):
        assert signature.tobytes() == samples.sign(secret, root.tobytes())


@pytest.mark.parametrize("bad", [None, 0, 12])
@pytest.mark.parametrize("build", BUILDS)
def test_edge_weights(build, bad):
    n = len(WEIGHTS)
    sent = CLUSTER.signatures[:n].copy()
    if bad is not None:
        sent[bad] = CLUSTER.signatures[n]
    status = np.zeros(n, np.uint8)
    roots = CLUSTER.signing_roots[:n]
    kernel.check(
        points_of(dvtfast.PublicKeys(CLUSTER.public_keys[:n])),
        hashes_of(roots, slice(0, n)),
        sent,
        np.array(WEIGHTS, np.uint64),
        status,
        lanes_named(build),
    )
    assert np.flatnonzero(status != Status.OK).tolist() == ([] if bad is None else [bad])


@pytest.mark.parametrize("bad", [None, 3, 138])
@pytest.mark.parametrize("build", BUILDS)
def test_sums_by_buckets(build, bad):
    """More equations than fit a sum of tables; weights that use few buckets, and the highest."""
    n = 139
    rows = np.arange(n) % 20
    sent = CLUSTER.signatures[rows].copy()
    if bad is not None:
        sent[bad] = sent[bad - 1]
    weights = [WEIGHTS[i % len(WEIGHTS)] for i in range(n)]
    status = np.zeros(n, np.uint8)
    kernel.check(
        points_of(dvtfast.PublicKeys(CLUSTER.public_keys[rows])),
        hashes_of(CLUSTER.signing_roots[rows], slice(0, n)),
        sent,
        np.array(weights, np.uint64),
        status,
        lanes_named(build),
    )
    assert np.flatnonzero(status != Status.OK).tolist() == ([] if bad is None else [bad])


@pytest.mark.parametrize("n", [20, 140])
@pytest.mark.parametrize("build", BUILDS)
def test_equal_equations_with_equal_weights(build, n):
    """All lanes add equal points up, which is an exception of nearly every addition."""
    status = np.zeros(n, np.uint8)
    rows = np.zeros(n, np.intp)
    kernel.check(
        points_of(dvtfast.PublicKeys(CLUSTER.public_keys[rows])),
        hashes_of(CLUSTER.signing_roots[rows], slice(0, n)),
        CLUSTER.signatures[rows],
        np.full(n, 12345, np.uint64),
        status,
        lanes_named(build),
    )
    assert (status == Status.OK).all()


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("size", [1, 7, 8, 9, 17])
def test_rows_that_meet_exceptions_spoil_no_other(build, size, monkeypatch):
    """One share twice in one row after the other; the outcome is that of blst, byte for byte."""
    use_backend("blst", monkeypatch)
    for bad in {0, size // 2, size - 1}:
        shares = CLUSTER.partial_signatures[:size].copy()
        shares[bad, 1] = shares[bad, 0]
        outcomes = []
        for backend in ("blst", build):
            use_backend(backend, monkeypatch)
            found = dvtfast.recover_and_check(
                CLUSTER.public_keys[:size],
                CLUSTER.signing_roots[:size],
                shares,
                CLUSTER.share_indices,
                threshold=3,
            )
            outcomes.append(
                (found.signatures.tobytes(), found.statuses.tobytes(), found.share_statuses.tobytes())
            )
        assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("total", [4, 6, 18])
def test_edge_masks(build, total, monkeypatch):
    """Zero, equal and opposite masks, whose sums and differences vanish."""
    edges = [0, 1, 2, R - 1, R - 2, 2**255 % R, 0xD201000000010000, 0xD201000000010000**2, 2**64, 2**32]
    random = np.random.default_rng(1)
    values = [[int(random.choice(len(edges))) for _ in range(3)] for _ in range(20)]
    masks = samples.grid([[samples.key_bytes(edges[value]) for value in row] for row in values], 3, 32)
    outcomes = []
    for backend in ("blst", build):
        use_backend(backend, monkeypatch)
        split = _split_with_masks(
            CLUSTER.signatures, CLUSTER.public_keys, CLUSTER.signing_roots, masks, total
        )
        outcomes.append((split.public_key_shares.tobytes(), split.signature_shares.tobytes()))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize(
    ("n", "threshold", "total"), [(1, 2, 2), (2, 2, 3), (9, 1, 3), (17, 3, 3), (3, 16, 17)]
)
def test_splits_of_all_sizes(build, n, threshold, total, monkeypatch):
    """Groups that are not full, and more masks than are multiplied at once; some shares are infinite."""
    random = Random(n)
    masks = [[samples.scalar(random) for _ in range(threshold - 1)] for _ in range(n)]
    if threshold > 1:
        secret = int.from_bytes(CLUSTER.secret_keys[n // 2].tobytes(), "big")
        masks[n // 2] = [R - secret, *masks[n // 2][1:]]
    rows = samples.grid([[samples.key_bytes(mask) for mask in row] for row in masks], threshold - 1, 32)
    outcomes = []
    for backend in ("blst", build):
        use_backend(backend, monkeypatch)
        split = _split_with_masks(
            CLUSTER.signatures[:n], CLUSTER.public_keys[:n], CLUSTER.signing_roots[:n], rows, total
        )
        outcomes.append((split.public_key_shares.tobytes(), split.signature_shares.tobytes()))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("build", BUILDS)
def test_rows_of_a_split_that_meet_exceptions_spoil_no_other(build, monkeypatch):
    """The signature is the hash, twice it, or opposite to it, and masks are such multiples, too."""
    n, small = 10, (1, 2, R - 1, R - 2)
    random = Random(n)
    secrets = [samples.scalar(random) if i % 3 else small[i // 3 % 4] for i in range(n)]
    masks = [
        [small[i // 3 - 1] if i % 3 == 0 else samples.scalar(random), samples.scalar(random)]
        for i in range(n)
    ]
    roots = CLUSTER.signing_roots[:n]
    signatures = [samples.sign(secret, root.tobytes()) for secret, root in zip(secrets, roots, strict=True)]
    arguments = (
        samples.rows(signatures, 96),
        samples.rows([samples.public_key(secret) for secret in secrets], 48),
        roots,
        samples.grid([[samples.key_bytes(mask) for mask in row] for row in masks], 2, 32),
    )
    outcomes = []
    for backend in ("blst", build):
        use_backend(backend, monkeypatch)
        split = _split_with_masks(*arguments, 4)
        outcomes.append((split.public_key_shares.tobytes(), split.signature_shares.tobytes()))
    assert outcomes[0] == outcomes[1]
