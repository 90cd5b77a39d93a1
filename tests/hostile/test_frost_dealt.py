"""Wrong shares, commitments, proofs in charon's ceremony: nobody has keys, who can know names the dealer."""

from dataclasses import replace

import numpy as np
import pytest
from py_ecc.optimized_bls12_381 import add, neg

from dvtfast.constants import CURVE_ORDER
from dvtfast.dkg.coefficients import Coefficients
from dvtfast.dkg.frost.casts import Shares
from dvtfast.dkg.frost.ceremony import Ceremony
from dvtfast.dkg.frost.inbox import Inbox
from dvtfast.dkg.frost.keygen import Dealing
from dvtfast.dkg.outputs import Aborted, Finished
from dvtfast.errors import InputError
from tests import reference
from tests.frost_cheaters import (
    CHEATER,
    KEYS,
    NODES,
    M,
    N,
    T,
    assert_blamed,
    network_with,
    one_more,
    random_scalars,
)
from tests.frost_nodes import Network, terms_of
from tests.vector_files import load, unhex


class Forged(Dealing):
    """Deals what it is told to."""

    def __init__(self, coefficients, position, *, cast=lambda cast: cast, shares=lambda to, shares: shares):
        super().__init__(coefficients, position)
        self.cast, self._change = cast(self.cast), shares

    __slots__ = ("_change",)

    def shares_for(self, position):
        return self._change(position, super().shares_for(position))


def forged(**changes):
    return Forged(Coefficients.generate(M, T), CHEATER, **changes)


def with_commitment(point, k=1, v=1):
    def change(cast):
        commitments = cast.commitments.copy()
        commitments[v, k] = np.frombuffer(point, np.uint8)
        return replace(cast, commitments=commitments)

    return change


def test_a_wrong_share_for_one_node(dialect):
    dealing = forged(shares=lambda to, shares: one_more(shares, 1) if to == 1 else shares)
    network = network_with(dialect, dealing).run()
    assert_blamed(network, "dealer 3: share of validator 1: does not fit", by=(1,))
    assert any("dealer 3" in network.ended[node].reason for node in (0, 2))


def test_wrong_shares_for_all(dialect):
    network = network_with(dialect, forged(shares=lambda to, shares: one_more(shares))).run()
    assert_blamed(network, "dealer 3: share of validator 0: does not fit")


@pytest.mark.parametrize("name", ["responses", "challenges"])
def test_a_proof_that_is_wrong(dialect, name):
    dealing = forged(cast=lambda cast: replace(cast, **{name: one_more(getattr(cast, name), 1)}))
    assert_blamed(network_with(dialect, dealing).run(), "dealer 3: commitment 0 of validator 1: the proof")


def test_a_proof_of_another_dealer(dialect):
    """Its index is hashed, so what one dealer said another cannot say."""
    honest = Dealing(Coefficients.from_bytes(random_scalars(M, T)), 0)
    copied = forged(cast=lambda cast: honest.cast)
    network = network_with(dialect, copied, others=[(0, honest)]).run()
    assert_blamed(network, "dealer 3: commitment 0 of validator 0: the proof")


INFINITY = b"\xc0" + bytes(47)
POINTS = {
    "infinity": (INFINITY, "infinity"),
    "not on the curve": (b"\x80" + bytes(46) + b"\x01", ""),
    "zeros": (bytes(48), ""),
    "x too large": (b"\x9f" + b"\xff" * 47, ""),
    "of order 3": (reference.g1_bytes(reference.small_order_point_g1(3)), "subgroup"),
    "another of the curve": (unhex(load("bls_extra.json")["off_subgroup_g1"][0]), "subgroup"),
}


@pytest.mark.parametrize("name", POINTS)
@pytest.mark.parametrize("k", [0, 2])
def test_commitments_that_are_no_points_of_the_group(dialect, name, k):
    point, _ = POINTS[name]
    network = network_with(dialect, forged(cast=with_commitment(point, k))).run()
    assert_blamed(network, f"dealer 3: commitment {k} of validator 1: ")


def test_a_commitment_to_another_polynomial(dialect):
    point = Dealing(Coefficients.from_bytes(random_scalars(M, T)), 0).cast.commitments[0, 1].tobytes()
    network = network_with(dialect, forged(cast=with_commitment(point))).run()
    assert_blamed(network, "dealer 3: share of validator 1: does not fit")


