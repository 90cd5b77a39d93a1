"""Wrong partial signatures in charon's ceremony: nobody ends with keys, and all say whose they are."""

import numpy as np
import pytest

from dvtfast.dkg.frost.dialects import PARTIALS
from dvtfast.dkg.frost.partials import LOCK_HASH, REGISTRATION, PartialsMessage, encode_partials, key_text
from tests.frost_cheaters import CHEATER, assert_blamed, from_cheater, network_with, payload


def resigned(slot, change):
    """The cheater's signatures for a slot, changed."""

    def tamper(delivery):
        sent = PartialsMessage.decode(delivery.payload)
        if sent.slot != slot:
            return None
        keys = tamper.network.nodes[0]._order._keys.public_keys
        validator_of = {key_text(key.tobytes()): v for v, key in enumerate(keys)}
        signatures = sent.signatures(validator_of, CHEATER)
        return [payload(delivery, data) for data in change(signatures, keys)]

    return tamper


def run_resigned(dialect, slot, change):
    network = network_with(dialect)
    tamper = resigned(slot, change)
    tamper.network = network
    network.tamper = from_cheater(tamper, PARTIALS)
    return network.run()


def encoded(slot, position=CHEATER):
    return lambda signatures, keys: [encode_partials(slot, signatures, keys, position)]


def swapped(signatures, keys):
    return signatures[::-1].copy()


@pytest.mark.parametrize("slot", [200, 201, REGISTRATION])
def test_signatures_by_a_share_that_are_wrong(dialect, slot):
    """Though three would do without them: the fourth's are looked at, too."""
    network = run_resigned(dialect, slot, lambda s, k: encoded(slot)(swapped(s, k), k))
    assert_blamed(network, "node 3: its signature for validator 0 is wrong")


def test_signatures_of_the_lock_that_are_wrong(dialect):
    def change(signatures, keys):
        wrong = signatures.copy()
        wrong[0] = wrong[1]
        return encoded(LOCK_HASH)(wrong, keys)

    assert_blamed(run_resigned(dialect, LOCK_HASH, change), "its signatures of the lock hash are wrong")


@pytest.mark.parametrize("name", ["infinity", "zeros", "x too large"])
def test_signatures_that_are_no_points(dialect, name):
    wrong = {"infinity": b"\xc0" + bytes(95), "zeros": bytes(96), "x too large": b"\x9f" + b"\xff" * 95}[name]

    def change(slot):
        def of(signatures, keys):
            changed = signatures.copy()
            changed[1] = np.frombuffer(wrong, np.uint8)
            return encoded(slot)(changed, keys)

        return of

    network = run_resigned(dialect, 200, change(200))
    assert_blamed(network, "its signature for validator 1 is wrong")
    network = run_resigned(dialect, LOCK_HASH, change(LOCK_HASH))
    assert_blamed(network, "its signatures of the lock hash are wrong")


def test_signatures_with_the_index_of_another(dialect):
    """charon before v1.11 takes them."""
    network = run_resigned(dialect, 200, encoded(200, position=1))
    assert_blamed(network, "share_idx: expected 4, got 2")


def test_signatures_of_nothing_that_is_signed(dialect):
    network = run_resigned(dialect, 200, encoded(202))
    assert_blamed(network, "duty: nothing is signed in slot 202")


def test_signatures_that_change(dialect):
    network = run_resigned(dialect, 200, lambda s, k: encoded(200)(s, k) + encoded(200)(swapped(s, k), k))
    assert_blamed(network, "signatures for slot 200 that are not those it sent before")


def test_another_lock(dialect):
    """A node that reads another definition, or makes the lock of it otherwise, signs another hash."""
    network = network_with(dialect)
    honest = network.lock_hash

    def lock_hash(wanted):
        mine = wanted.keys.secret_shares.tobytes()
        theirs = network.nodes[CHEATER]._order._keys
        return b"\1" * 32 if theirs and theirs.secret_shares.tobytes() == mine else honest(wanted)

    network.lock_hash = lock_hash
    assert_blamed(network.run(), "its signatures of the lock hash are wrong")
