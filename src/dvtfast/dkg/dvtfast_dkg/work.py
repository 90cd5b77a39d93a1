"""What one node computes in a session: its own statements, and what is wrong with those of others.

No order of things is in here: `machine` asks for each statement when it is time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TypeAlias

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast.dkg.dvtfast_dkg.blame.evidence import Evidence, Proves, Row, of_envelopes, of_equivocation
from dvtfast.dkg.dvtfast_dkg.blame.judging import Known
from dvtfast.dkg.dvtfast_dkg.channels import open_pair
from dvtfast.dkg.dvtfast_dkg.dealing import (
    Dealer,
    Dealt,
    PointFaultError,
    ProofFaultError,
    RepeatFaultError,
    ShareFaultError,
    combine_deals,
    commitment_rows,
)
from dvtfast.dkg.dvtfast_dkg.hashing import DIGEST_BYTES, FORMAT, tree_path, tree_root
from dvtfast.dkg.dvtfast_dkg.identity import Identity
from dvtfast.dkg.dvtfast_dkg.kept import encode_keys
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import Envelope, Kind, Mark, seal
from dvtfast.dkg.dvtfast_dkg.messages.rules import broken_rule, marks_of
from dvtfast.dkg.dvtfast_dkg.messages.sizes import commitments_bytes
from dvtfast.dkg.dvtfast_dkg.messages.statements import (
    Commit,
    Complaint,
    Deal,
    Echo,
    Hello,
    LockSig,
    Sigs,
    public_hash,
)
from dvtfast.dkg.dvtfast_dkg.signing import (
    SignatureFaultError,
    combine,
    is_lock_signature,
    results_of,
    roots_of,
    sign_all,
    sign_lock,
    signature_rows,
)
from dvtfast.dkg.dvtfast_dkg.terms import Plan, Terms
from dvtfast.dkg.outputs import GeneratedKeys
from dvtfast.errors import DvtfastError
from dvtfast.keys import PublicKeys
from dvtfast.signatures import aggregate

Held = Mapping[tuple[Kind, int], Envelope]
Seal: TypeAlias = Callable[[Bytes], Bytes]


class AccusationError(DvtfastError):
    """Somebody has cheated, and this proves it."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        super().__init__(evidence.proves.name)


@dataclass(frozen=True, eq=False, slots=True)
class ToStore:
    """What a node is to put on its disk before it says so with `stored`; nobody has the right to use it yet.

    Attributes:
        keys: the driver's from now on, who wipes them.
        signatures: uint8[kinds, m, 96], verified.
        sealed: uint8[n, m, sealed_bytes], what each operator has encrypted to itself; nobody has judged it.
        lock_hash: 32 bytes.
        signature_aggregate: 96 bytes, the sum of what all key shares sign over the lock hash.
        node_signatures: of the lock hash, R | S | V each, by position.
    """

    keys: GeneratedKeys
    signatures: Bytes = field(repr=False)
    sealed: Bytes = field(repr=False)
    lock_hash: bytes
    signature_aggregate: bytes = field(repr=False)
    node_signatures: tuple[bytes, ...] = field(repr=False)


