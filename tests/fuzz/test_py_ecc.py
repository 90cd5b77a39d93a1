"""Two hundred cases next to py_ecc, which is slow and shares no code with anything else here.

It decodes in 0.3 ms (G1) or 7 ms, judges the subgroup by a multiplication by r in 10 or 40 ms, and
verifies in 0.4 s.
"""

import numpy as np
import pytest
from py_ecc.bls import G2ProofOfPossession
from py_ecc.optimized_bls12_381 import is_inf

import dvtfast
from tests import reference, samples
from tests.fuzz import batches
from tests.fuzz.arkworks import G1, G2, Verdict, encode, scalar
from tests.fuzz.hostile_encodings import HOSTILE, hostile

DECODED, INTERPOLATED, VERIFIED = 75, 20, 10  # of each group, of each group, signatures
KINDS = ["good", *HOSTILE]


def is_good(decode, encoded):
    """By the definition of the subgroup; infinity is no good."""
    try:
        point = decode(encoded)
    except ValueError:
        return False
    return not is_inf(point) and reference.in_subgroup(point)


def encodings(group, decode, check):
    def batch(random, size):
        kinds, rows = random.permutation(np.resize(KINDS, size)), []
        for kind in kinds:
            point = group.generator * scalar(batches.scalar(random))
            rows.append(encode(point) if kind == "good" else hostile(kind, group, point, random))
        # Why a row is refused may differ: py_ecc takes (0, ±2) for a badly written infinity.
        good = [is_good(decode, row) for row in rows]
        assert good == [group.judge(row) is Verdict.GOOD for row in rows]
        assert check(samples.rows(rows, group.width)).tolist() == good
        return kinds

    batch.__name__ = f"encodings_of_{group.width}_bytes"
    return batch


def interpolations(group, recover, expected):
    def batch(random, size):
        rows, xs = [], []
        for _ in range(size):
            rows.append([encode(group.generator * scalar(batches.edge_scalar(random))) for _ in range(2)])
            xs.append(batches.share_indices(random, 2))
        got = recover(samples.grid(rows, 2, group.width), np.array(xs, np.uint64), threshold=2)
        assert [row.tobytes() for row in got] == [expected(*case) for case in zip(rows, xs, strict=True)]
        return ["interpolated"] * size

    batch.__name__ = f"interpolations_of_{group.width}_bytes"
    return batch


def verifications(random, size):
    keys, roots, signatures, expected = [], [], [], []
    for _ in range(size):
        secret, root = batches.scalar(random), random.bytes(32)
        keys.append(samples.public_key(secret))
        roots.append(root)
        signatures.append(samples.sign(secret if len(keys) % 2 else batches.scalar(random), root))
        expected.append(bool(G2ProofOfPossession.Verify(keys[-1], root, signatures[-1])))
    arguments = samples.rows(keys, 48), samples.rows(roots, 32), samples.rows(signatures, 96)
    assert dvtfast.check_signatures(*arguments).tolist() == expected
    return ["accepted" if one else "refused" for one in expected]


@pytest.mark.parametrize(
    ("batch", "cases", "kinds"),
    [
        (encodings(G1, reference.g1, dvtfast.check_public_keys), DECODED, KINDS),
        (encodings(G2, reference.g2, dvtfast.check_signature_encodings), DECODED, KINDS),
        (interpolations(G1, dvtfast.recover_public_keys, reference.recover_public_key), INTERPOLATED, []),
        (interpolations(G2, dvtfast.recover_signatures, reference.recover_signature), INTERPOLATED, []),
        (verifications, VERIFIED, ["accepted", "refused"]),
    ],
    ids=["public keys", "signatures", "interpolated keys", "interpolated signatures", "verified"],
)
def test_equals_py_ecc(batch, cases, kinds):
    batches.run(batch, kinds, cases=cases, least=1)
