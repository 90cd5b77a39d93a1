"""Points and scalars that are none: each function names the row, and the rest of a batch is judged."""

import numpy as np
import pytest
from py_ecc.optimized_bls12_381 import add, multiply, neg

import dvtfast
from dvtfast import EncodingError, SignatureError, ThresholdError
from dvtfast.oracles import _split_with_masks
from tests import reference, samples
from tests.backends import ON_EACH_BACKEND, ON_FAST_BACKENDS
from tests.vector_files import load, suite, unhex

pytestmark = ON_EACH_BACKEND

CLUSTER = samples.make_cluster(40, threshold=3, share_indices=(1, 2, 3, 4))
EXTRA = load("bls_extra.json")
SAME_ROOT = samples.rows(
    [
        samples.sign(int.from_bytes(key, "big"), CLUSTER.signing_roots[0].tobytes())
        for key in CLUSTER.secret_keys
    ],
    96,
)
BAD_POSITIONS = [0, 15, 16, 39]


def refused(folder, field, width):
    """Encodings of the public suite that must not decode, plus infinity, which decodes and is no key."""
    for case in suite(folder):
        given, decodes = case.values
        encoded = unhex(given[field])
        if len(encoded) == width and (not decodes or encoded[0] == 0xC0):
            yield pytest.param(samples.row(encoded), id=case.id)


BAD_PUBLIC_KEYS = [
    *refused("deserialization_G1", "pubkey", 48),
    pytest.param(np.zeros(48, np.uint8), id="zeros"),
    *(pytest.param(samples.row(unhex(p)), id=f"off-subgroup-{p[-1]}") for p in EXTRA["off_subgroup_g1"]),
]
BAD_SIGNATURES = [
    *refused("deserialization_G2", "signature", 96),
    pytest.param(np.zeros(96, np.uint8), id="zeros"),
    *(pytest.param(samples.row(unhex(p)), id=f"off-subgroup-{p[-1]}") for p in EXTRA["off_subgroup_g2"]),
    *(
        pytest.param(
            samples.row(reference.g2_bytes(reference.small_order_point_g2(order))), id=f"order-{order}"
        )
        for order in (13, 23)
    ),
]
BAD_SECRET_KEYS = [
    pytest.param(samples.row(unhex(case["sk"])), id=case["sk"][:6] + case["sk"][-4:])
    for case in EXTRA["secret_keys"]
    if not case["valid"]
]


def replaced(array, position, row):
    changed = array.copy()
    changed[position] = row
    return changed


def assert_names(position, function, *arguments, **options):
    with pytest.raises(EncodingError) as caught:
        function(*arguments, **options)
    assert caught.value.indices == (position,)
    assert len(caught.value.statuses) == 1


@pytest.mark.parametrize("bad", BAD_PUBLIC_KEYS)
def test_public_keys(bad):
    roots, signatures = CLUSTER.signing_roots, CLUSTER.signatures
    for position in BAD_POSITIONS:
        keys = replaced(CLUSTER.public_keys, position, bad)
        assert np.flatnonzero(~dvtfast.check_public_keys(keys)).tolist() == [position]
        assert np.flatnonzero(~dvtfast.check_public_key_encodings(keys)).tolist() == [position]
        assert_names(position, dvtfast.PublicKeys, keys)
        assert_names(position, dvtfast.check_signatures, keys, roots, signatures)
        assert_names(position, dvtfast.check_same_message, keys, roots[0], signatures)
        assert_names(position, dvtfast.verify_signatures, keys, roots, signatures)
        assert_names(position, dvtfast.fast_aggregate_verify, keys, roots[0], signatures[0])
        assert_names(position, dvtfast.aggregate_verify, keys, roots, signatures[0])
        assert_names(position, dvtfast.split_exit_signatures, signatures, keys, roots, total=3, threshold=2)
    shares = CLUSTER.public_key_shares.copy()
    shares[2, 1] = bad
    assert_names(9, dvtfast.PublicKeys, shares)
    assert_names(9, dvtfast.recover_public_keys, shares, CLUSTER.share_indices, threshold=4)
    assert_names(
        9, dvtfast.check_public_key_shares, CLUSTER.public_keys, shares, CLUSTER.share_indices, threshold=3
    )


@pytest.mark.parametrize("first_byte", [0x80, 0xA0])
def test_points_of_g1s_curve_with_x_zero(first_byte):
    """They have order 3; blst takes them for no points, so no backend decodes them."""
    rows = np.zeros((8, 48), np.uint8)
    rows[:, 0] = first_byte
    assert not dvtfast.check_public_key_encodings(rows, subgroup=False).any()
    with pytest.raises(EncodingError):
        dvtfast.PublicKeys(rows)


