"""Who is guilty, by an evidence: a pure function that everybody can repeat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast.constants import PUBLIC_KEY_BYTES
from dvtfast.constants import SIGNATURE_BYTES as BLS_SIGNATURE_BYTES
from dvtfast.dkg.dvtfast_dkg.blame.evidence import PLACE_BYTES, Evidence, Proves, Row, decode_evidence
from dvtfast.dkg.dvtfast_dkg.channels import bound_to, decrypt, is_opening, opened_key
from dvtfast.dkg.dvtfast_dkg.dealing import as_shares, commitment_rows, points_of_rows, proof_context
from dvtfast.dkg.dvtfast_dkg.hashing import DIGEST_BYTES, path_bytes, root_of_path, tree_root
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import (
    FRAME_BYTES,
    REPEATABLE,
    Envelope,
    Kind,
    Mark,
    decode_envelope,
)
from dvtfast.dkg.dvtfast_dkg.messages.rules import OTHER_SESSION, broken_rule
from dvtfast.dkg.dvtfast_dkg.messages.sizes import ciphertext_bytes, commitments_bytes, evidence_limit
from dvtfast.dkg.dvtfast_dkg.messages.statements import (
    MARK_BYTES,
    Commit,
    Complaint,
    Deal,
    Echo,
    Hello,
    LockSig,
    Sigs,
    statement_sizes,
)
from dvtfast.dkg.dvtfast_dkg.signing import is_lock_signature, is_partial_signature, result_of
from dvtfast.dkg.dvtfast_dkg.terms import Plan, Terms
from dvtfast.dkg.polynomials import check_subgroup, find_bad_shares, public_shares, sum_commitments
from dvtfast.dkg.proof_of_knowledge import find_bad
from dvtfast.errors import BadDealerError, DvtfastError, EncodingError
from dvtfast.keys import check_secret_keys


class EvidenceError(DvtfastError):
    """An evidence that proves nothing."""


class UndecidedError(DvtfastError):
    """An evidence that cannot be judged without knowing what the ceremony's result is, or what is signed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who is guilty, and of what."""

    culprit: int
    reason: str


@dataclass(frozen=True, slots=True)
class Known:
    """What a judge knows of the result: hashes of all public key shares (`results_of`), and of the lock.

    And whether the judge was a party: then its terms have the options that all agreed on. Others may have
    been told of other ones, by which an honest COMMIT is of no session and honest evidence proves nothing.
    """

    results: tuple[bytes, ...] | None = None
    lock_hash: bytes | None = None
    is_party: bool = False


NOTHING_KNOWN = Known()


def judge_evidence(
    evidence: bytes, terms: Terms, *, plan: Plan | None = None, known: Known = NOTHING_KNOWN
) -> Verdict:
    """Who is guilty by this evidence, of the ceremony with these terms; the attempt is the evidence's own.

    Raises:
        EvidenceError: it proves nothing.
        UndecidedError: to judge it takes a plan, or what is known of the result.
    """
    if len(evidence) > evidence_limit(terms):
        raise EvidenceError("it is too long")
    try:
        decoded = decode_evidence(evidence, terms)
    except ValueError as error:
        raise EvidenceError(f"it does not decode: {error}") from None
    return _Case(decoded, replace(terms, attempt=decoded.attempt), plan, known).judge()


