"""The rules of slashing protection: what they let through has no slashable pair in it, and little is lost."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvtfast.duties.slashing import (
    SAFE,
    Bounds,
    SignedAttestation,
    SignedBlock,
    combined,
    highest,
    lowest,
    why_not_attestation,
    why_not_block,
)

ROOTS = st.sampled_from([b"", b"\1" * 32, b"\2" * 32])
BLOCKS = st.lists(st.builds(SignedBlock, st.integers(0, 6), ROOTS), max_size=12)
VOTES = st.lists(st.builds(SignedAttestation, st.integers(0, 7), st.integers(0, 7), ROOTS), max_size=14)


def is_slashable(one, other):
    """consensus-specs, is_slashable_attestation_data, either way round; unknown roots may differ."""
    double = one.target_epoch == other.target_epoch and (one != other or not one.signing_root)
    surrounds = one.source_epoch < other.source_epoch and other.target_epoch < one.target_epoch
    surrounded = other.source_epoch < one.source_epoch and one.target_epoch < other.target_epoch
    return double or surrounds or surrounded


@settings(max_examples=300)
@given(votes=VOTES, forgets=st.booleans())
def test_no_slashable_pair_of_attestations_is_signed(votes, forgets):
    signed = []
    for vote in votes:
        whole = why_not_attestation(vote, signed, lowest([], signed))
        bounds = why_not_attestation(vote, [], highest([], signed))
        assert bounds != SAFE or whole == SAFE, "who has forgotten signs no more than who knows"
        again = vote in signed and all(v == vote for v in signed if v.target_epoch == vote.target_epoch)
        if again and vote.signing_root:
            assert whole == SAFE
        if (bounds if forgets else whole) == SAFE:
            assert vote.source_epoch <= vote.target_epoch
            signed.append(vote)
    assert not [pair for pair in combinations(signed, 2) if is_slashable(*pair)]


@settings(max_examples=200)
@given(votes=VOTES)
def test_what_is_refused_is_slashable_or_old(votes):
    signed = []
    for vote in votes:
        if why_not_attestation(vote, signed, lowest([], signed)) == SAFE:
            signed.append(vote)
        else:
            bounds = lowest([], signed)
            is_old = signed and (
                vote.source_epoch < bounds.source_epoch or vote.target_epoch <= bounds.target_epoch
            )
            assert (
                is_old or vote.source_epoch > vote.target_epoch or any(is_slashable(vote, v) for v in signed)
            )


@settings(max_examples=200)
@given(blocks=BLOCKS, forgets=st.booleans())
def test_no_two_blocks_of_a_slot_are_signed(blocks, forgets):
    signed = []
    for block in blocks:
        whole = why_not_block(block, signed, lowest(signed, []))
        bounds = why_not_block(block, [], highest(signed, []))
        assert bounds != SAFE or whole == SAFE
        if (bounds if forgets else whole) == SAFE:
            signed.append(block)
    for one, other in combinations(signed, 2):
        assert one.slot != other.slot or (one == other and one.signing_root)


A, B = b"\1" * 32, b"\2" * 32
SIGNED = [SignedAttestation(3, 5, A), SignedAttestation(5, 9, A)]


@pytest.mark.parametrize(
    ("vote", "words"),
    [
        (SignedAttestation(9, 10, A), SAFE),
        (SignedAttestation(5, 9, A), SAFE),
        (SignedAttestation(5, 6, B), SAFE),
        (SignedAttestation(5, 9, B), "another attestation for epoch 9 is signed"),
        (SignedAttestation(5, 9), "another attestation for epoch 9 is signed"),
        (SignedAttestation(4, 9, A), "another attestation for epoch 9 is signed"),
        (SignedAttestation(6, 8, A), "that from 5 to 9 surrounds it, and is signed"),
        (SignedAttestation(4, 10, A), "it surrounds that from 5 to 9, which is signed"),
        (SignedAttestation(2, 4, A), "attestations from before epoch 3 are no more signed"),
        (SignedAttestation(3, 4, A), "attestations up to epoch 5 are no more signed"),
        (SignedAttestation(11, 10, A), "its source 11 is after its target 10"),
    ],
)
def test_why_not(vote, words):
    assert why_not_attestation(vote, SIGNED, lowest([], SIGNED)) == words


def test_why_not_a_block():
    signed = [SignedBlock(5, A), SignedBlock(8, A), SignedBlock(9)]
    said = [why_not_block(SignedBlock(slot, A), signed, lowest(signed, [])) for slot in (4, 5, 7, 9)]
    old = "blocks up to slot 5 are no more signed"
    assert said == [old, SAFE, SAFE, "another block of slot 9 is signed"]


def test_bounds_of_nothing():
    assert lowest([], []) == highest([], []) == Bounds()
    assert combined(Bounds(slot=3), Bounds(2, 1), min) == Bounds(2, 1, None)
    assert why_not_attestation(SignedAttestation(0, 0, A), [], Bounds()) == SAFE
    assert why_not_block(SignedBlock(0, A), [], Bounds()) == SAFE
