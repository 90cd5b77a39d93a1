"""Laws of charon's ceremony: whatever order messages come in, all come to the same, and any t shares sign."""

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from py_ecc.bls import G2ProofOfPossession as py_ecc

from dvtfast.constants import CURVE_ORDER
from dvtfast.dkg.frost.ceremony import Ceremony
from dvtfast.dkg.frost.dialects import SYNC, V1_10, V1_11
from dvtfast.dkg.outputs import Aborted, Finished
from dvtfast.secp256k1 import is_signed_by
from dvtfast.threshold import lagrange_coefficients
from tests.frost_nodes import EXCHANGES, Network, node_keys, terms_of

DIALECTS = st.sampled_from([V1_10, V1_11])
SIZES = st.integers(2, 5).flatmap(lambda n: st.tuples(st.just(n), st.integers(2, n), st.integers(1, 3)))


def integer(scalar):
    return int.from_bytes(scalar.tobytes(), "big")


def agree(network):
    """All have ended well, with one lock."""
    assert {type(end) for end in network.ended.values()} == {Finished}
    assert set(network.sealed) == set(network.honest) == set(network.ended)
    one, *others = network.sealed.values()
    for other in others:
        assert np.array_equal(one.keys.public_keys, other.keys.public_keys)
        assert np.array_equal(one.keys.public_shares, other.keys.public_shares)
        assert one.signatures.keys() == other.signatures.keys()
        assert all(np.array_equal(one.signatures[name], other.signatures[name]) for name in one.signatures)
        assert (one.lock_hash, one.signature_aggregate) == (other.lock_hash, other.signature_aggregate)
        assert one.node_signatures == other.node_signatures
    return one


@given(SIZES, DIALECTS, st.randoms(use_true_random=False))
def test_all_agree_in_whatever_order_messages_come(sizes, dialect, random):
    n, t, m = sizes
    network = Network.of(n, t=t, m=m, dialect=dialect)
    network.choose = random.randrange
    # Some messages come twice, as when a sender does not know whether they came.
    network.tamper = lambda d: [d, d] if d.kind != SYNC and random.random() < 0.2 else [d]
    sealed = agree(network.run())
    keys = node_keys(n)
    for key, signature in zip(keys, sealed.node_signatures, strict=True):
        assert is_signed_by(key.public_key, sealed.lock_hash, signature)


@settings(max_examples=4)
@given(st.sampled_from([(2, 2, 1), (3, 2, 1), (4, 3, 1), (3, 3, 2)]), DIALECTS)
def test_any_t_shares_are_the_key_in_the_eyes_of_py_ecc(sizes, dialect):
    n, t, m = sizes
    network = Network.of(n, t=t, m=m, dialect=dialect).run()
    sealed = agree(network)
    shares = [network.ended[node].result.secret_shares for node in range(n)]
    for v in range(m):
        secrets = set()
        for nodes in combinations(range(n), t):
            weights = lagrange_coefficients([node + 1 for node in nodes])
            terms = (w * integer(shares[node][v]) for w, node in zip(weights, nodes, strict=True))
            secrets.add(sum(terms) % CURVE_ORDER)
        (secret,) = secrets
        assert py_ecc.SkToPk(secret) == sealed.keys.public_keys[v].tobytes()
        for node in range(n):
            assert py_ecc.SkToPk(integer(shares[node][v])) == sealed.keys.public_shares[node, v].tobytes()
        for exchange in EXCHANGES[:1]:
            root = exchange.roots(sealed.keys.public_keys)[v].tobytes()
            assert py_ecc.Sign(secret, root) == sealed.signatures[exchange.name][v].tobytes()
    everybody = [key.tobytes() for shares in sealed.keys.public_shares for key in shares]
    assert py_ecc.FastAggregateVerify(everybody, sealed.lock_hash, sealed.signature_aggregate)


def test_every_ceremony_has_other_keys():
    one, other = (Network.of(2, t=2, m=1).run() for _ in range(2))
    assert not np.array_equal(one.sealed[0].keys.public_keys, other.sealed[0].keys.public_keys)


class AnyOrder(RuleBasedStateMachine):
    """Everything that a network and a driver may do, in any order; and a node may be started anew."""

    N = 3

    @initialize(dialect=DIALECTS)
    def begin(self, dialect):
        self.dialect = dialect
        self.network = Network.of(self.N, t=2, m=1, dialect=dialect)
        self.anew: int | None = None
        for node in range(self.N):
            self.network.advance(node)

    @rule(node=st.integers(0, N - 1))
    def report(self, node):
        for peer in range(self.N):
            if peer != node:
                self.network.tell(node, peer)

    @precondition(lambda self: self.network.under_way)
    @rule(random=st.randoms(use_true_random=False), most=st.integers(1, 12))
    def deliver(self, random, most):
        self.network.choose = random.randrange
        for _ in range(most):
            if self.network.under_way:
                self.network.deliver(self.network.next())

    @precondition(lambda self: self.network.sent)
    @rule(random=st.randoms(use_true_random=False))
    def repeat(self, random):
        again = random.choice(self.network.sent)
        if again.kind != SYNC and self.anew is None:
            self.network.under_way.append(again)

    @rule(node=st.integers(0, N - 1), peer=st.integers(0, N - 1))
    def lose(self, node, peer):
        if node != peer:
            self.network.nodes[node].lost(peer)

    @precondition(lambda self: self.anew is None)
    @rule(node=st.integers(0, N - 1))
    def start_anew(self, node):
        """The process ends, and what was under way to and from it is lost; then it begins again."""
        network = self.network
        if node in network.ended or not network.reached.get(node):
            return  # who has not reported a step is started anew without harm
        self.anew = node
        network.under_way = [d for d in network.under_way if node not in (d.source, d.to)]
        network.nodes[node] = Ceremony(
            terms_of(node, n=self.N, t=2, m=1, dialect=self.dialect), node_keys(self.N)[node]
        )
        network.advance(node)

    @invariant()
    def nobody_is_wronged(self):
        network = getattr(self, "network", None)
        for node, end in (network.ended if network else {}).items():
            if isinstance(end, Aborted):
                assert self.anew is not None, end
                assert end.culprit in (None, self.anew), (node, end)

    def teardown(self):
        if not hasattr(self, "network"):
            return
        self.network.run()
        if self.anew is None:
            agree(self.network)
            return
        locks = {sealed.lock_hash for node, sealed in self.network.sealed.items() if node != self.anew}
        assert len(locks) <= 1
        assert not isinstance(self.network.ended.get(self.anew), Finished)


AnyOrder.TestCase.settings = settings(max_examples=25, stateful_step_count=60, deadline=None)
TestAnyOrder = AnyOrder.TestCase
