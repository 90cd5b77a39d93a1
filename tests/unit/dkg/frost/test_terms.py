"""What is agreed before a charon ceremony begins, and what cannot be."""

import pytest

from dvtfast.dkg.frost.casts import Round1
from dvtfast.dkg.frost.dialects import PARTIALS, SHARES, SYNC, V1_10, V1_11
from dvtfast.dkg.frost.partials import LOCK_HASH, REGISTRATION
from dvtfast.dkg.frost.signing import Exchange
from dvtfast.errors import InputError
from tests.frost_nodes import EXCHANGES, node_keys, roots_of, terms_of

NODES = tuple(key.public_key for key in node_keys(4))


def test_terms_of_a_ceremony():
    terms = terms_of(1)
    assert terms.peers == (0, 2, 3)
    for dialect in (V1_10, V1_11):
        terms = terms_of(1, dialect=dialect, m=1000)
        sizes = {
            protocol: terms.most_bytes(protocol)
            for protocol in (
                SYNC, SHARES, PARTIALS, dialect.signature_protocol, dialect.message_protocol
            )
        }  # fmt: skip
        assert max(sizes.values()) < 1_000_000
        assert sizes[dialect.message_protocol] > Round1.most_bytes(1000, 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"algorithm": "pedersen"}, "dkg_algorithm: pedersen is not supported yet"),
        ({"algorithm": "other"}, "dkg_algorithm: expected default or frost"),
        ({"definition_hash": b""}, "definition_hash: expected 32 bytes, got 0"),
        ({"nodes": NODES[:1]}, "nodes: expected 2 to 255 compressed keys, got 1"),
        ({"nodes": NODES * 64}, "nodes: expected 2 to 255 compressed keys, got 256"),
        ({"nodes": (*NODES[:3], b"")}, "nodes: expected 2 to 255 compressed keys"),
        ({"nodes": (*NODES[:3], NODES[0])}, "nodes: a key is there twice"),
        ({"position": 4}, "position: expected one of 0..3, got 4"),
        ({"position": -1}, "position: expected one of 0..3, got -1"),
        ({"threshold": 1}, "threshold: expected 2 to 4, got 1"),
        ({"threshold": 5}, "threshold: expected 2 to 4, got 5"),
        ({"validators": 0}, "validators: expected one at least, got 0"),
        ({"exchanges": EXCHANGES[:1] * 2}, "exchanges: each needs a slot and a name of its own"),
        ({"exchanges": (Exchange("lock", 2, LOCK_HASH, roots_of("")),)}, "exchanges: each needs"),
        ({"exchanges": (Exchange("other", 4, REGISTRATION, roots_of("")),)}, "exchanges: expected steps"),
        ({"exchanges": (Exchange("a", 2, 200, roots_of("")), Exchange("a", 2, 201, roots_of("")))}, "a name"),
    ],
)  # fmt: skip
def test_what_are_no_terms(changes, words):
    with pytest.raises(InputError, match=words):
        terms_of(**{"position": 0} | changes)


def test_there_is_no_other_protocol():
    with pytest.raises(InputError, match="protocol: expected one of"):
        terms_of(0).most_bytes("/charon/dkg/bcast/2.0.0/sig")
