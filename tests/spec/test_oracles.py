"""The split of an exit for the oracles, with the vectors' fixed coefficients."""

import numpy as np
import pytest

import dvtfast
from dvtfast.oracles import _split_with_masks
from tests import reference
from tests.backends import ON_EACH_BACKEND
from tests.samples import key_bytes, rows
from tests.vector_files import cases, load, unhex

pytestmark = ON_EACH_BACKEND

CASES = cases(
    load("oracle_shards.json")["cases"], lambda case: f"{case['network']}-{case['threshold']}-of-{case['n']}"
)


@pytest.mark.parametrize("case", CASES)
def test_split_with_fixed_coefficients(case):
    m, total = case["threshold"], case["n"]
    polynomial = [0, *(int(c, 16) for c in case["coefficients"])]
    masks = [key_bytes(reference.evaluate(polynomial, x)) for x in range(1, m)]
    split = _split_with_masks(
        rows([unhex(case["exit_signature"])], 96),
        rows([unhex(case["public_key"])], 48),
        rows([unhex(case["signing_root"])], 32),
        rows(masks, 32).reshape(1, m - 1, 32),
        total,
    )
    oracles = case["oracles"]
    assert [o["x"] for o in oracles] == list(range(1, total + 1))
    assert [s.tobytes() for s in split.public_key_shares[0]] == [
        unhex(o["public_key_shard"]) for o in oracles
    ]
    assert [s.tobytes() for s in split.signature_shares[0]] == [
        unhex(o["exit_signature_shard"]) for o in oracles
    ]


@pytest.mark.parametrize("case", CASES)
def test_fresh_split(case):
    m, total = case["threshold"], case["n"]
    public_key, root = [unhex(case["public_key"])], [unhex(case["signing_root"])]
    split = dvtfast.split_exit_signatures(
        [unhex(case["exit_signature"])], public_key, root, total=total, threshold=m
    )
    x = np.arange(1, total + 1, dtype=np.uint64)
    roots = np.repeat(rows(root, 32), total, axis=0)
    assert dvtfast.check_signatures(split.public_key_shares[0], roots, split.signature_shares[0]).all()
    assert dvtfast.check_public_key_shares(public_key, split.public_key_shares, x, threshold=m).all()
    signature = dvtfast.recover_signatures(split.signature_shares[:, -m:], x[-m:], threshold=m)
    assert signature[0].tobytes() == unhex(case["exit_signature"])
    if m > 1:
        few = dvtfast.recover_signatures(split.signature_shares[:, 1:m], x[1:m], threshold=m - 1)
        assert few[0].tobytes() != unhex(case["exit_signature"])


@pytest.mark.parametrize("case", CASES)
def test_exit_of_the_vector_is_the_networks_exit(case):
    root = dvtfast.exit_signing_roots([case["validator_index"]], dvtfast.network_named(case["network"]))
    assert root[0].tobytes() == unhex(case["signing_root"])
    assert dvtfast.sign(unhex(case["secret_key"]), root).tobytes() == unhex(case["exit_signature"])