@ON_FAST_BACKENDS
@pytest.mark.parametrize("bad", BAD_SIGNATURES)
def test_signatures(bad):
    keys, roots = CLUSTER.public_keys, CLUSTER.signing_roots
    infinite = bad.tobytes() == reference.G2_INFINITY
    for position in BAD_POSITIONS:
        signatures = replaced(CLUSTER.signatures, position, bad)
        assert np.flatnonzero(~dvtfast.check_signatures(keys, roots, signatures)).tolist() == [position]
        assert np.flatnonzero(~dvtfast.check_signature_encodings(signatures)).tolist() == [position]
        of_one_root = replaced(SAME_ROOT, position, bad)
        assert np.flatnonzero(~dvtfast.check_same_message(keys, roots[0], of_one_root)).tolist() == [position]
        with pytest.raises(SignatureError) as caught:
            dvtfast.verify_signatures(keys, roots, signatures)
        assert caught.value.indices == (position,)
        assert_names(position, dvtfast.split_exit_signatures, signatures, keys, roots, total=3, threshold=2)
        if not infinite:  # a sum may contain zero
            assert_names(position, dvtfast.aggregate, signatures)
    for verify in (dvtfast.fast_aggregate_verify, dvtfast.aggregate_verify):
        with pytest.raises((SignatureError, EncodingError)):
            verify(keys, roots[0] if verify is dvtfast.fast_aggregate_verify else roots, bad)
    shares = CLUSTER.partial_signatures.copy()
    shares[7, 1] = bad
    assert_names(7, dvtfast.recover_signatures, shares, CLUSTER.share_indices, threshold=3)


@pytest.mark.parametrize("bad", BAD_SECRET_KEYS)
def test_secret_keys(bad):
    for position in BAD_POSITIONS:
        keys = replaced(CLUSTER.secret_keys, position, bad)
        assert np.flatnonzero(~dvtfast.check_secret_keys(keys)).tolist() == [position]
        assert_names(position, dvtfast.derive_public_keys, keys)
        assert_names(position, dvtfast.sign, keys, CLUSTER.signing_roots)
        assert_names(position, dvtfast.split_secret_keys, keys, threshold=2, share_indices=[1, 2])
    shares = CLUSTER.key_shares.copy()
    shares[7, 1] = bad
    assert_names(7, dvtfast.recover_secret_keys, shares, CLUSTER.share_indices, threshold=3)


def test_a_result_of_zero_is_refused():
    """Shares s and 2s at 1 and 2 interpolate to 2s - 2s = 0: no key, no signature."""
    s, root = 12345, bytes(32)
    x = [1, 2]
    key_shares = samples.grid([[samples.key_bytes(s), samples.key_bytes(2 * s)]], 2, 32)
    public_key_shares = samples.grid([[samples.public_key(s), samples.public_key(2 * s)]], 2, 48)
    partials = samples.grid([[samples.sign(s, root), samples.sign(2 * s, root)]], 2, 96)
    assert_names(0, dvtfast.recover_signatures, partials, x, threshold=2)
    assert_names(0, dvtfast.recover_secret_keys, key_shares, x, threshold=2)
    assert_names(0, dvtfast.recover_public_keys, public_key_shares, x, threshold=2)


def test_a_forged_pair_does_not_hide_in_the_batch():
    """S1 + D and S2 - D have the right sum."""
    for first, second in [(0, 1), (3, 20), (16, 39)]:
        signatures = CLUSTER.signatures.copy()
        difference = reference.g2(samples.sign(99, b"x" * 32))
        one, two = (reference.g2(signatures[i].tobytes()) for i in (first, second))
        signatures[first] = samples.row(reference.g2_bytes(add(one, difference)))
        signatures[second] = samples.row(reference.g2_bytes(add(two, neg(difference))))
        ok = dvtfast.check_signatures(CLUSTER.public_keys, CLUSTER.signing_roots, signatures)
        assert np.flatnonzero(~ok).tolist() == [first, second]
        dvtfast.aggregate_verify(
            CLUSTER.public_keys, CLUSTER.signing_roots, dvtfast.aggregate(signatures)
        )  # the sum itself is right


