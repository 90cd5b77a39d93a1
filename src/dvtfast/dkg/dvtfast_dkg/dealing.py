"""What a dealer makes of its seed, and what a node makes of all deals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast._secrets import wiped
from dvtfast.constants import PUBLIC_KEY_BYTES, SECRET_KEY_BYTES
from dvtfast.dkg.commitments import Commitments, CommitmentsLike, as_parts
from dvtfast.dkg.dvtfast_dkg.channels import bound_to, decrypt, encrypt, expand, pair_key, public_point
from dvtfast.dkg.dvtfast_dkg.hashing import tagged_hash, tree_root
from dvtfast.dkg.dvtfast_dkg.messages.statements import public_hash
from dvtfast.dkg.dvtfast_dkg.terms import Terms
from dvtfast.dkg.outputs import GeneratedKeys
from dvtfast.dkg.polynomials import (
    Coefficients,
    CommitmentSums,
    add_shares,
    check_subgroup,
    commit,
    evaluate,
    find_bad_shares,
    public_shares,
)
from dvtfast.dkg.proof_of_knowledge import find_bad, prove
from dvtfast.errors import BadDealerError, DvtfastError
from dvtfast.keys import POINT_WORDS, PublicKeys, check_secret_keys

# What a dealer's commitment takes when it is decoded, with its bytes; and how much of that is held at once.
DECODED_BYTES = 8 * POINT_WORDS + PUBLIC_KEY_BYTES
MOST_DECODED_BYTES = 128 * 1024**2


class PointFaultError(DvtfastError):
    """A commitment of a dealer is no point of the group."""

    def __init__(self, dealer: int, validator: int) -> None:
        self.dealer, self.validator = dealer, validator
        super().__init__(f"operator {dealer}: commitment of validator {validator}")


class RepeatFaultError(DvtfastError):
    """A dealer has given two validators the same constant term."""

    def __init__(self, dealer: int, first: int, second: int) -> None:
        self.dealer, self.first, self.second = dealer, first, second
        super().__init__(f"operator {dealer}: validators {first} and {second} alike")


class ProofFaultError(DvtfastError):
    """A dealer does not prove that it knows its constant terms."""

    def __init__(self, dealer: int) -> None:
        self.dealer = dealer
        super().__init__(f"operator {dealer}: proof of knowledge")


class ShareFaultError(DvtfastError):
    """What a dealer has encrypted to this node does not decrypt, or is no share."""

    def __init__(self, dealer: int, validator: int) -> None:
        self.dealer, self.validator = dealer, validator
        super().__init__(f"operator {dealer}: share of validator {validator}")


class Dealer:
    """One node's secrets of a session; the same seed gives the same bytes again. Wiped by `wipe`.

    Attributes:
        commitments: of shape (m, t).
        rows: their bytes, uint8[m, 48 t].
        root: of the tree over the rows.
        point: the ephemeral public key.
    """

    def __init__(self, seed: bytes, terms: Terms, position: int) -> None:
        self._terms, self._position = terms, position
        self._secret = ephemeral_secret(seed)
        self.point = public_point(self._secret)
        self._coefficients = Coefficients.derive(
            expand(seed, b"", b"seed"), terms.validators, terms.threshold
        )
        self.commitments = commit(self._coefficients)
        self.rows = self.commitments.encoded.reshape(terms.validators, PUBLIC_KEY_BYTES * terms.threshold)
        self.root = tree_root(self.rows)

    @property
    def secret(self) -> bytes:
        """The ephemeral secret, for an opening."""
        return self._secret

    def prove(self, session: bytes) -> bytes:
        """That the constant terms are known."""
        context = proof_context(session, self._position, self.root)
        return prove(self._coefficients, context, commitments=self.commitments)

    def shares_for(self, position: int) -> Bytes:
        """Shares uint8[m, 32] of one node; secret."""
        return evaluate(self._coefficients, self._terms.share_indices[position])

    def encrypt(self, session: bytes, proof: bytes, points: Sequence[bytes]) -> list[bytes]:
        """The encrypted shares of all others, by position; nothing for this node itself."""
        bound = public_hash(self.root, proof)
        ciphertexts = []
        for position, point in enumerate(points):
            if position == self._position:
                ciphertexts.append(b"")
                continue
            shares = self.shares_for(position)
            with wiped(shares):
                key = pair_key(self._secret, point, session, self._position, position)
                bound_here = bound_to(session, self._position, position, bound)
                ciphertexts.append(encrypt(key, shares.tobytes(), bound_here))
        return ciphertexts

    def decrypt(self, session: bytes, dealt: Dealt, point: bytes) -> Bytes | None:
        """Shares uint8[m, 32] that a dealer has encrypted to this node."""
        key = pair_key(self._secret, point, session, dealt.dealer, self._position)
        bound = bound_to(session, dealt.dealer, self._position, dealt.public_hash)
        return as_shares(decrypt(key, dealt.ciphertext, bound))

    def wipe(self) -> None:
        """Overwrite what can be overwritten, and forget the rest."""
        self._coefficients.wipe()
        self._secret = b""

    def __repr__(self) -> str:
        return f"Dealer({self._position})"


@dataclass(frozen=True, slots=True)
class Dealt:
    """What one dealer has given this node; of its own deal there is no ciphertext."""

    dealer: int
    rows: Bytes
    root: bytes
    proof: bytes
    ciphertext: bytes = field(repr=False)

    @property
    def public_hash(self) -> bytes:
        """What the dealer's COMMIT promised."""
        return public_hash(self.root, self.proof)