class _Case:
    """One evidence before the judge: its fields are taken one after the other, and each is checked."""

    def __init__(self, evidence: Evidence, terms: Terms, plan: Plan | None, known: Known) -> None:
        self.terms, self.plan, self.known, self.proves = terms, plan, known, evidence.proves
        self.hello_digests = evidence.hello_digests
        self.session = terms.session_id(evidence.hello_digests) if evidence.hello_digests else None
        self._fields = list(reversed(evidence.fields))

    def judge(self) -> Verdict:
        # Before anything is computed: every field has its size, so that nothing else can be carried along.
        count = _FIELDS[self.proves] + _FIELDS_PER_DEALER.get(self.proves, 0) * self.terms.count
        self.require(len(self._fields) == count, f"expected {count} fields, got {len(self._fields)}")
        return _JUDGES[self.proves](self)

    def require(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise EvidenceError(otherwise)

    def require_party(self) -> None:
        if not self.known.is_party:
            raise UndecidedError("what options were agreed on is not known but to who was there")

    def take(self, size: int | None = None) -> bytes:
        self.require(bool(self._fields), "a field is missing")
        field = self._fields.pop()
        self.require(size is None or len(field) == size, "a field has the wrong size")
        return field

    def position(self, value: int) -> int:
        self.require(value < self.terms.count, "there is no such operator")
        return value

    def signed(self, *kinds: Kind) -> Envelope:
        """An envelope of one of these kinds that its sender has signed; its slot is not looked at."""
        try:
            envelope = decode_envelope(field := self.take())
        except ValueError:
            raise EvidenceError("a field is no message") from None
        size = len(envelope.statement)
        self.require(envelope.kind in kinds, "a message is of the wrong kind")
        self.require(len(field) == FRAME_BYTES + size, "a message has an attachment")
        self.require(size in statement_sizes(self.terms)[envelope.kind], "a message has the wrong size")
        self.position(envelope.sender)
        self.require(envelope.is_signed(self.terms.operators), "a message is not signed by its sender")
        return envelope

    def of_session(self, *kinds: Kind) -> Envelope:
        """The same, of the session that the evidence is of."""
        envelope = self.signed(*kinds)
        self.require(envelope.slot == self.session, "a message is of another session")
        return envelope

    def hello(self) -> Envelope:
        envelope = self.signed(Kind.HELLO)
        self.require(envelope.slot == self.terms.hello_slot, "a HELLO is of another attempt")
        listed = self.hello_digests[envelope.sender] if self.hello_digests else b""
        self.require(envelope.mark.digest == listed, "a HELLO is not of the session")
        return envelope

    def row(self, root: bytes, size: int) -> Row:
        place = int.from_bytes(self.take(PLACE_BYTES), "big")
        self.require(place < self.terms.validators, "there is no such validator")
        row, path = self.take(size), self.take(path_bytes(self.terms.validators))
        self.require(root_of_path(row, place, path) == root, "a row is not what was signed")
        return Row(place, row, path)

    def commitments(self, root: bytes) -> tuple[int, Bytes]:
        """A validator, and its commitments uint8[1, t, 48]."""
        row = self.row(root, PUBLIC_KEY_BYTES * self.terms.threshold)
        return row.place, points_of_rows(np.frombuffer(row.row, dtype=np.uint8)[np.newaxis])


def _equivocation(case: _Case) -> Verdict:
    number, sender = case.take(2)
    kinds = [kind for kind in statement_sizes(case.terms) if kind == number and kind not in REPEATABLE]
    case.require(bool(kinds), "no kind that is signed once")
    (kind,), slot, key = kinds, case.take(DIGEST_BYTES), case.terms.operators[case.position(sender)]
    wanted = case.terms.hello_slot if kind == Kind.HELLO else case.session
    case.require(slot == wanted, "the messages are of another session")
    marks = [
        Mark(each[:DIGEST_BYTES], each[DIGEST_BYTES:])
        for each in (case.take(MARK_BYTES), case.take(MARK_BYTES))
    ]
    case.require(marks[0].digest != marks[1].digest, "both statements are the same")
    for mark in marks:
        case.require(mark.is_by(key, kind, sender, slot), "a statement is not signed by its sender")
    return Verdict(sender, f"operator {sender} has signed two different {kind.name} messages")


def _malformed(case: _Case) -> Verdict:
    envelope = case.signed(Kind.HELLO, Kind.COMMIT, Kind.DEAL, Kind.ECHO, Kind.LOCKSIG, Kind.DONE)
    hello_slot = case.terms.hello_slot
    is_ours = envelope.slot == (hello_slot if envelope.kind == Kind.HELLO else case.session)
    if envelope.kind == Kind.COMMIT:  # whose session may be none
        is_ours |= Commit.decode(envelope.statement, case.terms).hello_slot == hello_slot
    case.require(is_ours, "the message is of another session")
    reason = broken_rule(envelope, case.terms)
    if reason is None:
        raise EvidenceError("the statement breaks no rule")
    if reason == OTHER_SESSION and envelope.slot != case.session:
        case.require_party()
    return Verdict(envelope.sender, f"{envelope.kind.name} of operator {envelope.sender}: {reason}")


def _changed(case: _Case) -> Verdict:
    commit, deal = case.of_session(Kind.COMMIT), case.of_session(Kind.DEAL)
    case.require(commit.sender == deal.sender, "two different senders")
    promised = Commit.decode(commit.statement, case.terms).public_hash
    case.require(promised != Deal.decode(deal.statement, case.terms).public_hash, "it is what was promised")
    return Verdict(
        deal.sender, f"operator {deal.sender} has changed its commitments after their hash was known"
    )


def _bad_point(case: _Case) -> Verdict:
    deal = case.of_session(Kind.DEAL)
    validator, points = case.commitments(Deal.decode(deal.statement, case.terms).root)
    case.require(not check_subgroup(points).all(), "all commitments are in the group")
    return Verdict(
        deal.sender,
        f"operator {deal.sender}: a commitment for validator {validator} is no point of the group",
    )


def _repeated(case: _Case) -> Verdict:
    deal = case.of_session(Kind.DEAL)
    root = Deal.decode(deal.statement, case.terms).root
    (first, one), (second, other) = case.commitments(root), case.commitments(root)
    case.require(first != second and np.array_equal(one[:, 0], other[:, 0]), "the constant terms differ")
    return Verdict(
        deal.sender,
        f"operator {deal.sender} has dealt the same secret for validators {first} and {second}",
    )


def _bad_proof(case: _Case) -> Verdict:
    envelope = case.of_session(Kind.DEAL)
    assert case.session is not None
    deal, encoded = Deal.decode(envelope.statement, case.terms), case.take(commitments_bytes(case.terms))
    rows = commitment_rows(encoded, case.terms)
    case.require(tree_root(rows) == deal.root, "the commitments are not what was signed")
    context = proof_context(case.session, envelope.sender, deal.root)
    try:
        bad = find_bad([points_of_rows(rows)], [deal.proof], [context])
    except BadDealerError:
        bad = [0]
    case.require(bool(bad), "the proof holds")
    return Verdict(
        envelope.sender, f"operator {envelope.sender} does not prove that it knows the secrets that it deals"
    )


def _complaint(case: _Case) -> Verdict:
    terms, session = case.terms, case.session
    accuser, dealer = case.hello(), case.hello()
    deal, complaint = case.of_session(Kind.DEAL), case.of_session(Kind.COMPLAINT)
    assert session is not None
    facts, dealt = Complaint.decode(complaint.statement, terms), Deal.decode(deal.statement, terms)
    a, d = accuser.sender, dealer.sender
    case.require(a != d and (a, d) == (complaint.sender, facts.dealer), "the HELLOs are of others")
    case.require(deal.sender == d and deal.mark.digest == facts.deal_digest, "the DEAL is another")
    ciphertext = case.take(ciphertext_bytes(terms))
    case.require(sha256(ciphertext).digest() == dealt.ciphertext_hashes[a], "the ciphertext is another")
    validator, committed = case.commitments(dealt.root)
    case.require(validator == facts.validator, "the row is of another validator")
    points = [Hello.decode(each.statement, terms).ephemeral for each in (accuser, dealer)]
    lie = Verdict(a, f"operator {a} accuses operator {d} falsely")
    if not is_opening(facts.opening, facts.proof, points[0], points[1], session, a, d):
        return lie
    key = opened_key(facts.opening, session, d, a)
    shares = as_shares(decrypt(key, ciphertext, bound_to(session, d, a, dealt.public_hash)))
    if shares is None:
        return Verdict(d, f"what operator {d} has sent to operator {a} does not decrypt")
    if _fits(shares[validator : validator + 1], committed, terms.share_indices[a]):
        return lie
    return Verdict(d, f"operator {d} has dealt operator {a} a wrong share for validator {validator}")


def _fits(share: Bytes, points: Bytes, index: int) -> bool:
    try:
        return bool(check_secret_keys(share).all()) and len(find_bad_shares(share, points, index)) == 0
    except (BadDealerError, EncodingError):
        return False


def _bad_signature(case: _Case) -> Verdict:
    terms = case.terms
    sigs, echo = case.of_session(Kind.SIGS), case.of_session(Kind.ECHO)
    case.require(sigs.sender == echo.sender, "two different senders")
    (kind,) = case.take(1)
    case.require(kind < terms.kinds, "there is no such kind")
    row = case.row(Sigs.decode(sigs.statement, terms).root, terms.row_bytes)
    parts = []
    for dealer, mark in enumerate(Echo.decode(echo.statement, terms).deals):
        deal = case.of_session(Kind.DEAL)
        case.require(deal.sender == dealer and deal.mark.digest == mark.digest, "a DEAL is another")
        validator, points = case.commitments(Deal.decode(deal.statement, terms).root)
        case.require(validator == row.place, "a row is of another validator")
        parts.append(points)
    if case.plan is None:
        raise UndecidedError("what is signed is not known")
    try:
        sums = sum_commitments(parts)
        share = public_shares(sums, [terms.share_indices[sigs.sender]]).encoded[0, 0].tobytes()
    except (BadDealerError, EncodingError):
        raise EvidenceError("the deals are not valid") from None
    roots = case.plan.signing_roots(np.ascontiguousarray(sums.encoded[:, 0]), [row.place])
    signature = row.row[kind * BLS_SIGNATURE_BYTES : (kind + 1) * BLS_SIGNATURE_BYTES]
    case.require(not is_partial_signature(share, roots[kind, 0].tobytes(), signature), "it verifies")
    return Verdict(
        sigs.sender,
        f"operator {sigs.sender} has sent a wrong signature of kind {kind} for validator {row.place}",
    )


def _bad_lock_signature(case: _Case) -> Verdict:
    lock, echo = case.of_session(Kind.LOCKSIG), case.of_session(Kind.ECHO)
    case.require(lock.sender == echo.sender, "two different senders")
    shares = case.take(PUBLIC_KEY_BYTES * case.terms.validators)
    results = Echo.decode(echo.statement, case.terms).results
    case.require(result_of(shares) == results[lock.sender], "the public key shares are others")
    facts = LockSig.decode(lock.statement, case.terms)
    rows = np.frombuffer(shares, dtype=np.uint8).reshape(-1, PUBLIC_KEY_BYTES)
    case.require(not is_lock_signature(rows, facts.lock_hash, facts.signature), "it verifies")
    return Verdict(lock.sender, f"operator {lock.sender} has sent a wrong signature of the lock")


def _other_result(case: _Case) -> Verdict:
    echo = case.of_session(Kind.ECHO)
    if case.known.results is None:
        raise UndecidedError("the public key shares are not known")
    results = Echo.decode(echo.statement, case.terms).results
    case.require(results != case.known.results, "the result is right")
    return Verdict(echo.sender, f"operator {echo.sender} has public key shares that do not come of the deals")


def _other_lock(case: _Case) -> Verdict:
    envelope = case.of_session(Kind.LOCKSIG)
    if case.known.lock_hash is None:
        raise UndecidedError("the lock is not known")
    lock_hash = LockSig.decode(envelope.statement, case.terms).lock_hash
    case.require(lock_hash != case.known.lock_hash, "the lock hash is right")
    return Verdict(envelope.sender, f"operator {envelope.sender} has another lock")


def _false_blame(case: _Case) -> Verdict:
    blame, inner = case.signed(Kind.BLAME), case.take()
    case.require(blame.slot == case.terms.hello_slot, "the BLAME is of another attempt")
    case.require(sha256(inner).digest() == blame.statement, "the BLAME is of another evidence")
    case.require(inner[:1] != bytes([Proves.FALSE_BLAME]), "a BLAME for a BLAME is not judged")
    try:
        judge_evidence(inner, case.terms, plan=case.plan, known=case.known)
        holds = decode_evidence(inner, case.terms).attempt == case.terms.attempt
    except EvidenceError:
        holds = False
    case.require(not holds, "the BLAME holds")
    case.require_party()
    return Verdict(blame.sender, f"operator {blame.sender} blames without proof")


# How many fields there are, after the digests; see `Proves`.
_FIELDS = {
    Proves.EQUIVOCATION: 4,
    Proves.MALFORMED: 1,
    Proves.CHANGED: 2,
    Proves.BAD_POINT: 4,
    Proves.REPEATED: 7,
    Proves.BAD_PROOF: 2,
    Proves.COMPLAINT: 8,
    Proves.BAD_SIGNATURE: 6,
    Proves.BAD_LOCK_SIGNATURE: 3,
    Proves.OTHER_RESULT: 1,
    Proves.OTHER_LOCK: 1,
    Proves.FALSE_BLAME: 2,
}
_FIELDS_PER_DEALER = {Proves.BAD_SIGNATURE: 4}

_JUDGES: dict[Proves, Callable[[_Case], Verdict]] = {
    Proves.EQUIVOCATION: _equivocation,
    Proves.MALFORMED: _malformed,
    Proves.CHANGED: _changed,
    Proves.BAD_POINT: _bad_point,
    Proves.REPEATED: _repeated,
    Proves.BAD_PROOF: _bad_proof,
    Proves.COMPLAINT: _complaint,
    Proves.BAD_SIGNATURE: _bad_signature,
    Proves.BAD_LOCK_SIGNATURE: _bad_lock_signature,
    Proves.OTHER_RESULT: _other_result,
    Proves.OTHER_LOCK: _other_lock,
    Proves.FALSE_BLAME: _false_blame,
}