def test_the_weights_are_what_finds_a_forged_pair(monkeypatch):
    """The same check with the weights that an attacker could know is fooled."""
    signatures = CLUSTER.signatures[:2].copy()
    difference = reference.g2(samples.sign(99, b"x" * 32))
    for i, part in enumerate((difference, neg(difference))):
        signatures[i] = samples.row(reference.g2_bytes(add(reference.g2(signatures[i].tobytes()), part)))
    arguments = CLUSTER.public_keys[:2], CLUSTER.signing_roots[:2], signatures
    assert not dvtfast.check_signatures(*arguments).any()
    monkeypatch.setattr("dvtfast.signatures.random_weights", lambda n: np.ones(n, np.uint64))
    assert dvtfast.check_signatures(*arguments).all()


def test_public_key_shares_whose_errors_cancel_over_the_batch():
    shares = CLUSTER.public_key_shares.copy()
    difference = reference.g1(samples.public_key(99))
    for i, part in ((3, difference), (20, neg(difference))):
        shares[i, 2] = samples.row(reference.g1_bytes(add(reference.g1(shares[i, 2].tobytes()), part)))
    arguments = CLUSTER.public_keys, shares, CLUSTER.share_indices
    good = dvtfast.check_public_key_shares(*arguments, threshold=3)
    assert np.flatnonzero(~good).tolist() == [3, 20]


def test_signatures_swapped_within_the_batch():
    signatures = CLUSTER.signatures.copy()
    signatures[[4, 31]] = signatures[[31, 4]]
    ok = dvtfast.check_signatures(CLUSTER.public_keys, CLUSTER.signing_roots, signatures)
    assert np.flatnonzero(~ok).tolist() == [4, 31]


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 33])
def test_the_same_row_many_times(n):
    """Equal points everywhere: additions inside the batch meet equal operands."""
    row = np.zeros(n, np.intp)
    keys, roots = CLUSTER.public_keys[row], CLUSTER.signing_roots[row]
    signatures = CLUSTER.signatures[row]
    assert dvtfast.check_signatures(keys, roots, signatures).all()
    flipped = signatures ^ np.array([0x20] + [0] * 95, np.uint8)
    assert not dvtfast.check_signatures(keys, roots, flipped).any()
    total = reference.g2_bytes(multiply(reference.g2(signatures[0].tobytes()), n))
    assert dvtfast.aggregate(signatures).tobytes() == total
    both = np.concatenate([signatures, flipped])
    assert dvtfast.aggregate(both).tobytes() == reference.G2_INFINITY


def test_aggregates_of_keys_that_cancel():
    """P and -P: the sum of the keys is infinity, which nothing verifies under."""
    key = CLUSTER.public_keys[0]
    keys = np.stack([key, key ^ np.array([0x20] + [0] * 47, np.uint8)])
    for signature in (reference.G2_INFINITY, CLUSTER.signatures[0]):
        with pytest.raises(SignatureError):
            dvtfast.fast_aggregate_verify(keys, CLUSTER.signing_roots[0], signature)


@pytest.mark.parametrize(("threshold", "total"), [(0, 3), (4, 3), (-1, 3), (0, 0), (1, 0), (1, -1)])
def test_impossible_oracle_thresholds(threshold, total):
    with pytest.raises(ThresholdError):
        dvtfast.split_exit_signatures(
            CLUSTER.signatures,
            CLUSTER.public_keys,
            CLUSTER.signing_roots,
            total=total,
            threshold=threshold,
        )


@pytest.mark.parametrize(
    "masks", [[0] * 4, [1, 2, 3, 4], [5] * 4, [1, -1, 1, -1], [0, 0, 0, 1], [-1, -2, -3, -4]], ids=str
)
def test_oracle_masks_that_make_points_meet(masks):
    """The kernel's tables of differences hold equal, opposite and infinite points here."""
    masks = [mask % reference.CURVE_ORDER for mask in masks]
    split = _split_with_masks(
        CLUSTER.signatures[:1],
        CLUSTER.public_keys[:1],
        CLUSTER.signing_roots[:1],
        samples.rows([samples.key_bytes(mask) for mask in masks], 32)[np.newaxis],
        11,
    )
    secret, root = int.from_bytes(CLUSTER.secret_keys[0].tobytes(), "big"), CLUSTER.signing_roots[0]
    for x in range(1, 12):
        mask = reference.recover_secret_key([0, *masks], range(5), at=x)
        share = (secret + mask) % reference.CURVE_ORDER
        assert split.public_key_shares[0, x - 1].tobytes() == samples.public_key(share)
        assert split.signature_shares[0, x - 1].tobytes() == samples.sign(share, root.tobytes())
