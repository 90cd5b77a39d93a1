"""Sync: what a peer may report, what is said to it, and who is waited for."""

import pytest

from dvtfast.dkg.frost.dialects import V1_9, V1_10, V1_11, dialect_of, require_frost, same_version
from dvtfast.dkg.frost.messages import MAX_SYNC_BYTES, BadMessageError, Sync, SyncAnswer, timestamp
from dvtfast.dkg.frost.steps import BrokenRuleError, Steps, body_bytes, frame
from dvtfast.errors import InputError
from tests.frost_nodes import DEFINITION_HASH, node_keys

N = 3
KEYS = node_keys(N)
NODES = [key.public_key for key in KEYS]
NOW = timestamp(1_700_000_000, 5)


@pytest.fixture(params=[V1_10, V1_11], ids=lambda dialect: dialect.version)
def dialect(request):
    return request.param


@pytest.fixture
def steps(dialect):
    return Steps(dialect, DEFINITION_HASH, KEYS[0], NODES, 0, nickname="us")


def report(dialect, peer, step, **changes):
    values = {
        "timestamp": NOW,
        "hash_signature": KEYS[peer].sign_message(DEFINITION_HASH),
        "shutdown": False,
        "version": dialect.version,
        "step": step,
    }
    return Sync(**values | changes).encode()


def test_what_a_node_reports(steps, dialect):
    steps.own, steps.shutdown = 8, True
    said = Sync.decode(steps.report(1_700_000_000, 5))
    signature = KEYS[0].sign_message(DEFINITION_HASH)
    assert said == Sync(NOW, signature, True, dialect.version, 8, "us")


@pytest.mark.parametrize("path", [range(9), (1, 2), (0, 2, 4, 6, 8), (1, 1, 1, 3), (0, 0, 1)], ids=str)
def test_steps_that_are_right(steps, dialect, path):
    for step in path:
        answer = SyncAnswer.decode(steps.heard(1, report(dialect, 1, step)))
        assert answer == SyncAnswer(NOW)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ((2,), "begins with step 2"),
        ((-1,), "begins with step -1"),
        ((0, 3), "jumped from step 0 to 3"),
        ((1, 2, 2**62), "jumped from step 2"),
        ((1, 0), "went back from step 1 to 0: it was started anew"),
        ((1, 3, 2), "went back from step 3 to 2"),
        ((1, 2, -5), "went back from step 2 to -5"),
    ],
)
def test_steps_that_end_the_ceremony(steps, dialect, path, words):
    *before, last = path
    for step in before:
        steps.heard(1, report(dialect, 1, step))
    with pytest.raises(BrokenRuleError, match=words) as caught:
        steps.heard(1, report(dialect, 1, last))
    assert caught.value.at_fault
    steps.error = "node 1: it was started anew"
    refusal = SyncAnswer.decode(steps.refusal(report(dialect, 1, last)))
    assert refusal == SyncAnswer(NOW, "node 1: it was started anew")
    # Everybody else is told, too, whatever they say.
    assert SyncAnswer.decode(steps.heard(2, report(dialect, 2, 7))).error == "node 1: it was started anew"


def test_a_peer_that_is_started_anew_before_its_first_step_goes_unnoticed(steps, dialect):
    steps.heard(1, report(dialect, 1, 0))
    steps.lost(1)
    steps.heard(1, report(dialect, 1, 0))


def test_a_peer_that_comes_back_has_the_step_it_had(steps, dialect):
    steps.heard(1, report(dialect, 1, 1))
    steps.lost(1)
    with pytest.raises(BrokenRuleError, match="started anew"):
        steps.heard(1, report(dialect, 1, 0))


def test_another_version_or_definition_is_nobodys_fault(steps, dialect):
    other = V1_11 if dialect is V1_10 else V1_10
    with pytest.raises(BrokenRuleError, match=f"has version '{other.version}'") as caught:
        steps.heard(1, report(other, 1, 0))
    assert not caught.value.at_fault
    for signature in (
        KEYS[1].sign_message(b"another definition"),
        KEYS[2].sign_message(DEFINITION_HASH),
        b"",
        bytes(72),
        bytes(200),
    ):
        with pytest.raises(BrokenRuleError, match="has another definition") as caught:
            steps.heard(1, report(dialect, 1, 0, hash_signature=signature))
        assert not caught.value.at_fault


def test_a_signature_is_looked_at_again_when_it_changes(steps, dialect):
    steps.heard(1, report(dialect, 1, 0))
    with pytest.raises(BrokenRuleError, match="has another definition"):
        steps.heard(1, report(dialect, 1, 0, hash_signature=b"no"))


