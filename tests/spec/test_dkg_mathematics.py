"""Key generations that others computed: commitments, shares, sums and keys are those to the last bit."""

import numpy as np
import pytest

from dvtfast.dkg import polynomials
from tests import samples
from tests.backends import ON_EACH_BACKEND
from tests.vector_files import load, unhex

pytestmark = ON_EACH_BACKEND

FELDMAN = load("dkg_feldman.json")
DEALERS = FELDMAN["participants"]
INDICES = range(1, FELDMAN["n"] + 1)


def row(texts, width):
    return samples.rows([unhex(text) for text in texts], width)


def coefficients_of(dealer):
    return polynomials.Coefficients.from_bytes(row(dealer["coefficients"], 32)[np.newaxis])


@pytest.mark.parametrize("dealer", DEALERS, ids=lambda dealer: f"dealer {dealer['index']}")
def test_what_a_dealer_makes(dealer):
    coefficients = coefficients_of(dealer)
    commitments = polynomials.commit(coefficients)
    assert np.array_equal(commitments.encoded[0], row(dealer["commitments"], 48))
    for index, share in dealer["shares"].items():
        shares = polynomials.evaluate(coefficients, int(index))
        assert np.array_equal(shares, row([share], 32))
        assert polynomials.find_bad_shares(shares, commitments.encoded, int(index)).size == 0


def test_what_nodes_make_of_it():
    parts = [row(dealer["commitments"], 48)[np.newaxis] for dealer in DEALERS]
    sums = polynomials.sum_commitments(parts)
    assert bytes(sums.encoded[0, 0]) == unhex(FELDMAN["group_public_key"])
    public = polynomials.public_shares(sums, INDICES).encoded
    for index in INDICES:
        wanted = FELDMAN["final_shares"][str(index)]
        shares = polynomials.add_shares([row([d["shares"][str(index)]], 32) for d in DEALERS])
        assert bytes(shares[0]) == unhex(wanted["secret"])
        assert bytes(public[index - 1, 0]) == unhex(wanted["public"])
        assert polynomials.find_bad_shares(shares, sums, index).size == 0
        assert np.array_equal(polynomials.multiply_base(shares), public[index - 1])
