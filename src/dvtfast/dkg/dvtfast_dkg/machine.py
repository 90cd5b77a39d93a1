"""The ceremony of one node: which message is sent when, what is waited for, and how it ends.

    HELLO    who is there, and ready            -> the session has a name
    COMMIT   the hash of what will be dealt      -> nobody can choose by what others deal
    DEAL     commitments, and encrypted shares   -> keys, or proof against a dealer
    ECHO     all have seen the same, and agree
    SIGS     partial signatures                  -> signatures, of any t
    LOCKSIG  the lock, signed by all             -> to be stored
    DONE     lock and keys are on disk           -> success, when all have said so
    CLOSE    all have heard that                 -> nobody needs this node any more

Each step begins when the messages of the one before are complete. Each message is signed, and recorded before
it is sent: after a restart the same bytes are sent again. Who cheats is named in a BLAME, with evidence that
each node judges for itself. From LOCKSIG on a node no longer ends because others are silent, as these may
have all that DONE takes; from DONE on it never does, as others may have succeeded. From ECHO on its records
have its key shares, and are kept whatever becomes of it: any t nodes' SIGS make signatures that are good.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from dvtfast.dkg.dvtfast_dkg.blame.verdicts import Verdicts
from dvtfast.dkg.dvtfast_dkg.hashing import FORMAT
from dvtfast.dkg.dvtfast_dkg.identity import Identity
from dvtfast.dkg.dvtfast_dkg.messages.envelopes import WITH_ATTACHMENT, Envelope, Kind, decode_envelope, seal
from dvtfast.dkg.dvtfast_dkg.messages.mail import Mail, Outputs
from dvtfast.dkg.dvtfast_dkg.messages.rules import marks_of
from dvtfast.dkg.dvtfast_dkg.messages.sizes import commitments_bytes, payload_sizes
from dvtfast.dkg.dvtfast_dkg.messages.statements import Deal, Done, Hello, Stop, statement_sizes
from dvtfast.dkg.dvtfast_dkg.records import MisfitError, Records
from dvtfast.dkg.dvtfast_dkg.terms import Plan, Terms
from dvtfast.dkg.dvtfast_dkg.work import AccusationError, Seal, Work
from dvtfast.dkg.outputs import Finished, Phase, Record
from dvtfast.errors import DvtfastError, InputError

SEED_BYTES = 32
NONCE_BYTES = 32
# Names of phases that are no kind of message. Who rejoins has said COMMIT before it was started again, and
# lacks the HELLOs of the others: it is not free to do anything else.
REJOIN, STORE, CLOSED = "rejoin", "store", "closed"
# So many attempts at once may others be ahead, and be followed.
MOST_AHEAD = 1000


class Machine:
    """One node of a ceremony. Every method that takes an event returns what is to be done, in order.

    Args:
        identity_secret: of the operator at this node's position, 32 bytes.
        trouble: why this node cannot take part, if it cannot: the others are told.
        seal: encrypts this node's key shares uint8[m, 32] to a key of its operator, uint8[m, sealed_bytes];
            where that is agreed on. It may give something else each time: what it gave is recorded.
        records: what a former process of this node has recorded for the same terms; none for a fresh start.
        unheeded: positions of those who may begin as many attempts as they like: they are not followed.

    Attributes:
        position: of this node, from 0.
        newest_attempt: the highest that an operator was heard to begin.
        followed: its position.
        has_stopped: whether it has said, perhaps as a former process, that it waits no longer: it says
            nothing more, and its attempt is over.

    Raises:
        InputError: the identity is not among the operators, or the records are of other terms.
        EncodingError: the records are damaged, of another format, or by another identity.
    """

    def __init__(
        self,
        terms: Terms,
        identity_secret: bytes,
        plan: Plan,
        *,
        trouble: str = "",
        seal: Seal | None = None,
        records: Sequence[bytes] = (),
        unheeded: Collection[int] = (),
    ) -> None:
        self._terms, self._identity = terms, Identity(identity_secret)
        if self._identity.public_key not in terms.operators:
            raise InputError("identity_secret: not the key of an operator of these terms")
        self.position = terms.operators.index(self._identity.public_key)
        self.newest_attempt, self.followed = terms.attempt, self.position
        self._unheeded = set(unheeded)
        self._records = Records(identity_secret, records)
        written = self._records.opened()
        seed = written[0][:SEED_BYTES] if written else os.urandom(SEED_BYTES)
        self._work = Work(terms, self._identity, plan, seed, seal)
        self._mail = Mail(terms, self.position, self._work.attachment)
        self._verdicts = Verdicts(terms, self._mail, self._work, self._sealed)
        self._early: dict[int, bytes] = {}
        self._phase, self._told = Kind.HELLO, Phase("")
        self._finished = self._closed = self.has_stopped = False
        self._payload_sizes, self._statement_sizes = payload_sizes(terms), statement_sizes(terms)
        if written:
            self._restore([written[0][SEED_BYTES:], *written[1:]])
        else:
            statement = self._work.hello(os.urandom(NONCE_BYTES), trouble)
            hello = self._sealed(Kind.HELLO, statement)
            self._mail.out.append(Record(self._records.seal(seed + hello.encode())))
            self._mail.keep_own(hello)

    def _restore(self, messages: Sequence[bytes]) -> None:
        hello, *later = map(decode_envelope, messages)
        options = Hello.decode(hello.statement, self._terms).options_hash
        if (hello.slot, options) != (self._terms.hello_slot, self._terms.options_hash):
            raise InputError("records: of other terms")
        for envelope in (hello, *later):
            if envelope.kind == Kind.STOP:
                self.has_stopped = self._verdicts.aborted = True
                continue
            self._mail.keep_own(envelope.bare)
            if (listed := marks_of(envelope, self._terms)) is not None:
                kind, _, marks = listed
                for position, mark in enumerate(marks):
                    self._mail.marks.setdefault((kind, position), mark)
            if envelope.kind == Kind.COMMIT:
                self._work.resume(envelope)
            if envelope.kind == Kind.SIGS:
                self._work.sealed = envelope.attachment

    def start(self) -> Outputs:
        """Begin, or go on after a restart.

        Every method that takes an event may raise a MisfitError: the records are of a program that computed
        something else. They are to be kept, and this machine is of no use.
        """
        if self.has_stopped:
            return []
        hello = self._mail.own[Kind.HELLO]
        self._mail.send_all(hello)
        if Kind.COMMIT in self._mail.own:
            self._ask()
        self._check_hello(hello)
        return self._outcome()

    def receive(self, peer: int, payload: bytes) -> Outputs:
        """A peer has sent a payload; whatever is no message that this node can use is left unread."""
        if 0 <= peer < self._terms.count and peer != self.position and payload:
            self._read(peer, payload)
        return self._outcome()

    def stored(self, files_hash: bytes) -> Outputs:
        """What `ToStore` held is on disk, files and folders synced.

        Args:
            files_hash: 32 bytes, of all files; a receipt that the others keep.
        """
        if self._waits_for_disk and not self._verdicts.aborted:
            assert self._work.known.lock_hash is not None
            locks = tuple(self._mail.listed(Kind.LOCKSIG))
            self._say(Kind.DONE, Done(self._work.known.lock_hash, files_hash, locks).encode())
            self._advance()
        return self._outcome()

    def remind(self) -> Outputs:
        """Nothing has come for a while: ask again for what is missing."""
        if not self._verdicts.aborted:
            self._ask()
        return self._outcome()

    def give_up(self) -> Outputs:
        """Wait no longer for others, and tell them for whom; after LOCKSIG this node only says so.

        Eight reminders in vain should come before: by then all others see who is silent, too.
        """
        if not (self._verdicts.aborted or self._finished or self._waits_for_disk):
            self._give_up()
        return self._outcome()

    def _give_up(self) -> None:
        missing, is_bound = self._mail.missing(self._phase), Kind.LOCKSIG in self._mail.own
        if not missing or self._verdicts.heed(self._phase):
            return
        refusing = self._mail.wanted.refusing(missing[0]) if self._phase > Kind.DEAL else None
        silent, kind = (missing[0], self._phase) if refusing is None else (refusing, Kind.DEAL)
        stop = self._sealed(Kind.STOP, Stop(kind, silent).encode())
        if not is_bound:
            self.has_stopped = True
            self._mail.out.append(Record(self._records.seal(stop.encode())))
            self._mail.send_all(stop)
        self._verdicts.end_by(stop)

    def close(self) -> None:
        """Overwrite what is secret; nothing may be asked of this machine any more."""
        self._work.wipe(keys=True)

    @property
    def receipts(self) -> list[bytes]:
        """The DONEs of all, as payloads, once they are here: for who is in doubt whether all have stored."""
        if self._mail.missing(Kind.DONE):
            return []
        return [self._mail.held[Kind.DONE, position].encode() for position in range(self._terms.count)]

    @property
    def may_be_used(self) -> bool:
        """Whether somebody may have, or yet make, a signature that is good with the keys of this attempt.

        Only who has all ECHOs signs anything. So before this node's own, nobody has; after it, these records
        are to be kept, as they have its key shares.
        """
        return Kind.ECHO in self._mail.own

    @property
    def is_done(self) -> bool:
        """Whether this node has said that keys and lock are on its disk."""
        return Kind.DONE in self._mail.own

    @property
    def _waits_for_disk(self) -> bool:
        return self._phase == Kind.DONE and not self.is_done

    def _outcome(self) -> Outputs:
        """All that is to be done, and where the ceremony is if that has changed."""
        is_back = self._phase == Kind.HELLO and Kind.COMMIT in self._mail.own
        name = REJOIN if is_back else self._phase.name.lower()
        name = CLOSED if self._closed else STORE if self._waits_for_disk else name
        missing = () if self._waits_for_disk else self._mail.missing(self._phase)
        if not self._verdicts.aborted and self._told != (phase := Phase(name, missing)):
            self._told = phase
            self._mail.out.append(phase)
        out, self._mail.out = self._mail.out, []
        return out

    # Messages.

    def _read(self, peer: int, payload: bytes) -> None:
        kinds = [kind for kind in self._payload_sizes if kind == payload[0]]
        if not kinds or len(payload) not in self._payload_sizes[kinds[0]]:
            return
        if kinds[0] == Kind.WANT:
            self._mail.answer(peer, payload, self._verdicts.messages)
            return
        try:
            envelope = decode_envelope(payload)
        except ValueError:
            return
        size = len(envelope.statement)
        if envelope.sender >= self._terms.count or size not in self._statement_sizes[envelope.kind]:
            return
        if envelope.attachment and envelope.kind not in WITH_ATTACHMENT:
            return
        self._guarded(lambda: self._take(peer, envelope, payload))

    def _guarded(self, step: Callable[[], None]) -> None:
        """Do a step, and whatever follows from it; what is wrong ends the ceremony."""
        try:
            step()
            self._advance()
        except AccusationError as accusation:
            self._verdicts.accuse(accusation.evidence.encode())
        except MisfitError:
            raise
        except DvtfastError as error:
            self._verdicts.abort(str(error))

    def _take(self, peer: int, envelope: Envelope, payload: bytes) -> None:
        kind, sender = envelope.kind, envelope.sender
        if sender == self.position or (self._finished and kind != Kind.CLOSE):
            return
        if kind in (Kind.BLAME, Kind.STOP):
            self._verdicts.hear(envelope)
        elif self._verdicts.aborted:
            return
        elif kind == Kind.HELLO:
            self._take_hello(envelope)
        elif self._work.session is None:
            if sender == peer and kind == Kind.COMMIT:  # nothing else can be meant for who has said no COMMIT
                self._early[peer] = payload
        elif envelope.slot == self._work.session:
            if kind == Kind.DEAL:
                hashes = Deal.decode(envelope.statement, self._terms).ciphertext_hashes
                self._mail.pass_on(envelope, hashes, commitments_bytes(self._terms))
            self._hold(envelope)
        elif kind == Kind.COMMIT and self._work.hello_digests and self._is_of_attempt(envelope):
            self._examine(envelope)

    def _take_hello(self, envelope: Envelope) -> None:
        attempt, own = Hello.decode(envelope.statement, self._terms).attempt, self._terms.attempt
        if envelope.slot == self._terms.hello_slot:
            self._hold(envelope)
        elif own < attempt <= own + MOST_AHEAD and envelope.sender not in self._unheeded:
            theirs = replace(self._terms, attempt=attempt)
            if envelope.slot == theirs.hello_slot and envelope.is_signed(self._terms.operators):
                self._unheeded.add(envelope.sender)
                self.newest_attempt, self.followed = attempt, envelope.sender
                begun = Kind.COMMIT in self._mail.own
                self._verdicts.abort(
                    f"operator {envelope.sender} begins attempt {attempt}, this node {own}",
                    envelope.sender if begun else None,
                )

    def _is_of_attempt(self, envelope: Envelope) -> bool:
        """Whether a COMMIT of another session is by an operator who begins the same attempt."""
        listed = marks_of(envelope, self._terms)
        same = listed is not None and listed[1] == self._terms.hello_slot
        return same and envelope.is_signed(self._terms.operators)

    def _hold(self, envelope: Envelope) -> None:
        """Keep a message of this session, unless it is here already, lost its attachment, or is of no use."""
        mail, kind, place = self._mail, envelope.kind, (envelope.kind, envelope.sender)
        mark, known = envelope.mark, self._mail.marks.get(place)
        if known is not None and known.digest != mark.digest:
            if envelope.is_signed(self._terms.operators):
                raise self._work.equivocation(kind, envelope.sender, envelope.slot, known, mark)
            return
        if place in mail.held or not envelope.is_signed(self._terms.operators):
            return
        if kind in (Kind.DEAL, Kind.SIGS) and (kind < self._phase or not self._work.fits(envelope)):
            return
        if kind == Kind.DONE and not self._is_same_lock(envelope):
            return
        if self._phase >= kind or (kind == Kind.DONE and self.is_done):  # before it counts
            self._examine(envelope)
        mail.keep(envelope)
        if kind == Kind.HELLO:
            self._check_hello(envelope)

    def _check_hello(self, envelope: Envelope) -> None:
        hello, sender = Hello.decode(envelope.statement, self._terms), envelope.sender
        if hello.format != FORMAT:
            self._verdicts.abort(
                f"operator {sender} has another version of dvtfast: its ceremonies are of format"
                f" {hello.format}, this node's of {FORMAT}",
                sender,
            )
        elif hello.options_hash != self._terms.options_hash:
            self._verdicts.abort(f"operator {sender} has other options than this node", sender)
        elif hello.trouble:
            text = "".join(each if each.isprintable() else "?" for each in hello.trouble)
            self._verdicts.abort(f"operator {sender} cannot take part: {text}", sender)

    def _is_same_lock(self, envelope: Envelope) -> bool:
        """Whether a DONE is for this node's lock; yes while there is none."""
        own = self._mail.own.get(Kind.DONE)
        lock_hash = self._work.known.lock_hash
        if own is not None:
            lock_hash = Done.decode(own.statement, self._terms).lock_hash
        return lock_hash in (None, Done.decode(envelope.statement, self._terms).lock_hash)

    def _examine(self, envelope: Envelope) -> None:
        self._work.examine(envelope, self._mail.marks, self._mail.held)

    # Steps.

    def _advance(self) -> None:
        while not (self._verdicts.aborted or self._closed or self._waits_for_disk):
            if self._mail.missing(self._phase):
                break
            self._leave()
        if self.is_done and not self._finished and not self._mail.missing(Kind.DONE):
            self._finish()

    def _leave(self) -> None:
        """The messages of this step are complete: do what is done with them, and begin the next."""
        work, mail = self._work, self._mail
        match self._phase:
            case Kind.HELLO:
                hellos = [mail.held[Kind.HELLO, position] for position in range(self._terms.count)]
                work.begin(hellos)
                self._enter(Kind.COMMIT, work.commit(mail.listed(Kind.HELLO)))
                early, self._early = self._early, {}
                for peer, payload in early.items():
                    self._read(peer, payload)
            case Kind.COMMIT:
                self._enter(Kind.DEAL, work.deal(mail.listed(Kind.COMMIT)))
            case Kind.DEAL:
                work.combine_deals(mail.held)
                self._enter(Kind.ECHO, work.echo(mail.listed(Kind.DEAL)))
            case Kind.ECHO:
                self._enter(Kind.SIGS, work.sigs())
            case Kind.SIGS:
                work.combine_signatures(mail.held)
                self._enter(Kind.LOCKSIG, work.lock())
            case Kind.LOCKSIG:
                self._phase = Kind.DONE
                came = [each for (kind, _), each in mail.held.items() if kind == Kind.DONE]
                for envelope in came:  # when nothing was known yet to compare them with
                    if envelope.sender != self.position:
                        mail.forget((Kind.DONE, envelope.sender))
                        self._hold(envelope)
                if not self.is_done:
                    mail.out.append(work.to_store(mail.held))
            case Kind.DONE:
                self._phase = Kind.CLOSE
            case _:
                self._closed = True

    def _enter(self, kind: Kind, statement: bytes) -> None:
        restored = self._mail.own.get(kind)
        if restored is not None and restored.statement != statement:
            raise MisfitError(
                f"records: this program computes another {kind.name} than this node has said: go on with the"
                " version of dvtfast that began"
            )
        self._verdicts.judge_again()  # by what is known now, and not before it is known to be right
        if self._verdicts.aborted:
            return
        self._phase = kind
        self._say(kind, statement)
        if restored is not None:
            self._ask()
        for (held, sender), envelope in list(self._mail.held.items()):
            if held == kind and sender != self.position:
                self._examine(envelope)

    def _finish(self) -> None:
        self._finished, self._phase = True, max(self._phase, Kind.CLOSE)
        self._mail.out.append(Finished(self._work.keys))
        self._work.wipe(keys=False)
        self._say(Kind.CLOSE, b"")
        self._advance()

    # What this node says.

    def _ask(self) -> None:
        kinds = {self._phase} | ({Kind.DONE} if self.is_done and not self._finished else set())
        self._mail.ask(() if self._closed else sorted(kinds))

    def _sealed(self, kind: Kind, statement: bytes) -> Envelope:
        of_attempt = kind in (Kind.HELLO, Kind.BLAME, Kind.STOP)
        slot = self._terms.hello_slot if of_attempt else self._work.session
        assert slot is not None
        return seal(self._identity, kind, self.position, slot, statement)

    def _with_secrets(self, envelope: Envelope) -> Envelope:
        """What is recorded of an own message: with it what this node must not lose, nor make another time."""
        match envelope.kind:
            case Kind.ECHO:
                return replace(envelope, attachment=self._work.generated)
            case Kind.SIGS:
                return replace(envelope, attachment=self._work.sealed)
            case _:
                return envelope

    def _say(self, kind: Kind, statement: bytes) -> None:
        """Record and send a message of this session; one that was recorded before goes out as it was."""
        if kind not in self._mail.own:
            envelope = self._sealed(kind, statement)
            if kind != Kind.CLOSE:
                self._mail.out.append(Record(self._records.seal(self._with_secrets(envelope).encode())))
            self._mail.keep_own(envelope)
        self._mail.send_all(self._mail.own[kind])