def ephemeral_secret(seed: bytes) -> bytes:
    """e, of 1 to the order of secp256k1 less one; a seed that gives none is not met (2^-128)."""
    return expand(seed, b"", b"ephemeral")


def proof_context(session: bytes, dealer: int, root: bytes) -> bytes:
    """What a proof of knowledge is bound to, beside the commitments."""
    return tagged_hash("knowledge", session, bytes([dealer]), root)


def as_shares(plaintext: bytes | None) -> Bytes | None:
    """uint8[m, 32] that can be overwritten, of what was decrypted."""
    if plaintext is None:
        return None
    return np.frombuffer(bytearray(plaintext), dtype=np.uint8).reshape(-1, SECRET_KEY_BYTES)


def commitment_rows(encoded: bytes, terms: Terms) -> Bytes:
    """uint8[m, 48 t] of the bytes of a dealer's commitments, or what begins with them; not copied."""
    width = PUBLIC_KEY_BYTES * terms.threshold
    rows = np.frombuffer(encoded, dtype=np.uint8, count=terms.validators * width)
    return rows.reshape(terms.validators, width)


def points_of_rows(rows: Bytes) -> Bytes:
    """uint8[m, t, 48] of uint8[m, 48 t]."""
    return rows.reshape(len(rows), -1, PUBLIC_KEY_BYTES)


def find_repeat(rows: Bytes) -> tuple[int, int] | None:
    """Two validators whose constant terms are alike, the first such pair by the second one's place."""
    terms = np.ascontiguousarray(rows[:, :PUBLIC_KEY_BYTES]).view(f"V{PUBLIC_KEY_BYTES}").ravel().tolist()
    if len(set(terms)) == len(terms):
        return None
    seen: dict[bytes, int] = {}
    repeats = (place for place, term in enumerate(terms) if seen.setdefault(term, place) != place)
    second = next(repeats)
    return seen[terms[second]], second


