"""The reference itself reproduces the vectors, so that agreeing with it means something."""

import pytest
from py_ecc.optimized_bls12_381 import is_inf, multiply, normalize

from tests import reference
from tests.vector_files import cases, load, suite, unhex

EXITS = load("signing_roots_exit.json")
DEPOSITS = load("deposit.json")
NETWORKS = load("networks.json")["current"]


def network_of(case):
    return NETWORKS[case["network"]]


def cluster_name(case):
    return case["name"]


@pytest.mark.parametrize(("given", "expected"), suite("hash_to_G2"))
def test_hash_to_g2(given, expected):
    dst = b"QUUX-V01-CS02-with-BLS12381G2_XMD:SHA-256_SSWU_RO_"
    x, y = normalize(reference.g2(reference.hash_to_g2(given["msg"].encode(), dst)))
    assert [f"0x{c:096x}" for c in x.coeffs] == expected["x"].split(",")
    assert [f"0x{c:096x}" for c in y.coeffs] == expected["y"].split(",")


@pytest.mark.parametrize(("given", "expected"), suite("sign"))
def test_sign(given, expected):
    secret_key = int(given["privkey"], 16)
    if expected is None:
        assert secret_key % reference.CURVE_ORDER == 0
    else:
        assert reference.sign(secret_key, unhex(given["message"])) == unhex(expected)


@pytest.mark.parametrize("case", cases(load("threshold.json")["cases"], cluster_name))
def test_threshold(case):
    coefficients = [int(c, 16) for c in case["coefficients"]]
    shares = {int(share["index"]): share for share in case["shares"]}
    for x, share in shares.items():
        assert reference.evaluate(coefficients, x) == int(share["secret"], 16)
    assert reference.public_key(coefficients[0]) == unhex(case["public_key"])
    for subset in case["subsets"]:
        indices = [int(x) for x in subset["indexes"]]
        expected = [int(c, 16) for c in subset["lagrange_at_zero"]]
        assert reference.lagrange_coefficients(indices) == expected
    partials = [unhex(shares[x]["partial_signature"]) for x in indices]
    assert reference.recover_signature(partials, indices) == unhex(case["full_signature"])
    public_key_shares = [unhex(shares[x]["public"]) for x in indices]
    assert reference.recover_public_key(public_key_shares, indices) == unhex(case["public_key"])


@pytest.mark.parametrize(
    "case", cases(load("oracle_shards.json")["cases"], lambda case: f"{case['threshold']}-of-{case['n']}")
)
def test_oracle_split(case):
    got = reference.split_for_oracles(
        unhex(case["public_key"]),
        unhex(case["exit_signature"]),
        unhex(case["signing_root"]),
        [int(c, 16) for c in case["coefficients"]],
        case["n"],
    )
    oracles = case["oracles"]
    assert got == [(unhex(o["public_key_shard"]), unhex(o["exit_signature_shard"])) for o in oracles]


@pytest.mark.parametrize(
    "case", cases(EXITS["cases"], lambda case: "{network}-{epoch}-{validator_index}".format(**case))
)
def test_exit_root(case):
    network = network_of(case)
    domain = reference.domain(
        unhex("04000000"), unhex(network["capella_fork_version"]), unhex(network["genesis_validators_root"])
    )
    root = reference.exit_root(int(case["epoch"]), int(case["validator_index"]))
    assert domain == unhex(case["domain"])
    assert root == unhex(case["object_root"])
    assert reference.signing_root(root, domain) == unhex(case["signing_root"])


@pytest.mark.parametrize(
    "case", cases(DEPOSITS["cases"], lambda case: "{network}-{type}-{amount_gwei}".format(**case))
)
def test_deposit_roots(case):
    network, key = network_of(case), unhex(DEPOSITS["public_key"])
    domain = reference.domain(unhex("03000000"), unhex(network["genesis_fork_version"]), bytes(32))
    credentials, amount = unhex(case["withdrawal_credentials"]), int(case["amount_gwei"])
    message_root = reference.deposit_message_root(key, credentials, amount)
    data_root = reference.deposit_data_root(key, credentials, amount, unhex(case["signature"]))
    assert domain == unhex(case["deposit_domain"])
    assert message_root == unhex(case["deposit_message_root"])
    assert reference.signing_root(message_root, domain) == unhex(case["signing_root"])
    assert data_root == unhex(case["deposit_data_root"])


@pytest.mark.parametrize("order", [13, 23])
def test_small_order_points_lie_outside_the_subgroup(order):
    point = reference.small_order_point_g2(order)
    assert is_inf(multiply(point, order))
    assert not is_inf(point)
    assert not reference.in_subgroup(point)
    assert reference.g2_bytes(reference.g2(reference.g2_bytes(point))) == reference.g2_bytes(point)


@pytest.mark.parametrize("encoded", load("bls_extra.json")["off_subgroup_g1"])
def test_off_subgroup_g1(encoded):
    assert not reference.in_subgroup(reference.g1(unhex(encoded)))


@pytest.mark.parametrize("encoded", load("bls_extra.json")["off_subgroup_g2"])
def test_off_subgroup_g2(encoded):
    assert not reference.in_subgroup(reference.g2(unhex(encoded)))
