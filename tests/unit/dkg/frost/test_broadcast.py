"""Reliable broadcast: everybody signs the same, once for each origin and id."""

from hashlib import sha256

import pytest

from dvtfast.dkg.frost.broadcast import Broadcasts
from dvtfast.dkg.frost.dialects import ROUND1, ROUND2, V1_10, V1_11
from dvtfast.dkg.frost.messages import (
    BadMessageError,
    BroadcastMessage,
    SignatureAnswer,
    SignatureRequest,
    Wrapped,
)
from dvtfast.secp256k1 import recovered_signer
from tests.frost_nodes import DEFINITION_HASH, node_keys

N = 4
KEYS = node_keys(N)
NODES = [key.public_key for key in KEYS]
CONTENT = Wrapped.of("FrostRound1Casts", b"casts")
OTHER = Wrapped.of("FrostRound1Casts", b"other casts")


@pytest.fixture(params=[V1_10, V1_11], ids=lambda dialect: dialect.version)
def dialect(request):
    return request.param


@pytest.fixture
def nodes(dialect):
    return [Broadcasts(dialect, DEFINITION_HASH, key, NODES, i) for i, key in enumerate(KEYS)]


def anything(id, content):
    """Lets every content pass."""


def signed_by_all(nodes, origin=0, content=CONTENT, id=ROUND1):
    request = nodes[origin].begin(id, content)
    whole = None
    for peer, node in enumerate(nodes):
        if peer != origin:
            assert whole is None
            whole = nodes[origin].answered(peer, node.sign(origin, request, anything))
    return whole


def test_a_broadcast_arrives_at_everybody_once(nodes):
    whole = signed_by_all(nodes)
    assert whole.content == CONTENT
    for peer in (1, 2, 3):
        assert nodes[peer].accept(0, whole.encode()) == ROUND1
        assert nodes[peer].accept(0, whole.encode()) is None


def test_what_is_signed_in_each_dialect():
    old, new = (Broadcasts(d, DEFINITION_HASH, KEYS[0], NODES, 0) for d in (V1_10, V1_11))
    url = b"type.googleapis.com/dkg.dkgpb.v1.FrostRound1Casts"
    assert old.digest(ROUND1, CONTENT) == sha256(url + b"casts").digest()
    assert old.digest(ROUND1, CONTENT) == old.digest(ROUND2, CONTENT)
    size = b"\0" * 7
    bound = b"".join(
        size + bytes([len(field)]) + field for field in (DEFINITION_HASH, ROUND1.encode(), url, b"casts")
    )
    assert new.digest(ROUND1, CONTENT) == sha256(bound).digest()


def test_signatures_are_by_the_nodes_in_their_order(nodes):
    whole = signed_by_all(nodes, origin=2)
    digest = nodes[0].digest(ROUND1, CONTENT)
    assert [recovered_signer(digest, signature) for signature in whole.signatures] == NODES


def test_a_second_content_of_the_same_id_is_not_signed(nodes):
    first, second = (SignatureRequest(ROUND1, content).encode() for content in (CONTENT, OTHER))
    answer = nodes[1].sign(0, first, anything)
    assert nodes[1].sign(0, first, anything) == answer
    with pytest.raises(BadMessageError, match="two different broadcasts"):
        nodes[1].sign(0, second, anything)
    assert nodes[1].sign(2, second, anything)
    assert nodes[1].sign(0, SignatureRequest(ROUND2, OTHER).encode(), anything)


def test_what_does_not_pass_is_not_signed_and_counts_for_nothing(nodes):
    def refuse(id, content):
        raise BadMessageError("no")

    request = SignatureRequest(ROUND1, CONTENT).encode()
    with pytest.raises(BadMessageError, match="no"):
        nodes[1].sign(0, request, refuse)
    assert nodes[1].sign(0, SignatureRequest(ROUND1, OTHER).encode(), anything)


def test_answers_count_once_and_only_by_the_peer(nodes):
    request = nodes[0].begin(ROUND1, CONTENT)
    assert nodes[0].unsigned_by(ROUND1) == (1, 2, 3)
    answer = nodes[1].sign(0, request, anything)
    assert nodes[0].answered(1, answer) is None
    assert nodes[0].answered(1, b"" + answer) is None
    assert nodes[0].unsigned_by(ROUND1) == (2, 3)
    other = nodes[2].digest(ROUND1, OTHER)
    for wrong in (answer, SignatureAnswer(ROUND1, KEYS[2].sign(other)).encode()):
        with pytest.raises(BadMessageError, match="not the peer's signature"):
            nodes[0].answered(2, wrong)
    with pytest.raises(BadMessageError, match="not the peer's signature"):
        nodes[0].answered(2, SignatureAnswer(ROUND1, b"").encode())
    with pytest.raises(BadMessageError, match="what was not asked"):
        nodes[0].answered(2, SignatureAnswer(ROUND2, bytes(65)).encode())


def test_v_may_be_27_or_28(nodes):
    request = nodes[0].begin(ROUND1, CONTENT)
    for peer in (1, 2, 3):
        signature = SignatureAnswer.decode(nodes[peer].sign(0, request, anything)).signature
        ethereum = signature[:64] + bytes([signature[64] + 27])
        whole = nodes[0].answered(peer, SignatureAnswer(ROUND1, ethereum).encode())
    assert nodes[3].accept(0, whole.encode()) == ROUND1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s[:3], "signatures: expected 4, got 3"),
        (lambda s: s + s[:1], "signatures: expected 4, got 5"),
        (lambda s: (), "signatures: expected 4, got 0"),
        (lambda s: (s[1], s[0], s[2], s[3]), "not by node 0"),
        (lambda s: (s[0], s[1], s[1], s[3]), "not by node 2"),
        (lambda s: (*s[:3], bytes(65)), "not by node 3"),
        (lambda s: (*s[:3], s[3][:64]), "not by node 3"),
    ],
)
def test_a_broadcast_that_not_all_have_signed(nodes, change, words):
    whole = signed_by_all(nodes)
    wrong = BroadcastMessage(whole.id, whole.content, change(whole.signatures))
    with pytest.raises(BadMessageError, match=words):
        nodes[1].accept(0, wrong.encode())
    assert nodes[1].accept(0, whole.encode()) == ROUND1


def test_a_broadcast_that_we_did_not_sign(nodes):
    whole = signed_by_all(nodes)
    for peer, message in (
        (2, whole),  # another's, as it were its own
        (0, BroadcastMessage(ROUND2, whole.content, whole.signatures)),
        (0, BroadcastMessage(ROUND1, OTHER, whole.signatures)),
    ):
        with pytest.raises(BadMessageError, match="did not sign for this peer"):
            nodes[1].accept(peer, message.encode())
