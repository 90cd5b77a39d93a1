"""The checker of all signatures: what it must see."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvtfast.duties.slashing import SignedAttestation
from tests.simulation.signatures import Votes


def slashable(one: SignedAttestation, other: SignedAttestation) -> bool:
    """consensus-specs, is_slashable_attestation_data, either way round."""
    return (one != other and one.target_epoch == other.target_epoch) or any(
        first.source_epoch < second.source_epoch and second.target_epoch < first.target_epoch
        for first, second in ((one, other), (other, one))
    )


votes = st.builds(
    lambda source, more, root: SignedAttestation(source, source + more, root),
    st.integers(0, 6), st.integers(0, 6), st.sampled_from([b"a", b"b"]),
)  # fmt: skip


@given(st.lists(votes, max_size=8))
def test_votes_are_judged_as_the_specification_does(cast):
    kept = Votes()
    for number, vote in enumerate(cast):
        expected = any(slashable(vote, other) for other in cast[:number])
        same_target = [each for each in cast[:number] if each.target_epoch == vote.target_epoch]
        expected = expected or any(slashable(a, b) for a, b in product(same_target, same_target))
        assert bool(kept.add(vote)) == expected


@pytest.mark.parametrize("vote", [SignedAttestation(1, 3, b"x"), SignedAttestation(0, 9, b"x")])
def test_forgotten_votes_are_bounds(vote):
    kept = Votes()
    assert not kept.add(SignedAttestation(2, 3, b"a"))
    kept.forget(4)
    assert not kept.add(SignedAttestation(2, 4, b"a"))
    assert kept.add(vote)
