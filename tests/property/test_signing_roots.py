"""Roots in batch equal SSZ by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import dvtfast
from tests import reference
from tests.samples import rows

uint64s = st.integers(0, 2**64 - 1)
networks = st.sampled_from(sorted(dvtfast.NETWORKS.values(), key=lambda network: network.name))


def exactly(width):
    return st.binary(min_size=width, max_size=width)


@given(st.lists(uint64s, max_size=20), networks, st.none() | uint64s)
def test_exits(indices, network, epoch):
    roots = dvtfast.exit_signing_roots(np.array(indices, np.uint64), network, epoch=epoch)
    signed_epoch = network.capella_epoch if epoch is None else epoch
    domain = reference.domain(
        bytes([4, 0, 0, 0]), network.capella_fork_version, network.genesis_validators_root
    )
    assert roots.shape == (len(indices), 32)
    assert [root.tobytes() for root in roots] == [
        reference.signing_root(reference.exit_root(signed_epoch, index), domain) for index in indices
    ]


@given(st.lists(uint64s, max_size=20), networks, st.none() | uint64s)
def test_signed_exits_are_signatures_over_their_roots(indices, network, epoch):
    secret_keys = dvtfast.generate_secret_keys(len(indices))
    roots = dvtfast.exit_signing_roots(np.array(indices, np.uint64), network, epoch=epoch)
    signatures = dvtfast.sign_exits(secret_keys, np.array(indices, np.uint64), network, epoch=epoch)
    assert np.array_equal(signatures, dvtfast.sign(secret_keys, roots))


@given(st.lists(st.tuples(exactly(48), exactly(32), uint64s, exactly(96)), max_size=20), networks)
def test_deposits(deposits, network):
    public_keys = rows([d[0] for d in deposits], 48)
    credentials = rows([d[1] for d in deposits], 32)
    amounts = np.array([d[2] for d in deposits], np.uint64)
    signatures = rows([d[3] for d in deposits], 96)
    domain = reference.domain(bytes([3, 0, 0, 0]), network.genesis_fork_version, bytes(32))
    messages = [reference.deposit_message_root(*d[:3]) for d in deposits]
    got = dvtfast.deposit_message_roots(public_keys, credentials, amounts)
    assert [root.tobytes() for root in got] == messages
    got = dvtfast.deposit_signing_roots(public_keys, credentials, amounts, network)
    assert [root.tobytes() for root in got] == [reference.signing_root(m, domain) for m in messages]
    got = dvtfast.deposit_data_roots(public_keys, credentials, amounts, signatures)
    assert [root.tobytes() for root in got] == [reference.deposit_data_root(*d) for d in deposits]


@given(st.lists(exactly(32), max_size=20), exactly(32))
def test_signing_roots(objects, domain):
    got = dvtfast.compute_signing_roots(rows(objects, 32), domain)
    assert [root.tobytes() for root in got] == [reference.signing_root(root, domain) for root in objects]
