"""A node that cheats in charon's ceremony: what it deals and sends instead, and who is blamed for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dvtfast.constants import CURVE_ORDER
from dvtfast.dkg.frost.ceremony import Ceremony
from dvtfast.dkg.outputs import Aborted, Finished
from tests.frost_nodes import Network, node_keys, terms_of

N, T, M, CHEATER = 4, 3, 2, 3
KEYS = node_keys(N)
NODES = [key.public_key for key in KEYS]
HONEST = (0, 1, 2)


def random_scalars(*shape):
    rng = np.random.default_rng(7)
    scalars = rng.integers(0, 256, (*shape, 32), dtype=np.uint8)
    scalars[..., 0] &= 0x3F
    return scalars


def network_with(dialect, dealing=None, *, others=()):
    """Three honest nodes and a fourth that deals what a test made; `others` are dealings by position."""
    dealings = dict(others) | {CHEATER: dealing}
    nodes = [
        Ceremony(terms_of(i, n=N, t=T, m=M, dialect=dialect), KEYS[i], dealing=dealings.get(i))
        for i in range(N)
    ]
    return Network(nodes)


def assert_blamed(network, words, *, by=HONEST):
    """Nobody has keys; `by` blame the cheater, and the others know it from these."""
    assert not any(isinstance(end, Finished) for end in network.ended.values())
    assert not network.sealed
    for node in HONEST:
        end = network.ended[node]
        assert isinstance(end, Aborted)
        if node in by:
            assert end.culprit == CHEATER
            assert words in end.reason
        else:
            assert end.culprit in (None, CHEATER)
            assert "node" in end.reason


def one_more(scalars, v=0):
    """The same with one more modulo r at one place."""
    changed = scalars.copy()
    value = (int.from_bytes(changed[v].tobytes(), "big") + 1) % CURVE_ORDER or 1
    changed[v] = np.frombuffer(value.to_bytes(32, "big"), np.uint8)
    return changed


def from_cheater(change, kind=None):
    """A network's tampering with what the cheater sends."""

    def tamper(delivery):
        if delivery.source != CHEATER or delivery.is_answer or (kind and delivery.kind != kind):
            return [delivery]
        changed = change(delivery)
        return [delivery] if changed is None else changed

    return tamper


def payload(delivery, data):
    return replace(delivery, payload=data)


def run_with(dialect, change, kind=None):
    network = network_with(dialect)
    network.tamper = from_cheater(change, kind)
    return network.run()
