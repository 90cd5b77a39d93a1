"""A FROST key generation of other software: from its coefficients the same commitments, shares and keys."""

import json

import numpy as np
import pytest

from dvtfast.dkg import polynomials
from tests import samples
from tests.backends import ON_EACH_BACKEND
from tests.vector_files import given, unhex

pytestmark = ON_EACH_BACKEND

NODES = 4
INDICES = range(1, NODES + 1)


@pytest.fixture(scope="module")
def validators():
    """Of each validator, what each node drew, sent and got."""
    figures = json.loads(given("dkg/charon/frost_math.json").read_text())
    assert figures["n"] == NODES
    return figures["validators"]


def of_all(validators, index, field, width):
    """A field of a node for all validators."""
    return samples.rows([unhex(nodes[index - 1][field]) for nodes in validators], width)


def of_each(validators, index, field, width):
    """The same of a field with several rows."""
    return np.stack(
        [samples.rows([unhex(t) for t in nodes[index - 1][field]], width) for nodes in validators]
    )


def share(validators, source, target):
    texts = [
        nodes[source - 1]["share_to_self"]
        if source == target
        else nodes[source - 1]["shares_to"][str(target)]
        for nodes in validators
    ]
    return samples.rows([unhex(text) for text in texts], 32)


@pytest.mark.parametrize("index", INDICES)
def test_what_a_node_deals(validators, index):
    coefficients = polynomials.Coefficients.from_bytes(of_each(validators, index, "coefficients", 32))
    commitments = polynomials.commit(coefficients)
    assert np.array_equal(commitments.encoded, of_each(validators, index, "commitments", 48))
    nonces = of_all(validators, index, "nonce_k", 32)
    assert np.array_equal(polynomials.multiply_base(nonces), of_all(validators, index, "R", 48))
    for target in INDICES:
        assert np.array_equal(polynomials.evaluate(coefficients, target), share(validators, index, target))


@pytest.mark.parametrize("index", INDICES)
def test_what_a_node_gets(validators, index):
    sums = polynomials.sum_commitments([of_each(validators, i, "commitments", 48) for i in INDICES])
    shares = polynomials.add_shares([share(validators, source, index) for source in INDICES])
    assert np.array_equal(shares, of_all(validators, index, "secret_share", 32))
    assert np.array_equal(sums.encoded[:, 0], of_all(validators, index, "verification_key", 48))
    public = polynomials.public_shares(sums, [index])
    assert np.array_equal(public.encoded[0], of_all(validators, index, "vk_share", 48))
    assert polynomials.find_bad_shares(shares, sums, index).size == 0
