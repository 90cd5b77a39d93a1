"""Operators that cheat in a key generation: each way to do it changes a machine, or what it sends.

A cheat has this machine's secrets and identity, so that all it signs is well signed.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import numpy as np
from coincurve import PrivateKey
from coincurve._libsecp256k1 import ffi
from py_ecc.optimized_bls12_381 import add

from dvtfast.dkg.commitments import Commitments
from dvtfast.dkg.dvtfast_dkg.blame.evidence import Evidence, Proves, Row, of_envelopes
from dvtfast.dkg.dvtfast_dkg.channels import open_pair
from dvtfast.dkg.dvtfast_dkg.hashing import tree_path, tree_root
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import Envelope, Kind, decode_envelope, seal
from dvtfast.dkg.dvtfast_dkg.messages.statements import Commit, Complaint, Deal, Done, Echo, Hello, LockSig
from dvtfast.dkg.polynomials import commit
from dvtfast.secp256k1 import ORDER
from tests import reference
from tests.ceremonies import secret_of

G1_INFINITY = reference.G1_INFINITY
OFF_THE_CURVE = b"\x80" + bytes(46) + b"\x01"  # x = 1 has no y


# Of what is computed: each takes what it needs and gives a function that changes a machine.


def wrong_shares(*targets, validator=0):
    """The shares of one validator for these nodes are not on the polynomial."""

    def cheat(machine):
        dealer = machine._work._dealer
        right = dealer.shares_for

        def shares_for(position):
            shares = right(position)
            if position in targets:
                shares[validator, 31] ^= 1
            return shares

        dealer.shares_for = shares_for

    return cheat


def share_bytes(target, content):
    """One node gets shares of this content."""

    def cheat(machine):
        dealer = machine._work._dealer
        right = dealer.shares_for

        def shares_for(position):
            shares = right(position)
            if position == target:
                shares[-1] = np.frombuffer(content, np.uint8)
            return shares

        dealer.shares_for = shares_for

    return cheat


def garbled_ciphertext(target):
    """What one node gets does not decrypt; the hash of it is signed."""

    def cheat(machine):
        dealer = machine._work._dealer
        right = dealer.encrypt

        def encrypt(*arguments):
            ciphertexts = right(*arguments)
            ciphertexts[target] = ciphertexts[target][:-1] + bytes([ciphertexts[target][-1] ^ 1])
            return ciphertexts

        dealer.encrypt = encrypt

    return cheat


def wrong_proof(machine):
    dealer = machine._work._dealer
    right = dealer.prove
    dealer.prove = lambda session: right(sha256(b"another session" + session).digest())


def changed_after_commit(machine):
    """COMMIT promises what is not dealt."""
    work = machine._work
    right = work.commit

    def commit(marks):
        statement = Commit.decode(right(marks), work.terms)
        return replace(statement, public_hash=sha256(statement.public_hash).digest()).encode()

    work.commit = commit


def commitment(place, *, coefficient=0, content=None, plus=None):
    """A commitment has other bytes, or another point is added to it."""

    def cheat(machine):
        dealer = machine._work._dealer
        rows = dealer.rows.copy()
        where = slice(48 * coefficient, 48 * (coefficient + 1))
        new = content
        if plus is not None:
            new = reference.g1_bytes(add(reference.g1(rows[place, where].tobytes()), plus))
        rows[place, where] = np.frombuffer(new, np.uint8)
        dealer.rows, dealer.root = rows, tree_root(rows)
        if plus is not None:  # so that the proof is for what is dealt
            dealer.commitments = Commitments(rows.reshape(dealer.commitments.encoded.shape))

    return cheat


def same_for_two(machine):
    """The polynomials of validators 0 and 1 are equal: coefficients and all that comes of them."""
    dealer = machine._work._dealer
    scalars = dealer._coefficients._rows
    scalars[1] = scalars[0]
    dealer.commitments = commit(dealer._coefficients)
    dealer.rows = dealer.commitments.encoded.reshape(dealer.rows.shape)
    dealer.root = tree_root(dealer.rows)


def wrong_signature(validator=0):
    """One partial signature is that of another validator."""

    def cheat(machine):
        work = machine._work
        right = work.sigs

        def sigs():
            right()
            rows = work._rows.copy()
            rows[validator] = rows[validator - 1]
            work._rows = rows
            return tree_root(rows)

        work.sigs = sigs

    return cheat


def _of_lock(**changes):
    def cheat(machine):
        work = machine._work
        right = work.lock

        def lock():
            facts = LockSig.decode(right(), work.terms)
            return replace(
                facts, **{name: change(facts, machine) for name, change in changes.items()}
            ).encode()

        work.lock = lock

    return cheat


other_lock_hash = _of_lock(
    lock_hash=lambda facts, machine: sha256(facts.lock_hash).digest(),
    node_signature=lambda facts, machine: machine._identity.sign(sha256(facts.lock_hash).digest()),
)
node_signature_of_another_form = _of_lock(
    node_signature=lambda facts, machine: mirrored(facts.node_signature)
)
wrong_lock_signature = _of_lock(signature=lambda facts, machine: b"\xc0" + bytes(95))
wrong_node_signature = _of_lock(
    node_signature=lambda facts, machine: bytes([facts.node_signature[0] ^ 1]) + facts.node_signature[1:]
)


def mirrored(signature):
    """The other signature R | S | V of the same key for the same digest, which anybody can make."""
    s = ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([signature[64] ^ 1])


def other_results(machine):
    work = machine._work
    right = work.echo

    def echo(marks):
        facts = Echo.decode(right(marks), work.terms)
        return replace(facts, results=facts.results[::-1]).encode()

    work.echo = echo


def ephemeral(content):
    """The ephemeral key is this, which the machine cannot use itself."""

    def cheat(machine):
        own = machine._mail.own[Kind.HELLO]
        hello = Hello.decode(own.statement, machine._terms)
        statement = replace(hello, ephemeral=content).encode()
        machine._mail.out.clear()
        machine._mail.marks.clear()
        machine._mail.keep_own(seal(machine._identity, Kind.HELLO, machine.position, own.slot, statement))

    return cheat


# Of what is sent: each makes a tamperer of a network, which has the node to look at.


def silent_from(kind, *targets):
    """Nothing from this kind on goes to these nodes, or to anybody; nor is anything answered."""

    def tamper(node, to, name, payload):
        quiet = not targets or to in targets
        return [] if quiet and (name == "want" or payload[0] >= kind) else [payload]

    return tamper


def equivocating(kind, change, *targets):
    """These nodes get another statement of a kind than the others."""

    def tamper(node, to, name, payload):
        if payload[0] != kind or to not in targets or payload[1] != node.position:
            return [payload]
        envelope = decode_envelope(payload)
        other = seal(node.machine._identity, kind, node.position, envelope.slot, change(envelope, node.terms))
        return [replace(other, attachment=envelope.attachment).encode()]

    return tamper


def other_nonce(envelope, terms):
    hello = Hello.decode(envelope.statement, terms)
    return replace(hello, nonce=sha256(hello.nonce).digest()).encode()


def other_promise(envelope, terms):
    commit = Commit.decode(envelope.statement, terms)
    return replace(commit, public_hash=sha256(commit.public_hash).digest()).encode()


def other_ciphertexts(envelope, terms):
    """To a node that gets its own right: the hashes of the others' differ."""
    deal = Deal.decode(envelope.statement, terms)
    hashes = list(deal.ciphertext_hashes)
    hashes[envelope.sender] = sha256(hashes[envelope.sender]).digest()
    return replace(deal, ciphertext_hashes=tuple(hashes)).encode()