def combine_deals(
    terms: Terms, position: int, session: bytes, own: Dealer, deals: Sequence[Dealt], points: Sequence[bytes]
) -> tuple[GeneratedKeys, PublicKeys]:
    """The keys that all deals together make, and the public key shares (n, m), decoded.

    Raises:
        PointFaultError, RepeatFaultError, ProofFaultError, ShareFaultError: the first dealer at fault, in
        this order of checks.
        BadDealerError: a sum is infinite or two validators' keys are equal, which no dealer alone can bring
            about.
    """
    sums = _sum_up(terms, session, own, deals, position)
    each = _all_shares(session, own, deals, points, position)
    with wiped(*each):
        shares = add_shares(each)
        index = terms.share_indices[position]
        try:
            if len(find_bad_shares(shares, sums, index)):
                _blame_share(each, deals, index)
            keys = np.ascontiguousarray(sums.encoded[:, 0])
            if (pair := find_repeat(keys)) is not None:
                raise BadDealerError(None, pair[1], 0, f"the same key as validator {pair[0]}")
            public = public_shares(sums, terms.share_indices)
        except BaseException:
            shares.fill(0)
            raise
    return GeneratedKeys(keys, public.encoded, shares), public


def _sum_up(terms: Terms, session: bytes, own: Dealer, deals: Sequence[Dealt], position: int) -> PublicKeys:
    """The sums of all commitments, which are decoded for some dealers at a time."""
    at_once = max(1, MOST_DECODED_BYTES // (DECODED_BYTES * terms.threshold * terms.validators))
    sums = CommitmentSums()
    for begin in range(0, len(deals), at_once):
        some = deals[begin : begin + at_once]
        parts = _public_parts(own, some, position)
        _check_proofs(session, parts, some, position)
        sums.add(parts)
    try:
        return sums.total()
    except BadDealerError as error:
        rows = slice(error.validator, error.validator + 1)
        for deal in deals:
            if not check_subgroup(points_of_rows(deal.rows[rows])).all():
                raise PointFaultError(deal.dealer, error.validator) from None
        raise


def _public_parts(own: Dealer, deals: Sequence[Dealt], position: int) -> list[Commitments | PublicKeys]:
    parts: list[CommitmentsLike] = [
        own.commitments if deal.dealer == position else points_of_rows(deal.rows) for deal in deals
    ]
    try:
        decoded = as_parts(parts)
    except BadDealerError as error:
        raise PointFaultError(deals[error.dealer or 0].dealer, error.validator) from None
    for deal in deals:
        if (pair := find_repeat(deal.rows)) is not None:
            raise RepeatFaultError(deal.dealer, *pair)
    return decoded


def _check_proofs(
    session: bytes, parts: Sequence[Commitments | PublicKeys], deals: Sequence[Dealt], position: int
) -> None:
    """Of all others; this node's own was made just now."""
    others = [(part, deal) for part, deal in zip(parts, deals, strict=True) if deal.dealer != position]
    contexts = [proof_context(session, deal.dealer, deal.root) for _, deal in others]
    if bad := find_bad([part for part, _ in others], [deal.proof for _, deal in others], contexts):
        raise ProofFaultError(others[bad[0]][1].dealer)


def _all_shares(
    session: bytes, own: Dealer, deals: Sequence[Dealt], points: Sequence[bytes], position: int
) -> list[Bytes]:
    """The shares that each dealer has for this node; each is a scalar of 1..r-1."""
    each: list[Bytes] = []
    for deal in deals:
        shares = own.shares_for(position) if deal.dealer == position else None
        if shares is None:
            shares = own.decrypt(session, deal, points[deal.dealer])
        bad = [0] if shares is None else np.flatnonzero(~check_secret_keys(shares)).tolist()
        if shares is not None:
            each.append(shares)
        if bad:
            for secret in each:
                secret.fill(0)
            raise ShareFaultError(deal.dealer, int(bad[0]))
    return each


def _blame_share(each: Sequence[Bytes], deals: Sequence[Dealt], index: int) -> None:
    for shares, deal in zip(each, deals, strict=True):
        if len(bad := find_bad_shares(shares, points_of_rows(deal.rows), index)):
            raise ShareFaultError(deal.dealer, int(bad[0]))
    raise BadDealerError(None, 0, None, "the sum of shares does not fit, though each does")
