"""Eight clusters: shares, subsets, Lagrange coefficients, and what too few shares give."""

import numpy as np
import pytest

import dvtfast
from dvtfast import RecoveryStatus, ShareStatus, ThresholdError
from tests.backends import ON_EACH_BACKEND
from tests.vector_files import cases, load, unhex

pytestmark = ON_EACH_BACKEND

CLUSTERS = cases(load("threshold.json")["cases"], lambda case: case["name"])
SUBSETS = cases(
    [(case, subset) for case in load("threshold.json")["cases"] for subset in case["subsets"]],
    lambda pair: f"{pair[0]['name']}-{'-'.join(pair[1]['indexes'])}",
)


def shares_at(case, field, indices):
    """uint8[1, k, width]: the shares of one validator at the given indices."""
    by_index = {share["index"]: unhex(share[field]) for share in case["shares"]}
    return np.frombuffer(b"".join(by_index[x] for x in indices), np.uint8).reshape(1, len(indices), -1)


def uint64s(indices):
    return np.array([int(x) for x in indices], np.uint64)


@pytest.mark.parametrize("case", CLUSTERS)
def test_keys_and_partial_signatures(case):
    indices = [share["index"] for share in case["shares"]]
    secrets = shares_at(case, "secret", indices)[0]
    roots = np.broadcast_to(np.frombuffer(unhex(case["message"]), np.uint8), (len(indices), 32))
    publics, partials = (
        shares_at(case, "public", indices)[0],
        shares_at(case, "partial_signature", indices)[0],
    )
    assert np.array_equal(dvtfast.derive_public_keys(secrets), publics)
    assert np.array_equal(dvtfast.sign(secrets, roots), partials)
    assert dvtfast.check_signatures(publics, roots, partials).all()
    dvtfast.verify_signatures([unhex(case["public_key"])], roots[:1], [unhex(case["full_signature"])])


@pytest.mark.parametrize("pair", SUBSETS)
def test_subset(pair):
    case, subset = pair
    indices, t = subset["indexes"], case["threshold"]
    x = uint64s(indices)
    expected = [int(c, 16) for c in subset["lagrange_at_zero"]]
    assert dvtfast.lagrange_coefficients(x) == expected
    secrets = dvtfast.recover_secret_keys(shares_at(case, "secret", indices), x, threshold=t)
    publics = dvtfast.recover_public_keys(shares_at(case, "public", indices), x, threshold=t)
    signatures = dvtfast.recover_signatures(shares_at(case, "partial_signature", indices), x, threshold=t)
    assert int.from_bytes(secrets[0].tobytes(), "big") == int(case["coefficients"][0], 16)
    assert publics[0].tobytes() == unhex(case["public_key"])
    assert signatures[0].tobytes() == unhex(case["full_signature"])


@pytest.mark.parametrize("case", CLUSTERS)
def test_recover_and_check(case):
    indices = [share["index"] for share in case["shares"]]
    recovered = dvtfast.recover_and_check(
        [unhex(case["public_key"])],
        [unhex(case["message"])],
        shares_at(case, "partial_signature", indices),
        uint64s(indices),
        threshold=case["threshold"],
    )
    assert recovered.statuses.tolist() == [RecoveryStatus.OK]
    assert recovered.signatures[0].tobytes() == unhex(case["full_signature"])
    assert ShareStatus.BAD not in recovered.share_statuses


@pytest.mark.parametrize("case", CLUSTERS)
def test_public_key_shares_lie_on_one_polynomial(case):
    indices = [share["index"] for share in case["shares"]]
    shares, key, x = shares_at(case, "public", indices), [unhex(case["public_key"])], uint64s(indices)
    t = case["threshold"]
    assert dvtfast.check_public_key_shares(key, shares, x, threshold=t).tolist() == [True]
    assert dvtfast.check_public_key_shares(key, shares, x, threshold=t - 1).tolist() == [False]


@pytest.mark.parametrize("case", CLUSTERS)
def test_too_few_shares(case):
    few = case["insufficient"]["indexes"]
    x, partials = uint64s(few), shares_at(case, "partial_signature", few)
    with pytest.raises(ThresholdError):
        dvtfast.recover_signatures(partials, x, threshold=case["threshold"])
    # A caller who names too low a threshold gets a well-formed, wrong point; the check tells.
    [wrong] = dvtfast.recover_signatures(partials, x, threshold=len(few))
    assert wrong.tobytes() == unhex(case["insufficient"]["result_must_not_verify"])
    public_key, root = [unhex(case["public_key"])], [unhex(case["message"])]
    assert not dvtfast.check_signatures(public_key, root, [wrong.tobytes()]).any()
    recovered = dvtfast.recover_and_check(public_key, root, partials, x, threshold=len(few))
    assert recovered.statuses.tolist() == [RecoveryStatus.INCONSISTENT]
    assert not recovered.signatures.any()
