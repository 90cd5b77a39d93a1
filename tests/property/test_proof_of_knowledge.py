"""A proof of knowledge holds for its dealer, session and commitments, and for nothing else."""

from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.optimized_bls12_381 import G1, Z1, add, eq, multiply

from dvtfast.dkg import polynomials
from dvtfast.dkg.coefficients import scalars_of
from dvtfast.dkg.proof_of_knowledge import PROOF_BYTES, find_bad, prove
from tests import reference, samples
from tests.backends import ON_EACH_BACKEND

pytestmark = ON_EACH_BACKEND

ORDER = reference.CURVE_ORDER
DEALERS = [polynomials.Coefficients.derive(bytes([dealer] * 32), 9, 2) for dealer in range(4)]
PARTS = [polynomials.commit(coefficients).encoded for coefficients in DEALERS]
CONTEXTS = [b"session" + bytes([dealer]) for dealer in range(4)]
PROOFS = [prove(coefficients, context) for coefficients, context in zip(DEALERS, CONTEXTS, strict=True)]


def challenge(transcript, v):
    digest = sha256(transcript + v.to_bytes(4, "big")).digest()
    return (int.from_bytes(digest[:16], "big") - int.from_bytes(b"\x80" * 16, "big")) % ORDER


def holds(part, proof, context):
    """By py_ecc."""
    length = len(context).to_bytes(4, "big")
    parts = (
        b"dvtfast-dkg/1 proof of knowledge" + length + context + sha256(part.tobytes()).digest() + proof[:48]
    )
    transcript = sha256(parts).digest()
    total = reference.g1(proof[:48])
    for v, row in enumerate(part):
        total = add(total, multiply(reference.g1(bytes(row[0])), challenge(transcript, v)))
    return eq(total, multiply(G1, int.from_bytes(proof[48:], "big")))


@settings(max_examples=3)
@given(st.binary(min_size=32, max_size=32), st.integers(1, 3), st.binary(max_size=40))
def test_it_holds_by_py_ecc(seed, m, context):
    coefficients = polynomials.Coefficients.derive(seed, m, 2)
    commitments = polynomials.commit(coefficients)
    proof = prove(coefficients, context)
    assert len(proof) == PROOF_BYTES
    assert holds(commitments.encoded, proof, context)
    assert prove(coefficients, context, commitments=commitments) == proof
    assert find_bad([commitments.encoded], [proof], [context]) == []


def test_all_hold():
    assert find_bad(PARTS, PROOFS, CONTEXTS) == []
    assert find_bad([polynomials.Commitments(part) for part in PARTS], PROOFS, CONTEXTS) == []
    assert find_bad([], [], []) == []


def test_nonces_differ():
    """Two proofs with one nonce would give the constant terms away."""
    proofs = PROOFS + [prove(DEALERS[0], context) for context in (b"", b"\0", b"session")]
    assert len({proof[:48] for proof in proofs}) == len(proofs)


def flip(proof, at):
    changed = bytearray(proof)
    changed[at] ^= 1
    return bytes(changed)


def with_response(change):
    value = change(int.from_bytes(PROOFS[2][48:], "big"))
    return PROOFS[2][:48] + value.to_bytes(32, "big")


WRONG = {
    "response + 1": with_response(lambda w: (w + 1) % ORDER),
    "response + r": with_response(lambda w: w + ORDER if w + ORDER < 2**256 else 2**256 - 1),
    "response 0": PROOFS[2][:48] + bytes(32),
    "another point": PROOFS[1][:48] + PROOFS[2][48:],
    "infinity": reference.G1_INFINITY + PROOFS[2][48:],
    "no point": bytes(48) + PROOFS[2][48:],
    "of another dealer": PROOFS[1],
    "sign of the point": flip(PROOFS[2], 0),
    "negative": bytes([PROOFS[2][0] ^ 0x20]) + PROOFS[2][1:],
    "too short": PROOFS[2][:-1],
    "too long": PROOFS[2] + b"\0",
    "empty": b"",
}


@pytest.mark.parametrize("proof", WRONG.values(), ids=WRONG)
def test_a_wrong_proof_is_found(proof):
    assert find_bad(PARTS, [*PROOFS[:2], proof, PROOFS[3]], CONTEXTS) == [2]
    assert find_bad(PARTS[2:3], [proof], CONTEXTS[2:3]) == [0]


def test_a_proof_is_for_its_context_and_commitments():
    assert find_bad(PARTS, PROOFS, [CONTEXTS[0], b"session", b"session\2\0", CONTEXTS[3]]) == [1, 2]
    # The key's commitment, another one, and the order of validators.
    others = [part.copy() for part in PARTS]
    others[0][3, 0] = PARTS[1][3, 0]
    others[1][3, 1] = PARTS[0][3, 1]
    others[2] = others[2][::-1].copy()
    assert find_bad(others, PROOFS, CONTEXTS) == [0, 1, 2]


def test_a_key_that_its_dealer_does_not_know():
    """What a dealer sends who makes the sum its own key: the proof needs the constant terms of all others."""
    own = scalars_of(DEALERS[3])[0, 0]
    target = multiply(G1, int.from_bytes(own.tobytes(), "big"))
    others = Z1
    for part in PARTS[:3]:
        others = add(others, reference.g1(bytes(part[0, 0])))
    rogue = PARTS[3].copy()
    rogue[0, 0] = samples.row(reference.g1_bytes(add(target, multiply(others, ORDER - 1))))
    sums = polynomials.sum_commitments([*PARTS[:3], rogue])
    assert bytes(sums.encoded[0, 0]) == reference.g1_bytes(target)
    assert find_bad([*PARTS[:3], rogue], PROOFS, CONTEXTS) == [3]


@pytest.mark.parametrize("order", [3, 11])
def test_points_of_small_order_change_no_verdict(order):
    """R or a commitment with a part outside G1: every node says the same of it, whatever it draws."""
    point = reference.small_order_point_g1(order)
    coefficients, context = DEALERS[0], CONTEXTS[0]
    part = PARTS[0].copy()
    part[4, 0] = samples.row(reference.g1_bytes(add(reference.g1(bytes(part[4, 0])), point)))
    assert find_bad([part], [PROOFS[0]], [context]) == [0]  # the commitments are hashed
    length = len(context).to_bytes(4, "big")
    digest = sha256(part.tobytes()).digest()
    nonce = 12345
    encoded = reference.g1_bytes(add(multiply(G1, nonce), point))
    transcript = sha256(b"dvtfast-dkg/1 proof of knowledge" + length + context + digest + encoded).digest()
    response = nonce
    for v, a in enumerate(scalars_of(coefficients)[:, 0]):
        response += challenge(transcript, v) * int.from_bytes(a.tobytes(), "big")
    proof = encoded + (response % ORDER).to_bytes(32, "big")
    for _ in range(5):
        assert find_bad([part], [proof], [context]) == []
        assert find_bad([np.flip(part, axis=1)], [proof], [context]) == [0]