def test_what_is_no_report(steps):
    with pytest.raises(BadMessageError):
        steps.heard(1, b"")
    assert steps.refusal(b"\xff") is None
    assert steps.refusal(b"") is None


def test_connected_are_those_who_report_and_answer(steps, dialect):
    assert steps.unconnected() == (1, 2)
    steps.heard(1, report(dialect, 1, 0))
    assert steps.unconnected() == (1, 2)
    steps.answered(1, SyncAnswer(NOW).encode())
    steps.answered(2, SyncAnswer(NOW).encode())
    assert steps.unconnected() == (2,)
    steps.heard(2, report(dialect, 2, 1))
    assert steps.unconnected() == ()
    steps.lost(1)
    assert steps.unconnected() == (1,)


def test_who_is_behind(steps, dialect):
    assert steps.behind(1) == (1, 2)
    steps.heard(1, report(dialect, 1, 1))
    steps.heard(2, report(dialect, 2, 0))
    assert steps.behind(1) == (2,)
    steps.heard(2, report(dialect, 2, 2))
    assert steps.behind(1) == ()
    assert steps.behind(2) == (1,)
    steps.heard(2, report(dialect, 2, 3))
    with pytest.raises(BrokenRuleError, match="node 2 is at step 3, and we are at 1"):
        steps.behind(1)


def test_who_is_about_to_end(steps, dialect):
    assert steps.not_ending() == (1, 2)
    steps.heard(2, report(dialect, 2, 1, shutdown=True))
    steps.heard(2, report(dialect, 2, 1))
    assert steps.not_ending() == (1,)


def test_a_peer_that_ends_the_ceremony_is_quoted_but_not_blamed(steps):
    with pytest.raises(BrokenRuleError, match=r"ends the ceremony and says: bad \?\[31m news") as caught:
        steps.answered(1, SyncAnswer(NOW, "bad \x1b[31m news").encode())
    assert not caught.value.at_fault
    with pytest.raises(BrokenRuleError) as caught:
        steps.answered(1, SyncAnswer(NOW, "x" * 3000).encode())
    assert len(str(caught.value)) < 400


def test_a_nickname_has_a_length(dialect):
    with pytest.raises(InputError, match="nickname: expected at most 32"):
        Steps(dialect, DEFINITION_HASH, KEYS[0], NODES, 0, nickname="x" * 33)


def test_frames():
    assert frame(b"abc") == b"\3\0\0\0\0\0\0\0abc"
    assert body_bytes(frame(b"abc")[:8]) == 3
    for size in (0, -1, MAX_SYNC_BYTES + 1, 2**63 - 1):
        with pytest.raises(BadMessageError, match="length"):
            body_bytes(size.to_bytes(8, "little", signed=True))


@pytest.mark.parametrize(
    ("version", "dialect_"),
    [
        ("v1.9", V1_9),
        ("v1.9.5", V1_9),
        ("v1.10", V1_10),
        ("v1.10.3", V1_10),
        ("v1.11", V1_11),
        ("v1.11-dev", V1_11),
        ("v1.11.0-rc3", V1_11),
        ("v1.11.0-rc3+abc.1", V1_11),
    ],
)
def test_the_dialect_of_a_version(version, dialect_):
    assert dialect_of(version) is dialect_


@pytest.mark.parametrize(
    "version", ["", "v1", "1.10", "v1.8", "v1.12", "v2.10", "v1.10x", "v1.\u0661\u0660", "v1.10\n", "x" * 999]
)
def test_versions_that_we_do_not_speak(version):
    with pytest.raises(InputError, match=r"expected a charon of v1.9, v1.10, v1.11, got") as caught:
        dialect_of(version)
    assert len(str(caught.value)) < 150


def test_versions_meet_by_their_minor_and_by_the_patch_where_both_have_one():
    assert same_version("v1.10", "v1.10.3")
    assert same_version("v1.10.3", "v1.10.3-rc1")
    assert not same_version("v1.10.2", "v1.10.3")
    assert not same_version("v1.10", "v1.11")
    assert not same_version("v1.10", "none")


def test_other_key_generations_are_refused():
    require_frost("default")
    require_frost("frost")
    with pytest.raises(InputError, match="dkg_algorithm: pedersen is not supported yet"):
        require_frost("pedersen")
    for other in ("", "keycast", "FROST", "x" * 999):
        with pytest.raises(InputError, match="dkg_algorithm: expected default or frost"):
            require_frost(other)