class Work:
    """The computations of one node, with all its secrets; `wipe` in the end.

    Attributes:
        session: set when all HELLOs are there.
        known: what is known of the result, for judging.
        keys: set when all deals were right.
        sealed: this node's key shares, encrypted to a key of its operator; empty until they are, or for ever
            where that is not agreed on.
    """

    def __init__(
        self, terms: Terms, identity: Identity, plan: Plan, seed: bytes, seal: Seal | None = None
    ) -> None:
        self.terms, self.plan, self._seal = terms, plan, seal
        self.position = terms.operators.index(identity.public_key)
        self.session: bytes | None = None
        self.hello_digests: tuple[bytes, ...] = ()
        self.known = Known(is_party=True)
        self.keys: GeneratedKeys | None = None
        self.sealed = b""
        self._identity = identity
        self._dealer = Dealer(seed, terms, self.position)
        self._points: list[bytes] = []
        self._ciphertexts: list[bytes] = []
        self._to_all: dict[Kind, bytes] = {}
        self._public: PublicKeys | None = None
        self._keys_are_given = False
        self._rows: Bytes | None = None
        self._roots = self._signatures = self._all_sealed = np.zeros((0, 0, 0), dtype=np.uint8)

    def hello(self, nonce: bytes, trouble: str) -> bytes:
        """The statement of HELLO."""
        terms = self.terms
        return Hello(terms.attempt, terms.options_hash, nonce, self._dealer.point, FORMAT, trouble).encode()

    def begin(self, hellos: Sequence[Envelope]) -> None:
        """The session is that of these HELLOs, by position."""
        self.hello_digests = tuple(each.mark.digest for each in hellos)
        self.session = self.terms.session_id(self.hello_digests)
        self._points = [Hello.decode(each.statement, self.terms).ephemeral for each in hellos]

    def resume(self, commit: Envelope) -> None:
        """The session is that of this node's COMMIT, though its HELLOs are not here yet."""
        listed = Commit.decode(commit.statement, self.terms).hellos
        self.session, self.hello_digests = commit.slot, tuple(mark.digest for mark in listed)

    def commit(self, marks: Sequence[Mark]) -> bytes:
        """The statement of COMMIT."""
        self._proof = self._dealer.prove(self._named)
        promised = public_hash(self._dealer.root, self._proof)
        return Commit(self.terms.hello_slot, tuple(marks), promised).encode()

    def deal(self, marks: Sequence[Mark]) -> bytes:
        """The statement of DEAL."""
        self._ciphertexts = self._dealer.encrypt(self._named, self._proof, self._points)
        hashes = [sha256(each).digest() if each else bytes(DIGEST_BYTES) for each in self._ciphertexts]
        return Deal(tuple(marks), self._dealer.root, self._proof, tuple(hashes)).encode()

    def attachment(self, kind: Kind, receiver: int) -> tuple[bytes, ...] | None:
        """What goes with this node's DEAL or SIGS to a receiver, in parts; None until it is computed (again).

        What all get is one object for all.
        """
        rows = self._dealer.rows if kind == Kind.DEAL else self._rows
        if rows is None or (kind == Kind.DEAL and not self._ciphertexts):
            return None
        if kind not in self._to_all:
            self._to_all[kind] = rows.tobytes()
        own = (self._ciphertexts[receiver],) if kind == Kind.DEAL else ()
        return self._to_all[kind], *own

    def fits(self, envelope: Envelope) -> bool:
        """Whether the attachment is what the statement says, as far as this node gets it."""
        terms, attachment = self.terms, envelope.attachment
        match envelope.kind:
            case Kind.DEAL:
                deal, size = Deal.decode(envelope.statement, terms), commitments_bytes(terms)
                root = tree_root(commitment_rows(attachment, terms))
                mine = sha256(attachment[size:]).digest()
                return root == deal.root and mine == deal.ciphertext_hashes[self.position]
            case Kind.SIGS:
                return (
                    tree_root(signature_rows(attachment, terms))
                    == Sigs.decode(envelope.statement, terms).root
                )
            case _:
                return True

    def examine(self, envelope: Envelope, marks: Mapping[tuple[Kind, int], Mark], held: Held) -> None:
        """Raise AccusationError for what is wrong with one statement, by what this node has seen itself."""
        if listed := marks_of(envelope, self.terms):
            self._compare_lists(envelope, *listed, marks)
        sender, statement, terms = envelope.sender, envelope.statement, self.terms
        match envelope.kind:
            case Kind.HELLO if broken_rule(envelope, terms):
                raise self._accusation(Proves.MALFORMED, envelope)
            case Kind.DEAL:
                commit = held[Kind.COMMIT, sender]
                promised = Commit.decode(commit.statement, terms).public_hash
                if Deal.decode(statement, terms).public_hash != promised:
                    raise self._accusation(Proves.CHANGED, commit, envelope)
            case Kind.ECHO if Echo.decode(statement, terms).results != self.known.results:
                raise self._accusation(Proves.OTHER_RESULT, envelope)
            case Kind.LOCKSIG:
                self._examine_lock(envelope, held)

    def _compare_lists(
        self,
        envelope: Envelope,
        kind: Kind,
        slot: bytes,
        listed: Sequence[Mark],
        marks: Mapping[tuple[Kind, int], Mark],
    ) -> None:
        if envelope.kind == Kind.COMMIT and slot != self.terms.hello_slot:  # of which nothing can be compared
            raise self._accusation(Proves.MALFORMED, envelope)
        for position, mark in enumerate(listed):
            own = marks[kind, position]
            if mark.digest == own.digest:
                continue
            if not mark.is_by(self.terms.operators[position], kind, position, slot):
                raise self._accusation(Proves.MALFORMED, envelope)
            raise self.equivocation(kind, position, slot, own, mark)
        if envelope.kind == Kind.COMMIT and envelope.slot != self.session:
            raise self._accusation(Proves.MALFORMED, envelope)

    def _examine_lock(self, envelope: Envelope, held: Held) -> None:
        facts = LockSig.decode(envelope.statement, self.terms)
        if broken_rule(envelope, self.terms):
            raise self._accusation(Proves.MALFORMED, envelope)
        if facts.lock_hash != self.known.lock_hash:
            raise self._accusation(Proves.OTHER_LOCK, envelope)
        assert self._public is not None
        assert self.keys is not None
        sender = envelope.sender
        if not is_lock_signature(self._public[sender], facts.lock_hash, facts.signature):
            raise self._accusation(
                Proves.BAD_LOCK_SIGNATURE,
                envelope,
                held[Kind.ECHO, sender],
                rest=[self.keys.public_shares[sender].tobytes()],
            )

    def combine_deals(self, held: Held) -> None:
        """Compute the keys of all deals; raise AccusationError for the first dealer at fault."""
        terms, deals = self.terms, [held[Kind.DEAL, position] for position in range(self.terms.count)]
        dealt = [self._dealt(envelope) for envelope in deals]
        try:
            self.keys, self._public = combine_deals(
                terms, self.position, self._named, self._dealer, dealt, self._points
            )
        except PointFaultError as fault:
            row = _row(dealt[fault.dealer].rows, fault.validator)
            raise self._accusation(Proves.BAD_POINT, deals[fault.dealer], rest=row.fields) from None
        except RepeatFaultError as fault:
            rows = [_row(dealt[fault.dealer].rows, place) for place in (fault.first, fault.second)]
            rest = [*rows[0].fields, *rows[1].fields]
            raise self._accusation(Proves.REPEATED, deals[fault.dealer], rest=rest) from None
        except ProofFaultError as fault:
            rest = [dealt[fault.dealer].rows.tobytes()]
            raise self._accusation(Proves.BAD_PROOF, deals[fault.dealer], rest=rest) from None
        except ShareFaultError as fault:
            raise self._complaint(fault, held, dealt[fault.dealer]) from None
        self.known = Known(results_of(self.keys.public_shares), is_party=True)

    def _dealt(self, envelope: Envelope) -> Dealt:
        deal = Deal.decode(envelope.statement, self.terms)
        if envelope.sender == self.position:
            return Dealt(envelope.sender, self._dealer.rows, deal.root, deal.proof, b"")
        size = commitments_bytes(self.terms)
        rows = commitment_rows(envelope.attachment, self.terms)
        return Dealt(envelope.sender, rows, deal.root, deal.proof, envelope.attachment[size:])

    def _complaint(self, fault: ShareFaultError, held: Held, dealt: Dealt) -> AccusationError:
        dealer, session = fault.dealer, self._named
        deal = held[Kind.DEAL, dealer]
        opening, proof = open_pair(self._dealer.secret, self._points[dealer], session, self.position, dealer)
        statement = Complaint(dealer, fault.validator, deal.mark.digest, opening, proof).encode()
        complaint = seal(self._identity, Kind.COMPLAINT, self.position, session, statement)
        hellos = held[Kind.HELLO, self.position], held[Kind.HELLO, dealer]
        rest = [dealt.ciphertext, *_row(dealt.rows, fault.validator).fields]
        return self._accusation(Proves.COMPLAINT, *hellos, deal, complaint, rest=rest)

    def echo(self, marks: Sequence[Mark]) -> bytes:
        """The statement of ECHO."""
        assert self.known.results is not None
        return Echo(tuple(marks), self.known.results).encode()

    @property
    def generated(self) -> bytes:
        """What is recorded with ECHO; see `kept`."""
        assert self.keys is not None
        return encode_keys(self.keys)

    def sigs(self) -> bytes:
        """The statement of SIGS."""
        assert self.keys is not None
        self._roots = roots_of(self.plan, self.terms, self.keys.public_keys)
        if not self.sealed and self._seal is not None:
            self.sealed = self._seal(self.keys.secret_shares).tobytes()
        sealed = np.frombuffer(self.sealed, dtype=np.uint8).reshape(
            self.terms.validators, self.terms.sealed_bytes
        )
        self._rows = np.concatenate([sign_all(self.keys, self._roots), sealed], axis=1)
        return Sigs(tree_root(self._rows)).encode()

    def combine_signatures(self, held: Held) -> None:
        """Combine and verify the partial signatures of any t nodes; raise AccusationError for a wrong one."""
        assert self.keys is not None
        assert self._public is not None
        terms = self.terms
        there = {p: self._rows_of(held[Kind.SIGS, p]) for p in range(terms.count) if (Kind.SIGS, p) in held}
        rows = dict(list(there.items())[: terms.threshold])
        try:
            self._signatures = combine(terms, self.keys, self._public, self._roots, rows)
            self._all_sealed = np.stack(
                [row[:, terms.row_bytes - terms.sealed_bytes :] for row in there.values()]
            )
        except SignatureFaultError as fault:
            deals = [self._dealt(held[Kind.DEAL, position]) for position in range(terms.count)]
            rest = [bytes([fault.kind]), *_row(rows[fault.signer], fault.validator).fields]
            for deal in deals:
                rest.append(held[Kind.DEAL, deal.dealer].bare.encode())
                rest += _row(deal.rows, fault.validator).fields
            envelopes = held[Kind.SIGS, fault.signer], held[Kind.ECHO, fault.signer]
            raise self._accusation(Proves.BAD_SIGNATURE, *envelopes, rest=rest) from None

    def _rows_of(self, envelope: Envelope) -> Bytes:
        if envelope.sender == self.position:
            assert self._rows is not None
            return self._rows
        return signature_rows(envelope.attachment, self.terms)

    def lock(self) -> bytes:
        """The statement of LOCKSIG."""
        assert self.keys is not None
        keys = self.keys
        lock_hash = self.plan.lock_hash(keys.public_keys, keys.public_shares, self._signatures)
        self.known = replace(self.known, lock_hash=lock_hash)
        signature = sign_lock(keys.secret_shares, lock_hash)
        return LockSig(lock_hash, signature, self._identity.sign(lock_hash)).encode()

    def to_store(self, held: Held) -> ToStore:
        """What all LOCKSIGs together make."""
        assert self.keys is not None
        assert self.known.lock_hash is not None
        locks = [
            LockSig.decode(held[Kind.LOCKSIG, position].statement, self.terms)
            for position in range(self.terms.count)
        ]
        total = aggregate([lock.signature for lock in locks]).tobytes()
        signatures = tuple(lock.node_signature for lock in locks)
        self._keys_are_given = True  # somebody works with them, whatever becomes of this session
        return ToStore(self.keys, self._signatures, self._all_sealed, self.known.lock_hash, total, signatures)

    def equivocation(self, kind: Kind, position: int, slot: bytes, own: Mark, other: Mark) -> AccusationError:
        """That somebody has signed two statements for one kind and slot."""
        marks = (own, other)
        return AccusationError(of_equivocation(self.terms, self.hello_digests, kind, position, slot, marks))

    def _accusation(
        self, proves: Proves, *envelopes: Envelope, rest: Sequence[bytes] = ()
    ) -> AccusationError:
        return AccusationError(of_envelopes(proves, self.terms, self.hello_digests, *envelopes, rest=rest))

    @property
    def _named(self) -> bytes:
        assert self.session is not None
        return self.session

    def wipe(self, *, keys: bool) -> None:
        """Overwrite the secrets of the session, and the key shares that came of it and are still its own."""
        self._dealer.wipe()
        if keys and self.keys is not None and not self._keys_are_given:
            self.keys.wipe()

    def __repr__(self) -> str:
        return f"Work({self.position})"


def _row(rows: Bytes, place: int) -> Row:
    return Row(place, rows[place].tobytes(), tree_path(rows, place))
