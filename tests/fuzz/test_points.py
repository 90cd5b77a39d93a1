"""Encodings of points: what decodes and what is in the subgroup, as arkworks sees it."""

import numpy as np
import pytest

import dvtfast
from tests import samples
from tests.fuzz import batches
from tests.fuzz.arkworks import G1, G2, Verdict, encode, scalar
from tests.fuzz.hostile_encodings import COMPRESSED, HOSTILE, LARGER_Y, hostile

KINDS = ["good", *HOSTILE]


def draw(group, random, size):
    """Rows, the kind of each, and what arkworks says of each."""
    kinds, rows, verdicts = random.choice(KINDS, size), [], []
    for kind in kinds:
        point = group.generator * scalar(batches.scalar(random))
        row = encode(point) if kind == "good" else hostile(kind, group, point, random)
        verdict = group.judge(row)
        assert verdict is (Verdict.GOOD if kind == "good" else HOSTILE[kind][1] or verdict), kind
        rows.append(row)
        verdicts.append(verdict)
    return samples.rows(rows, group.width), kinds, np.array(verdicts, object)


def assert_judged(check, random, rows, verdicts):
    """All four meanings of a good encoding."""
    threads = batches.threads(random)
    # The two points of order 3 on E1, which blst takes for no point in any case; E2 has none.
    x_is_zero = (rows[:, 0] | LARGER_Y == COMPRESSED | LARGER_Y) & ~rows[:, 1:].any(axis=1)
    for subgroup in (True, False):
        for infinity in (True, False):
            accepted = verdicts == Verdict.GOOD
            accepted |= (verdicts == Verdict.OUTSIDE) & (not subgroup)
            accepted |= (verdicts == Verdict.INFINITY) & infinity
            accepted &= ~x_is_zero
            got = check(rows, subgroup=subgroup, infinity=infinity, threads=threads)
            assert np.array_equal(got, accepted)


def assert_refused(function, verdicts):
    """With the indices of the bad rows, and what is wrong with each."""
    bad = np.flatnonzero(verdicts != Verdict.GOOD)
    with pytest.raises(dvtfast.EncodingError) as caught:
        function()
    assert caught.value.indices == tuple(bad.tolist())
    for verdict, words in zip(verdicts[bad], caught.value.statuses, strict=True):
        assert words == verdict.value or (
            verdict is Verdict.MALFORMED and words in ("bad encoding", "not on the curve")
        )


def public_keys(random, size):
    rows, kinds, verdicts = draw(G1, random, size)
    assert_judged(dvtfast.check_public_key_encodings, random, rows, verdicts)
    good = verdicts == Verdict.GOOD
    assert np.array_equal(dvtfast.check_public_keys(rows), good)
    if not good.all():
        assert_refused(lambda: dvtfast.PublicKeys(rows), verdicts)
    assert np.array_equal(dvtfast.PublicKeys(rows[good]).encoded, rows[good])
    return kinds


def signatures(random, size):
    rows, kinds, verdicts = draw(G2, random, size)
    assert_judged(dvtfast.check_signature_encodings, random, rows, verdicts)
    # Infinity may be a term of a sum.
    fit = (verdicts == Verdict.GOOD) | (verdicts == Verdict.INFINITY)
    if not fit.all():
        assert_refused(lambda: dvtfast.aggregate(rows[verdicts != Verdict.INFINITY]),
                       verdicts[verdicts != Verdict.INFINITY])  # fmt: skip
    if fit.any():
        total = G2.infinity
        for row in rows[fit]:
            total = total + G2.decode(row.tobytes())
        assert dvtfast.aggregate(rows[fit]).tobytes() == encode(total)
    return kinds


@pytest.mark.parametrize("batch", [public_keys, signatures], ids=lambda batch: batch.__name__)
def test_encodings(batch):
    batches.run(batch, KINDS)