def forged_list(envelope, terms):
    """The first operator's entry is of a message that it has never signed."""
    codec = {
        Kind.COMMIT: (Commit, "hellos"),
        Kind.DEAL: (Deal, "commits"),
        Kind.ECHO: (Echo, "deals"),
        Kind.DONE: (Done, "locks"),
    }
    statement, name = codec[envelope.kind]
    facts = statement.decode(envelope.statement, terms)
    marks = list(getattr(facts, name))
    place = 0 if envelope.sender else 1
    marks[place] = replace(marks[place], digest=sha256(marks[place].digest).digest())
    return replace(facts, **{name: tuple(marks)}).encode()


def other_node_signature(envelope, terms):
    """One as good as the other: of the same key and digest, with another nonce."""
    facts = LockSig.decode(envelope.statement, terms)
    key = PrivateKey(secret_of(envelope.sender))
    entropy = ffi.new("unsigned char[32]", b"entropy" * 4)
    signature = key.sign_recoverable(facts.lock_hash, hasher=None, custom_nonce=(ffi.NULL, entropy))
    assert signature != facts.node_signature
    return replace(facts, node_signature=signature).encode()


def other_attempt(envelope, terms):
    """A COMMIT for this session that says that its HELLOs are of another attempt."""
    commit = Commit.decode(envelope.statement, terms)
    return replace(commit, hello_slot=sha256(commit.hello_slot).digest()).encode()


def forged_list_of_another_attempt(envelope, terms):
    """The same, and one of the HELLOs was never signed."""
    statement = forged_list(envelope, terms)
    return other_attempt(replace(envelope, statement=statement), terms)


def other_done(envelope, terms):
    done = Done.decode(envelope.statement, terms)
    return replace(done, lock_hash=sha256(done.lock_hash).digest()).encode()


# Accusations: each makes the evidence against a node, out of what the cheater's machine holds.


def _blame(machine, evidence: Evidence | bytes) -> bytes:
    content = evidence if isinstance(evidence, bytes) else evidence.encode()
    slot = machine._terms.hello_slot
    blame = seal(machine._identity, Kind.BLAME, machine.position, slot, sha256(content).digest())
    return Envelope(blame.kind, blame.sender, slot, blame.statement, blame.signature, content).encode()


def false_complaint(machine, dealer, *, opening=None, proof=None) -> bytes:
    """A BLAME that accuses a dealer whose share is right."""
    work, held, session = machine._work, machine._mail.held, machine._work.session
    d, point = work._dealer, work._points[dealer]
    right = open_pair(d.secret, point, session, machine.position, dealer)
    deal = held[Kind.DEAL, dealer]
    facts = Complaint(dealer, 0, deal.mark.digest, opening or right[0], proof or right[1])
    complaint = seal(machine._identity, Kind.COMPLAINT, machine.position, session, facts.encode())
    dealt = work._dealt(deal)
    row = Row(0, dealt.rows[0].tobytes(), tree_path(dealt.rows, 0))
    hellos = held[Kind.HELLO, machine.position], held[Kind.HELLO, dealer]
    rest = [dealt.ciphertext, *row.fields]
    return _blame(
        machine,
        of_envelopes(Proves.COMPLAINT, work.terms, work.hello_digests, *hellos, deal, complaint, rest=rest),
    )


def blame_of_nothing(machine, dealer) -> bytes:
    """A BLAME whose evidence is a good message."""
    work, held = machine._work, machine._mail.held
    hello = held[Kind.HELLO, dealer]
    return _blame(machine, of_envelopes(Proves.MALFORMED, work.terms, work.hello_digests, hello))


def blame_of_noise(machine, dealer) -> bytes:
    return _blame(machine, b"\xff" * 40)