def test_parts_of_small_order_that_cancel_between_two_dealers_have_no_effect(dialect):
    """Only sums are used, and these are in the group."""
    small = reference.small_order_point_g1(3)

    def adding(point):
        def change(cast):
            had = reference.g1(cast.commitments[1, 2].tobytes())
            return with_commitment(reference.g1_bytes(add(had, point)), 2)(cast)

        return change

    dealings = [
        (node, Forged(Coefficients.generate(M, T), node, cast=adding(point)))
        for node, point in ((1, small), (2, neg(small)))
    ]
    network = network_with(dialect, others=dealings).run()
    assert {type(end) for end in network.ended.values()} == {Finished}
    assert len({sealed.lock_hash for sealed in network.sealed.values()}) == 1


def test_two_validators_with_the_same_polynomials(dialect):
    dealings = []
    for node in range(N):
        scalars = random_scalars(M, T)
        scalars[1] = scalars[0] = scalars[0] + node
        dealings.append((node, Dealing(Coefficients.from_bytes(scalars), node)))
    network = network_with(dialect, dict(dealings)[CHEATER], others=dealings).run()
    for end in network.ended.values():
        assert end.culprit is None
        assert "validator 1: the validator has the key of another" in end.reason


def test_keys_that_cancel():
    scalars = random_scalars(1, 2)
    opposite = [CURVE_ORDER - int.from_bytes(row.tobytes(), "big") for row in scalars[0]]
    negative = np.frombuffer(b"".join(v.to_bytes(32, "big") for v in opposite), np.uint8).reshape(1, 2, 32)
    nodes = [
        Ceremony(terms_of(i, n=2, t=2, m=1), KEYS[i], dealing=Dealing(Coefficients.from_bytes(each), i))
        for i, each in enumerate((scalars, negative))
    ]
    terms = [replace(terms_of(i, n=2, t=2, m=1)) for i in range(2)]
    assert terms[0].nodes == tuple(NODES[:2])
    for end in Network(nodes).run().ended.values():
        assert end.culprit is None
        assert "all dealers together: commitment 0 of validator 0" in end.reason


def test_a_dealer_that_makes_a_share_zero():
    """It can, if it speaks last: all learn that it is nobody's fault alone, and no share is left."""
    scalars = random_scalars(1, 2)
    a = [int.from_bytes(row.tobytes(), "big") for row in scalars[0]]
    b = (a[0] + 1) % CURVE_ORDER
    other = [b, -(sum(a) + b) % CURVE_ORDER]  # at the first node's index, 1, both are zero together
    last = np.frombuffer(b"".join(v.to_bytes(32, "big") for v in other), np.uint8).reshape(1, 2, 32)
    nodes = [
        Ceremony(terms_of(i, n=2, t=2, m=1), KEYS[i], dealing=Dealing(Coefficients.from_bytes(each), i))
        for i, each in enumerate((scalars, last))
    ]
    for end in Network(nodes).run().ended.values():
        assert isinstance(end, Aborted)
        assert end.culprit is None
        assert "all dealers together: share of validator 0" in end.reason


def test_polynomials_are_wiped_when_all_goes_well_and_when_it_does_not(dialect):
    cases = ((lambda to, shares: shares, Finished), (lambda to, shares: one_more(shares), Aborted))
    for change, kind in cases:
        mine = Dealing(Coefficients.generate(M, T), 0)
        network = network_with(dialect, forged(shares=change), others=[(0, mine)]).run()
        assert isinstance(network.ended[0], kind)
        with pytest.raises(InputError, match="wiped"):
            mine.shares_for(1)


def test_shares_that_come_while_all_are_overwritten(dialect):
    """On another thread; the next call overwrites them, too."""
    inbox = Inbox(terms_of(0, dialect=dialect), KEYS[0])
    wiped = []

    class Coming(Shares):
        def wipe(self):
            wiped.append(self)
            inbox.shares.setdefault(2, late)

    first, late = (Coming(np.ones((M, 32), np.uint8)) for _ in range(2))
    inbox.shares[1] = first
    inbox.forget()
    assert wiped == [first]
    inbox.forget()
    assert wiped == [first, first, late]
