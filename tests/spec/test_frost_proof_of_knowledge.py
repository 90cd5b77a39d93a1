"""FROST as kryptology computes it: hash to scalar, proofs and keys to the byte; and our own vector."""

import json

import numpy as np
import pytest
from coincurve import PublicKey

from dvtfast.dkg.frost import keygen, proof_of_knowledge
from dvtfast.dkg.frost.casts import Round2, Shares
from dvtfast.dkg.polynomials import Coefficients
from tests import frost_reference
from tests.frost_vector import make
from tests.vector_files import given, load, unhex

NODES = 4


@pytest.fixture(scope="module")
def figures():
    return json.loads(given("dkg/charon/frost_math.json").read_text())


def of_all(figures, node, field):
    """A field of a node for all validators: uint8[m, width], or uint8[m, t, width]."""
    values = [validator[node][field] for validator in figures["validators"]]
    rows = [
        [list(unhex(v)) for v in value] if isinstance(value, list) else list(unhex(value)) for value in values
    ]
    return np.array(rows, np.uint8)


def dealing(figures, node):
    coefficients = Coefficients.from_bytes(of_all(figures, node, "coefficients"))
    return keygen.Dealing(coefficients, node, nonces=of_all(figures, node, "nonce_k"))


@pytest.mark.parametrize(
    ("message", "scalar"),
    [
        (b"dvtfast", "36bae2f0486ec281aa0d9c40afa336569424e704e961988d85020e5c3710ecfd"),
        (b"", "60a24e72d369d7002196a0ec68ef59f0a2c4848dc4b7ad92e5ac6efec39d6435"),
    ],
)
def test_anchors_of_the_hash(message, scalar):
    assert proof_of_knowledge.hash_to_scalar(message).hex() == scalar
    assert frost_reference.hash_to_scalar(message) == int(scalar, 16)


def test_the_hash_to_scalar(figures):
    for each in figures["hash_to_scalar"]:
        assert proof_of_knowledge.hash_to_scalar(each["msg_ascii"].encode()).hex() == each["scalar_be"]


@pytest.mark.parametrize("node", range(NODES))
def test_what_a_dealer_says_to_everybody_and_to_each(figures, node):
    dealt = dealing(figures, node)
    assert np.array_equal(dealt.cast.commitments, of_all(figures, node, "commitments"))
    assert np.array_equal(dealt.cast.challenges, of_all(figures, node, "ci"))
    assert np.array_equal(dealt.cast.responses, of_all(figures, node, "wi"))
    assert np.array_equal(dealt.shares_for(node), of_all(figures, node, "share_to_self"))
    for validator, each in enumerate(figures["validators"]):
        for to, share in each[node]["shares_to"].items():
            assert dealt.shares_for(int(to) - 1)[validator].tobytes().hex() == share


@pytest.mark.parametrize("node", range(NODES))
def test_what_comes_of_it(figures, node):
    dealings = [dealing(figures, each) for each in range(NODES)]
    shares = [Shares(each.shares_for(node)) for each in dealings]
    keys, _ = keygen.combine([each.cast for each in dealings], shares, node)
    assert np.array_equal(keys.secret_shares, of_all(figures, node, "secret_share"))
    assert np.array_equal(keys.public_keys, of_all(figures, node, "verification_key"))
    for peer in range(NODES):
        said = Round2(of_all(figures, peer, "verification_key"), of_all(figures, peer, "vk_share"))
        keygen.check_round2(said, keys, peer)


# --- our own vector ---


@pytest.fixture(scope="module")
def vector():
    return load("frost.json")


def test_our_vector_is_what_we_compute(vector):
    assert make() == vector


def test_our_vector_in_the_eyes_of_py_ecc(vector):
    n, t = vector["nodes"], vector["threshold"]
    coefficients = {
        (dealer, v): [int(c, 16) for c in polynomial]
        for dealer, of_dealer in enumerate(vector["coefficients"])
        for v, polynomial in enumerate(of_dealer)
    }
    for dealer in range(n):
        cast = frost_reference.round1(unhex(vector["round1"][dealer]))
        for v in range(vector["validators"]):
            polynomial = coefficients[dealer, v]
            assert len(polynomial) == t
            entry = cast[v]
            assert entry["key"] == (v, dealer + 1, 0)
            assert entry["commitments"] == [frost_reference.point(c) for c in polynomial]
            nonce = int(vector["nonces"][dealer][v], 16)
            c, w = frost_reference.proof(dealer + 1, polynomial[0], nonce)
            assert (entry["ci"], entry["wi"]) == (c, w)
            assert frost_reference.proof_holds(dealer + 1, entry["commitments"][0], c, w)
            for to in range(n):
                if to != dealer:
                    shares = frost_reference.shares(unhex(vector["shares"][dealer][to]))
                    value = frost_reference.value_at(polynomial, to + 1)
                    assert shares[v] == {"key": (v, dealer + 1, to + 1), "id": to + 1, "value": value}
    for v in range(vector["validators"]):
        total = [sum(coefficients[dealer, v][k] for dealer in range(n)) for k in range(t)]
        assert vector["public_keys"][v] == frost_reference.point(total[0]).hex()
        for node in range(n):
            share = frost_reference.value_at(total, node + 1)
            assert int(vector["secret_shares"][node][v], 16) == share
            assert vector["public_shares"][node][v] == frost_reference.point(share).hex()


@pytest.mark.parametrize("dialect", ["v1.10", "v1.11"])
def test_signatures_of_our_vector_in_the_eyes_of_coincurve(vector, dialect):
    for origin, message in enumerate(vector["broadcasts"][dialect]):
        id, type_url, value, signatures = frost_reference.broadcast(unhex(message))
        assert value == unhex(vector["round1"][origin])
        digest = frost_reference.digest(dialect, unhex(vector["definition_hash"]), id, type_url, value)
        signers = [PublicKey.from_signature_and_message(s, digest, hasher=None) for s in signatures]
        assert [signer.format().hex() for signer in signers] == vector["node_keys"]
    for node, report in enumerate(vector["reports"][dialect]):
        fields = dict(frost_reference.fields(unhex(report)))
        key = PublicKey(unhex(vector["node_keys"][node]))
        assert key.verify(fields[2], unhex(vector["definition_hash"]))
        assert (fields[4], fields[5]) == (dialect.encode(), 1)
