"""Ceremonies whose operators have ids, and give each other their key shares encrypted to themselves."""

from dataclasses import replace

import numpy as np
import pytest

from dvtfast import recover_secret_keys
from dvtfast.dkg.dvtfast_dkg.hashing import tree_root
from dvtfast.dkg.dvtfast_dkg.messages.sizes import payload_sizes
from dvtfast.dkg.dvtfast_dkg.messages.statements import Sigs
from dvtfast.errors import InputError
from dvtfast.keys import derive_public_keys
from tests import ceremonies
from tests.ceremonies import Network, make_terms

IDS = (5, 17, 242, 1093)
SEALED_BYTES = 33
TERMS = replace(make_terms(), ids=IDS, sealed_bytes=SEALED_BYTES)


class SealingPlan(ceremonies.SamplePlan):
    """Seals with a byte that is another one each time."""

    def __init__(self):
        super().__init__()
        self.times = 0

    def seal(self, key_shares):
        self.times += 1
        return np.pad(key_shares ^ 0xFF, ((0, 0), (0, 1)), constant_values=self.times)


def ceremony(**others):
    plans = {position: SealingPlan() for position in range(4)}
    return Network(others.pop("terms", TERMS), plans=plans, **others)


def test_shares_are_at_the_ids():
    network = ceremony()
    network.run_to_the_end()
    assert all(node.finished for node in network.nodes)
    files = [node.files for node in network.nodes]
    for node in network.nodes:
        np.testing.assert_array_equal(node.files.sealed, files[0].sealed)
        np.testing.assert_array_equal(
            node.files.sealed[node.position, :, :32] ^ 0xFF, node.files.keys.secret_shares
        )
    shares = np.stack([each.keys.secret_shares for each in files], axis=1)
    for some in ([0, 1, 2], [1, 2, 3], [0, 2, 3]):
        keys = recover_secret_keys(shares[:, some], [IDS[i] for i in some], threshold=3)
        np.testing.assert_array_equal(derive_public_keys(keys), files[0].keys.public_keys)


def test_a_node_that_is_restarted_gives_the_same_again():
    """What was sealed has chance in it: it is recorded, as the others may have it already."""
    network = ceremony()
    network.collect()
    node = network.nodes[1]
    while node.phase.name != "sigs":
        network.deliver()
    node.restart()
    network.run_to_the_end()
    assert all(each.finished for each in network.nodes)
    assert node.plan.times == 1
    sent = {payload for (_, kind), payloads in node.sent.items() if kind == "sigs" for payload in payloads}
    assert len(sent) == 1


def test_nobody_is_done_without():
    """The signatures of three are enough; but all have to give their shares."""
    network = ceremony(tampers={3: lambda to, kind, payload: [] if kind == "sigs" else [payload]})
    network.run_to_the_end()
    assert not any(node.finished for node in network.nodes)
    assert [node.culprits for node in network.honest] == [{3}] * 3


def test_a_wrong_signature_is_proven():
    def spoil(machine):
        rows_of = machine._work.sigs

        def sigs():
            rows_of()
            machine._work._rows[0, :96] = machine._work._rows[1, :96]
            return Sigs(tree_root(machine._work._rows)).encode()

        machine._work.sigs = sigs

    network = ceremony(cheats={2: spoil})
    network.run_to_the_end()
    assert [node.culprits for node in network.honest] == [{2}] * 3
    assert all(abort.evidence for node in network.honest for abort in node.aborts)


def test_a_wrong_share_is_proven():
    def spoil(machine):
        dealer = machine._work._dealer
        shares_for = dealer.shares_for
        dealer.shares_for = lambda position: shares_for(position if position != 1 else 0)

    network = ceremony(cheats={0: spoil})
    network.run_to_the_end()
    assert [node.culprits for node in network.honest] == [{0}] * 3


@pytest.mark.parametrize("change", [{"ids": (5, 17, 242, 1094)}, {"ids": ()}, {"sealed_bytes": 32}])
def test_all_must_agree(change):
    other = replace(TERMS, **change)
    assert other.options_hash != TERMS.options_hash
    if "sealed_bytes" in change:
        assert payload_sizes(other) != payload_sizes(TERMS)


@pytest.mark.parametrize(
    "ids", [(1, 2, 3), (1, 2, 3, 3), (2, 1, 3, 4), (0, 1, 2, 3), (1, 2, 3, 2**64)], ids=str
)
def test_ids_that_are_none(ids):
    with pytest.raises(InputError, match="ids: expected"):
        replace(TERMS, ids=ids)
